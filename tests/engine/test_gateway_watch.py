"""What the gateway says over HTTP reaches later snapshots, and never delays one."""

from __future__ import annotations

import asyncio
import http.server
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clawtop.core.model import (
    Gateway,
    GatewayHealth,
    GatewayState,
    GatewayWords,
    Generation,
    LaneStats,
    RunSight,
    Session,
    Witness,
    WitnessKind,
)
from clawtop.engine.gateway.rounds import GatewayReport
from clawtop.engine.gateway.watch import (
    BUSY_SECONDS,
    FIRST_LOOKS,
    FIRST_SECONDS,
    IDLE_SECONDS,
    ONCE_SECONDS,
    STALE_MS,
    Asker,
    GatewayWatch,
)
from clawtop.store.config import ConfigRead, read_config
from clawtop.store.gateway.token import gateway_token
from clawtop.store.locks.processes import listens
from clawtop.store.place.layout import Layout
from tests.support.clocks import ManualClock
from tests.support.worlds import CALM, NOW

pytestmark = pytest.mark.anyio

LAYOUT = Layout(Path("/s"), Path("/s/openclaw.json"), ConfigRead(Path("/s/openclaw.json")))
LANE = LaneStats("main", "main", "gateway-metrics", queued=3)
LIVE = replace(CALM, gateway=Gateway(GatewayState.LIVE, 7, 18789))


class FakeAsker:
    """Answers from a list; the last answer stays."""

    def __init__(self, *reports: GatewayReport) -> None:
        self._reports = list(reports)
        self.asked = 0
        self.closed = False

    async def look(self, gateway: Gateway) -> GatewayReport | None:
        self.asked += 1
        if gateway.state is not GatewayState.LIVE:
            return None
        return self._reports.pop(0) if len(self._reports) > 1 else self._reports[0]

    async def all_at_once(self, gateway: Gateway, seconds: float) -> GatewayReport | None:
        assert seconds <= ONCE_SECONDS
        return await self.look(gateway)

    async def close(self) -> None:
        self.closed = True


def report(at: int = NOW, **health: Any) -> GatewayReport:
    return GatewayReport(GatewayHealth(at, live=True, **health), (LANE,))


def watching(asker: Asker, clock: ManualClock | None = None, *, enabled: bool = True) -> GatewayWatch:
    return GatewayWatch(clock or ManualClock(NOW), enabled=enabled, asker=lambda _watch: asker)


async def test_the_first_snapshot_goes_through_untouched_and_later_ones_tell_more() -> None:
    watch = watching(FakeAsker(report(ready=True)))
    assert watch(LAYOUT, LIVE) == LIVE
    assert await watch.look()
    after = watch(LAYOUT, LIVE)
    assert after.gateway.health == GatewayHealth(NOW, live=True, ready=True)
    assert after.lanes == (*LIVE.lanes, LANE)


async def test_what_a_gateway_says_against_itself_is_a_warning() -> None:
    ill = report(ready=False, failing=("channels", "auth"), degraded=True, problem="the gateway refuses its token")
    watch = watching(FakeAsker(ill))
    watch(LAYOUT, LIVE)
    await watch.look()
    warnings = {problem.code: problem.text for problem in watch(LAYOUT, LIVE).warnings}
    assert warnings == {
        "gateway-http": "the gateway refuses its token",
        "gateway-not-ready": "the gateway is live but not ready: channels, auth",
        "gateway-degraded": "the gateway says that its event loop is degraded",
    }


@pytest.mark.parametrize("is_ill", [True, False])
async def test_why_a_gateway_cannot_be_heard_is_a_warning_if_an_operator_should_know(is_ill: bool) -> None:
    words = GatewayWords(NOW, problem="the gateway on port 18789 serves /home/other", is_ill=is_ill)
    watch = watching(FakeAsker(replace(report(), words=words)))
    watch(LAYOUT, LIVE)
    await watch.look()
    warnings = {problem.code: problem.text for problem in watch(LAYOUT, LIVE).warnings}
    assert warnings == ({"gateway-unheard": words.problem} if is_ill else {})


