"""What the live gateway reports, queried alongside the hub and added to each snapshot.

The first snapshot never waits for it: the answer comes with a later one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from clawtop.clock import Clock
from clawtop.core.generations import semantics_of
from clawtop.core.model import (
    Gateway,
    GatewayHealth,
    GatewayState,
    GatewayWords,
    Problem,
    Serving,
    Session,
    SessionPlace,
    Snapshot,
    session_place,
)
from clawtop.core.session.gateway_witness import witnesses_of
from clawtop.core.session.openclaw_runs import heard
from clawtop.store.gateway.liveness import SilenceWatch, ask_healthz
from clawtop.store.interning import Interned
from clawtop.store.place.layout import Layout

if TYPE_CHECKING:
    from clawtop.engine.gateway.rounds import GatewayReport

FIRST_SECONDS = 1.0
BUSY_SECONDS = 2.0
IDLE_SECONDS = 5.0
STALE_MS = 30_000
"""Answers older than this are discarded."""


class Asker(Protocol):
    """`engine.gateway.rounds.Rounds`."""

    async def look(self, gateway: Gateway) -> GatewayReport | None: ...

    async def all_at_once(self, gateway: Gateway) -> GatewayReport | None: ...

    async def close(self) -> None: ...


class GatewayWatch:
    """Asks the gateway of the last snapshot every few seconds, more often while something may be running.

    As an extra part of the reader it runs in the hub's thread and only reads `_report` and `_heard_at`, which the loop
    replaces whole. `_gateway`, `_layout`, `_busy` and `_sessions` are that thread's.
    """

    def __init__(
        self, clock: Clock, *, enabled: bool = True, asker: Callable[[GatewayWatch], Asker] | None = None
    ) -> None:
        self.clock = clock
        self.enabled = enabled
        self._make_asker = asker or _asker
        self._asker: Asker | None = None
        self._gateway = Gateway()
        self._layout: Layout | None = None
        self._served: tuple[GatewayHealth, Serving] | None = None
        self._silence = SilenceWatch()
        self._busy = False
        self._report: GatewayReport | None = None
        self._heard_at = 0
        self._sessions: Interned[SessionPlace, Session] = Interned()

    def __call__(self, layout: Layout, snapshot: Snapshot) -> Snapshot:
        """The snapshot with the gateway's health, words and lanes, as last reported."""
        is_same = _life(self._gateway) == _life(snapshot.gateway)
        self._layout, self._gateway = layout, snapshot.gateway
        self._busy = any(session.active is not False for session in snapshot.sessions)
        report = self._report
        if report is None or snapshot.gateway.state is not GatewayState.LIVE or snapshot.judged_at is not None:
            return snapshot
        believed = is_same and self.clock.now_ms() - self._heard_at <= STALE_MS
        snapshot = replace(
            snapshot,
            gateway=self._silence.told(
                replace(snapshot.gateway, health=report.health), self._serving(report.health), self.clock.now_ms()
            ),
            lanes=(*snapshot.lanes, *report.lanes),
            warnings=(*snapshot.warnings, *_problems(report.health, snapshot.gateway.port)),
        )
        if report.words is None or not believed:
            return snapshot
        told = with_words(snapshot, report.words, said_at=self._heard_at)
        return replace(told, sessions=self._sessions.altered(snapshot.sessions, told.sessions, session_place))

    def _serving(self, health: GatewayHealth) -> Serving:
        """Whether it answers; if it did not, a second request distinguishes silence from refusal."""
        port = self._gateway.port
        if health.live or port is None:
            return Serving.ANSWERS if health.live else Serving.UNKNOWN
        if self._served is None or self._served[0] != health:
            self._served = (health, ask_healthz(port))
        return self._served[1]

    @property
    def layout(self) -> Layout | None:
        """The state directory as last read."""
        return self._layout

    async def look(self) -> bool:
        """Ask one question; whether there is anything new to show."""
        before, report = self._report, await self._rounds().look(self._gateway)
        self._heard_at = self.clock.now_ms()
        if report is not None and before is not None and _same(before, report):
            return False
        self._report = report
        return report is not before

    async def look_once(self) -> None:
        """Ask everything there is to ask, and close."""
        self._report = await self._rounds().all_at_once(self._gateway)
        self._heard_at = self.clock.now_ms()

    async def run(self, changed: Callable[[], None]) -> None:
        """Query until cancelled; `changed` is called when a snapshot would say more."""
        await self.clock.sleep(FIRST_SECONDS)
        try:
            while True:
                if self.enabled and self._gateway.state is GatewayState.LIVE and await self.look():
                    changed()
                await self.clock.sleep(BUSY_SECONDS if self._busy else IDLE_SECONDS)
        finally:
            if self._asker is not None:
                await self._asker.close()

    def _rounds(self) -> Asker:
        if self._asker is None:
            self._asker = self._make_asker(self)
        return self._asker


def with_words(snapshot: Snapshot, words: GatewayWords, *, said_at: int | None = None) -> Snapshot:
    """The snapshot with what the gateway says about its runs, its sessions judged again.

    Args:
        said_at: when it last said so (ms since the epoch); None: when it first did.
    """
    remote = semantics_of(words.version or snapshot.openclaw_version, snapshot.generation).row.remote
    told = witnesses_of(words, snapshot.sessions, remote, gateway_since=snapshot.gateway.started_at, said_at=said_at)
    return heard(replace(snapshot, gateway=replace(snapshot.gateway, words=words)), told)


def _life(gateway: Gateway) -> tuple[int | None, int | None]:
    return gateway.pid, gateway.started_at


def _problems(health: GatewayHealth, port: int | None) -> tuple[Problem, ...]:
    """What a live gateway reports about itself that an operator should know."""
    where = f"127.0.0.1:{port}"
    found = []
    if health.problem is not None:
        found.append(Problem("gateway-http", where, health.problem))
    if health.ready is False:
        failing = ", ".join(health.failing) or "it does not say why"
        found.append(Problem("gateway-not-ready", where, f"the gateway is live but not ready: {failing}"))
    if health.degraded:
        found.append(Problem("gateway-degraded", where, "the gateway says that its event loop is degraded"))
    return tuple(found)


def _same(before: GatewayReport, after: GatewayReport) -> bool:
    """Whether only time has passed."""
    health = replace(after.health, at=before.health.at, uptime_ms=before.health.uptime_ms)
    words = after.words
    if words is not None and before.words is not None:
        words = replace(words, at=before.words.at)
    return replace(after, health=health, words=words) == before


def _asker(watch: GatewayWatch) -> Asker:
    from clawtop.engine.gateway.door import Door  # httpx and websockets, after the first paint
    from clawtop.engine.gateway.rounds import Rounds
    from clawtop.store.locks.processes import SystemProcesses

    door = Door(lambda: watch.layout, processes=SystemProcesses(), enabled=watch.enabled)
    return Rounds(watch.clock, door)
