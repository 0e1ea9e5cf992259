"""Decisions after an attempt: the timeout policies over their whole truth table, and the order of the steps."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clawtop.core.failover.compaction import (
    abort_in_compaction_wait,
)
from clawtop.core.failover.decision import (
    Action,
    AttemptStage,
    Decision,
    Signals,
    TimeoutPolicy,
    decide,
    merge_retry_reason,
    run_iteration_limit,
)
from clawtop.core.failover.steps import (
    OPENCLAW_CAPS,
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
    caps_from_config,
)
from clawtop.core.model import CooldownConfig, FailureReason
from tests.conformance.openclaw_only import (
    Transcript,
    failure_message,
    is_compaction_timeout,
    on_run_timeout,
    transcript_after_timeout,
)

FLAGS = (
    "aborted",
    "external_abort",
    "failover_failure",
    "fallback_configured",
    "profile_rotated",
    "timed_out",
    "idle_timed_out",
    "timed_out_during_compaction",
    "timed_out_during_tool",
)
TRUTH_TABLE = [
    Signals(reason=reason, **dict(zip(FLAGS, bits, strict=True)))
    for bits in product((False, True), repeat=len(FLAGS))
    for reason in (None, FailureReason.TIMEOUT, FailureReason.RATE_LIMIT, FailureReason.FORMAT)
]
SIDES = (AttemptStage.PROMPT, AttemptStage.ASSISTANT)
MOVES_ON = {Action.ROTATE_PROFILE, Action.FALLBACK_MODEL}


def says_timeout(signals: Signals) -> bool:
    """Thread 62351's words: `timedOut`, or failover reason `timeout`; the idle watchdog is a timeout too."""
    return signals.timed_out or signals.idle_timed_out or signals.reason is FailureReason.TIMEOUT


@pytest.mark.parametrize("stage", SIDES)
def test_a_timeout_is_terminal_over_the_whole_truth_table(stage: AttemptStage) -> None:
    timeouts = [signals for signals in TRUTH_TABLE if says_timeout(signals)]
    assert len(timeouts) == 1_664
    for signals in timeouts:
        assert decide(stage, signals).action not in MOVES_ON, signals


@pytest.mark.parametrize("stage", SIDES)
def test_what_is_no_timeout_is_decided_as_openclaw_does(stage: AttemptStage) -> None:
    for signals in TRUTH_TABLE:
        if not says_timeout(signals):
            rotating = decide(stage, signals, TimeoutPolicy.ROTATE)
            assert decide(stage, signals) == decide(stage, signals, TimeoutPolicy.FALLBACK) == rotating, signals


def test_without_timeouts_an_assistant_failure_rotates_exactly_when_the_description_says() -> None:
    for signals in TRUTH_TABLE:
        described = (
            not says_timeout(signals)
            and not signals.external_abort
            and not signals.aborted
            and signals.failover_failure
            and signals.reason is not FailureReason.FORMAT
        )
        rotates = decide(AttemptStage.ASSISTANT, signals).action is Action.ROTATE_PROFILE
        assert rotates == (described and not signals.profile_rotated), signals


def test_a_timeout_that_ends_the_run_says_so() -> None:
    for stage in SIDES:
        found = decide(stage, Signals(timed_out=True, fallback_configured=True))
        assert found == Decision(Action.SURFACE_ERROR, FailureReason.TIMEOUT)


def test_a_compaction_timeout_is_apart() -> None:
    compaction = Signals(timed_out=True, timed_out_during_compaction=True, fallback_configured=True)
    for timeouts in TimeoutPolicy:
        assert decide(AttemptStage.ASSISTANT, compaction, timeouts) == Decision(Action.CONTINUE_NORMAL)


def test_falling_back_on_a_timeout_never_rotates() -> None:
    for stage, signals in product(SIDES, TRUTH_TABLE):
        model_timeout = signals.idle_timed_out or (
            signals.timed_out and not signals.timed_out_during_compaction and not signals.timed_out_during_tool
        )
        if model_timeout and not signals.external_abort:
            action = Action.FALLBACK_MODEL if signals.fallback_configured else Action.SURFACE_ERROR
            assert decide(stage, signals, TimeoutPolicy.FALLBACK) == Decision(action, FailureReason.TIMEOUT), signals


def test_a_user_abort_always_surfaces() -> None:
    for stage, signals, timeouts in product(SIDES, TRUTH_TABLE, TimeoutPolicy):
        if signals.external_abort:
            assert decide(stage, signals, timeouts) == Decision(Action.SURFACE_ERROR, signals.reason)


