"""Which question a gateway is asked in which round: one at most, and none that it cannot answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from clawtop.clock import Clock, SystemClock
from clawtop.core.model import Gateway, GatewayState
from clawtop.engine.gateway import client
from clawtop.engine.gateway.http import METRICS_PATH, HttpProbe
from clawtop.engine.gateway.rounds import CYCLE, FIRST, SILENT_ROUNDS, Question, Rounds, question_of
from clawtop.store.locks.processes import listens
from tests.engine.test_gateway_client import KEY, Processes, door, live
from tests.support.clocks import ManualClock
from tests.support.gateways import HANG, METHODS, FakeGateway, listing, serving, session_row

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
        clock: Clock | None = None,
        **more: Any,
    ) -> None:
        self.http: list[tuple[str, str | None]] = []
        self.metrics = metrics or httpx.Response(404)
        self.ready: httpx.Response | None = READY
        self.fake = FakeGateway(
            {"sessions.list": lambda _: listing(session_row(KEY, True))}, methods=("sessions.list",)
        )
        self.door = door(tmp_path, Processes(tmp_path.stat().st_uid), **more)
        http = HttpProbe(SystemClock(), transport=httpx.MockTransport(self.answer))
        self.rounds = Rounds(clock or SystemClock(), self.door, http, listens)

    def know_everything(self) -> None:
        """Have the gateway answer every question."""
        self.fake.methods = METHODS
        self.fake.answers |= {
            "tasks.list": lambda _: {"tasks": [{"taskId": "t", "status": "running", "runtime": "cli"}]},
            "diagnostics.lanes": lambda _: {"lanes": [{"lane": "main", "activeCount": 1, "queuedCount": 2}]},
            "diagnostics.stability": lambda _: {"events": []},
        }

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.http.append((request.url.path, request.headers.get("authorization")))
        if request.url.path == METRICS_PATH:
            return self.metrics
        if self.ready is None:
            raise httpx.ReadTimeout("mute", request=request)
        return self.ready

    @property
    def questions(self) -> int:
        return len(self.http) + len(self.fake.asked)


def test_each_question_comes_once_and_then_every_second_one_is_for_the_sessions() -> None:
    asked = [question_of(number) for number in range(1, len(FIRST) + 2 * len(CYCLE) + 1)]
    assert sorted(asked[: len(FIRST)]) == sorted(set(Question) - {Question.METRICS})
    for pair in zip(asked[len(FIRST) :: 2], asked[len(FIRST) + 1 :: 2], strict=True):
        assert pair[0] is Question.SESSIONS
        assert pair[1] is not Question.SESSIONS
    assert set(asked[len(FIRST) :]) == set(asked[: len(FIRST)])


async def test_one_request_a_round_whatever_the_gateway_can_be_asked(tmp_path: Path) -> None:
    world = World(tmp_path, metrics=httpx.Response(200, text=""))
    world.know_everything()
    async with serving(world.fake):
        for number in range(1, len(FIRST) + 4 * len(CYCLE) + 1):
            report = await world.rounds.look(live(world.fake.port))
            assert world.questions == number
    assert len(world.fake.connects) == 1
    assert report is not None
    assert report.words is not None
    assert report.words.sessions[KEY].active
    assert [task.id for task in report.words.tasks or ()] == ["t"]
    assert {(lane.lane, lane.queued) for lane in report.lanes} == {("main", 2)}
    assert [path for path, _ in world.http] == ["/readyz", METRICS_PATH, "/readyz", METRICS_PATH, "/readyz"]
    assert report.health.live


async def test_a_question_that_the_gateway_does_not_know_gives_way_to_that_for_its_sessions(tmp_path: Path) -> None:
    world = World(tmp_path)
    async with serving(world.fake):
        for number in range(1, len(FIRST) + len(CYCLE) + 1):
            report = await world.rounds.look(live(world.fake.port))
            assert world.questions == number
    assert {method for method, _ in world.fake.asked} == {"sessions.list"}
    assert report is not None
    assert report.words is not None
    assert report.words.tasks is None


async def test_a_question_that_is_refused_is_asked_once(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.know_everything()
    del world.fake.answers["tasks.list"]
    async with serving(world.fake):
        for number in range(1, len(FIRST) + 2 * len(CYCLE) + 1):
            report = await world.rounds.look(live(world.fake.port))
            assert world.questions == number
    assert [method for method, _ in world.fake.asked].count("tasks.list") == 1
    assert report is not None
    assert report.words is not None
    assert (report.words.problem, report.words.tasks) == (None, None)


async def test_pages_of_tasks_count_when_the_last_one_has_come(tmp_path: Path) -> None:
    def page(params: Mapping[str, Any]) -> Any:
        number = int(params.get("cursor", 0))
        more = {"nextCursor": str(number + 1)} if number < 2 else {}
        return {"tasks": [{"taskId": f"t{number}", "status": "running", "runtime": "cli"}], **more}

    world = World(tmp_path)
    world.know_everything()
    world.fake.answers["tasks.list"] = page
    counts = []
    async with serving(world.fake):
        for number in range(1, len(FIRST) + len(CYCLE) + 1):
            report = await world.rounds.look(live(world.fake.port))
            assert world.questions == number
            assert report is not None
            assert report.words is not None
            counts.append(len(report.words.tasks) if report.words.tasks is not None else None)
    assert set(counts) == {None, 3}


async def test_what_is_said_is_as_old_as_its_older_half(tmp_path: Path) -> None:
    clock = ManualClock(1_000)
    world = World(tmp_path, clock=clock)
    world.know_everything()
    told = []
    async with serving(world.fake):
        for _ in FIRST:
            await clock.advance(1)
            report = await world.rounds.look(live(world.fake.port))
            assert report is not None
            assert report.words is not None
            told.append(report.words.at)
        assert told == [2_000, 2_000, 2_000, 2_000, 2_000]
        await clock.advance(1)
        report = await world.rounds.look(live(world.fake.port))
    assert report is not None
    assert report.words is not None
    assert report.words.at == 4_000, "its tasks were asked for in the third round"


async def test_health_that_did_not_come_is_asked_for_again_at_once(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.ready = None
    async with serving(world.fake):
        for _ in range(4):
            report = await world.rounds.look(live(world.fake.port))
        assert report is not None
        assert not report.health.live
        world.ready = READY
        report = await world.rounds.look(live(world.fake.port))
    assert report is not None
    assert report.health.live
    assert [path for path, _ in world.http] == ["/readyz"] * 4


async def test_metrics_that_are_not_there_are_asked_for_once(tmp_path: Path) -> None:
    world = World(tmp_path, metrics=httpx.Response(404))
    async with serving(world.fake):
        for _ in range(60):
            await world.rounds.look(live(world.fake.port))
    assert [path for path, _ in world.http].count(METRICS_PATH) == 1


async def test_a_token_that_the_metrics_refuse_is_sent_nowhere_again(tmp_path: Path) -> None:
    world = World(tmp_path, metrics=httpx.Response(401))
    healths = [number for number in range(1, 60) if question_of(number) is Question.READY]
    first_of_metrics = healths[1]
    async with serving(world.fake):
        for _ in range(60):
            report = await world.rounds.look(live(world.fake.port))
    before = world.http.index((METRICS_PATH, "Bearer gateway-token-0123456789"))
    assert all(token is None for _, token in world.http[before + 1 :])
    assert len(world.fake.asked) == first_of_metrics - 2, "each other round before it, but the one for its health"
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
        assert not report.words.is_ill, "a busy one may be mute for once"
        for _ in range(SILENT_ROUNDS - 1):
            await world.rounds.look(live(world.fake.port))
        assert len(world.fake.connects) == 1
        for _ in range(2):  # one of them may be for its health
            report = await world.rounds.look(live(world.fake.port))
        assert len(world.fake.connects) == 2
        assert report is not None
        assert report.words is not None
        assert report.words.is_ill


ELSEWHERE = {"snapshot": {"stateDir": "/home/other/.openclaw", "configPath": "/home/other/.openclaw/openclaw.json"}}


@pytest.mark.parametrize(
    ("fake", "says", "is_ill"),
    [
        pytest.param(FakeGateway(hello=ELSEWHERE), "serves /home/other/.openclaw", True, id="of another directory"),
        pytest.param(FakeGateway({"sessions.list": lambda _: "{no"}), "not a JSON object", True, id="nonsense"),
        pytest.param(FakeGateway(token="another"), "does not accept the token", True, id="token"),
        pytest.param(FakeGateway(starting=99), "starting", False, id="starting"),
    ],
)
async def test_why_a_gateway_cannot_be_heard_is_told_by_what_it_is(
    tmp_path: Path, fake: FakeGateway, says: str, is_ill: bool
) -> None:
    world = World(tmp_path)
    async with serving(fake):
        report = await world.rounds.look(live(fake.port))
    assert report is not None
    assert report.words is not None
    assert says in (report.words.problem or "")
    assert report.words.is_ill is is_ill


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
        report = await world.rounds.all_at_once(live(world.fake.port), 30)
    assert report is not None
    assert report.health.ready
    assert report.health.metrics
    assert [lane.queued for lane in report.lanes] == [3]
    assert report.words is not None
    assert report.words.sessions[KEY].active


async def test_what_is_not_answered_in_time_is_left_out_and_told(tmp_path: Path) -> None:
    """And the looks that follow have what was answered."""
    clock = ManualClock()
    world = World(tmp_path, clock=clock)
    world.know_everything()
    world.fake.answers["tasks.list"] = lambda _: HANG
    async with serving(world.fake):
        asked = asyncio.create_task(world.rounds.all_at_once(live(world.fake.port), 1.5))
        while "tasks.list" not in {method for method, _ in world.fake.asked}:
            await asyncio.sleep(0)
        await clock.advance(2)
        report = await asked
        assert report is not None
        assert (report.health.late, report.health.ready, report.health.live) == (True, True, True)
        assert report.words is not None
        assert report.words.sessions[KEY].active
        assert report.words.tasks is None
        later = await world.rounds.look(live(world.fake.port))
    assert later is not None
    assert later.words is not None
    assert later.words.sessions[KEY].active


async def test_a_gateway_that_answers_in_time_is_not_late(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.know_everything()
    async with serving(world.fake):
        report = await world.rounds.all_at_once(live(world.fake.port), 30)
    assert report is not None
    assert not report.health.late
    assert await world.rounds.all_at_once(Gateway(GatewayState.DEAD), 30) is None
