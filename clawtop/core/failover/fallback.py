"""The run over candidate models, as a state machine: `start`, then `step(state, event)` -> new state and effects.

As OpenClaw (`model-fallback.ts`): the requested model, then the fallbacks; a candidate whose profiles are all cooling
is skipped or probed; a failure moves on to the next candidate. Exceptions: an abort by the user, and a coordination
error, which is rethrown on the first candidate and never recorded (thread 83510). A timeout ends the chain unless
`TimeoutPolicy` says otherwise (thread 62351).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from clawtop.core.failover.candidate import (
    DETAIL_CELLS,
    RETHROWN,
    Failure,
    FailureKind,
    FallbackAttempt,
    FallbackSummary,
)
from clawtop.core.failover.decision import TimeoutPolicy
from clawtop.core.failover.probing import CooldownDecision, DecisionKind
from clawtop.core.failure.provider_json import body_of
from clawtop.core.model import FailureReason, ModelRef
from clawtop.text import shown
from clawtop.values import dataclass


def candidates(
    requested: ModelRef | None,
    *,
    fallbacks: Sequence[ModelRef] = (),
    primary: ModelRef | None = None,
) -> tuple[ModelRef, ...]:
    """The models of a run, in order, each once.

    Args:
        requested: the model asked for; the primary one when there is none.
        fallbacks, primary: what the config names; the primary model comes last.
    """
    wanted = [requested or primary, *fallbacks, primary]
    unique = {_key(model): model for model in reversed(wanted) if model and model.provider and model.model}
    order = dict.fromkeys(_key(model) for model in wanted if model and model.provider and model.model)
    return tuple(unique[key] for key in order)


def _key(model: ModelRef) -> str:
    """`provider/model`; a model id that already starts with its provider is not prefixed again."""
    provider, name = model.provider.strip(), model.model.strip()
    return name if name.lower().startswith(f"{provider.lower()}/") else f"{provider}/{name}"


# --- events ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Available:
    """The candidate has a usable profile (or no profiles that could cool)."""


@dataclass(frozen=True, slots=True)
class Cooling:
    """Every profile of the candidate is cooling for its model: what the cooldown rules say about it."""

    decision: CooldownDecision


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The candidate answered."""


@dataclass(frozen=True, slots=True)
class CallFailed:
    """The call of the candidate failed."""

    failure: Failure


ChainEvent = Available | Cooling | Succeeded | CallFailed


# --- effects -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Consult:
    """Look at the candidate's profiles and answer with `Available` or `Cooling`."""

    model: ModelRef
    is_primary: bool
    requested_model: bool
    has_fallbacks: bool


@dataclass(frozen=True, slots=True)
class MarkProbe:
    """Note the time of this probe: the provider is not probed again for a while."""

    provider: str


@dataclass(frozen=True, slots=True)
class Call:
    """Run the candidate. `probe`: it may use a profile although it cools."""

    model: ModelRef
    number: int
    total: int
    probe: bool = False


@dataclass(frozen=True, slots=True)
class SuspendLane:
    """The candidate's provider is exhausted; OpenClaw suspends the session's lane for it."""

    model: ModelRef
    reason: FailureReason


@dataclass(frozen=True, slots=True)
class Moved:
    """A step of the chain, for the journal: from a candidate that gave no answer to the next, or to the end."""

    source: ModelRef
    target: ModelRef | None
    reason: FailureReason | None
    detail: str
    position: int
    outcome: Literal["next_fallback", "chain_exhausted", "succeeded"]


@dataclass(frozen=True, slots=True)
class CandidateFailed:
    """Tell the run's watchers that a candidate failed. `number` counts from 1."""

    model: ModelRef
    failure: Failure
    number: int
    total: int


@dataclass(frozen=True, slots=True)
class FinishRun:
    """The run has its answer."""

    model: ModelRef
    attempts: tuple[FallbackAttempt, ...]


@dataclass(frozen=True, slots=True)
class Rethrow:
    """End the run with the very error that the last call raised."""