def test_merging_keeps_the_newest_reason() -> None:
    assert merge_retry_reason(FailureReason.AUTH, FailureReason.BILLING, True) is FailureReason.BILLING
    assert merge_retry_reason(FailureReason.AUTH, None, True) is FailureReason.TIMEOUT
    assert merge_retry_reason(FailureReason.AUTH, None, False) is FailureReason.AUTH


def test_the_iteration_limit_grows_with_the_profiles() -> None:
    assert [run_iteration_limit(count) for count in (-1, 0, 1, 2, 6, 17, 1_000)] == [32, 32, 32, 40, 72, 160, 160]


# --- steps -------------------------------------------------------------------------------------------------------

RATE_LIMITED = Signals(reason=FailureReason.RATE_LIMIT, failover_failure=True, fallback_configured=True)
OVERLOADED = Signals(reason=FailureReason.OVERLOADED, failover_failure=True, fallback_configured=True)


@pytest.mark.parametrize("stage", [AttemptStage.PROMPT, AttemptStage.ASSISTANT])
def test_rotation_comes_before_the_mark_on_both_sides(stage: AttemptStage) -> None:
    state, effects = after_failure(stage, RunState(), RATE_LIMITED)
    assert effects == (Rotate(), MarkFailure(FailureReason.RATE_LIMIT))
    state, effects = after_advance(state, True)
    assert effects == (Log(Action.ROTATE_PROFILE, FailureReason.RATE_LIMIT), Backoff(0), Retry())
    assert state == RunState(rate_limit_rotations=1, last_retry_reason=FailureReason.RATE_LIMIT)


def test_the_last_profile_is_marked_before_the_model_fallback() -> None:
    state, effects = after_failure(AttemptStage.ASSISTANT, RunState(), RATE_LIMITED)
    _, ending = after_advance(state, False)
    assert [*effects, *ending] == [
        Rotate(),
        MarkFailure(FailureReason.RATE_LIMIT),
        Backoff(0),
        Log(Action.FALLBACK_MODEL, FailureReason.RATE_LIMIT),
        Fallback(FailureReason.RATE_LIMIT, 429, suspend=True),
    ]


def rotations(signals: Signals, rules: FailoverRules, stage: AttemptStage = AttemptStage.ASSISTANT) -> int:
    """How many of 20 profiles are rotated to before the run asks another model."""
    state = RunState()
    for count in range(20):
        state, effects = after_failure(stage, state, signals, rules)
        if Rotate() not in effects:
            assert effects[0] == MarkFailure(signals.reason or FailureReason.UNKNOWN)
            assert isinstance(effects[-1], Fallback)
            return count
        state, _ = after_advance(state, True, rules)
    return 20


def test_every_profile_is_tried_unless_the_config_caps_rotation() -> None:
    assert rotations(RATE_LIMITED, FailoverRules()) == 20
    assert rotations(RATE_LIMITED, FailoverRules(caps=OPENCLAW_CAPS)) == 1
    assert rotations(RATE_LIMITED, FailoverRules(caps=OPENCLAW_CAPS), AttemptStage.PROMPT) == 1
    assert rotations(OVERLOADED, FailoverRules(caps=Caps(overloaded=3))) == 3
    assert rotations(OVERLOADED, FailoverRules(caps=Caps(overloaded=0))) == 0
    auth = Signals(reason=FailureReason.AUTH, failover_failure=True, fallback_configured=True)
    assert rotations(auth, FailoverRules(caps=OPENCLAW_CAPS)) == 20


def test_a_cap_does_not_hold_where_no_other_model_is_configured() -> None:
    alone = Signals(reason=FailureReason.RATE_LIMIT, failover_failure=True)
    assert rotations(alone, FailoverRules(caps=OPENCLAW_CAPS)) == 20


def test_caps_come_from_the_config_alone() -> None:
    assert caps_from_config(CooldownConfig()) == Caps()
    config = CooldownConfig(
        overloaded_profile_rotations=2, rate_limited_profile_rotations=0, overloaded_backoff_ms=1_500
    )
    assert caps_from_config(config) == Caps(2, 0, 1_500)
    assert caps_from_config(CooldownConfig(overloaded_backoff_ms=-5)).overloaded_backoff_ms == 0


def test_only_an_overload_backs_off() -> None:
    rules = FailoverRules(caps=Caps(overloaded_backoff_ms=250))
    for signals, pause in ((OVERLOADED, 250), (RATE_LIMITED, 0)):
        state, _ = after_failure(AttemptStage.ASSISTANT, RunState(), signals, rules)
        assert Backoff(pause) in after_advance(state, True, rules)[1]
        assert Backoff(pause) in after_advance(state, False, rules)[1]


