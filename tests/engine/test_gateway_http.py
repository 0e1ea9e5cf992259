"""Asking a live gateway over HTTP: good answers, bad ones, and one kept connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx
import pytest

from clawtop.clock import SystemClock
from clawtop.core.incident.metrics import lanes_of_metrics
from clawtop.engine.gateway import http as module
from clawtop.engine.gateway.errors import GatewayCallError, Trouble
from clawtop.engine.gateway.http import HttpProbe
from tests.support.clocks import ManualClock

pytestmark = pytest.mark.anyio

PORT = 18789
READY = {"ready": True, "failing": [], "uptimeMs": 1234, "eventLoop": {"degraded": True}}
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


def probe(answer: httpx.Response, asked: list[httpx.Request] | None = None) -> HttpProbe:
    def handle(request: httpx.Request) -> httpx.Response:
        if asked is not None:
            asked.append(request)
        return answer

    return HttpProbe(ManualClock(), transport=httpx.MockTransport(handle))


async def test_health_costs_one_request_and_shows_no_token() -> None:
    asked: list[httpx.Request] = []
    health = await probe(httpx.Response(200, json=READY), asked).ready(PORT)
    assert (health.live, health.ready, health.uptime_ms, health.degraded) == (True, True, 1234, True)
    assert health.problem is None
    assert [(request.url.host, request.url.path, request.headers.get("authorization")) for request in asked] == [
        ("127.0.0.1", "/readyz", None)
    ]


async def test_lanes_of_its_metrics() -> None:
    asked: list[httpx.Request] = []
    lanes = await probe(httpx.Response(200, text=METRICS), asked).metrics(PORT, "gateway-token")
    assert [(lane.lane, lane.queued, lane.wait_p50_ms, lane.wait_p95_ms) for lane in lanes] == [
        ("main", 3, 100, 2000),
        ("session:agent:main:telegram:direct:4711", 0, None, None),
    ]
    assert [str(lane.lane_class) for lane in lanes] == ["main", "direct"]
    assert asked[0].headers["authorization"] == "Bearer gateway-token"


@pytest.mark.parametrize(
    ("answer", "trouble"),
    [
        (httpx.Response(401, text="no"), Trouble.TOKEN),
        (httpx.Response(403, text="no"), Trouble.TOKEN),
        (httpx.Response(404), Trouble.UNKNOWN),
        (httpx.Response(302, headers={"location": "http://elsewhere.example/"}), Trouble.UNKNOWN),
    ],
)
async def test_metrics_that_are_not_there_are_told_from_a_refused_token(
    answer: httpx.Response, trouble: Trouble
) -> None:
    asked: list[httpx.Request] = []
    with pytest.raises(GatewayCallError) as caught:
        await probe(answer, asked).metrics(PORT, "gateway-token")
    assert caught.value.trouble is trouble
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (httpx.Response(200, text="<html>hi</html>"), "without a JSON object"),
        (httpx.Response(200, json=["a list"]), "without a JSON object"),
        (httpx.Response(200, text="[" * 100_000), "without a JSON object"),
        (httpx.Response(200, content=b"x" * (module.MAX_BODY + 1)), "larger than 2 MiB"),
    ],
)
async def test_odd_answers_are_named(answer: httpx.Response, problem: str) -> None:
    health = await probe(answer).ready(PORT)
    assert problem in (health.problem or "")
    assert health.ready is None


async def test_a_gateway_that_is_not_ready_says_why() -> None:
    health = await probe(httpx.Response(503, json={"ready": False, "failing": ["channels\x1b[1m"]})).ready(PORT)
    assert (health.live, health.ready) == (True, False)
    assert health.failing == ("channels\\x1b[1m",)


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
        health = await HttpProbe(SystemClock()).ready(port)
    assert health.problem == "the gateway accepts connections but does not answer"
    assert health.live is None


async def test_one_that_is_gone_is_named() -> None:
    async with listener(lambda _reader, _writer: None) as port:
        pass
    health = await HttpProbe(ManualClock()).ready(port)
    assert "port does not answer" in (health.problem or "")


async def test_rounds_share_one_connection() -> None:
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    asking = HttpProbe(ManualClock())
    for _ in range(3):
        assert (await asking.ready(port)).live
    await asking.close()
    server.close()
    assert connections == 1


def test_a_histogram_without_samples_has_no_percentiles() -> None:
    text = 'openclaw_queue_lane_wait_seconds_bucket{lane="main",le="1"} 0\n'
    assert [(lane.wait_p50_ms, lane.queued) for lane in lanes_of_metrics(text)] == [(None, None)]
