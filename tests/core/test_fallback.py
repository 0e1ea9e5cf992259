"""The candidate chain: order, cooldown probes, what moves it on, and what it must never swallow."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clawtop.core.failover.candidate import (
    RETHROWN,
    Failure,
    FailureKind,
    FallbackAttempt,
    FallbackSummary,
    failure_of,
    is_likely_context_overflow,
)
from clawtop.core.failover.decision import TimeoutPolicy
from clawtop.core.failover.fallback import (
    Available,
    Call,
    CallFailed,
    CandidateFailed,
    ChainEffect,
    ChainEvent,
    ChainState,
    Consult,
    Cooling,
    FinishRun,
    MarkProbe,
    Moved,
    RaiseFailure,
    RaiseSummary,
    Rethrow,
    Succeeded,
    SuspendLane,
    candidates,
    start,
    step,
)
from clawtop.core.failover.probing import CooldownDecision, DecisionKind
from clawtop.core.model import FailureReason, ModelRef
from clawtop.core.rules import TRANSIENT_REASONS
from clawtop.errors import SessionContendedError, SessionTakeoverError, SessionWriteLockTimeoutError

A, B, C = ModelRef("alpha", "m1"), ModelRef("beta", "m2"), ModelRef("gamma", "m3")
A2 = ModelRef("alpha", "m9")
RATE_LIMIT = Failure(FailureKind.PROVIDER, "slow down", FailureReason.RATE_LIMIT, 429)
TIMEOUT = Failure(FailureKind.PROVIDER, "Request timed out", FailureReason.TIMEOUT, 408)
MYSTERY = Failure(FailureKind.UNKNOWN, "mystery")
PROBE = Cooling(CooldownDecision(DecisionKind.ATTEMPT, FailureReason.RATE_LIMIT, mark_probe=True))
TRY = Cooling(CooldownDecision(DecisionKind.ATTEMPT, FailureReason.RATE_LIMIT))
SUSPEND = Cooling(CooldownDecision(DecisionKind.SUSPEND_LANES, FailureReason.BILLING))
SKIP = Cooling(CooldownDecision(DecisionKind.SKIP, FailureReason.AUTH, error="no way in"))


def play(
    models: tuple[ModelRef, ...], *events: ChainEvent, timeouts: TimeoutPolicy = TimeoutPolicy.TERMINAL
) -> tuple[ChainState, list[ChainEffect]]:
    state, effects = start(models, TRANSIENT_REASONS, timeouts)
    seen = list(effects)
    for event in events:
        state, effects = step(state, event)
        seen += effects
    return state, seen


def calls(effects: list[ChainEffect]) -> list[ModelRef]:
    return [effect.model for effect in effects if isinstance(effect, Call)]


# --- candidates --------------------------------------------------------------------------------------------------


def test_the_requested_model_comes_first_and_the_primary_last() -> None:
    assert candidates(B, fallbacks=[C], primary=A) == (B, C, A)
    assert candidates(None, fallbacks=[C], primary=A) == (A, C)
    assert candidates(A, fallbacks=[A, C, C], primary=A) == (A, C)


def test_the_same_model_is_asked_once_however_it_is_written() -> None:
    assert candidates(ModelRef("alpha", "m1"), fallbacks=[ModelRef("alpha", "alpha/m1")]) == (A,)
    assert candidates(ModelRef("", "m1"), fallbacks=[A]) == (A,)
    assert candidates(None) == ()


# --- the chain ---------------------------------------------------------------------------------------------------


def test_the_first_answer_ends_the_run() -> None:
    state, effects = play((A, B), Available(), Succeeded())
    assert effects == [Consult(A, True, True, True), Call(A, 1, 2), FinishRun(A, ())]
    assert state.ended


def test_a_failure_moves_on_and_is_told() -> None:
    _, effects = play((A, B), Available(), CallFailed(RATE_LIMIT), Available(), Succeeded())
    attempt = FallbackAttempt(A, "slow down", FailureReason.RATE_LIMIT, 429)
    assert effects[2:] == [
        Moved(A, B, FailureReason.RATE_LIMIT, "slow down", 1, "next_fallback"),
        CandidateFailed(A, RATE_LIMIT, 1, 2),
        Consult(B, False, False, True),
        Call(B, 2, 2),
        Moved(A, B, FailureReason.RATE_LIMIT, "slow down", 2, "succeeded"),
        FinishRun(B, (attempt,)),
    ]


def test_one_failure_is_raised_as_itself_and_several_as_a_summary() -> None:
    _, alone = play((A,), Available(), CallFailed(RATE_LIMIT))
    assert alone[-1] == RaiseFailure(RATE_LIMIT)
    _, both = play((A, B), Available(), CallFailed(RATE_LIMIT), Available(), CallFailed(RATE_LIMIT))
    assert isinstance(both[-1], RaiseSummary)
    expected = "All models failed (2): alpha/m1: slow down (rate_limit) | beta/m2: slow down (rate_limit)"
    assert both[-1].summary.text == expected


def test_an_unknown_error_of_the_last_candidate_is_shown_as_it_is() -> None:
    state, effects = play((A, B), Available(), CallFailed(MYSTERY), Available(), CallFailed(MYSTERY))
    assert effects[-1] == Rethrow()
    assert state.attempts == (FallbackAttempt(A, "mystery", FailureReason.UNKNOWN),)


@pytest.mark.parametrize("kind", sorted(RETHROWN))
def test_some_failures_end_the_run_at_once_and_are_recorded_nowhere(kind: FailureKind) -> None:
    before, _ = play((A, B, C), PROBE)
    after, effects = step(before, CallFailed(Failure(kind, "x")))
    assert effects == (Rethrow(),)
    assert (after.attempts, after.probed, after.failure) == ((), frozenset(), None)
    assert after.ended


def test_a_conversation_too_long_that_was_classified_is_raised_as_classified() -> None:
    too_long = Failure(FailureKind.CONTEXT_OVERFLOW, "prompt is too long", FailureReason.RATE_LIMIT, 429)
    assert play((A, B), Available(), CallFailed(too_long))[1][-1] == RaiseFailure(too_long)


def test_a_coordination_error_on_the_second_candidate_keeps_the_record_as_it_was() -> None:
    contended = CallFailed(Failure(FailureKind.COORDINATION, "session has a holder"))
    state, effects = play((A, B, C), Available(), CallFailed(RATE_LIMIT), Available(), contended)
    assert calls(effects) == [A, B]
    assert effects[-1] == Rethrow()
    assert [attempt.model for attempt in state.attempts] == [A]


def test_a_timeout_ends_the_run_unless_the_operator_chose_otherwise() -> None:
    state, effects = play((A, B), Available(), CallFailed(TIMEOUT))
    assert effects[-1] == RaiseFailure(TIMEOUT)
    assert [effect.outcome for effect in effects if isinstance(effect, Moved)] == ["chain_exhausted"]
    assert state.ended
    for timeouts in (TimeoutPolicy.FALLBACK, TimeoutPolicy.ROTATE):
        _, effects = play((A, B), Available(), CallFailed(TIMEOUT), timeouts=timeouts)
        assert effects[-1] == Consult(B, False, False, True)


def test_a_switched_model_is_gone_on_with_where_it_is_still_to_come() -> None:
    switched = Failure(FailureKind.MODEL_SWITCH, "switch", switch_to=C)
    _, effects = play((A, B, C), Available(), CallFailed(switched), Available(), Succeeded())
    assert calls(effects) == [A, C]
    assert effects[-1] == FinishRun(C, ())
    back = Failure(FailureKind.MODEL_SWITCH, "switch", switch_to=A)
    state, effects = play((A, B), Available(), CallFailed(RATE_LIMIT), Available(), CallFailed(back))
    assert isinstance(effects[-1], RaiseSummary)
    assert [attempt.reason for attempt in state.attempts] == [FailureReason.RATE_LIMIT, FailureReason.UNKNOWN]


# --- cooldowns ---------------------------------------------------------------------------------------------------


def test_a_cooling_primary_is_probed_and_the_probe_is_noted() -> None:
    _, effects = play((A, B), PROBE)
    assert effects[1:] == [MarkProbe("alpha"), Call(A, 1, 2, probe=True)]


def test_an_exhausted_provider_is_skipped_without_a_call() -> None:
    state, effects = play((A, B), SUSPEND, SKIP)
    assert calls(effects) == []
    assert SuspendLane(A, FailureReason.BILLING) in effects
    assert [attempt.error for attempt in state.attempts] == [
        "Provider alpha is in cooldown (suspending lanes)",
        "no way in",
    ]
    assert isinstance(effects[-1], RaiseSummary)


def test_a_single_skipped_candidate_is_still_a_summary() -> None:
    _, effects = play((A,), SKIP)
    assert effects[-1] == RaiseSummary(FallbackSummary((FallbackAttempt(A, "no way in", FailureReason.AUTH),), 1))


def test_a_provider_is_probed_once_in_a_run() -> None:
    state, effects = play((A, B, A2), PROBE, CallFailed(RATE_LIMIT), Available(), CallFailed(RATE_LIMIT), TRY)
    assert calls(effects) == [A, B]
    assert "probe already attempted" in state.attempts[-1].error


@pytest.mark.parametrize(
    "reason",
    [
        FailureReason.MODEL_NOT_FOUND,
        FailureReason.FORMAT,
        FailureReason.AUTH,
        FailureReason.AUTH_PERMANENT,
        FailureReason.SESSION_EXPIRED,
    ],
)
def test_a_probe_that_says_nothing_of_the_limits_leaves_the_slot(reason: FailureReason) -> None:
    failed = CallFailed(Failure(FailureKind.PROVIDER, "x", reason))
    _, effects = play((A, A2), PROBE, failed, TRY)
    assert effects[-1] == Call(A2, 2, 2, probe=True)


def test_a_billing_probe_takes_no_slot() -> None:
    billing = Cooling(CooldownDecision(DecisionKind.ATTEMPT, FailureReason.BILLING, mark_probe=True))
    state, effects = play((A, A2), billing, CallFailed(RATE_LIMIT))
    assert Call(A, 1, 2, probe=True) in effects
    assert state.probed == frozenset()


def test_an_order_that_only_moved_on_is_called_without_a_probe() -> None:
    format_trouble = Cooling(CooldownDecision(DecisionKind.ATTEMPT, FailureReason.FORMAT))
    assert play((A, B), format_trouble)[1][-1] == Call(A, 1, 2, probe=False)


# --- what kind of failure ----------------------------------------------------------------------------------------


class EmbeddedAttemptSessionTakeoverError(Exception):
    """OpenClaw's, by name."""


