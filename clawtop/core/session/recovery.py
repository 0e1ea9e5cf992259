"""What recovery may do about a stuck session.

OpenClaw aborts a run or releases a lane, by its `AttentionRules` (2026.3 does nothing). It never starts a run itself,
but the work that waits in a released lane proceeds - onto a session that may still have a holder. `plan_recovery` is
clawtop's rule against that (thread 83510 B): with a live holder it waits, bounded, or moves to a fresh session id.
"""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum

from clawtop.core.model import PromptHolder
from clawtop.core.rules import AttentionRules
from clawtop.core.session.attention import AttentionReport
from clawtop.core.session.lanes import session_lane
from clawtop.values import dataclass

STALE_MS = 300_000
"""For how long a run may be silent if no abort threshold is given."""

ABORT_SETTLE_MS = 15_000
"""How long an aborted run may take to end before OpenClaw removes it forcibly."""

# --- what OpenClaw's recovery does -------------------------------------------------------------------------------


class RecoveryStatus(StrEnum):
    SKIPPED = "skipped"
    ABORTED = "aborted"
    RELEASED = "released"
    NOOP = "noop"


class RecoveryAction(StrEnum):
    OBSERVE_ONLY = "observe_only"
    KEEP_LANE = "keep_lane"
    ABORT_RUN = "abort_embedded_run"
    RELEASE_LANE = "release_lane"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class StuckSession:
    """What recovery finds.

    Attributes:
        run_session_id: the session id of the active run, by session key or else by session id.
        reply_session_id: the session id of reply work without a run.
        lane_active, lane_queued: the tasks of the session's lane.
        queue_depth: what the session itself counts as waiting.
        age_ms: for how long the session has not changed.
        silence_ms: for how long its run has shown no sign of life; None: it just did.
        compaction_ms: how long a compaction may take, if configured.
        in_flight: another recovery of this session is under way.
        state_changed: the session moved on since it was found stuck.
    """

    session_id: str | None
    session_key: str | None
    run_session_id: str | None = None
    reply_session_id: str | None = None
    allow_abort: bool = False
    lane_active: int = 0
    lane_queued: int = 0
    queue_depth: int = 0
    age_ms: float = 0
    silence_ms: float | None = None
    compaction_ms: float | None = None
    in_flight: bool = False
    state_changed: bool = False

    @property
    def lane(self) -> str | None:
        key = (self.session_key or "").strip() or (self.session_id or "").strip()
        return session_lane(key) if key else None


@dataclass(frozen=True, slots=True)
class RecoveryOutcome:
    """What recovery did. Fields that do not apply to the outcome are None."""

    status: RecoveryStatus
    action: RecoveryAction
    reason: str | None = None
    lane: str | None = None
    active_session_id: str | None = None
    released: int | None = None
    active_count: int | None = None
    queued_count: int | None = None


@dataclass(frozen=True, slots=True)
class AbortRun:
    """Recovery must abort this run first."""

    session_id: str


def openclaw_recovery(
    stuck: StuckSession, rules: AttentionRules, abort_ms: float = STALE_MS
) -> RecoveryOutcome | AbortRun:
    """What this OpenClaw's recovery does with a stuck session. `abort_ms`: the abort threshold."""
    if not rules.recovers:
        return _skipped(RecoveryAction.OBSERVE_ONLY, "no_recovery")
    if stuck.lane is None:
        return _skipped(RecoveryAction.OBSERVE_ONLY, "missing_session_ref")
    if stuck.in_flight:
        return _skipped(RecoveryAction.OBSERVE_ONLY, "already_in_flight")
    if stuck.state_changed:
        return _skipped(RecoveryAction.OBSERVE_ONLY, "stale_session_state")
    owner = stuck.run_session_id or stuck.reply_session_id
    if owner and (stuck.allow_abort or _is_reclaimed(stuck, rules, abort_ms)):
        return AbortRun(owner)
    if stuck.run_session_id:
        return _skipped(RecoveryAction.OBSERVE_ONLY, "active_embedded_run", active_session_id=stuck.run_session_id)
    if stuck.reply_session_id:
        return _skipped(RecoveryAction.KEEP_LANE, "active_reply_work", active_session_id=stuck.reply_session_id)
    if stuck.lane_active > 0 and stuck.age_ms >= _lane_task_ms(stuck, rules):
        freed = RecoveryOutcome(RecoveryStatus.RELEASED, RecoveryAction.RELEASE_LANE, "stale_lane_task", stuck.lane)
        return replace(freed, released=stuck.lane_active, queued_count=stuck.lane_queued)
    if stuck.lane_active > 0:
        kept = _skipped(RecoveryAction.KEEP_LANE, "active_lane_task")
        return replace(kept, lane=stuck.lane, active_count=stuck.lane_active, queued_count=stuck.lane_queued)
    if stuck.queue_depth > 0 or rules.clears_idle:
        reason = "no_active_work" if rules.clears_idle else None
        return RecoveryOutcome(RecoveryStatus.RELEASED, RecoveryAction.RELEASE_LANE, reason, stuck.lane, released=0)
    return RecoveryOutcome(RecoveryStatus.NOOP, RecoveryAction.NONE, "no_active_work", lane=stuck.lane)


