"""The steps that an OpenClaw takes after a failed attempt, in order, against the real program."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clawtop.core.failover.decision import AttemptStage, Signals
from clawtop.core.failover.openclaw_decision import Harness, openclaw_decides
from clawtop.core.failover.openclaw_steps import (
    Answers,
    AwaitMark,
    CheckCap,
    Course,
    End,
    Ended,
    EndKind,
    RefreshLogin,
    RotationCounts,
    SameAccount,
    openclaw_course,
)
from clawtop.core.failover.steps import Backoff, Log, MarkFailure, Rotate
from clawtop.core.failure.as_9_6 import leading_status
from clawtop.core.failure.classify import classify_failure
from clawtop.core.failure.failover_error import SUSPENDING
from clawtop.core.failure.marked import marked_reason
from clawtop.core.failure.record import ErrorRecord
from clawtop.core.failure.retry_evidence import Span, limit_window
from clawtop.core.failure.signal import signal_of
from clawtop.core.generations import Semantics
from clawtop.core.model import FailureReason
from tests.conformance.harness import Row, error_from_spec, replay
from tests.support.rules import dialect, semantics

SUSPENSIONS = {FailureReason.BILLING: "manual", FailureReason.RATE_LIMIT: "quota_exhausted"}
FLAGS = {
    "aborted": "aborted",
    "externalAbort": "external_abort",
    "fallbackConfigured": "fallback_configured",
    "timedOut": "timed_out",
    "idleTimedOut": "idle_timed_out",
    "timedOutDuringCompaction": "timed_out_during_compaction",
    "timedOutDuringToolExecution": "timed_out_during_tool",
}


def signals(given: Mapping[str, Any], reason: FailureReason | None, *, failed: bool) -> Signals:
    flags = {field: bool(given[name]) for name, field in FLAGS.items()}
    return Signals(reason=reason, failover_failure=failed, **flags)


def harness(given: Mapping[str, Any], **more: Any) -> Harness:
    return Harness(
        owns_transport=given.get("harnessOwnsTransport", False),
        budget_over=given.get("timedOutByRunBudget", False),
        interrupted=given.get("signalOwnedInterruption", False),
        **more,
    )


def counts(given: Mapping[str, Any]) -> RotationCounts:
    last = given["previousRetryFailoverReason"]
    return RotationCounts(
        overloads=given.get("overloadProfileRotations", 0),
        rate_limits=given.get("rateLimitProfileRotations", 0),
        empty=given.get("emptyErrorRetries", 0),
        last=None if last is None else FailureReason(last),
    )


def answers(given: Mapping[str, Any]) -> Answers:
    return Answers(given["advanceReturns"], given.get("sameModelRetryReturns", False))


def reason_of(given: Mapping[str, Any], version: str) -> FailureReason | None:
    """The class of the row's failure: as it says, or as its words are read."""
    if "failoverReason" in given:
        named = given["failoverReason"]
    elif given["errorMessage"] is None and given.get("errorCode") is None:
        return None
    else:
        record = ErrorRecord(message=given["errorMessage"], code=given.get("errorCode"))
        found = dialect(version).of_signal(signal_of(record, "p"))
        named = "context_overflow" if found.kind == "context_overflow" else found.reason
    return None if named is None else FailureReason(named)


def marked(given: Mapping[str, Any], reason: FailureReason | None, rules: Semantics) -> FailureReason | None:
    """The reason under which the row's account is marked; older recordings say it, or leave timeouts out."""
    if "failoverReason" in given:
        timed_out = given["timedOut"] or given["idleTimedOut"] or reason is FailureReason.TIMEOUT
        said = given.get("markReason")
        return FailureReason(said) if said else None if timed_out else reason
    clock = given["timedOut"] or given["idleTimedOut"]
    started = given.get("providerStarted", True) or clock
    why = reason or (FailureReason.TIMEOUT if clock else None)
    passing = limit_window(given.get("errorMessage") or "", 0).span is Span.SHORT
    return named_reason(marked_reason(why, rules.marking, None, provider_started=started, passing=passing))


def named_reason(name: str | None) -> FailureReason | None:
    return None if name is None else FailureReason(name)


def calls(course: Course, *, names_cap: bool, settled: bool) -> list[str]:
    """The steps in the recorder's words; a mark takes 3 ms, so one that nobody waits for ends last."""
    named: list[str] = []
    pending: list[str] = []
    for step in course.steps:
        match step:
            case RefreshLogin():
                named.append("auth-refresh")
            case CheckCap():
                named += ["escalate-check"] if names_cap else []
            case SameAccount(wait_s):
                named.append(f"same-model:{'-' if wait_s is None else f'{wait_s:g}'}")
            case Rotate():
                named.append("advance")
            case MarkFailure(reason):
                named.append(f"mark-start:{reason}")
                pending.append(f"mark-end:{reason}")
            case AwaitMark():
                named += pending
                pending = []
            case Backoff():
                named.append("backoff")
            case Log(action):
                named.append(f"log:{action}")
    return [*named, *(pending if settled else [])]