def test_advancing_without_a_rotation_is_an_error() -> None:
    with pytest.raises(ValueError, match="no rotation"):
        after_advance(RunState(), True)


signals_of_any_kind = st.builds(
    Signals,
    reason=st.none() | st.sampled_from(FailureReason),
    **{name: st.booleans() for name in FLAGS if name != "profile_rotated"},
)
rules_of_any_kind = st.builds(
    FailoverRules,
    timeouts=st.sampled_from(TimeoutPolicy),
    caps=st.builds(Caps, st.none() | st.integers(0, 2), st.none() | st.integers(0, 2), st.integers(0, 100)),
)


def all_effects(stage: AttemptStage, signals: Signals, rules: FailoverRules, rotated: bool) -> list[RunEffect]:
    state, effects = after_failure(stage, RunState(), signals, rules)
    if Rotate() not in effects:
        return list(effects)
    return [*effects, *after_advance(state, rotated, rules)[1]]


@given(st.sampled_from(SIDES), signals_of_any_kind, rules_of_any_kind, st.booleans())
def test_a_classified_failure_is_marked_once_and_before_any_escalation(
    stage: AttemptStage, signals: Signals, rules: FailoverRules, rotated: bool
) -> None:
    effects = all_effects(stage, signals, rules, rotated)
    places = [index for index, effect in enumerate(effects) if isinstance(effect, MarkFailure)]
    classified = signals.failover_failure and signals.reason is not None and not says_timeout(signals)
    assert len(places) == int(classified)
    if places:
        assert all(isinstance(effect, Rotate) for effect in effects[: places[0]])


@given(st.sampled_from(SIDES), signals_of_any_kind, rules_of_any_kind, st.booleans())
def test_every_sequence_ends_once_and_timeouts_leave_no_mark(
    stage: AttemptStage, signals: Signals, rules: FailoverRules, rotated: bool
) -> None:
    effects = all_effects(stage, signals, rules, rotated)
    endings = [effect for effect in effects if isinstance(effect, Retry | Fallback | SurfaceError | Continue)]
    assert endings == effects[-1:]
    assert isinstance(endings[0], Retry) == (rotated and Rotate() in effects)
    if rules.timeouts is TimeoutPolicy.TERMINAL and says_timeout(signals):
        assert not any(isinstance(effect, Rotate | MarkFailure | Fallback) for effect in effects)


def test_a_message_is_a_sentence_or_the_answer() -> None:
    assert failure_message(FailureReason.BILLING, "no credits left") == "no credits left"
    assert "rate limit" in failure_message(FailureReason.RATE_LIMIT, '{"type":"rate_limit_error"}')
    assert failure_message(None, None, timed_out=True) == "LLM request timed out."
    assert failure_message(None, None) == "LLM request failed."


# --- compaction --------------------------------------------------------------------------------------------------


def test_a_compaction_gets_one_extension() -> None:
    assert on_run_timeout(pending_or_retrying=True, in_flight=False, grace_used=False) == "extend"
    assert on_run_timeout(pending_or_retrying=True, in_flight=True, grace_used=True) == "abort"
    assert on_run_timeout(pending_or_retrying=False, in_flight=False, grace_used=False) == "abort"
    assert not is_compaction_timeout(timed_out=False, pending_or_retrying=True, in_flight=True)


def test_the_transcript_before_the_compaction_is_used_where_there_is_one() -> None:
    def chosen(timed_out: bool, before: list[str] | None) -> Transcript[list[str]]:
        return transcript_after_timeout(
            timed_out_during_compaction=timed_out,
            before=before,
            before_session_id="old",
            current=["c"],
            current_session_id="new",
        )

    assert chosen(True, []) == Transcript([], "old", "pre-compaction")
    assert chosen(True, None) == chosen(False, ["b"]) == Transcript(["c"], "new", "current")


@pytest.mark.parametrize(
    ("timeouts", "action"),
    [
        (TimeoutPolicy.TERMINAL, Action.SURFACE_ERROR),
        (TimeoutPolicy.FALLBACK, Action.FALLBACK_MODEL),
        (TimeoutPolicy.ROTATE, Action.FALLBACK_MODEL),
    ],
)
def test_an_abort_in_the_compaction_wait_follows_the_timeout_setting(timeouts: TimeoutPolicy, action: Action) -> None:
    timed_out = abort_in_compaction_wait(user_aborted=False, fallback_configured=True)
    assert decide(AttemptStage.PROMPT, timed_out, timeouts).action is action
    by_user = abort_in_compaction_wait(user_aborted=True, fallback_configured=True)
    assert decide(AttemptStage.PROMPT, by_user, timeouts) == Decision(Action.SURFACE_ERROR, None)