@dataclass(frozen=True, slots=True)
class RaiseFailure:
    """End the run with one candidate's classified failure."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class RaiseSummary:
    """End the run: no candidate answered. The engine fills in `soonest_recovery`."""

    summary: FallbackSummary


ChainEffect = (
    Consult
    | MarkProbe
    | Call
    | SuspendLane
    | Moved
    | CandidateFailed
    | FinishRun
    | Rethrow
    | RaiseFailure
    | RaiseSummary
)


@dataclass(frozen=True, slots=True)
class ChainState:
    """A run over candidates.

    Attributes:
        index: the candidate that is being consulted or called.
        failure: the last one that was recorded.
        probed: providers that had their one cooldown probe of this run.
        probing: the provider whose probe the running call is.
        left: providers whose other models are not tried: they would fail in the same way.
        ended: nothing follows any more.
        transient: reasons of cooldowns that may be over early (`Schedule.transient_reasons`).
    """

    candidates: tuple[ModelRef, ...]
    transient: frozenset[str]
    timeouts: TimeoutPolicy = TimeoutPolicy.TERMINAL
    index: int = 0
    attempts: tuple[FallbackAttempt, ...] = ()
    failure: Failure | None = None
    probed: frozenset[str] = frozenset()
    probing: str | None = None
    left: frozenset[str] = frozenset()
    ended: bool = False

    @property
    def model(self) -> ModelRef:
        return self.candidates[self.index]

    @property
    def next_index(self) -> int | None:
        """The next candidate whose provider has not been given up; None if there is none."""
        later = range(self.index + 1, len(self.candidates))
        return next((index for index in later if self.candidates[index].provider not in self.left), None)

    @property
    def next_model(self) -> ModelRef | None:
        return None if self.next_index is None else self.candidates[self.next_index]


ChainStep = tuple[ChainState, tuple[ChainEffect, ...]]

_PROBE_NOT_USED_UP = frozenset(
    {
        FailureReason.MODEL_NOT_FOUND,
        FailureReason.FORMAT,
        FailureReason.AUTH,
        FailureReason.AUTH_PERMANENT,
        FailureReason.SESSION_EXPIRED,
        FailureReason.TLS_CERTIFICATE,
    }
)
"""A probe that failed like this says nothing about the provider's limits: another of its models may be probed."""

_PROVIDER_WIDE = frozenset({FailureReason.TLS_CERTIFICATE})
"""Every model of the provider would meet the same (OpenClaw 2026.8 on, whose classes these are)."""


def start(
    models: Sequence[ModelRef],
    transient: frozenset[str],
    timeouts: TimeoutPolicy = TimeoutPolicy.TERMINAL,
) -> ChainStep:
    """Begin a run over `models` (see `candidates`). Raises ValueError when there are none."""
    if not models:
        raise ValueError("a run needs at least one model")
    return _consult(ChainState(tuple(models), transient, timeouts))


def step(state: ChainState, event: ChainEvent) -> ChainStep:
    """The chain after an event, and what is to be done, in order. Raises ValueError once the chain has ended."""
    if state.ended:
        raise ValueError("the chain has ended")
    match event:
        case Available():
            return state, (_call(state),)
        case Cooling(decision):
            return _on_cooling(state, decision)
        case Succeeded():
            return _on_success(state)
        case CallFailed(failure):
            return _on_failure(state, failure)


def _consult(state: ChainState) -> ChainStep:
    requested = state.model == state.candidates[0]
    return state, (Consult(state.model, state.index == 0, requested, len(state.candidates) > 1),)


def _call(state: ChainState, *, probe: bool = False) -> Call:
    return Call(state.model, state.index + 1, len(state.candidates), probe)


def _on_cooling(state: ChainState, decision: CooldownDecision) -> ChainStep:
    provider, reason = state.model.provider, decision.reason
    if decision.kind in {DecisionKind.SUSPEND_LANES, DecisionKind.SUSPEND_SESSION}:
        skipped = _skip(state, reason, f"Provider {provider} is in cooldown (suspending lanes)")
        return skipped[0], (SuspendLane(state.model, reason), *skipped[1])
    if decision.kind is DecisionKind.SKIP:
        return _skip(state, reason, decision.error or f"Provider {provider} is in cooldown")
    mark = (MarkProbe(provider),) if decision.mark_probe else ()
    transient = reason in state.transient
    if transient and provider in state.probed:
        skipped = _skip(state, reason, f"Provider {provider} is in cooldown (probe already attempted this run)")
        return skipped[0], (*mark, *skipped[1])
    probe = transient or reason is FailureReason.BILLING
    return replace(state, probing=provider if transient else None), (*mark, _call(state, probe=probe))


