"""Which question a gateway is asked in which round: one at most, and none that it cannot answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from clawtop.clock import SystemClock
from clawtop.core.model import Gateway, GatewayState
from clawtop.engine.gateway import client
from clawtop.engine.gateway.http import METRICS_PATH, HttpProbe
from clawtop.engine.gateway.rounds import HEALTH_EVERY, SILENT_ROUNDS, Rounds
from clawtop.store.locks.processes import listens
from tests.engine.test_gateway_client import KEY, Processes, door, live
from tests.support.gateways import HANG, FakeGateway, listing, serving, session_row

pytestmark = pytest.mark.anyio

READY = httpx.Response(200, json={"ready": True})


class World:
    """Rounds with a fake gateway: what was asked over HTTP, and over the WebSocket."""

    def __init__(
        self,
        tmp_path: Path,
        *,
        metrics: httpx.Response | None = None,
        listens: Callable[[int, int], bool] = listens,
        **more: Any,
    ) -> None:
        self.http: list[tuple[str, str | None]] = []
        self.metrics = metrics or httpx.Response(404)
        self.fake = FakeGateway(
            {"sessions.list": lambda _: listing(session_row(KEY, True))}, methods=("sessions.list",)
        )
        self.door = door(tmp_path, Processes(tmp_path.stat().st_uid), **more)
        http = HttpProbe(SystemClock(), transport=httpx.MockTransport(self.answer))
        self.rounds = Rounds(SystemClock(), self.door, http, listens)

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.http.append((request.url.path, request.headers.get("authorization")))
        return self.metrics if request.url.path == METRICS_PATH else READY

    @property
    def questions(self) -> int:
        return len(self.http) + len(self.fake.asked)


async def test_one_question_a_round_mostly_for_words_now_and_then_for_health(tmp_path: Path) -> None:
    world = World(tmp_path)
    async with serving(world.fake):
        for number in range(1, 4 * HEALTH_EVERY + 1):
            report = await world.rounds.look(live(world.fake.port))
            assert world.questions == number
    assert len(world.fake.connects) == 1
    assert report is not None
    assert report.words is not None
    assert report.words.sessions[KEY].active
    assert [path for path, _ in world.http] == ["/readyz", METRICS_PATH, "/readyz", "/readyz"]
    assert report.health.live


async def test_metrics_that_are_not_there_are_asked_for_once(tmp_path: Path) -> None:
    world = World(tmp_path, metrics=httpx.Response(404))
    async with serving(world.fake):
        for _ in range(60):
            await world.rounds.look(live(world.fake.port))
    assert [path for path, _ in world.http].count(METRICS_PATH) == 1


async def test_a_token_that_the_metrics_refuse_is_sent_nowhere_again(tmp_path: Path) -> None:
    world = World(tmp_path, metrics=httpx.Response(401))
    async with serving(world.fake):
        for _ in range(60):
            report = await world.rounds.look(live(world.fake.port))
    before = world.http.index((METRICS_PATH, "Bearer gateway-token-0123456789"))
    assert all(token is None for _, token in world.http[before + 1 :])
    assert len(world.fake.asked) == HEALTH_EVERY
    assert report is not None
    assert "refuses its token" in (report.health.problem or "")
    assert report.words is not None
    assert "is not sent again" in (report.words.problem or "")


async def test_the_metrics_token_does_not_go_to_a_port_that_another_process_listens_on(tmp_path: Path) -> None:
    world = World(tmp_path, metrics=httpx.Response(200, text=""), listens=lambda pid, port: False)
    async with serving(world.fake):
        for _ in range(20):
            await world.rounds.look(live(world.fake.port))
    assert {(path, token) for path, token in world.http} == {("/readyz", None)}


async def test_without_leave_only_health_is_asked_for(tmp_path: Path) -> None:
    world = World(tmp_path, enabled=False)
    async with serving(world.fake):
        for _ in range(20):
            report = await world.rounds.look(live(world.fake.port))
    assert len(world.http) == 20
    assert {path for path, _ in world.http} == {"/readyz"}
    assert world.fake.connects == []
    assert report is not None
    assert report.words is not None
    assert "--no-gateway" in (report.words.problem or "")


async def test_one_that_gives_no_words_is_left_alone_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "ANSWER_SECONDS", 0.05)
    monkeypatch.setattr(client.GatewayConnection.ask, "__kwdefaults__", {"seconds": 0.05})
    world = World(tmp_path)
    world.fake.answers["sessions.list"] = lambda _: HANG
    async with serving(world.fake):
        report = await world.rounds.look(live(world.fake.port))
        assert report is not None
        assert report.words is not None
        assert "did not answer" in (report.words.problem or "")
        for _ in range(SILENT_ROUNDS - 1):
            await world.rounds.look(live(world.fake.port))
        assert len(world.fake.connects) == 1
        for _ in range(2):  # one of them may be for its health
            await world.rounds.look(live(world.fake.port))
        assert len(world.fake.connects) == 2


async def test_what_an_earlier_gateway_said_is_forgotten(tmp_path: Path) -> None:
    world = World(tmp_path)
    async with serving(world.fake):
        first = replace(live(world.fake.port), started_at=1)
        assert await world.rounds.look(first) is not None
        world.fake.answers["sessions.list"] = lambda _: listing()
        report = await world.rounds.look(replace(first, started_at=2))
    assert report is not None
    assert report.words is not None
    assert report.words.sessions == {}
    assert await world.rounds.look(Gateway(GatewayState.DEAD)) is None


async def test_a_caller_that_looks_once_hears_everything(tmp_path: Path) -> None:
    world = World(tmp_path, metrics=httpx.Response(200, text='openclaw_queue_lane_size{lane="main"} 3\n'))
    async with serving(world.fake):
        report = await world.rounds.all_at_once(live(world.fake.port))
    assert report is not None
    assert report.health.ready
    assert report.health.metrics
    assert [lane.queued for lane in report.lanes] == [3]
    assert report.words is not None
    assert report.words.sessions[KEY].active
