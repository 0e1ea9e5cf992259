"""Which sessions need attention: long-running, stalled or stuck.

Like OpenClaw's watcher (`logging/diagnostic.ts`), which checks every 30 s and warns at growing intervals.
`AttentionRules` has the differences between versions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Any

from clawtop.core.javascript import is_finite
from clawtop.core.model import AccountRetry, Attention, PromptHolder, Session
from clawtop.core.rules import AttentionRules
from clawtop.values import dataclass

TICK_MS = 30_000
DEFAULT_LIMITS = Attention()

_WARN_RANGE_MS = (1_000, 86_400_000)
_LEAST_ABORT_MS = 300_000
_ABORT_WARNINGS = 3


class AttentionKind(StrEnum):
    LONG_RUNNING = "session.long_running"
    STALLED = "session.stalled"
    STUCK = "session.stuck"


class WorkKind(StrEnum):
    """What a session is busy with."""

    EMBEDDED_RUN = "embedded_run"
    MODEL_CALL = "model_call"
    TOOL_CALL = "tool_call"


@dataclass(frozen=True, slots=True)
class SessionActivity:
    """What is going on in a session. Ages and times left are ms; None is unknown.

    Attributes:
        progress: the last sign of life, such as "run:completed".
        at_rest: the session itself is marked as idle.
        repeating_ms: for how long the same request has been sent again without progress.
        may_take_ms: how long the model call may take.
        retry_left_ms: until the run asks the same account again.
        tool_left_ms, backend_left_ms: until the deadline of the tool call, or of the run's backend.
        waits_in_runtime: the runtime itself monitors what it waits for.
    """

    work: WorkKind | None = None
    progress: str | None = None
    progress_age_ms: float | None = None
    tool_age_ms: float | None = None
    has_run: bool = False
    at_rest: bool = False
    repeating_ms: float | None = None
    may_take_ms: float | None = None
    retry_left_ms: float | None = None
    tool_left_ms: float | None = None
    backend_left_ms: float | None = None
    waits_in_runtime: bool = False


@dataclass(frozen=True, slots=True)
class AttentionReport:
    """Why a session needs attention.

    Attributes:
        reason, classification: OpenClaw's words for it.
        work: what it is busy with, None if idle.
        recoverable: recovery may release the lane: nothing is running.
        abortable: recovery may abort the run: it made no progress for longer than the abort threshold.
    """

    kind: AttentionKind
    reason: str
    classification: str
    work: WorkKind | None
    recoverable: bool
    abortable: bool


def thresholds(diagnostics: Mapping[str, Any] | None) -> Attention:
    """The thresholds set in the `diagnostics` section of openclaw.json; invalid or out-of-range values mean the
    default.
    """
    given = diagnostics or {}
    lowest, highest = _WARN_RANGE_MS
    warn = _whole_ms(given.get("stuckSessionWarnMs"))
    warn = warn if warn is not None and lowest <= warn <= highest else DEFAULT_LIMITS.warn_ms
    abort = _whole_ms(given.get("stuckSessionAbortMs"))
    if abort is None or abort <= 0:
        return Attention(warn, max(_LEAST_ABORT_MS, _ABORT_WARNINGS * warn))
    return Attention(warn, max(warn, abort))


def _whole_ms(value: Any) -> int | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return math.floor(value) if is_number and is_finite(value) else None


def classify_attention(
    activity: SessionActivity,
    queue_depth: int,
    age_ms: float,
    rules: AttentionRules,
    limits: Attention = DEFAULT_LIMITS,
) -> AttentionReport:
    """What is wrong with a session whose state has not changed for `age_ms`."""
    activity = _as_seen(activity, rules)
    report = _classified(activity, queue_depth, rules, limits)
    return replace(report, abortable=_is_abortable(report, activity, age_ms, rules, limits.abort_ms))


def _as_seen(activity: SessionActivity, rules: AttentionRules) -> SessionActivity:
    """The kinds of activity that this watchdog considers."""
    if not rules.sees_requests:
        activity = replace(activity, repeating_ms=None, may_take_ms=None)
    if not rules.sees_tool_ends:
        activity = replace(activity, tool_left_ms=None)
    if not rules.sees_deadlines:
        activity = replace(activity, retry_left_ms=None, backend_left_ms=None, waits_in_runtime=False)
    return activity


def _classified(
    activity: SessionActivity, queue_depth: int, rules: AttentionRules, limits: Attention
) -> AttentionReport:
    work, queued = activity.work, queue_depth > 0
    if (activity.retry_left_ms or 0) > 0:
        return _long("provider_retry_wait", work)
    if activity.waits_in_runtime:
        return _long("runtime_owned_wait", work)
    if work is None:
        reason = "queued_work_without_active_run" if queued else "stale_session_state"
        return AttentionReport(AttentionKind.STUCK, reason, "stale_session_state", None, True, False)
    silence = activity.progress_age_ms or 0
    silent = silence > limits.warn_ms
    if activity.has_run and (activity.repeating_ms or -1) >= limits.abort_ms:
        return _stalled("repeated_model_requests_without_progress", "stalled_agent_run", work)
    if rules.orphans_are_stuck and activity.at_rest and queued and silent and not activity.has_run:
        reason = "queued_work_without_active_run"
        return AttentionReport(AttentionKind.STUCK, reason, "stale_session_state", None, True, False)
    if work is WorkKind.TOOL_CALL and silent and (activity.tool_age_ms or 0) > limits.warn_ms:
        return _stalled("blocked_tool_call", "blocked_tool_call", work)
    if queued and work is WorkKind.EMBEDDED_RUN and is_terminal_progress(activity.progress):
        return _stalled("queued_behind_terminal_active_work", "stalled_agent_run", work)
    thinks = rules.models_may_think and work is WorkKind.MODEL_CALL and activity.has_run
    if silent and thinks and silence < limits.abort_ms:
        return _long("active_model_call_without_progress", work)
    if silent:
        return _stalled("active_work_without_progress", "stalled_agent_run", work)
    return _long("queued_behind_active_work" if queued else "active_work", work)


def _long(reason: str, work: WorkKind | None) -> AttentionReport:
    return AttentionReport(AttentionKind.LONG_RUNNING, reason, "long_running", work, False, False)


def _stalled(reason: str, classification: str, work: WorkKind) -> AttentionReport:
    return AttentionReport(AttentionKind.STALLED, reason, classification, work, False, False)


_TERMINAL_NAMES = frozenset({"run:completed", "embedded_run:ended"})
_TERMINAL_PARTS = (
    "response.completed",
    "rawResponseItem/completed",
    "raw_response_item.completed",
    "output_item.done",
)


def is_terminal_progress(progress: str | None) -> bool:
    """Whether the last sign of life says that the work had ended."""
    if progress is None:
        return False
    return progress in _TERMINAL_NAMES or any(part in progress for part in _TERMINAL_PARTS)


def _is_abortable(
    report: AttentionReport, activity: SessionActivity, age_ms: float, rules: AttentionRules, abort_ms: int
) -> bool:
    if report.kind is not AttentionKind.STALLED:
        return False
    if report.work is WorkKind.EMBEDDED_RUN and not rules.silence_aborts:
        return age_ms >= abort_ms
    silence = activity.progress_age_ms
    if silence is None:
        return False
    least = _least_silence(activity, silence, rules, abort_ms)
    if report.classification == "blocked_tool_call":
        tool = activity.tool_age_ms
        return tool is not None and silence >= least and (activity.tool_left_ms is not None or tool >= least)
    may_take = activity.may_take_ms or 0
    repeats = activity.has_run and (activity.repeating_ms or 0) >= max(abort_ms, may_take)
    if activity.repeating_ms is not None and repeats and silence >= may_take:
        return True
    if report.work is WorkKind.TOOL_CALL:
        return False
    if report.work is WorkKind.MODEL_CALL and not (activity.has_run or rules.lone_calls_abort):
        return False
    return silence >= max(least, may_take)


def _least_silence(activity: SessionActivity, silence: float, rules: AttentionRules, abort_ms: int) -> float:
    """For how long a session must have been silent before its work is aborted; a deadline takes precedence."""
    retry = silence + activity.retry_left_ms if activity.retry_left_ms is not None else 0
    if activity.tool_left_ms is not None:
        return max(0, silence + activity.tool_left_ms, retry)
    if activity.work is WorkKind.TOOL_CALL:
        return max(abort_ms, rules.least_tool_ms, retry)
    backend = silence + activity.backend_left_ms if activity.backend_left_ms is not None else 0
    return max(abort_ms, activity.may_take_ms or 0, backend, retry)


def needs_attention(
    *, processing: bool, age_ms: float, queue_depth: int, activity: SessionActivity, warn_ms: int
) -> bool:
    """Whether the watchdog considers a session at all: working for too long, or idle while its run blocks a queue."""
    if processing and age_ms > warn_ms:
        return True
    has_owner = activity.work is WorkKind.EMBEDDED_RUN or activity.has_run
    return not processing and queue_depth > 0 and has_owner and (activity.progress_age_ms or 0) > warn_ms


def next_warning_age(last_warned_at_age_ms: int | None, warn_ms: int) -> int:
    """The age at which the next warning is due; intervals grow (stuck and long-running sessions)."""
    if last_warned_at_age_ms is None:
        return warn_ms
    return max(last_warned_at_age_ms + warn_ms, last_warned_at_age_ms * 2)


@dataclass(frozen=True, slots=True)
class SessionCondition:
    """The state of a session: `age_ms` since its last change, `queue_depth` waiting for it."""

    activity: SessionActivity
    age_ms: int
    queue_depth: int


def condition_of(
    session: Session | None, holder: PromptHolder | None, now: int, *, stale_lock: bool
) -> SessionCondition | None:
    """The activity in a session, seen from outside; None if there is none.

    A run that is not known to have ended counts as active. Its last sign of life is that of the latest witness.
    """
    running = session is not None and session.status == "running" and session.active is not False
    left_behind = session is not None and session.status == "running" and session.active is False
    if not (running or left_behind or stale_lock or holder is not None):
        return None
    began = (holder.since if holder is not None else None) or (session.started_at if session is not None else None)
    began = began or (session.updated_at if session is not None else None)
    age = max(0, now - began) if began is not None else 0
    if holder is None and not running:
        return SessionCondition(SessionActivity(), age, 0)
    waiting = len(holder.waiters) if holder is not None else 0
    witnesses = session.witnesses if session is not None else ()
    signs = [witness.at for witness in witnesses if witness.running and witness.at is not None]
    silent = max(0, now - max(signs)) if signs else age
    waiting = max([waiting, *(witness.waiting or 0 for witness in witnesses)])
    retry = retry_of(session) if session is not None else None
    left = retry.due - now if retry is not None else None
    activity = SessionActivity(WorkKind.EMBEDDED_RUN, progress_age_ms=silent, has_run=True, retry_left_ms=left)
    return SessionCondition(activity, age, waiting)


def retry_of(session: Session) -> AccountRetry | None:
    """The pending retry of the same account, if a witness reports one."""
    found = (witness.retry for witness in session.witnesses if witness.running and witness.retry is not None)
    return max(found, key=lambda retry: retry.due, default=None)


def attention_of(
    session: Session | None,
    holder: PromptHolder | None,
    now: int,
    rules: AttentionRules,
    limits: Attention,
    *,
    stale_lock: bool = False,
) -> AttentionReport | None:
    """What is wrong with a session; None if nothing: it is idle, or working within its limits."""
    standing = condition_of(session, holder, now, stale_lock=stale_lock)
    if standing is None or not (stale_lock or standing.age_ms > limits.warn_ms):
        return None
    return classify_attention(standing.activity, standing.queue_depth, standing.age_ms, rules, limits)
