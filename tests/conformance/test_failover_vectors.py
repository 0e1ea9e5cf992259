"""OpenClaw 2026.5.20's failover decisions and the order of its steps after an assistant's failure, row by row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from clawtop.core.failover.decision import AttemptStage, Decision, Signals, TimeoutPolicy, decide
from clawtop.core.failover.openclaw_decision import Harness, openclaw_decides, remembered
from clawtop.core.failover.steps import (
    Backoff,
    Caps,
    Continue,
    FailoverRules,
    Fallback,
    Log,
    MarkFailure,
    Retry,
    Rotate,
    RunEffect,
    RunState,
    SurfaceError,
    after_advance,
    after_failure,
)
from clawtop.core.model import FailureReason
from tests.conformance.differences import (
    TIMEOUTS_COMPARED_UNDER,
    with_mark_before_escalation,
    without_mark_end,
)
from tests.conformance.harness import Row, replay
from tests.conformance.openclaw_only import failure_message
from tests.support.rules import reads_as_the_engine, semantics

TIMEOUTS = TimeoutPolicy(TIMEOUTS_COMPARED_UNDER)
ABSENT = "<absent>"
FIELDS = {
    "aborted": "aborted",
    "externalAbort": "external_abort",
    "fallbackConfigured": "fallback_configured",
    "failoverFailure": "failover_failure",
    "timedOut": "timed_out",
    "idleTimedOut": "idle_timed_out",
    "timedOutDuringCompaction": "timed_out_during_compaction",
    "timedOutDuringToolExecution": "timed_out_during_tool",
    "profileRotated": "profile_rotated",
    "allowFormatRetry": "format_retry_allowed",
}
"""A flag of the rows -> a field of `Signals`."""


HARNESS = {
    "harnessOwnsTransport": "owns_transport",
    "timedOutByRunBudget": "budget_over",
    "signalOwnedInterruption": "interrupted",
    "promptTimeoutFallbackSafe": "may_fall_back",
}
"""The same for `Harness`."""


def failure_reason(name: str | None) -> FailureReason | None:
    return None if name is None else FailureReason(name)


def signals(flags: Mapping[str, bool], reason: str | None) -> Signals:
    known = {FIELDS[name]: value for name, value in flags.items() if name in FIELDS}
    return Signals(reason=failure_reason(reason), **known)


def rows_of_table(table: Row) -> Iterator[Row]:
    for bits, reason, action, decided in table.raw["rows"]:
        raw = {
            "stage": table.raw["stage"],
            "flags": {key: bit == "1" for key, bit in zip(table.raw["keys"], bits, strict=True)},
            "reason": reason,
            "expected": [action, decided],
        }
        yield Row(f"{table.raw['stage']}-{bits}-{reason}", table.family, table.version, raw)


def decided(row: Row) -> Decision:
    flags = row.raw["flags"]
    harness = Harness(**{HARNESS[name]: value for name, value in flags.items() if name in HARNESS})
    policy = semantics(row.version).policy
    return openclaw_decides(AttemptStage(row.raw["stage"]), signals(flags, row.raw["reason"]), policy, harness)


@replay("failover-decision", part="tables", split=rows_of_table)
def test_failover_decision(row: Row) -> None:
    found = decided(row)
    says_why = found.action.value not in {"continue_normal", "return_error_payload"}
    assert [found.action.value, found.reason if says_why else ABSENT] == row.expected


@replay("failover-decision", part="mergeRetryFailoverReason")
def test_merge_retry_reason(row: Row) -> None:
    given = row.input
    merged = remembered(
        failure_reason(given["previous"]),
        failure_reason(given["failoverReason"]),
        semantics(row.version).policy,
        timed_out=bool(given["timedOut"]),
    )
    assert merged == row.expected


def steps(given: Mapping[str, Any], rules: FailoverRules) -> tuple[RunState, list[RunEffect]]:
    """Every effect of a row's failure, with the rotation answered as the row says."""
    flags = {name: value for name, value in given.items() if name in FIELDS}
    state = RunState(
        overload_rotations=given["overloadProfileRotations"],
        last_retry_reason=failure_reason(given["previousRetryFailoverReason"]),
    )
    state, effects = after_failure(AttemptStage.ASSISTANT, state, signals(flags, given["failoverReason"]), rules)
    if Rotate() not in effects:
        return state, list(effects)
    state, following = after_advance(state, given["advanceReturns"], rules)
    return state, [*effects, *following]


def calls(state: RunState, effects: list[RunEffect]) -> list[str]:
    """The effects as the callbacks that OpenClaw's function makes; it checks the rate-limit cap before it rotates."""
    named = ["escalate-check"] if state.rate_limit_rotations else []
    for effect in effects:
        match effect:
            case Rotate():
                named.append("advance")
            case MarkFailure(reason=reason):
                named.append(f"mark-start:{reason}")
            case Backoff():
                named.append("backoff")
            case Log(action=action):
                named.append(f"log:{action}")
    return named


def outcome(state: RunState, ending: RunEffect, given: Mapping[str, Any]) -> dict[str, Any]:
    counted = {"overloadProfileRotations": state.overload_rotations}
    match ending:
        case Retry():
            return {"action": "retry", **counted, "lastRetryFailoverReason": state.last_retry_reason}
        case Fallback() | SurfaceError(as_failure=True):
            return {"action": "throw", **counted, "error": error(ending, given)}
        case _:
            assert isinstance(ending, Continue | SurfaceError)
            return {"action": "continue_normal", **counted}


def error(ending: Fallback | SurfaceError, given: Mapping[str, Any]) -> dict[str, Any]:
    failed_with = given["failoverReason"]
    answer = {None: None, "timeout": "request timed out"}.get(failed_with, f"E:{failed_with}")
    timed_out = given["timedOut"] or given["idleTimedOut"]
    fields = {
        "reason": ending.reason,
        "status": ending.status,
        "message": failure_message(failure_reason(failed_with), answer, timed_out=timed_out),
        "profileId": "p:1",
        "suspend": ending.suspend,
    }
    return {name: value for name, value in fields.items() if value is not None}


@replay("assistant-failover", of=reads_as_the_engine)
def test_assistant_failover(row: Row) -> None:
    given, expected = row.input, row.expected
    flags = {name: value for name, value in given.items() if name in FIELDS}
    initial = decide(AttemptStage.ASSISTANT, signals(flags, given["failoverReason"]), TIMEOUTS)
    assert initial.action == expected["initialDecision"]["action"]
    assert initial.reason == expected["initialDecision"].get("reason")

    caps = Caps(overloaded=given["overloadProfileRotationLimit"], rate_limited=1)
    state, effects = steps(given, FailoverRules(TIMEOUTS, caps))
    timed_out = given["timedOut"] or given["idleTimedOut"]
    classified = given["failoverReason"] if given["failoverFailure"] else None
    assert calls(state, effects) == with_mark_before_escalation(
        without_mark_end(expected["callsAfterSettle"]), classified, timed_out=timed_out
    )
    thrown = expected["outcome"].get("error")
    wanted = {**expected["outcome"], "error": {"suspend": False, **thrown}} if thrown else expected["outcome"]
    assert outcome(state, effects[-1], given) == wanted