@replay("assistant-failover")
def test_after_an_answer_that_is_an_error(row: Row) -> None:
    given, expected, rules = row.input, row.expected, semantics(row.version)
    reason = reason_of(given, row.version)
    if "failoverReason" in expected:
        assert reason == expected["failoverReason"]
    mark = marked(given, reason, rules)
    if "assistantProfileFailureReason" in expected["outcome"]:
        assert mark == expected["outcome"]["assistantProfileFailureReason"]
    words = given.get("errorMessage")
    ended = Ended(
        signals(given, reason, failed=given.get("failoverFailure", reason is not None)),
        harness(given),
        mark,
        words,
        leading_status(words) if words else None,
        replayable=given.get("replaySafe", True),
        same_model=given.get("allowSameModelRateLimitRetry", False),
        same_idle=given.get("allowSameModelIdleTimeoutRetry", False),
    )
    course = openclaw_course(AttemptStage.ASSISTANT, ended, counts(given), answers(given), rules)
    if "initialDecision" in expected:
        assert course.first.action == expected["initialDecision"]["action"]
        assert course.first.reason == expected["initialDecision"].get("reason")
    older = "overloadProfileRotationLimit" in given
    assert calls(course, names_cap=older, settled=False) == expected["callsAtReturn"]
    assert calls(course, names_cap=older, settled=True) == expected["callsAfterSettle"]
    outcome = expected["outcome"]
    assert ENDS[course.end.kind] == {"continue_normal": "proceed"}.get(outcome["action"], outcome["action"])
    assert outcome.get("error") is None or failure(course.end) == said(outcome["error"])
    assert outcome.get("retryKind") == AGAIN.get(course.end.same or "")
    remembered = {
        "overloadProfileRotations": course.counts.overloads,
        "emptyErrorRetries": course.counts.empty,
        "lastRetryFailoverReason": course.counts.last,
    }
    told = [name for name in remembered if name in outcome]
    assert {name: remembered[name] for name in told} == {name: outcome[name] for name in told}
    if "trace" in expected:
        assert [course.end.trace] * bool(course.end.trace) == expected["trace"]
        assert suspensions(course.end.reason if course.end.suspend else None) == expected["suspended"]


def suspensions(reason: FailureReason | None) -> list[str]:
    return [] if reason is None else [SUSPENSIONS[reason]]


AGAIN = {"rate_limit": "same_model_rate_limit", "idle_timeout": "same_model_idle_timeout"}
ENDS = {EndKind.RETRY: "retry", EndKind.FAIL: "throw", EndKind.RAISE: "throw", EndKind.PROCEED: "proceed"}


def failure(end: End) -> dict[str, Any]:
    return {"reason": end.reason, "status": end.status, "suspend": end.suspend}


def said(error: Mapping[str, Any]) -> dict[str, Any]:
    """A failure without the words that OpenClaw has for a user."""
    return {name: error.get(name) for name in ("reason", "status", "suspend")}


@replay("prompt-failover")
def test_after_a_prompt_call_that_failed(row: Row) -> None:
    given, expected, rules = row.input, row.expected, semantics(row.version)
    read, error = dialect(row.version), error_from_spec(row.input["error"])
    found = classify_failure(error, "p", read)
    named = "context_overflow" if found.kind == "context_overflow" else found.reason
    reason = None if named is None else FailureReason(named)
    signal = signal_of(error)
    safe = reason is FailureReason.TIMEOUT and given.get("replaySafe", True)
    ended = Ended(
        signals(given, reason, failed=reason is not None),
        harness(given, may_fall_back=safe, code=signal.code),
        named_reason(marked_reason(reason, rules.marking, None, provider_started=True, passing=False)),
        signal.message,
        None if signal.status is None else int(signal.status),
        classified=isinstance(error, ErrorRecord) and error.is_failover,
    )
    course = openclaw_course(AttemptStage.PROMPT, ended, counts(given), answers(given), rules)
    assert calls(course, names_cap=False, settled=False) == expected["callsAtReturn"]
    assert calls(course, names_cap=False, settled=True) == expected["callsAfterSettle"]
    outcome = expected["outcome"]
    assert ENDS[course.end.kind] == outcome["action"]
    if course.end.kind is EndKind.FAIL:
        assert failure(course.end) == said(outcome["error"])
    if course.end.kind is EndKind.RAISE:
        assert outcome["error"].get("profileId") is None
        assert outcome["error"]["message"] == signal.message
    if outcome["action"] == "retry":
        assert course.counts.last == outcome["lastRetryFailoverReason"]
    assert [course.end.trace] * bool(course.end.trace) == expected["trace"]
    assert suspensions(reason if reason in SUSPENDING else None) == expected["suspended"]


@replay("failover-decision")
def test_a_code_under_which_a_harness_fails(row: Row) -> None:
    given = row.input
    reason = None if given["failoverReason"] is None else FailureReason(given["failoverReason"])
    known = Signals(
        reason=reason,
        failover_failure=given["failoverFailure"],
        fallback_configured=given["fallbackConfigured"],
        profile_rotated=given["profileRotated"],
        external_abort=given["externalAbort"],
    )
    found = openclaw_decides(
        AttemptStage(given["stage"]), known, semantics(row.version).policy, Harness(code=given["failoverCode"])
    )
    assert {"action": found.action, "reason": found.reason} == row.expected