class CommandLaneTaskTimeoutError(Exception):
    """OpenClaw's, by name."""


def wrapping(status: int | None, cause: Exception) -> Exception:
    error = Exception("resource exhausted")
    error.__cause__ = cause
    if status is not None:
        error.status = status  # type: ignore[attr-defined]
    return error


@pytest.mark.parametrize(
    ("error", "kind", "reason"),
    [
        (CommandLaneTaskTimeoutError("task timed out after 5ms"), FailureKind.LANE_TIMEOUT, FailureReason.TIMEOUT),
        (asyncio.CancelledError(), FailureKind.USER_ABORT, None),
        (SessionWriteLockTimeoutError("session file locked (timeout 10s)"), FailureKind.COORDINATION, None),
        (SessionTakeoverError("the session file changed"), FailureKind.COORDINATION, None),
        (SessionContendedError("held by another run"), FailureKind.COORDINATION, None),
        (EmbeddedAttemptSessionTakeoverError("changed"), FailureKind.COORDINATION, None),
        (wrapping(None, SessionContendedError("x")), FailureKind.COORDINATION, None),
        (wrapping(429, SessionWriteLockTimeoutError("locked")), FailureKind.PROVIDER, FailureReason.RATE_LIMIT),
        (ValueError("prompt is too long: 210000 tokens > 200000 maximum"), FailureKind.CONTEXT_OVERFLOW, None),
        (ValueError("invalid api key"), FailureKind.PROVIDER, FailureReason.AUTH),
        (ValueError("mystery"), FailureKind.UNKNOWN, None),
    ],
)
def test_an_error_is_one_kind_of_failure(error: BaseException, kind: FailureKind, reason: FailureReason | None) -> None:
    found = failure_of(error, A)
    assert (found.kind, found.reason) == (kind, reason)


