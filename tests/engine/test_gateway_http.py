"""Asking a live gateway over HTTP: good answers, bad ones, and where the token goes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx
import pytest

from clawtop.core.incident.metrics import lanes_of_metrics
from clawtop.core.model import Gateway, GatewayState
from clawtop.engine.gateway import http as module
from clawtop.engine.gateway.http import INTERVAL_SECONDS, GatewayProbe
from tests.support.clocks import ManualClock

pytestmark = pytest.mark.anyio

LIVE = Gateway(GatewayState.LIVE, pid=4711, port=18789)
METRICS = """\
# TYPE openclaw_queue_lane_size gauge
openclaw_queue_lane_size{lane="main"} 3
openclaw_queue_lane_wait_seconds_bucket{lane="main",le="0.1"} 5
openclaw_queue_lane_wait_seconds_bucket{lane="main",le="2"} 9
openclaw_queue_lane_wait_seconds_bucket{lane="main",le="+Inf"} 10
openclaw_queue_lane_size{lane="session:agent:main:telegram:direct:4711"} 0
garbage {{{ not a sample
openclaw_queue_lane_size{lane="broken"} NaN
"""


class World:
    """A gateway that answers from a table, and remembers who came with which token."""

    def __init__(self, answers: dict[str, httpx.Response] | None = None) -> None:
        self.answers = {
            "/healthz": httpx.Response(200, json={"ok": True, "status": "live"}),
            "/readyz": httpx.Response(
                200, json={"ready": True, "failing": [], "uptimeMs": 1234, "eventLoop": {"degraded": True}}
            ),
            module.METRICS_PATH: httpx.Response(200, text=METRICS),
        } | (answers or {})
        self.asked: list[tuple[str, str | None]] = []
        self.listens = True
        self.token: str | None = "gateway-token"
        self.clock = ManualClock()

    def probe(self) -> GatewayProbe:
        def answer(request: httpx.Request) -> httpx.Response:
            assert request.url.host == "127.0.0.1"
            self.asked.append((request.url.path, request.headers.get("authorization")))
            return self.answers[request.url.path]

        return GatewayProbe(
            self.clock,
            token=lambda: self.token,
            listens=lambda pid, port: self.listens and (pid, port) == (4711, 18789),
            transport=httpx.MockTransport(answer),
        )


async def test_health_and_lanes() -> None:
    world = World()
    report = await world.probe().look(LIVE)
    assert report is not None
    health = report.health
    assert (health.live, health.ready, health.uptime_ms, health.degraded, health.metrics) == (
        True,
        True,
        1234,
        True,
        True,
    )
    assert health.problem is None
    assert [(lane.lane, lane.queued, lane.wait_p50_ms, lane.wait_p95_ms) for lane in report.lanes] == [
        ("main", 3, 100, 2000),
        ("session:agent:main:telegram:direct:4711", 0, None, None),
    ]
    assert [str(lane.lane_class) for lane in report.lanes] == ["main", "direct"]


async def test_the_token_goes_only_to_the_process_of_the_gateways_lock() -> None:
    world = World()
    await world.probe().look(LIVE)
    assert dict(world.asked)[module.METRICS_PATH] == "Bearer gateway-token"
    assert dict(world.asked)["/healthz"] is None
    stranger = World()
    stranger.listens = False
    report = await stranger.probe().look(LIVE)
    assert report is not None
    assert report.health.live
    assert module.METRICS_PATH not in dict(stranger.asked)
    without = World()
    without.token = None
    await without.probe().look(LIVE)
    assert module.METRICS_PATH not in dict(without.asked)


async def test_it_asks_once_in_a_while_and_only_a_live_gateway() -> None:
    world = World()
    probe = world.probe()
    first = await probe.look(LIVE)
    assert await probe.look(LIVE) is first
    assert len(world.asked) == 3
    await world.clock.advance(INTERVAL_SECONDS)
    await probe.look(LIVE)
    assert len(world.asked) == 6
    assert await probe.look(Gateway(GatewayState.DEAD, port=18789)) is None
    assert len(world.asked) == 6


@pytest.mark.parametrize(
    ("path", "answer", "problem"),
    [
        ("/healthz", httpx.Response(200, text="<html>hi</html>"), "without a JSON object"),
        ("/healthz", httpx.Response(200, json=["a list"]), "without a JSON object"),
        ("/readyz", httpx.Response(200, content=b"x" * (module.MAX_BODY + 1)), "over 2 MiB"),
        (module.METRICS_PATH, httpx.Response(401, text="no"), "refuses its token"),
        (module.METRICS_PATH, httpx.Response(302, headers={"location": "http://elsewhere.example/"}), None),
        (module.METRICS_PATH, httpx.Response(404), None),
    ],
)
async def test_odd_answers_are_named(path: str, answer: httpx.Response, problem: str | None) -> None:
    world = World({path: answer})
    report = await world.probe().look(LIVE)
    assert report is not None
    if problem is None:
        assert report.health.problem is None
    else:
        assert problem in (report.health.problem or "")
    assert report.lanes == ()
    assert {asked for asked, _ in world.asked} <= set(world.answers)


@asynccontextmanager
async def listener(handle: Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]) -> AsyncIterator[int]:
    connections: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        handle(reader, writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in connections:
            writer.close()
        await server.wait_closed()


async def test_one_that_accepts_and_never_answers_is_left_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TOTAL_SECONDS", 0.2)
    async with listener(lambda _reader, _writer: None) as port:
        probe = GatewayProbe(ManualClock(), token=lambda: None, listens=lambda _pid, _port: True)
        report = await probe.look(Gateway(GatewayState.LIVE, pid=1, port=port))
    assert report is not None
    assert report.health.problem == "the gateway accepts connections but does not answer"
    assert report.health.live is None


async def test_one_that_is_gone_is_named() -> None:
    async with listener(lambda _reader, _writer: None) as port:
        pass
    probe = GatewayProbe(ManualClock(), token=lambda: None, listens=lambda _pid, _port: True)
    report = await probe.look(Gateway(GatewayState.LIVE, pid=1, port=port))
    assert report is not None
    assert "does not speak HTTP as expected" in (report.health.problem or "")


def test_a_histogram_without_samples_has_no_percentiles() -> None:
    text = 'openclaw_queue_lane_wait_seconds_bucket{lane="main",le="1"} 0\n'
    assert [(lane.wait_p50_ms, lane.queued) for lane in lanes_of_metrics(text)] == [(None, None)]
