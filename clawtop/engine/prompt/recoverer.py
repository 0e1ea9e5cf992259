"""Recovery of stuck sessions, which never starts anything on a session that has a holder (thread 83510 B).

`core.session.attention` says what is wrong, `core.session.recovery` what may be done about it, and the prompt registry
decides: work is restarted only under a `HeldPrompt` that recovery got from it, on the same session if it is free, or
on a fresh one if the holder stays too long.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

from clawtop.clock import Clock
from clawtop.core.model import Attention, Event, EventKind, PromptHolder
from clawtop.core.rules import AttentionRules
from clawtop.core.session.admission import OnContention
from clawtop.core.session.attention import (
    DEFAULT_LIMITS,
    TICK_MS,
    AttentionReport,
    SessionActivity,
    classify_attention,
    needs_attention,
    next_warning_age,
)
from clawtop.core.session.recovery import RecoveryMove, RecoveryPlan, plan_recovery
from clawtop.engine.prompt.holder import HeldPrompt
from clawtop.engine.prompt.prompt_events import prompt_event
from clawtop.engine.prompt.registry import Foreign, PromptRegistry
from clawtop.errors import SessionContendedError
from clawtop.values import dataclass

OnEvent = Callable[[Event], None]

AT_REST = SessionActivity()
"""Nothing is going on."""


@dataclass(frozen=True, slots=True)
class SessionWork:
    """A session with work in it, as the watcher sees it.

    Attributes:
        run_id, lane: of the work that recovery would start again.
        processing: a run is reported as active; `age_ms`: for how long the state has not changed.
        queue_depth: what waits for the session.
    """

    session_file: Path
    run_id: str
    lane: str
    age_ms: int
    activity: SessionActivity = AT_REST
    queue_depth: int = 0
    processing: bool = True
    session_key: str | None = None
    agent: str | None = None


@dataclass(frozen=True, slots=True)
class Recovered:
    """What recovery did: `holder` is what the stuck work may be started under; None: it must not be started."""

    plan: RecoveryPlan
    holder: HeldPrompt | None = None


Restart = Callable[[SessionWork, HeldPrompt], Awaitable[None]]


class Recoverer:
    """Watches sessions and recovers them. Belongs to the registry's event loop.

    Mutable state: `_in_flight` (sessions that are being recovered) and `_warned` (age at the last warning), both
    touched by the loop's own thread only.
    """

    def __init__(
        self,
        registry: PromptRegistry,
        *,
        clock: Clock,
        rules: AttentionRules,
        limits: Attention = DEFAULT_LIMITS,
        max_wait_ms: int = 300_000,
        foreign: Foreign | None = None,
        journal: OnEvent | None = None,
    ) -> None:
        """Args:
        rules: how sessions are judged: as this OpenClaw judges them.
        limits: the thresholds of the config (`core.session.attention.thresholds`).
        max_wait_ms: how long a holder is waited for before the work moves to a fresh session id.
        foreign: says which OpenClaw run, if any, holds a session; it counts as a holder.
        """
        self._registry = registry
        self._clock = clock
        self._rules = rules
        self._limits = limits
        self._max_wait_ms = max_wait_ms
        self._foreign = foreign
        self._journal = journal
        self._in_flight: set[Path] = set()
        self._warned: dict[Path, int] = {}

    async def watch(self, look: Callable[[], Iterable[SessionWork]], restart: Restart) -> None:
        """Check every 30 s, warn at growing intervals, recover sessions that need it; until cancelled."""
        while True:
            for work in list(look()):
                report = self.assess(work)
                if report is not None and (report.recoverable or report.abortable):
                    recovered = await self.recover(work)
                    if recovered.holder is not None:
                        await restart(work, recovered.holder)
            await self._clock.sleep(TICK_MS / 1000)

    def assess(self, work: SessionWork) -> AttentionReport | None:
        """What is wrong with a session, None if nothing; warns when a warning is due."""
        activity, depth = work.activity, work.queue_depth
        if not needs_attention(
            processing=work.processing,
            age_ms=work.age_ms,
            queue_depth=depth,
            activity=activity,
            warn_ms=self._limits.warn_ms,
        ):
            self._warned.pop(work.session_file, None)
            return None
        report = classify_attention(activity, depth, work.age_ms, self._rules, self._limits)
        if work.age_ms >= next_warning_age(self._warned.get(work.session_file), self._limits.warn_ms):
            self._warned[work.session_file] = work.age_ms
            self._tell(EventKind.STUCK, work, f"{report.classification}: {report.reason}", report.reason)
        return report

    async def recover(self, work: SessionWork) -> Recovered:
        """Deal with one session that needs attention. At most one recovery per session is under way.

        The caller owns the returned holder and releases it when the work is done.
        """
        if work.session_file in self._in_flight:
            return Recovered(RecoveryPlan(RecoveryMove.NOTHING, "a recovery of this session is under way"))
        self._in_flight.add(work.session_file)
        try:
            return await self._recover(work)
        finally:
            self._in_flight.discard(work.session_file)

    async def _recover(self, work: SessionWork) -> Recovered:
        report = classify_attention(work.activity, work.queue_depth, work.age_ms, self._rules, self._limits)
        began, first_seen = self._clock.monotonic(), self._clock.now_ms()
        deadline = began + self._max_wait_ms / 1000
        while True:
            waited_ms = math.ceil((self._clock.monotonic() - began) * 1000)  # whatever the wall clock is set to
            plan = await self._plan(work, report, first_seen, first_seen + waited_ms)
            self._tell(EventKind.RECOVERY, work, f"recovery: {plan.plan}: {plan.why}", plan.plan)
            if plan.plan is RecoveryMove.NOTHING:
                return Recovered(plan)
            holder = await self._take(work, plan, deadline)
            if holder is not None:
                return Recovered(plan, holder)

    async def _plan(self, work: SessionWork, report: AttentionReport, first_seen: int, now: int) -> RecoveryPlan:
        plan = plan_recovery(
            report, await self._holder(work), now, first_seen=first_seen, max_wait_ms=self._max_wait_ms
        )
        if plan.plan is RecoveryMove.RELEASE and now >= first_seen + self._max_wait_ms:
            return RecoveryPlan(RecoveryMove.FORK, "others were first, or a drain keeps the session closed")
        return plan

    async def _holder(self, work: SessionWork) -> PromptHolder | None:
        held = await self._registry.holder_of(work.session_file)
        foreign = None if held is not None or self._foreign is None else self._foreign(work.session_file)
        if foreign is None:
            return held
        return PromptHolder(
            session_file=str(work.session_file),
            session_key=work.session_key,
            agent=work.agent,
            lane=None,
            run_id=None,
            profile=None,
            phase="running",
            since=foreign.since,
            pid=foreign.pid,
            source=foreign.source,
        )

    async def _take(self, work: SessionWork, plan: RecoveryPlan, deadline: float) -> HeldPrompt | None:
        """The prompt as planned; None if another run has it and a new plan is needed."""
        wish = OnContention.FORK if plan.plan is RecoveryMove.FORK else OnContention.WAIT
        try:
            return await self._registry.acquire(
                work.session_file,
                session_key=work.session_key,
                agent=work.agent,
                lane=work.lane,
                run_id=work.run_id,
                on_contention=wish,
                deadline=deadline,
                foreign=self._foreign,
            )
        except SessionContendedError:
            return None

    def _tell(self, kind: EventKind, work: SessionWork, text: str, reason: str) -> None:
        if self._journal is not None:
            at, file = self._clock.now_ms(), str(work.session_file)
            self._journal(prompt_event(at, kind, text, work, file, reason=reason, duration_ms=work.age_ms))