def test_a_model_switch_names_its_target() -> None:
    record = {"name": "LiveSessionModelSwitchError", "message": "switch", "provider": "gamma", "model": "m3"}
    found = failure_of(record)
    assert (found.kind, found.switch_to) == (FailureKind.MODEL_SWITCH, C)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("context overflow", True),
        ("the input tokens exceed what the model takes", True),
        ("prompt exceeds the limit", True),
        ("context window is too small; minimum is 16000", False),
        ("rate limit: maximum context length", False),
        ("quota exceeded for context window limit", False),
        ("insufficient credits: prompt is too long", False),
        ("request per minute limit", False),
        ("", False),
    ],
)
def test_overflow_texts(text: str, expected: bool) -> None:
    assert is_likely_context_overflow(text) is expected


# --- the summary -------------------------------------------------------------------------------------------------


def test_the_summary_shows_no_secret_and_no_control_character() -> None:
    attempt = FallbackAttempt(A, "bad key sk-abcdefghijklmnop \x1b[31m", FailureReason.AUTH)
    text = FallbackSummary((attempt,), 1).text
    assert "sk-abc" not in text
    assert "\x1b" not in text


def test_a_summary_without_attempts_counts_the_candidates() -> None:
    assert FallbackSummary((), 3).text == "All models failed (3): unknown"