def _skip(state: ChainState, reason: FailureReason, error: str) -> ChainStep:
    moved = _moved(state, reason, error)
    return _advance(_recorded(state, FallbackAttempt(state.model, error, reason)), moved)


def _on_success(state: ChainState) -> ChainStep:
    finish = FinishRun(state.model, state.attempts)
    state = replace(state, ended=True)
    if not state.attempts:
        return state, (finish,)
    last = state.attempts[-1]
    detail = shown(last.error, DETAIL_CELLS)
    return state, (Moved(last.model, state.model, last.reason, detail, state.index + 1, "succeeded"), finish)


def _on_failure(state: ChainState, failure: Failure) -> ChainStep:
    if failure.kind in RETHROWN:
        return replace(state, ended=True), (RaiseFailure(failure) if _is_classified(failure) else Rethrow(),)
    state = _after_probe(state, failure)
    if failure.kind is FailureKind.MODEL_SWITCH:
        return _switched(state, failure)
    if failure.kind is FailureKind.UNKNOWN and state.next_model is None:
        return replace(state, ended=True), (Rethrow(),)
    if failure.reason in _PROVIDER_WIDE:
        state = replace(state, left=state.left | {state.model.provider})
    moved = _moved(state, failure.reason, body_of(failure.detail).message or failure.detail)
    failed = CandidateFailed(state.model, failure, state.index + 1, len(state.candidates))
    state = replace(_recorded(state, _attempt(state, failure)), failure=failure)
    if failure.reason is FailureReason.TIMEOUT and state.timeouts is TimeoutPolicy.TERMINAL:
        ending = replace(moved, target=None, outcome="chain_exhausted")
        return replace(state, ended=True), (ending, failed, RaiseFailure(failure))
    return _advance(state, moved, failed)


def _is_classified(failure: Failure) -> bool:
    """A conversation that is too long for the model may come as a classified failure, and is then raised as one."""
    return failure.kind is FailureKind.CONTEXT_OVERFLOW and failure.reason is not None


def _switched(state: ChainState, failure: Failure) -> ChainStep:
    """The session was switched to another model: continue there if it is still to come, else count it as a failure."""
    if failure.switch_to is not None:
        wanted = _key(failure.switch_to)
        for index in range(state.index + 1, len(state.candidates)):
            if _key(state.candidates[index]) == wanted:
                return _consult(replace(state, index=index))
    failure = replace(failure, reason=FailureReason.UNKNOWN)
    moved = _moved(state, failure.reason, failure.detail)
    return _advance(replace(_recorded(state, _attempt(state, failure)), failure=failure), moved)


def _after_probe(state: ChainState, failure: Failure) -> ChainState:
    if state.probing is None:
        return state
    used_up = failure.reason not in _PROBE_NOT_USED_UP
    return replace(state, probing=None, probed=state.probed | {state.probing} if used_up else state.probed)


def _attempt(state: ChainState, failure: Failure) -> FallbackAttempt:
    reason = failure.reason or FailureReason.UNKNOWN
    return FallbackAttempt(state.model, failure.detail, reason, failure.status, failure.code)


def _recorded(state: ChainState, attempt: FallbackAttempt) -> ChainState:
    return replace(state, attempts=(*state.attempts, attempt))


def _moved(state: ChainState, reason: FailureReason | None, error: str) -> Moved:
    outcome: Literal["next_fallback", "chain_exhausted"] = "next_fallback" if state.next_model else "chain_exhausted"
    return Moved(state.model, state.next_model, reason, shown(error, DETAIL_CELLS), state.index + 1, outcome)


def _advance(state: ChainState, *effects: ChainEffect) -> ChainStep:
    if state.next_index is not None:
        state, consult = _consult(replace(state, index=state.next_index))
        return state, (*effects, *consult)
    state = replace(state, ended=True)
    if len(state.attempts) <= 1 and state.failure is not None:
        return state, (*effects, RaiseFailure(state.failure))
    return state, (*effects, RaiseSummary(FallbackSummary(state.attempts, len(state.candidates))))
