"""The steps after a failed attempt, in order, as effects that the engine carries out.

- Thread 57281: the run rotates first and then marks the failed profile; nothing waits for the mark. Every classified
  failure that is not a timeout is marked, before any escalation to another model.
- Thread 342: a 429 rotates at once; there is no retry of the same profile.

The order is OpenClaw 2026.5.20's (`assistant-failover.ts`, and the prompt side of `run.ts`) without its waits.
"""

from __future__ import annotations

from typing import NamedTuple

from clawtop.core.failover.decision import (
    Action,
    AttemptStage,
    Decision,
    Signals,
    TimeoutPolicy,
    decide,
    merge_retry_reason,
)
from clawtop.core.failure.classify import status_for_reason
from clawtop.core.failure.failover_error import SUSPENDING
from clawtop.core.model import CooldownConfig, FailureReason
from clawtop.values import dataclass


@dataclass(frozen=True, slots=True)
class Caps:
    """How many rotations a run makes before it asks another model instead; None: until no profile is left.

    `overloaded_backoff_ms` is the pause before the next attempt after an `overloaded` failure.
    """

    overloaded: int | None = None
    rate_limited: int | None = None
    overloaded_backoff_ms: int = 0


OPENCLAW_CAPS = Caps(overloaded=1, rate_limited=1)
"""OpenClaw 2026.5-2026.9 without configuration."""


def caps_from_config(config: CooldownConfig) -> Caps:
    """clawtop tries every eligible profile once; OpenClaw's caps apply where its config sets them."""
    return Caps(
        overloaded=config.overloaded_profile_rotations,
        rate_limited=config.rate_limited_profile_rotations,
        overloaded_backoff_ms=max(0, config.overloaded_backoff_ms or 0),
    )


@dataclass(frozen=True, slots=True)
class FailoverRules:
    """The operator's settings for one run."""

    timeouts: TimeoutPolicy = TimeoutPolicy.TERMINAL
    caps: Caps = Caps()


class RunState(NamedTuple):
    """What a run remembers between attempts.

    `empty_replies` counts replies without words. `pending` is set between
    `after_failure` and `after_advance`: the failure whose rotation is being tried.
    """

    overload_rotations: int = 0
    rate_limit_rotations: int = 0
    last_retry_reason: FailureReason | None = None
    empty_replies: int = 0
    pending: tuple[AttemptStage, Signals] | None = None


@dataclass(frozen=True, slots=True)
class Rotate:
    """Take the next profile of the provider, then report to `after_advance`. Later effects do not wait for it."""


@dataclass(frozen=True, slots=True)
class MarkFailure:
    """Have the failed profile marked in the background; the run does not wait for it."""

    reason: FailureReason


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pause before the next step; 0 is no pause. The session lock and the prompt holder are free during it."""

    ms: int


@dataclass(frozen=True, slots=True)
class Log:
    """Tell the journal which decision was taken."""

    action: Action
    reason: FailureReason | None


@dataclass(frozen=True, slots=True)
class Retry:
    """Attempt again, with the profile that was rotated to."""


@dataclass(frozen=True, slots=True)
class Fallback:
    """End the run on this model with a failure that the candidate chain moves on from.

    `suspend`: the provider has no quota left for the session's lane.
    """

    reason: FailureReason
    status: int | None
    suspend: bool = False


@dataclass(frozen=True, slots=True)
class SurfaceError:
    """End the run with its error. `as_failure`: raised as a classified failure (a chain may still move on from it);
    otherwise shown as it is, and the chain stops.
    """

    reason: FailureReason | None
    status: int | None = None
    suspend: bool = False
    as_failure: bool = False


@dataclass(frozen=True, slots=True)
class Continue:
    """There is nothing to fail over from; the attempt's result is kept."""


RunEffect = Rotate | MarkFailure | Backoff | Log | Retry | Fallback | SurfaceError | Continue
RunStep = tuple[RunState, tuple[RunEffect, ...]]