async def test_passing_time_alone_is_no_news() -> None:
    watch = watching(
        FakeAsker(report(NOW, uptime_ms=5), report(NOW + 5_000, uptime_ms=5_005), report(NOW, ready=False))
    )
    watch(LAYOUT, LIVE)
    assert [await watch.look() for _ in range(3)] == [True, False, True]


@pytest.mark.parametrize("state", [GatewayState.DEAD, GatewayState.ABSENT, GatewayState.UNKNOWN])
async def test_of_a_gateway_that_is_not_live_nothing_is_told(state: GatewayState) -> None:
    watch = watching(FakeAsker(report()))
    watch(LAYOUT, LIVE)
    await watch.look()
    gone = replace(LIVE, gateway=Gateway(state, 7, 18789))
    assert watch(LAYOUT, gone) == gone


async def test_a_state_that_is_judged_as_of_another_time_is_left_alone() -> None:
    watch = watching(FakeAsker(report()))
    watch(LAYOUT, LIVE)
    await watch.look()
    past = replace(LIVE, judged_at=NOW - 1)
    assert watch(LAYOUT, past) == past


async def test_it_asks_at_once_for_all_then_every_few_seconds_and_pokes_when_there_is_news() -> None:
    clock = ManualClock(NOW)
    probe = FakeAsker(*[report()] * (FIRST_LOOKS + 1), report(ready=True))
    watch = watching(probe, clock)
    watch(LAYOUT, LIVE)
    pokes: list[int] = []
    task = asyncio.create_task(watch.run(lambda: pokes.append(probe.asked)))
    await clock.advance(FIRST_LOOKS * FIRST_SECONDS)
    await clock.advance(IDLE_SECONDS - 0.1)
    assert probe.asked == FIRST_LOOKS
    await clock.advance(2 * IDLE_SECONDS)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert pokes == [1, FIRST_LOOKS + 2]
    assert probe.closed


