"""Asking a gateway over its WebSocket: where the token goes, what is believed, and what happens to bad answers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection

from clawtop.clock import SystemClock
from clawtop.core.model import Gateway, GatewayState, ProcessEvidence
from clawtop.engine.gateway import caller, client
from clawtop.engine.gateway.caller import Caller
from clawtop.engine.gateway.client import connected
from clawtop.engine.gateway.door import Door
from clawtop.engine.gateway.errors import GatewayCallError, Trouble
from clawtop.engine.gateway.wire import ADMIN, MAX_FRAME, READ
from clawtop.engine.gateway.words import TASK_PAGES, TASKS_AT_ONCE, ask_words
from clawtop.store.config import read_config
from clawtop.store.place.layout import Layout
from tests.support.clocks import ManualClock
from tests.support.gateways import HANG, TOKEN, FakeGateway, RefusingError, listing, serving, session_row

pytestmark = pytest.mark.anyio

ME = os.getpid()
KEY = "agent:main:main"


class Processes:
    """One process that lives, run by `uid`."""

    def __init__(self, uid: int, *, alive: bool | None = True, start: int = 1) -> None:
        self.uid = uid
        self.alive = alive
        self.start = start

    def look(self, pid: int) -> ProcessEvidence:
        return ProcessEvidence(pid, self.alive, start_ticks=self.start, uid=self.uid)


def layout(tmp_path: Path) -> Layout:
    path = tmp_path / "openclaw.json"
    path.write_text(f'{{"gateway": {{"auth": {{"token": "{TOKEN}"}}}}}}')
    return Layout(tmp_path, path, read_config(path))


def door(tmp_path: Path, processes: Processes | None = None, *, enabled: bool = True) -> Door:
    found = layout(tmp_path)
    return Door(lambda: found, processes=processes or Processes(tmp_path.stat().st_uid), env={}, enabled=enabled)


def live(port: int, pid: int | None = ME) -> Gateway:
    return Gateway(GatewayState.LIVE, pid, port)


async def ask(tmp_path: Path, fake: FakeGateway, method: str = "sessions.list", **more: Any) -> Any:
    """One question to a fake gateway."""
    entry = door(tmp_path)
    async with serving(fake):
        return await asked(entry, fake, method, **more)


async def asked(
    entry: Door,
    fake: FakeGateway,
    method: str = "sessions.list",
    scopes: Sequence[str] = (READ,),
    *,
    seconds: float = 5.0,
    answer_s: float | None = None,
) -> Any:
    """`seconds`: for the connection, and for the answer too unless that has its own `answer_s`."""
    leave = entry.knock(live(fake.port))
    async with connected(entry, leave, scopes, clock=SystemClock(), seconds=seconds) as link:
        return await link.ask(method, {}, seconds=seconds if answer_s is None else answer_s)


async def trouble(tmp_path: Path, fake: FakeGateway, method: str = "sessions.list", **more: Any) -> GatewayCallError:
    with pytest.raises(GatewayCallError) as caught:
        await ask(tmp_path, fake, method, **more)
    assert TOKEN not in caught.value.words
    return caught.value


# --- what is asked, and with which rights ------------------------------------------------------------------------


async def test_a_question_goes_out_with_the_least_scope_and_events_are_passed_over(tmp_path: Path) -> None:
    fake = FakeGateway({"sessions.list": lambda _: listing(session_row(KEY, True))})
    assert (await ask(tmp_path, fake))["count"] == 1
    (connect,) = fake.connects
    assert connect["scopes"] == [READ]
    assert connect["client"]["mode"] == "backend"
    assert (connect["minProtocol"], connect["maxProtocol"]) == (3, 4)


async def test_a_method_that_the_gateway_does_not_list_is_not_asked_for(tmp_path: Path) -> None:
    fake = FakeGateway()
    error = await trouble(tmp_path, fake, "gateway.made.up")
    assert error.trouble is Trouble.UNKNOWN
    assert fake.asked == []


# --- where the token goes ----------------------------------------------------------------------------------------


async def test_the_token_does_not_go_to_a_listener_that_is_not_the_locks_process(tmp_path: Path) -> None:
    entry = door(tmp_path)
    async with serving(FakeGateway()) as fake:
        leave = entry.knock(live(fake.port, pid=os.getppid()))
        with pytest.raises(GatewayCallError, match="no token was sent") as caught:
            async with connected(entry, leave, (READ,), clock=ManualClock()):
                pass
        assert caught.value.trouble is Trouble.FOREIGN
        assert fake.connects == []


@pytest.mark.parametrize(
    ("gateway", "processes", "enabled", "words"),
    [
        (Gateway(GatewayState.LIVE, None, 1), {}, True, "is not visible here"),
        (Gateway(GatewayState.LIVE, ME, None), {}, True, "port is not known"),
        (Gateway(GatewayState.DEAD, ME, 1), {}, True, "no gateway is known to be live"),
        (Gateway(GatewayState.UNKNOWN, ME, 1), {}, True, "no gateway is known to be live"),
        (Gateway(GatewayState.LIVE, ME, 1), {"uid": 65534}, True, "belongs to user 65534"),
        (Gateway(GatewayState.LIVE, ME, 1), {"alive": False}, True, "not visibly alive"),
        (Gateway(GatewayState.LIVE, ME, 1), {"alive": None}, True, "not visibly alive"),
        (Gateway(GatewayState.LIVE, ME, 1), {}, False, "--no-gateway"),
    ],
)
def test_without_leave_nobody_is_asked(
    tmp_path: Path, gateway: Gateway, processes: dict[str, Any], enabled: bool, words: str
) -> None:
    table = Processes(**{"uid": tmp_path.stat().st_uid, **processes})
    with pytest.raises(GatewayCallError, match=words) as caught:
        door(tmp_path, table, enabled=enabled).knock(gateway)
    assert caught.value.trouble is Trouble.CLOSED


def test_without_a_token_nobody_is_asked(tmp_path: Path) -> None:
    (tmp_path / "openclaw.json").write_text("{}")
    found = Layout(tmp_path, tmp_path / "openclaw.json", read_config(tmp_path / "openclaw.json"))
    entry = Door(lambda: found, processes=Processes(tmp_path.stat().st_uid), env={})
    with pytest.raises(GatewayCallError, match="token cannot be read"):
        entry.knock(live(1))


async def test_a_token_that_was_refused_goes_to_that_process_never_again(tmp_path: Path) -> None:
    table = Processes(tmp_path.stat().st_uid)
    entry = door(tmp_path, table)
    async with serving(FakeGateway(token="another")) as fake:
        with pytest.raises(GatewayCallError, match="does not accept the token") as caught:
            await asked(entry, fake)
        assert caught.value.trouble is Trouble.TOKEN
        with pytest.raises(GatewayCallError, match="is not sent again"):
            await asked(entry, fake)
        assert len(fake.connects) == 1
        table.start = 2  # it was restarted, perhaps with another configuration
        with pytest.raises(GatewayCallError, match="does not accept the token"):
            await asked(entry, fake)
        assert len(fake.connects) == 2


# --- what is believed --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["stateDir", "configPath"])
async def test_a_gateway_of_another_directory_is_not_believed(tmp_path: Path, name: str) -> None:
    fake = FakeGateway({"sessions.list": lambda _: listing()}, hello={"snapshot": {name: "/somewhere/else"}})
    error = await trouble(tmp_path, fake)
    assert error.trouble is Trouble.FOREIGN
    assert "/somewhere/else" in error.words
    assert fake.asked == []


async def test_the_same_directory_under_another_name_is_ours(tmp_path: Path) -> None:
    other = tmp_path.parent / f"{tmp_path.name}-link"
    other.symlink_to(tmp_path)
    snapshot = {"stateDir": str(other), "configPath": str(other / "openclaw.json")}
    fake = FakeGateway({"sessions.list": lambda _: listing()}, hello={"snapshot": snapshot})
    assert (await ask(tmp_path, fake))["count"] == 0


async def test_fewer_scopes_than_asked_for_are_named_before_anything_is_asked(tmp_path: Path) -> None:
    error = await trouble(tmp_path, FakeGateway(granted=(READ,)), scopes=(ADMIN,))
    assert error.trouble is Trouble.SCOPE
    assert ADMIN in error.words


# --- bad answers -------------------------------------------------------------------------------------------------


def huge(_: Any) -> str:
    return '{"type":"res","id":"2","ok":true,"payload":"' + "x" * MAX_FRAME + '"}'


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (lambda _: "[1, 2]", Trouble.NONSENSE, "not a JSON object"),
        (lambda _: "{ not json", Trouble.NONSENSE, "not a JSON object"),
        (lambda _: "[" * 100_000, Trouble.NONSENSE, "not a JSON object"),
        (huge, Trouble.NONSENSE, "larger than 8 MiB"),
        (lambda _: HANG, Trouble.MUTE, "did not answer sessions.list in time"),
    ],
)
async def test_bad_answers_are_bounded_and_named(tmp_path: Path, answer: Any, kind: Trouble, words: str) -> None:
    patience = 0.3 if kind is Trouble.MUTE else 30.0
    error = await trouble(tmp_path, FakeGateway({"sessions.list": answer}), seconds=30.0, answer_s=patience)
    assert error.trouble is kind
    assert words in error.words


@pytest.mark.parametrize("said", [{}, [], None, 7, {"ok": "true"}, {"ok": False, "warningCount": 0}])
async def test_a_reload_is_done_only_where_the_gateway_says_so(tmp_path: Path, said: Any) -> None:
    fake = FakeGateway({"secrets.reload": lambda _: said})
    async with serving(fake):
        with pytest.raises(GatewayCallError, match="without saying that it was done") as caught:
            await Caller(door(tmp_path), SystemClock()).reload(live(fake.port))
    assert caught.value.leaves_open


async def test_a_reload_that_hangs_may_be_done_and_one_that_was_never_asked_for_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caller, "ACTION_SECONDS", 0.2)
    fake = FakeGateway({"secrets.reload": lambda _: HANG})
    asking = Caller(door(tmp_path), SystemClock())
    async with serving(fake):
        with pytest.raises(GatewayCallError, match=r"did not answer secrets\.reload in time") as caught:
            await asking.reload(live(fake.port))
        assert caught.value.leaves_open
        fake.first = '{"type":"event","event":"welcome"}'
        with pytest.raises(GatewayCallError, match="is not a gateway") as caught:
            await asking.reload(live(fake.port))
    assert not caught.value.leaves_open


async def test_a_reload_that_the_gateway_did_is_believed(tmp_path: Path) -> None:
    fake = FakeGateway({"secrets.reload": lambda _: {"ok": True, "warningCount": 0}})
    async with serving(fake):
        await Caller(door(tmp_path), SystemClock()).reload(live(fake.port))


async def test_an_endless_answer_is_left_at_its_beginning(tmp_path: Path) -> None:
    fake = FakeGateway()

    def endless(_: Any) -> Any:
        transport = fake.sockets[-1].transport
        transport.pause_reading()  # it minds no farewell
        transport.write(b"\x81\x7f" + (1 << 40).to_bytes(8, "big") + b"x" * 4096)
        return HANG

    fake.answers["sessions.list"] = endless
    error = await trouble(tmp_path, fake, seconds=30.0)
    assert error.trouble is Trouble.NONSENSE
    assert "larger than 8 MiB" in error.words


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("missing scope: operator.read", Trouble.SCOPE),
        ("unknown method: sessions.list", Trouble.UNKNOWN),
        ("unauthorized", Trouble.REFUSED),
    ],
)
async def test_refusals_are_told_apart_and_their_words_are_made_safe(
    tmp_path: Path, message: str, kind: Trouble
) -> None:
    def answer(_: Any) -> Any:
        raise RefusingError(message + "\x1b[31m")

    error = await trouble(tmp_path, FakeGateway({"sessions.list": answer}))
    assert error.trouble is kind
    assert "\x1b" not in error.words


async def test_a_gateway_that_is_starting_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "STARTING_PAUSE_SECONDS", 0.0)
    fake = FakeGateway({"sessions.list": lambda _: listing()}, starting=2)
    assert (await ask(tmp_path, fake))["count"] == 0
    assert len(fake.connects) == 1


async def test_one_that_never_stops_starting_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "STARTING_PAUSE_SECONDS", 60.0)
    error = await trouble(tmp_path, FakeGateway(starting=1_000))
    assert error.trouble is Trouble.STARTING


async def test_one_that_falls_silent_while_it_starts_is_still_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Silent(FakeGateway):
        async def serve(self, socket: ServerConnection) -> None:
            if not self.starting:
                await self.over.wait()
            await super().serve(socket)

    monkeypatch.setattr(client, "STARTING_PAUSE_SECONDS", 0.0)
    error = await trouble(tmp_path, Silent(starting=1), seconds=0.5)
    assert error.trouble is Trouble.STARTING


async def test_nobody_listens(tmp_path: Path) -> None:
    async with serving(FakeGateway()) as fake:
        pass
    entry = door(tmp_path)
    with pytest.raises(GatewayCallError, match="refuses connections") as caught:
        await asked(entry, fake)
    assert caught.value.trouble is Trouble.UNREACHABLE


async def test_another_program_on_the_port_is_named(tmp_path: Path) -> None:
    error = await trouble(tmp_path, FakeGateway(first='{"type":"event","event":"welcome"}'))
    assert error.trouble is Trouble.NONSENSE
    assert "is not a gateway" in error.words


# --- words -------------------------------------------------------------------------------------------------------


async def test_words_hold_runs_and_tasks(tmp_path: Path) -> None:
    tasks = {"tasks": [{"taskId": "t", "status": "running", "runtime": "cron", "sourceId": "job", "agentId": "main"}]}
    fake = FakeGateway(
        {
            "sessions.list": lambda _: listing(session_row(KEY, True, activeRunIds=["r1", "r2"])),
            "tasks.list": lambda _: tasks,
        }
    )
    entry = door(tmp_path)
    async with serving(fake):
        said = await ask_words(entry, entry.knock(live(fake.port)), ManualClock(7))
    assert said.sessions[KEY].run_ids == ("r1", "r2")
    assert said.complete
    assert [(task.id, task.key) for task in said.tasks or ()] == [("t", "agent:main:cron:job")]
    assert len(fake.connects) == 1


async def test_a_session_beyond_the_list_is_searched_for(tmp_path: Path) -> None:
    def answer(params: Any) -> Any:
        return listing(
            session_row(KEY if "search" in params else "agent:main:other", False),
            total=None if "search" in params else 900,
        )

    fake = FakeGateway({"sessions.list": answer}, methods=("sessions.list",))
    entry = door(tmp_path)
    async with serving(fake):
        said = await ask_words(entry, entry.knock(live(fake.port)), ManualClock(), only=KEY)
    assert said.sessions[KEY].active is False
    assert not said.complete
    assert said.tasks is None


@pytest.mark.parametrize(("pages", "every_one"), [(3, True), (9, False)])
async def test_open_tasks_are_read_page_by_page(tmp_path: Path, pages: int, every_one: bool) -> None:
    def page(params: Any) -> Any:
        number = int(params.get("cursor", 0))
        assert params["limit"] == TASKS_AT_ONCE
        more = {"nextCursor": str(number + 1)} if number + 1 < pages else {}
        return {"tasks": [{"taskId": f"t{number}", "status": "running", "runtime": "cli"}], **more}

    fake = FakeGateway({"sessions.list": lambda _: listing(), "tasks.list": page})
    entry = door(tmp_path)
    async with serving(fake):
        said = await ask_words(entry, entry.knock(live(fake.port)), ManualClock())
    assert [task.id for task in said.tasks or ()] == [f"t{number}" for number in range(min(pages, TASK_PAGES))]
    assert said.all_tasks is every_one


def test_a_pass_does_not_show_its_token(tmp_path: Path) -> None:
    leave = door(tmp_path).knock(live(1))
    assert TOKEN not in repr(leave)
    assert TOKEN not in repr(replace(leave, state_dir="/x"))
