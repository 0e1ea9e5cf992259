"""Retries on the same account, and what a text says of trying again, against the real program."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from clawtop.core.failover.same_account import AccountFailure, RetryState, after_failure
from clawtop.core.failure.classify import classify_message
from clawtop.core.failure.dialect import DIALECTS
from clawtop.core.failure.retry_evidence import (
    Span,
    asked_wait_ms,
    limit_window,
    may_be_replayed,
    speaks_of_a_long_limit,
)
from tests.conformance.harness import Row, replay
from tests.support.rules import semantics


@replay("transient-retry")
def test_the_same_account_is_asked_again(row: Row) -> None:
    rules = semantics(row.version).retries
    state, now = RetryState(), 0.0
    steps: list[dict[str, Any]] = []
    for given in row.input["failures"]:
        now += given.get("afterMs", 0)
        state = observed(state, given.get("observe"))
        failed = AccountFailure(
            given["reason"],
            given.get("message", ""),
            figure(given.get("retryAfterMs")),
            figure(given.get("maxRetryDelayMs")),
        )
        state, again = after_failure(state, failed, now, rules, fallback_configured=row.input["fallbackConfigured"])
        if again is None:
            steps.append({"retried": False})
            continue
        now += again.delay_ms
        steps.append({"retried": True, "attempt": again.number, "maxRetries": again.most, "delayMs": again.delay_ms})
    assert {"steps": steps, "retryCount": state.count} == row.expected


def observed(state: RetryState, told: Any) -> RetryState:
    """What the attempt before told: the provider's own number of retries, and whether it had answered."""
    if told is None:
        return state
    state = replace(state, budget=told.get("providerRetryMaxRetries"))
    return replace(state, since=None) if told.get("hasSuccessfulModelResponse") else state


def figure(value: Any) -> float | None:
    return math.inf if value == "Infinity" else value


@replay("rate-limit-window")
def test_how_long_a_limit_lasts(row: Row) -> None:
    text, now = row.input["message"], row.input["nowMs"]
    found = limit_window(text, now)
    window: dict[str, Any] = {"kind": found.span.value}
    if found.span is Span.SHORT and found.wait_s is not None:
        window["retryAfterSeconds"] = found.wait_s
    wait = asked_wait_ms(text, now)
    classified = classify_message(text, row.input["provider"], DIALECTS[semantics(row.version).reading])
    assert {
        "window": window,
        "longWindowEvidence": speaks_of_a_long_limit(text),
        "retryAfterMs": "Infinity" if wait == math.inf else wait,
        "retryInAttempt": may_be_replayed(text, classified.reason, now),
    } == row.expected
