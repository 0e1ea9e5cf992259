"""The connection that is kept between two looks: when it serves again, and what closes it."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from clawtop.clock import SystemClock
from clawtop.engine.gateway import line
from clawtop.engine.gateway.door import Door, Listener, Pass
from clawtop.engine.gateway.errors import GatewayCallError, Trouble
from clawtop.engine.gateway.line import KeptLine
from clawtop.engine.gateway.wire import ADMIN, READ
from tests.engine.test_gateway_client import KEY, door, live
from tests.support.gateways import HANG, TOKEN, FakeGateway, listing, serving, session_row

pytestmark = pytest.mark.anyio

TICK = json.dumps({"type": "event", "event": "tick", "payload": {}}, separators=(",", ":"))


def fake() -> FakeGateway:
    return FakeGateway({"sessions.list": lambda _: listing(session_row(KEY, True))})


async def asked(kept: KeptLine, leave: Pass, seconds: float = 5.0) -> int:
    """One question over the line; how many sessions it told of."""
    async with kept.to(leave) as link:
        count: int = (await link.ask("sessions.list", {}, seconds=seconds))["count"]
        return count


def line_to(tmp_path: Path, gateway: FakeGateway) -> tuple[KeptLine, Pass, Door]:
    entry = door(tmp_path)
    return KeptLine(entry, SystemClock()), entry.knock(live(gateway.port)), entry


async def closed_by_us(gateway: FakeGateway) -> None:
    """Wait until the other side of the last connection sees its end."""
    await gateway.sockets[-1].wait_closed()


async def test_many_looks_share_one_connection_with_read_scope(tmp_path: Path) -> None:
    async with serving(fake()) as gateway:
        kept, leave, _ = line_to(tmp_path, gateway)
        assert [await asked(kept, leave) for _ in range(5)] == [1] * 5
        assert [params["scopes"] for params in gateway.connects] == [[READ]]
        assert ADMIN not in gateway.connects[0]["scopes"]
        await kept.close()
        await closed_by_us(gateway)


@pytest.mark.parametrize(
    "other",
    [
        lambda leave: replace(leave, listener=replace(leave.listener, start=2)),
        lambda leave: replace(leave, state_dir=f"{leave.state_dir}/../{Path(leave.state_dir).name}"),
        lambda leave: replace(leave, config_path=f"{leave.config_path}/."),
    ],
    ids=["another process", "another directory", "another configuration"],
)
async def test_a_permission_for_anything_else_opens_a_line_of_its_own(
    tmp_path: Path, other: Callable[[Pass], Pass]
) -> None:
    async with serving(fake()) as gateway:
        kept, leave, _ = line_to(tmp_path, gateway)
        await asked(kept, leave)
        await asked(kept, other(leave))
        await gateway.sockets[0].wait_closed()
        assert len(gateway.connects) == 2
        await kept.close()


async def test_a_process_that_took_the_place_of_the_trusted_one_gets_no_token(tmp_path: Path) -> None:
    async with serving(fake()) as gateway:
        kept, leave, _ = line_to(tmp_path, gateway)
        await asked(kept, leave)
        stranger = replace(leave, listener=Listener(os.getppid(), leave.listener.start, leave.listener.port))
        with pytest.raises(GatewayCallError, match="no token was sent"):
            await asked(kept, stranger)
        assert len(gateway.connects) == 1
        await gateway.sockets[0].wait_closed()


async def test_a_new_token_is_sent_over_a_new_line(tmp_path: Path) -> None:
    async with serving(fake()) as gateway:
        kept, leave, entry = line_to(tmp_path, gateway)
        await asked(kept, leave)
        changed = replace(leave, token="another-token-0123456789")
        with pytest.raises(GatewayCallError) as caught:
            await asked(kept, changed)
        assert caught.value.trouble is Trouble.TOKEN
        assert [params["auth"]["token"] for params in gateway.connects] == [TOKEN, changed.token]
        assert entry.knock(live(gateway.port)) == leave


async def test_a_question_that_fails_closes_the_line(tmp_path: Path) -> None:
    async with serving(fake()) as gateway:
        kept, leave, _ = line_to(tmp_path, gateway)
        await asked(kept, leave)
        gateway.answers["sessions.list"] = lambda _: HANG
        with pytest.raises(GatewayCallError) as caught:
            await asked(kept, leave, seconds=0.05)
        assert caught.value.trouble is Trouble.MUTE
        gateway.answers["sessions.list"] = lambda _: listing()
        assert await asked(kept, leave) == 0
        assert len(gateway.connects) == 2
        await kept.close()


async def test_one_that_the_gateway_closed_meanwhile_is_opened_anew_with_one_question(tmp_path: Path) -> None:
    async with serving(fake()) as gateway:
        kept, leave, _ = line_to(tmp_path, gateway)
        await asked(kept, leave)
        await gateway.sockets[-1].close(1012, "service restart")
        assert await asked(kept, leave) == 1
        assert (len(gateway.connects), len(gateway.asked)) == (2, 2)
        await kept.close()


async def test_what_is_pushed_meanwhile_is_dropped_and_answers_are_still_found(tmp_path: Path) -> None:
    async with serving(fake()) as gateway:
        kept, leave, _ = line_to(tmp_path, gateway)
        await asked(kept, leave)
        for _ in range(line.MOST_PUSHED // 2):
            await gateway.sockets[-1].send(TICK)
        assert await asked(kept, leave) == 1
        assert len(gateway.connects) == 1
        await kept.close()


async def test_a_gateway_that_pushes_too_much_is_left_and_asked_anew(tmp_path: Path) -> None:
    async with serving(fake()) as gateway:
        kept, leave, _ = line_to(tmp_path, gateway)
        await asked(kept, leave)
        for _ in range(line.MOST_PUSHED):
            await gateway.sockets[-1].send(TICK)
        await closed_by_us(gateway)
        assert await asked(kept, leave) == 1
        assert len(gateway.connects) == 2
        await kept.close()


async def test_a_look_that_is_cancelled_leaves_no_line(tmp_path: Path) -> None:
    async with serving(fake()) as gateway:
        kept, leave, _ = line_to(tmp_path, gateway)
        await asked(kept, leave)
        gateway.answers["sessions.list"] = lambda _: HANG
        look = asyncio.create_task(asked(kept, leave))
        while len(gateway.asked) < 2:
            await asyncio.sleep(0)
        look.cancel()
        with pytest.raises(asyncio.CancelledError):
            await look
        await closed_by_us(gateway)
