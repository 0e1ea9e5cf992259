"""Classification, the coordination predicate and the marks, row by row against the real program."""

from __future__ import annotations

from typing import Any

from clawtop.core.failure.classify import (
    classify_failure,
    classify_message,
    is_non_provider_runtime_coordination_error,
    is_timeout_error,
    status_for_reason,
)
from clawtop.core.failure.dialect import DIALECTS
from clawtop.core.failure.failover_error import CoercionContext, FailoverDescription, coerced
from clawtop.core.failure.marked import marked_reason
from clawtop.core.failure.rules import Kind
from clawtop.core.failure.signal import signal_of
from tests.conformance.differences import coordination_expected
from tests.conformance.harness import Row, error_from_spec, replay
from tests.conformance.openclaw_only import WAIT_HEADERS, should_bypass_long_sdk_retry
from tests.support.rules import dialect, reads_as_the_engine, semantics

JAVASCRIPT_NAMES = {
    "profile_id": "profileId",
    "session_id": "sessionId",
    "raw_error": "rawError",
    "has_cause": "hasCause",
}


def as_javascript(description: FailoverDescription | None) -> dict[str, Any] | None:
    """A description in the words of the vectors, absent fields left out."""
    if description is None:
        return None
    fields = {name: getattr(description, name) for name in description.__dataclass_fields__}
    named = {JAVASCRIPT_NAMES.get(name, name): value for name, value in fields.items() if value is not None}
    return {"name": "FailoverError", **named}


@replay("classification")
def test_an_error_is_classified_as_openclaw_does(row: Row) -> None:
    error, read = error_from_spec(row.input), dialect(row.version)
    hint = row.raw.get("providerHint")
    expected = row.expected
    answer = classify_failure(error, hint, read)
    assert answer.reason == expected["reason"], answer.rule
    if "classification" in expected:
        kind = expected["classification"]["kind"] if expected["classification"] else Kind.NONE
        assert answer.kind == kind, answer.rule
    assert is_timeout_error(error, read) == expected["isTimeoutError"]
    if "isNonProviderRuntimeCoordinationError" in expected:
        local = expected["isNonProviderRuntimeCoordinationError"]
        assert is_non_provider_runtime_coordination_error(error, read) == local
    context = CoercionContext(hint or "ctxprov", "ctxmodel", "ctxprov:default", "sess-1", "main")
    assert as_javascript(coerced(error, context, read)) == expected["failoverError"]


@replay("coordination-predicate")
def test_local_contention_is_told_from_model_failures(row: Row) -> None:
    error, read = error_from_spec(row.input), dialect(row.version)
    assert classify_failure(error, None, read).reason == row.expected["reason"]
    local = row.expected["isNonProviderRuntimeCoordinationError"]
    assert is_non_provider_runtime_coordination_error(error, read) == local


@replay("coordination-predicate", of=reads_as_the_engine)
def test_clawtop_takes_a_contended_session_for_local_too(row: Row) -> None:
    error = error_from_spec(row.input)
    reason = classify_failure(error).reason
    assert is_non_provider_runtime_coordination_error(error) == coordination_expected(
        row.input, row.expected["isNonProviderRuntimeCoordinationError"], classified=reason is not None
    )


@replay("classify-message")
def test_a_bare_text_is_classified_as_openclaw_does(row: Row) -> None:
    read = dialect(row.version)
    assert classify_message(row.input["raw"], row.input["provider"], read).reason == row.expected["reason"]


@replay("classification-plugins")
def test_a_providers_plugin_is_asked_first(row: Row) -> None:
    signal, hint = signal_of(error_from_spec(row.input), row.raw["providerHint"]), row.raw["providerHint"]
    plugged = DIALECTS[semantics(row.version).reading]
    plain = dialect(row.version)
    assert plugged.of_signal(signal).reason == row.expected["signalReason"]
    assert plain.of_signal(signal).reason == row.expected["signalReasonWithoutPlugin"]
    if row.raw.get("raw"):
        assert classify_message(row.raw["raw"], hint, plugged).reason == row.expected["messageReason"]


@replay("misc", where=lambda raw: raw["fn"] == "resolveAuthProfileFailureReason")
def test_the_reason_that_is_marked(row: Row) -> None:
    given = row.input
    marked = marked_reason(
        given["failoverReason"],
        semantics(row.version).marking,
        given["policy"],
        provider_started=bool(given["providerStarted"]),
        passing=bool(given["transientRateLimit"]),
    )
    assert marked == row.expected


@replay("misc", where=lambda raw: raw["fn"] == "resolveFailoverStatus")
def test_the_status_that_stands_for_a_reason(row: Row) -> None:
    assert status_for_reason(row.input["reason"], dialect(row.version)) == row.expected


@replay("misc", where=lambda raw: raw["fn"] == "shouldBypassLongSdkRetry")
def test_long_retries_inside_the_client_library_are_bypassed(row: Row) -> None:
    headers, environment = row.input["headers"], row.input["env"] or {}
    reading = WAIT_HEADERS[semantics(row.version).name]
    status = row.input["status"]
    assert should_bypass_long_sdk_retry(status, headers, environment, now_ms=0, reading=reading) == row.expected
