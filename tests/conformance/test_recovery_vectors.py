"""Session attention, its thresholds, and stuck-session recovery, row by row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clawtop.core.model import Attention
from clawtop.core.session.attention import AttentionReport, SessionActivity, WorkKind, classify_attention, thresholds
from clawtop.core.session.recovery import (
    AbortRun,
    RecoveryOutcome,
    StuckSession,
    openclaw_recovery,
)
from tests.conformance.harness import Row, replay
from tests.conformance.openclaw_only import ABORTS_FREE_LANE, AbortResult, outcome_after_abort
from tests.support.rules import semantics

ABORTS = {
    "ends": AbortResult(aborted=True, drained=True),
    "hangs": AbortResult(aborted=True, drained=False),
    "throws": AbortResult(aborted=False, drained=False),
}
LANES = {"none": (0, 0), "active": (1, 0), "queued": (1, 1)}
"""`sessionLane` of a row -> tasks active and queued in the session's lane."""


@replay("session-attention", part="meta.thresholds")
def test_thresholds(row: Row) -> None:
    read = semantics(row.version).attention.configurable
    found = thresholds((row.input or {}).get("diagnostics") if read else None)
    assert {"warnMs": found.warn_ms, "abortMs": found.abort_ms} == row.expected


@replay("session-attention")
def test_session_attention(row: Row) -> None:
    given = row.input
    limits = Attention(warn_ms=given["staleMs"], abort_ms=given["stuckSessionAbortMs"])
    rules = semantics(row.version).attention
    found = classify_attention(activity(given), given["queueDepth"], given["ageMs"], rules, limits)
    assert {"classification": classification(found), "activeAbortEligible": found.abortable} == row.expected


def activity(given: Mapping[str, Any]) -> SessionActivity:
    state, given, now = given.get("state"), {**given["activity"], **given}, given.get("now", 0)
    kind = given.get("activeWorkKind")
    return SessionActivity(
        work=WorkKind(kind) if kind else None,
        progress=given.get("lastProgressReason"),
        progress_age_ms=given.get("lastProgressAgeMs"),
        tool_age_ms=given.get("activeToolAgeMs"),
        has_run=given.get("hasActiveEmbeddedRun") is True,
        at_rest=state == "idle",
        repeating_ms=given.get("repeatedRequestNoProgressAgeMs"),
        may_take_ms=given.get("activeModelCallRequestTimeoutMs"),
        retry_left_ms=left(given.get("activeRetryWaitDeadlineAtMs"), now),
        tool_left_ms=left(given.get("activeToolDeadlineAtMs"), now),
        backend_left_ms=left(given.get("activeBackendLivenessDeadlineAtMs"), now),
        waits_in_runtime=given.get("runtimeOwnsLiveness") is True,
    )


def left(deadline: float | None, now: float) -> float | None:
    return None if deadline is None else deadline - now


def classification(report: AttentionReport) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "eventType": report.kind.value,
        "reason": report.reason,
        "classification": report.classification,
        "recoveryEligible": report.recoverable,
    }
    return {**shown, "activeWorkKind": report.work.value} if report.work else shown


@replay("stuck-recovery")
def test_stuck_recovery(row: Row) -> None:
    given = row.input
    has_run = given["activeRun"] != "none"
    active, queued = LANES[given["sessionLane"]]
    stuck = StuckSession(
        session_id=given["sessionId"],
        session_key=given["sessionKey"],
        run_session_id=given["sessionId"] if has_run else None,
        allow_abort=given["allowActiveAbort"],
        lane_active=active,
        lane_queued=queued,
        queue_depth=given["queueDepth"],
        age_ms=given.get("ageMs", 0),
        compaction_ms=given.get("compactionSafetyTimeoutMs"),
    )
    version, abort = semantics(row.version), None
    outcome = openclaw_recovery(stuck, version.attention)
    if isinstance(outcome, AbortRun):
        abort = ABORTS[given["abortBehaviour"]]
        outcome = outcome_after_abort(stuck, outcome.session_id, abort, frees_lane=version.name in ABORTS_FREE_LANE)
    assert printed(stuck, outcome, abort) == row.expected


def printed(stuck: StuckSession, outcome: RecoveryOutcome, abort: AbortResult | None) -> dict[str, Any]:
    """The outcome with OpenClaw's names; absent figures are left out."""
    fields: dict[str, Any] = {
        "status": outcome.status.value,
        "action": outcome.action.value,
        "reason": outcome.reason,
        "sessionId": stuck.session_id,
        "sessionKey": stuck.session_key,
        "lane": outcome.lane,
        "activeSessionId": outcome.active_session_id,
        "activeWorkKind": "embedded_run" if outcome.active_session_id else None,
        "aborted": abort.aborted if abort else None,
        "drained": abort.drained if abort else None,
        "forceCleared": abort.force_cleared if abort else None,
        "released": outcome.released,
        "activeCount": outcome.active_count,
        "queuedCount": outcome.queued_count,
    }
    return {name: value for name, value in fields.items() if value is not None}