# --- properties --------------------------------------------------------------------------------------------------

failures = st.builds(
    Failure,
    st.sampled_from(FailureKind),
    st.text(max_size=5),
    st.none() | st.sampled_from(FailureReason),
    switch_to=st.none() | st.sampled_from([A, B, C]),
)
decisions = st.builds(CooldownDecision, st.sampled_from(DecisionKind), st.sampled_from(FailureReason), st.booleans())


@given(
    st.lists(st.sampled_from([A, B, C, A2]), min_size=1, max_size=6, unique=True),
    st.sampled_from(TimeoutPolicy),
    st.data(),
)
def test_every_run_ends_after_at_most_one_call_of_each_candidate(
    models: list[ModelRef], timeouts: TimeoutPolicy, data: st.DataObject
) -> None:
    state, effects = start(models, TRANSIENT_REASONS, timeouts)
    seen: list[ModelRef] = []
    for _ in range(2 * len(models)):
        last = effects[-1]
        if isinstance(last, Consult):
            event: ChainEvent = data.draw(st.just(Available()) | st.builds(Cooling, decisions))
        elif isinstance(last, Call):
            seen.append(last.model)
            event = data.draw(st.just(Succeeded()) | st.builds(CallFailed, failures))
        else:
            break
        state, effects = step(state, event)
    assert state.ended
    assert isinstance(effects[-1], FinishRun | Rethrow | RaiseFailure | RaiseSummary)
    assert seen == [model for model in models if model in seen]
    with pytest.raises(ValueError, match="ended"):
        step(state, Succeeded())


def test_a_chain_needs_a_model() -> None:
    with pytest.raises(ValueError, match="at least one"):
        start((), TRANSIENT_REASONS)
