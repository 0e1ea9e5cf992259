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
from clawtop.core.session.listed import perhaps_working
from clawtop.core.session.openclaw_runs import heard
from clawtop.store.gateway.liveness import SilenceWatch, ask_healthz
from clawtop.store.interning import Interned
from clawtop.store.place.layout import Layout
from clawtop.values import dataclass

if TYPE_CHECKING:
    from clawtop.engine.gateway.rounds import GatewayReport

FIRST_SECONDS = 1.0
BUSY_SECONDS = 1.0
IDLE_SECONDS = 5.0
FIRST_LOOKS = 5
"""So many looks at a gateway follow each other as fast as the first: until it was asked everything once."""
ONCE_SECONDS = 1.5
"""How long a caller that asks only once waits for all answers. An idle gateway gives them within 0.2 s."""

STALE_MS = 30_000
"""Answers older than this are discarded."""


class Asker(Protocol):
    """`engine.gateway.rounds.Rounds`."""

    async def look(self, gateway: Gateway) -> GatewayReport | None: ...

    async def all_at_once(self, gateway: Gateway, seconds: float) -> GatewayReport | None: ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class _Heard:
    """What a gateway said last, part by part.

    Attributes:
        life: which process of which gateway was asked. at: when it was last asked anything (ms since the epoch).
        said_at: when it was last asked for words and gave them; those that it gives again are not replaced.
    """

    report: GatewayReport
    life: tuple[int | None, int | None]
    at: int
    said_at: int | None


class GatewayWatch:
    """Asks the gateway of the last snapshot every few seconds, more often while something may be running.

    As an extra part of the reader it runs in the hub's thread and only reads `_heard`, which the loop replaces whole.
    `_gateway`, `_layout`, `_busy` and `_sessions` are that thread's.
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
        self._heard: _Heard | None = None
        self._looks: tuple[tuple[int | None, int | None], int] | None = None
        self._sessions: Interned[SessionPlace, Session] = Interned()

    def __call__(self, layout: Layout, snapshot: Snapshot) -> Snapshot:
        """The snapshot with the gateway's health, words and lanes, as last reported."""
        self._layout, self._gateway = layout, snapshot.gateway
        self._busy = any(True for _ in perhaps_working(snapshot.sessions))
        last = self._heard
        if last is None or snapshot.gateway.state is not GatewayState.LIVE or snapshot.judged_at is not None:
            return snapshot
        report = last.report
        believed = last.life == _life(snapshot.gateway) and self.clock.now_ms() - last.at <= STALE_MS
        snapshot = replace(
            snapshot,
            gateway=self._silence.told(
                replace(snapshot.gateway, health=report.health),
                self._serving(report.health),
                snapshot.present(self.clock.now_ms()),
            ),
            lanes=(*snapshot.lanes, *report.lanes),
            warnings=(*snapshot.warnings, *_problems(report, snapshot.gateway.port)),
        )
        if report.words is None or not believed:
            return snapshot
        offset = snapshot.gateway.clock_offset
        words = replace(report.words, at=report.words.at + offset) if offset else report.words
        said_at = last.said_at + offset if last.said_at is not None else None
        told = with_words(snapshot, words, said_at=said_at)
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
        before, asked = self._heard, self._gateway
        life = _life(asked)
        self._looks = (life, self._looks[1] + 1 if self._looks is not None and self._looks[0] == life else 1)
        after = self._answered(await self._rounds().look(asked), asked)
        if before is not None and after is not None and _same(before, after):
            self._heard = replace(after, report=before.report)
            return False
        self._heard = after
        return after is not before

    async def look_once(self) -> None:
        """Ask everything there is to ask, for at most `ONCE_SECONDS`, and close."""
        asked = self._gateway
        self._heard = self._answered(await self._rounds().all_at_once(asked, ONCE_SECONDS), asked)
        self._looks = (_life(asked), FIRST_LOOKS)

    def _answered(self, report: GatewayReport | None, asked: Gateway) -> _Heard | None:
        if report is None:
            return None
        said_at = report.words.at if report.words is not None else None
        return _Heard(report, _life(asked), self.clock.now_ms(), said_at)

    async def run(self, changed: Callable[[], None]) -> None:
        """Query until cancelled; `changed` is called when a snapshot would say more."""
        await self.clock.sleep(FIRST_SECONDS)
        try:
            while True:
                if not self.enabled or self._gateway.state is not GatewayState.LIVE:
                    await self._close()
                elif await self.look():
                    changed()
                await self.clock.sleep(self._pause())
        finally:
            await self._close()

    def _pause(self) -> float:
        """Seconds until the next look."""
        if self._looks is not None and self._looks[1] < FIRST_LOOKS:
            return FIRST_SECONDS
        return BUSY_SECONDS if self._busy else IDLE_SECONDS

    async def _close(self) -> None:
        if self._asker is not None:
            await self._asker.close()

    def _rounds(self) -> Asker:
        if self._asker is None:
            self._asker = self._make_asker(self)
        return self._asker


def with_words(snapshot: Snapshot, words: GatewayWords, *, said_at: int | None = None) -> Snapshot:
    """The snapshot with what the gateway says about its runs, its sessions judged again.

    Args:
        said_at: when it was last asked and said so (ms since the epoch); None: when it first said so.
    """
    remote = semantics_of(words.version or snapshot.openclaw_version, snapshot.generation).row.remote
    told = witnesses_of(words, snapshot.sessions, remote, gateway_since=snapshot.gateway.started_at, said_at=said_at)
    return heard(replace(snapshot, gateway=replace(snapshot.gateway, words=words)), told)


def _life(gateway: Gateway) -> tuple[int | None, int | None]:
    return gateway.pid, gateway.started_at


def _problems(report: GatewayReport, port: int | None) -> tuple[Problem, ...]:
    """What a live gateway reports about itself that an operator should know, and why it cannot be asked."""
    where, health, words = f"127.0.0.1:{port}", report.health, report.words
    found = []
    if words is not None and words.is_ill and words.problem is not None and words.problem != health.problem:
        found.append(Problem("gateway-unheard", where, words.problem))
    if health.problem is not None:
        found.append(Problem("gateway-http", where, health.problem))
    if health.ready is False:
        failing = ", ".join(health.failing) or "it does not say why"
        found.append(Problem("gateway-not-ready", where, f"the gateway is live but not ready: {failing}"))
    if health.degraded:
        found.append(Problem("gateway-degraded", where, "the gateway says that its event loop is degraded"))
    return tuple(found)


def _same(before: _Heard, after: _Heard) -> bool:
    """Whether only time has passed."""
    old, new = before.report, after.report
    health = replace(new.health, at=old.health.at, uptime_ms=old.health.uptime_ms)
    words = new.words
    if words is not None and old.words is not None:
        words = replace(words, at=old.words.at)
    return before.life == after.life and replace(new, health=health, words=words) == old


def _asker(watch: GatewayWatch) -> Asker:
    from clawtop.engine.gateway.door import Door  # httpx and websockets, after the first paint
    from clawtop.engine.gateway.rounds import Rounds
    from clawtop.store.locks.processes import SystemProcesses

    door = Door(lambda: watch.layout, processes=SystemProcesses(), enabled=watch.enabled)
    return Rounds(watch.clock, door)