def after_failure(
    stage: AttemptStage, state: RunState, signals: Signals, rules: FailoverRules = FailoverRules()
) -> RunStep:
    """What to do now that an attempt ended; `profile_rotated` of the signals must be False.

    When the effects hold `Rotate`, the engine rotates, carries out the effects after it, and then asks
    `after_advance`. Otherwise the last effect is the end of the attempt: Fallback, Surface or Continue.
    """
    marks = (MarkFailure(signals.reason),) if signals.markable and signals.reason else ()
    if _stays_with_model(state, signals) and not signals.external_abort and not signals.any_timeout:
        spent = signals._replace(profile_rotated=True)
        return state, (*marks, *_ending(decide(stage, spent, rules.timeouts), spent, rules))
    if signals.reason is FailureReason.EMPTY_RESPONSE:
        state = state._replace(empty_replies=state.empty_replies + 1)
    decision = decide(stage, signals, rules.timeouts)
    if decision.action is not Action.ROTATE_PROFILE:
        return state, (*marks, *_ending(decision, signals, rules))
    counted, capped = _count_rotation(stage, state, signals, rules.caps)
    if capped:
        reason = signals.reason or FailureReason.UNKNOWN
        return counted, (*marks, Log(Action.FALLBACK_MODEL, reason), Fallback(reason, status_for_reason(reason)))
    return counted, (Rotate(), *marks)


def after_advance(state: RunState, rotated: bool, rules: FailoverRules = FailoverRules()) -> RunStep:
    """What follows `Rotate`: another attempt when there was a profile, else the decision without rotation.

    The mark is already on its way. Raises ValueError when no rotation is pending.
    """
    if state.pending is None:
        raise ValueError("no rotation is pending")
    stage, signals = state.pending
    state = state._replace(pending=None)
    if not rotated:
        spent = signals._replace(profile_rotated=True)
        return state, _ending(decide(stage, spent, rules.timeouts), spent, rules)
    remembered = merge_retry_reason(
        state.last_retry_reason, signals.reason, signals.timed_out or signals.idle_timed_out
    )
    effects = (Log(Action.ROTATE_PROFILE, signals.reason), _backoff(signals, rules), Retry())
    return state._replace(last_retry_reason=remembered), effects


def _count_rotation(stage: AttemptStage, state: RunState, signals: Signals, caps: Caps) -> tuple[RunState, bool]:
    """The state with this rotation counted and pending - unless its cap sends the run to another model instead.

    OpenClaw counts `overloaded` on the assistant side only, `rate_limit` on both.
    """
    overloads, limits, over = state.overload_rotations, state.rate_limit_rotations, False
    if signals.reason is FailureReason.OVERLOADED and stage is AttemptStage.ASSISTANT:
        overloads += 1
        over = caps.overloaded is not None and overloads > caps.overloaded
    elif signals.reason is FailureReason.RATE_LIMIT:
        limits += 1
        over = caps.rate_limited is not None and limits > caps.rate_limited
    capped = over and signals.fallback_configured
    pending = None if capped else (stage, signals)
    return RunState(overloads, limits, state.last_retry_reason, state.empty_replies, pending), capped


def _stays_with_model(state: RunState, signals: Signals) -> bool:
    """No other account of this model is tried: all would fail in the same way, or their endpoint is down.

    An empty reply is the model's fault, but if no other model is left the next account is tried once.
    """
    if signals.endpoint_down:
        return True
    if signals.reason is FailureReason.EMPTY_RESPONSE and not signals.fallback_configured:
        return state.empty_replies > 0
    return signals.every_account


def _backoff(signals: Signals, rules: FailoverRules) -> Backoff:
    return Backoff(rules.caps.overloaded_backoff_ms if signals.reason is FailureReason.OVERLOADED else 0)


def _ending(decision: Decision, signals: Signals, rules: FailoverRules) -> tuple[RunEffect, ...]:
    if decision.action is Action.CONTINUE_NORMAL:
        return (Continue(),)
    log = Log(decision.action, decision.reason)
    if decision.action is Action.FALLBACK_MODEL:
        reason = decision.reason or FailureReason.UNKNOWN
        return (_backoff(signals, rules), log, Fallback(reason, _status(reason, signals), reason in SUSPENDING))
    if signals.external_abort or signals.timed_out or not signals.failover_failure:
        return (log, SurfaceError(decision.reason))
    reason = decision.reason or FailureReason.UNKNOWN
    return (log, SurfaceError(reason, _status(reason, signals), reason in SUSPENDING, as_failure=True))


def _status(reason: FailureReason, signals: Signals) -> int | None:
    """The status that goes with a failure; an unclassified one whose time ran out counts as a timeout."""
    counted = FailureReason.TIMEOUT if signals.reason is None and signals.any_timeout else reason
    return status_for_reason(counted)
