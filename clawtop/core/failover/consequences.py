"""What follows an error, on the prompt side and the assistant side, with and without a fallback model."""

from __future__ import annotations

from clawtop.core.failover.candidate import Failure, FailureKind, failure_of
from clawtop.core.failover.decision import Action, AttemptStage, Decision, Signals, TimeoutPolicy, decide
from clawtop.core.failover.fallback import Available, CallFailed, Consult, start, step
from clawtop.core.failure.engine_reason import Reach, reach_of
from clawtop.core.failure.record import ErrorValue
from clawtop.core.model import FailureReason, ModelRef
from clawtop.core.rules import TRANSIENT_REASONS
from clawtop.values import dataclass

_TWO_MODELS = (ModelRef("this", "model"), ModelRef("next", "model"))


@dataclass(frozen=True, slots=True)
class Consequence:
    """What follows on one side.

    Attributes:
        first: the decision while the provider has another usable profile.
        last: the decision once rotation has found none; the same as `first` where nothing rotates.
        waits_for_mark: if rotation found no profile, the run waits until the account is marked.
    """

    stage: AttemptStage
    fallback_configured: bool
    first: Decision
    last: Decision
    waits_for_mark: bool = False


@dataclass(frozen=True, slots=True)
class Consequences:
    """What follows an error.

    Attributes:
        marked: the reason under which clawtop marks the profile, None where it does not.
        chain_moves_on: the candidate chain asks its next model, if there is one.
        sides: the decisions; empty for coordination errors, which end the run as they are.
    """

    failure: Failure
    marked: FailureReason | None
    chain_moves_on: bool
    sides: tuple[Consequence, ...]


def consequences(
    error: ErrorValue, provider: str | None = None, timeouts: TimeoutPolicy = TimeoutPolicy.TERMINAL
) -> Consequences:
    """What would follow `error` if it were raised by an attempt, under clawtop's rules."""
    failure = failure_of(error, ModelRef(provider, "") if provider else None)
    state, _ = start(_TWO_MODELS, TRANSIENT_REASONS, timeouts)
    state, _ = step(state, Available())
    moves_on = isinstance(step(state, CallFailed(failure))[1][-1], Consult)
    if failure.kind in {FailureKind.COORDINATION, FailureKind.LOCAL}:
        return Consequences(failure, None, moves_on, ())
    signals = Signals(
        reason=failure.reason,
        failover_failure=failure.reason is not None,
        every_account=reach_of(failure.reason) is not Reach.ACCOUNT,
        aborted=failure.kind is FailureKind.USER_ABORT,
        external_abort=failure.kind is FailureKind.USER_ABORT,
    )
    sides = tuple(
        _side(stage, fallback, signals, timeouts)
        for stage in (AttemptStage.PROMPT, AttemptStage.ASSISTANT)
        for fallback in (True, False)
    )
    return Consequences(failure, signals.reason if signals.markable else None, moves_on, sides)


def _side(stage: AttemptStage, fallback: bool, signals: Signals, timeouts: TimeoutPolicy) -> Consequence:
    fresh = signals._replace(fallback_configured=fallback)
    first = decide(stage, fresh, timeouts)
    if first.action is not Action.ROTATE_PROFILE:
        return Consequence(stage, fallback, first, first)
    return Consequence(stage, fallback, first, decide(stage, fresh._replace(profile_rotated=True), timeouts))