async def test_nobody_is_asked_where_no_gateway_is_live() -> None:
    clock = ManualClock(NOW)
    probe = FakeAsker(report())
    watch = watching(probe, clock)
    watch(LAYOUT, replace(LIVE, gateway=Gateway(GatewayState.DEAD, 7, 18789)))
    task = asyncio.create_task(watch.run(lambda: None))
    await clock.advance(30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert probe.asked == 0


async def test_nothing_is_kept_open_to_a_gateway_that_is_live_no_longer() -> None:
    clock = ManualClock(NOW)
    probe = FakeAsker(report())
    watch = watching(probe, clock)
    watch(LAYOUT, LIVE)
    task = asyncio.create_task(watch.run(lambda: None))
    await clock.advance(1)
    assert not probe.closed
    watch(LAYOUT, replace(LIVE, gateway=Gateway(GatewayState.UNKNOWN, 7, 18789)))
    await clock.advance(IDLE_SECONDS)
    assert (probe.asked, probe.closed) == (1, True)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_while_something_may_be_running_it_asks_more_often() -> None:
    clock = ManualClock(NOW)
    probe = FakeAsker(report())
    watch = watching(probe, clock)
    busy = replace(LIVE, sessions=(replace(LIVE.sessions[0], active=None), *LIVE.sessions[1:]))
    watch(LAYOUT, busy)
    task = asyncio.create_task(watch.run(lambda: None))
    await clock.advance(FIRST_LOOKS * FIRST_SECONDS)
    await clock.advance(2 * BUSY_SECONDS)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert probe.asked == FIRST_LOOKS + 2


async def test_asked_for_nothing_it_asks_nothing() -> None:
    clock = ManualClock(NOW)
    probe = FakeAsker(report())
    watch = watching(probe, clock, enabled=False)
    watch(LAYOUT, LIVE)
    task = asyncio.create_task(watch.run(lambda: None))
    await clock.advance(30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert probe.asked == 0


async def test_words_are_believed_while_they_are_fresh_and_of_the_same_gateway() -> None:
    clock = ManualClock(NOW)
    words = GatewayWords(NOW, "2026.9.6", {"k": RunSight("k", True)}, complete=True)
    watch = watching(FakeAsker(replace(report(), words=words)), clock)
    watch(LAYOUT, LIVE)
    await watch.look()
    assert watch(LAYOUT, LIVE).gateway.words == words
    restarted = replace(LIVE, gateway=replace(LIVE.gateway, pid=8))
    assert watch(LAYOUT, restarted).gateway.words is None
    watch(LAYOUT, LIVE)
    await clock.advance(STALE_MS / 1000 + 1)
    assert watch(LAYOUT, LIVE).gateway.words is None


async def test_what_a_gateway_said_before_it_was_started_anew_is_not_believed() -> None:
    words = GatewayWords(NOW, "2026.9.6", {"k": RunSight("k", False)}, complete=True)
    watch = watching(FakeAsker(replace(report(), words=words)))
    watch(LAYOUT, LIVE)
    await watch.look()
    again = replace(LIVE, gateway=replace(LIVE.gateway, pid=8))
    assert [watch(LAYOUT, again).gateway.words for _ in range(2)] == [None, None]
    assert await watch.look(), "the same words of another process are news"
    assert watch(LAYOUT, again).gateway.words == words


@pytest.mark.parametrize(
    ("asked_again", "active"),
    [pytest.param(False, None, id="its health was asked for since"), pytest.param(True, False, id="and its words")],
)
async def test_a_no_counts_from_when_the_gateway_was_asked_for_words(asked_again: bool, active: bool | None) -> None:
    """An attempt that failed while the gateway said no may be followed by another one, of which it has not told yet."""
    clock = ManualClock(NOW)
    words = GatewayWords(
        NOW, "2026.5.20", {"agent:main:main": RunSight("agent:main:main", False)}, complete=True, tasks=()
    )
    first = replace(report(), words=words)
    watch = watching(
        FakeAsker(first, replace(first, words=replace(words, at=NOW + 17_000)) if asked_again else first), clock
    )
    failed = Witness(WitnessKind.LOG, None, "its attempt failed, according to the log", at=NOW + 1_000)
    row = Session("main", "agent:main:main", "s1", None, status="killed", active=None, witnesses=(failed,))
    doubted = replace(LIVE, generation=Generation.B, openclaw_version="2026.5.20", sessions=(row,))
    watch(LAYOUT, doubted)
    await watch.look()
    await clock.advance(17)
    await watch.look()
    assert watch(LAYOUT, doubted).sessions[0].active is active


# --- the token ---------------------------------------------------------------------------------------------------


def config(tmp_path: Path, text: str) -> ConfigRead:
    path = tmp_path / "openclaw.json"
    path.write_text(text)
    return read_config(path)


@pytest.mark.parametrize(
    ("text", "env", "token"),
    [
        ('{"gateway": {"auth": {"token": "from-config"}}}', {}, "from-config"),
        ('{"gateway": {"auth": {"token": "from-config"}}}', {"OPENCLAW_GATEWAY_TOKEN": "from-env"}, "from-config"),
        ("{}", {"OPENCLAW_GATEWAY_TOKEN": "from-env"}, "from-env"),
        ('{"gateway": {"auth": {"token": "${MINE}"}}}', {"MINE": "from-variable"}, "from-variable"),
        ('{"gateway": {"auth": {"token": "${MINE}"}}}', {"OPENCLAW_GATEWAY_TOKEN": "from-env"}, "from-env"),
        ('{"gateway": {"auth": "none"}}', {}, None),
        ("[]", {}, None),
        ("", {}, None),
    ],
)
def test_where_the_token_comes_from(tmp_path: Path, text: str, env: dict[str, str], token: str | None) -> None:
    assert gateway_token(config(tmp_path, text), env, owned=True) == token


# --- who listens -------------------------------------------------------------------------------------------------


@contextmanager
def listening() -> Iterator[int]:
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_the_listener_of_a_port_is_told_from_other_processes() -> None:
    with listening() as port:
        assert listens(os.getpid(), port)
        assert not listens(os.getpid(), 1)
        assert not listens(1, port)
        assert not listens(2**22 + 12345, port)
