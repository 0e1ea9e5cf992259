"""What an operator pasted, read as an error; and what would follow it."""

from __future__ import annotations

import json

import pytest

from clawtop.core.failover.candidate import FailureKind
from clawtop.core.failover.consequences import consequences
from clawtop.core.failover.decision import Action, AttemptStage, TimeoutPolicy
from clawtop.core.failure.classify import classify_failure, is_non_provider_runtime_coordination_error
from clawtop.core.failure.pasted import read_error
from clawtop.core.failure.record import ErrorRecord
from clawtop.core.failure.signal import signal_of
from clawtop.core.model import FailureReason


def read(text: str) -> ErrorRecord:
    record = read_error(text)
    assert isinstance(record, ErrorRecord)
    return record


def test_plain_text_is_the_message() -> None:
    assert read("  429 Too Many Requests\n").message == "429 Too Many Requests"


def test_what_is_given_beside_the_text_wins() -> None:
    record = read_error('{"message": "no", "status": 500}', provider="alpha", status=402, code="X")
    signal = signal_of(record)
    assert (signal.status, signal.code, signal.provider, signal.message) == (402, "X", "alpha", "no")


def test_an_error_as_json_keeps_its_causes() -> None:
    lock = {"name": "SessionWriteLockTimeoutError", "code": "OPENCLAW_SESSION_WRITE_LOCK_TIMEOUT", "message": "locked"}
    assert is_non_provider_runtime_coordination_error(read(json.dumps({"message": "outer", "cause": lock})))


def test_a_provider_body_is_a_text() -> None:
    body = '{"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}'
    assert read(body).message == body


@pytest.mark.parametrize("text", ["[1, 2]", "12", "null", "{broken", '"quoted"'])
def test_other_json_is_a_text(text: str) -> None:
    assert read(text).message == text


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            'lane task error: lane=main durationMs=5 error="FailoverError: LLM request timed out."',
            "FailoverError: LLM request timed out.",
        ),
        ("model fallback decision: decision=candidate_failed reason=auth detail=invalid api key", "invalid api key"),
        ("nothing special", "nothing special"),
    ],
)
def test_a_log_line_is_read_by_the_error_that_it_quotes(line: str, message: str) -> None:
    assert read(line).message == message


def test_a_log_record_is_read_by_its_fields() -> None:
    fields = {
        "event": "x",
        "rawErrorPreview": "credit balance too low",
        "httpCode": "402",
        "candidateProvider": "alpha",
    }
    record = {"0": '{"subsystem":"model-fallback"}', "1": fields, "2": "model fallback decision", "_meta": {}}
    found = read(json.dumps(record))
    assert (found.message, found.status, found.provider) == ("credit balance too low", "402", "alpha")
    assert classify_failure(found).reason == FailureReason.BILLING


def test_a_log_record_without_fields_is_read_by_its_text() -> None:
    line = 'lane task error: lane=main error="429 slow down"'
    assert read(json.dumps({"0": "{}", "1": line, "_meta": {}})).message == "429 slow down"
    assert read(json.dumps({"0": "plain", "logLevelId": 5})).message == "plain"


# --- what follows ------------------------------------------------------------------------------------------------


def test_a_rate_limit_rotates_and_then_falls_back() -> None:
    found = consequences(read("429 rate limit exceeded"))
    assert (found.marked, found.chain_moves_on) == (FailureReason.RATE_LIMIT, True)
    for side in found.sides:
        last = Action.FALLBACK_MODEL if side.fallback_configured else Action.SURFACE_ERROR
        assert (side.first.action, side.last.action) == (Action.ROTATE_PROFILE, last)
    assert [(side.stage, side.fallback_configured) for side in found.sides] == [
        (AttemptStage.PROMPT, True),
        (AttemptStage.PROMPT, False),
        (AttemptStage.ASSISTANT, True),
        (AttemptStage.ASSISTANT, False),
    ]


def test_a_timeout_ends_the_run_unless_the_setting_says_otherwise() -> None:
    ended = consequences(read("Request timed out"))
    assert (ended.marked, ended.chain_moves_on) == (None, False)
    assert {side.first.action for side in ended.sides} == {Action.SURFACE_ERROR}
    rotating = consequences(read("Request timed out"), timeouts=TimeoutPolicy.ROTATE)
    assert rotating.chain_moves_on
    assert Action.ROTATE_PROFILE in {side.first.action for side in rotating.sides}


def test_contention_has_no_sides() -> None:
    found = consequences(read('{"name": "EmbeddedAttemptSessionTakeoverError", "message": "changed"}'))
    assert (found.failure.kind, found.sides, found.marked) == (FailureKind.COORDINATION, (), None)
    assert not found.chain_moves_on


def test_an_unclassified_error_is_shown_and_a_user_abort_surfaces() -> None:
    unknown = consequences(read("mystery"))
    assert [side.first.action for side in unknown.sides][:2] == [Action.SURFACE_ERROR, Action.SURFACE_ERROR]
    assert unknown.chain_moves_on
    aborted = consequences(read('{"name": "AbortError", "message": "aborted"}'))
    assert {side.first.action for side in aborted.sides} == {Action.SURFACE_ERROR}
    assert not aborted.chain_moves_on