def _is_reclaimed(stuck: StuckSession, rules: AttentionRules, abort_ms: float) -> bool:
    """The run is aborted without a request: it has been silent for too long, and messages wait behind it."""
    return rules.reclaims_silent and stuck.queue_depth > 0 and (stuck.silence_ms or 0) >= abort_ms


def _lane_task_ms(stuck: StuckSession, rules: AttentionRules) -> float:
    """How long a task may keep its lane without a run; a compaction gets its own time plus settling time."""
    compaction = stuck.compaction_ms + ABORT_SETTLE_MS if stuck.compaction_ms else 0
    return max(rules.lane_task_ms, compaction)


def _skipped(action: RecoveryAction, reason: str, *, active_session_id: str | None = None) -> RecoveryOutcome:
    return RecoveryOutcome(RecoveryStatus.SKIPPED, action, reason, active_session_id=active_session_id)


# --- what clawtop's recovery does --------------------------------------------------------------------------------


class RecoveryMove(StrEnum):
    """NOTHING: leave it alone. RELEASE: nobody holds the session, waiting work may continue. WAIT: for the holder.
    FORK: the holder stayed too long; waiting work continues under a fresh session id.
    """

    NOTHING = "nothing"
    RELEASE = "release"
    WAIT = "wait"
    FORK = "fork"


@dataclass(frozen=True, slots=True)
class RecoveryPlan:
    """What to do with a session that needs attention, and why. `until`: how long WAIT lasts, ms since the epoch."""

    plan: RecoveryMove
    why: str
    until: int | None = None


def plan_recovery(
    report: AttentionReport, holder: PromptHolder | None, now: int, *, first_seen: int, max_wait_ms: int
) -> RecoveryPlan:
    """clawtop's recovery of a session (invariant 8): nothing is ever started onto a session that has a holder.

    Args:
        report: what is wrong.
        holder: who holds the session's prompt, in any process; None only if the registry says nobody does.
        first_seen: when recovery first met this holder (ms since the epoch).
        max_wait_ms: how long it waits for the holder before it moves to a fresh session id.
    """
    if holder is None:
        if report.recoverable:
            return RecoveryPlan(RecoveryMove.RELEASE, report.reason)
        return RecoveryPlan(
            RecoveryMove.NOTHING, "the work has no prompt holder: it has not started, or is about to end"
        )
    if not (report.recoverable or report.abortable):
        return RecoveryPlan(RecoveryMove.NOTHING, f"{report.reason}: within its thresholds")
    deadline = first_seen + max_wait_ms
    if now < deadline:
        return RecoveryPlan(RecoveryMove.WAIT, f"{report.reason}: the session has a holder", until=deadline)
    return RecoveryPlan(RecoveryMove.FORK, f"{report.reason}: the holder did not release it in time")


@dataclass(frozen=True, slots=True)
class SessionRecovery:
    """What came of recovering a session. Nothing was started on it.

    Attributes:
        why: in the words of `plan_recovery`.
        free: nothing holds the session any more, and that is proven; with `fresh` the old one is left to its holder.
        fresh: the transcript of the copy in which the conversation continues.
        words: the proof, or what still holds the session.
    """

    move: RecoveryMove
    why: str
    free: bool = False
    fresh: str | None = None
    words: tuple[str, ...] = ()
