"""The run over candidate models: carries out what `core.failover.fallback` decides.

A coordination error is rethrown on the first candidate and never recorded: the run was called once and the caller sees
the actual error (thread 83510) - unless the provider said something explicit, which always wins.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Generic, Protocol, TypeVar

from clawtop.core.failover import candidate as candidate_failure
from clawtop.core.failover.candidate import Failure, FailureKind, FallbackSummary
from clawtop.core.failover.decision import TimeoutPolicy
from clawtop.core.failover.fallback import (
    Available,
    Call,
    CallFailed,
    CandidateFailed,
    ChainEffect,
    ChainEvent,
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
    start,
    step,
)
from clawtop.core.failure.engine_reason import Reach, reach_of
from clawtop.core.model import ModelRef
from clawtop.engine.drive.turn import TurnTimeoutError
from clawtop.engine.providers.errors import ProviderError
from clawtop.errors import ClawtopError
from clawtop.store.provider.model_config import ProviderUnknownError
from clawtop.text import shown

T = TypeVar("T")


class AllModelsFailedError(ClawtopError):
    """No candidate answered (exit 5). `summary` lists every attempt and the soonest recovery (ms since the epoch)."""

    exit_code = 5

    def __init__(self, summary: FallbackSummary, *, hint: str = "") -> None:
        super().__init__(shown(summary.text, 2000), hint=hint)
        self.summary = summary


class ChainHost(Protocol):
    """What the chain needs from the engine."""

    def consult(self, question: Consult) -> Available | Cooling:
        """Whether the candidate has a usable profile now, and if not, what the cooldown rules say."""

    def mark_probe(self, provider: str) -> None:
        """A probe of this provider goes out now."""

    def moved(self, step: Moved) -> None:
        """The chain goes from a candidate without an answer to the next, or to its end."""

    def suspended(self, step: SuspendLane) -> None:
        """OpenClaw would suspend the session's lane now."""

    def larger_window_follows(self, model: ModelRef) -> bool:
        """A model that takes a longer conversation than this one is still to come."""

    def soonest_recovery(self, models: Sequence[ModelRef]) -> int | None:
        """When a profile of any of these models is usable again, ms since the epoch."""


class Chain(Generic[T]):
    """One run over candidates. `run` is awaited once. `transient`: reasons of cooldowns that may be over early."""

    def __init__(
        self,
        models: Sequence[ModelRef],
        call: Callable[[Call], Awaitable[T]],
        host: ChainHost,
        transient: frozenset[str],
        timeouts: TimeoutPolicy = TimeoutPolicy.TERMINAL,
    ) -> None:
        self._call = call
        self._host = host
        self._models = tuple(models)
        self._state, self._effects = start(self._models, transient, timeouts)
        self._last_error: BaseException | None = None
        self._answer: T | None = None

    async def run(self) -> T:
        """The first candidate's answer.

        Raises:
            AllModelsFailedError: none answered.
            CoordinationError, and other errors that another model could not avoid: as raised.
            ProviderError: the only candidate's failure, or the timeout that ended the run.
        """
        while True:
            event = None
            for effect in self._effects:
                event = await self._carry_out(effect) or event
            if event is None:
                return self._answered()
            self._state, self._effects = step(self._state, event)

    def _answered(self) -> T:
        if self._answer is None:
            raise RuntimeError("the chain ended without an answer")
        return self._answer

    async def _carry_out(self, effect: ChainEffect) -> ChainEvent | None:
        match effect:
            case Consult():
                return self._host.consult(effect)
            case Call():
                return await self._called(effect)
            case MarkProbe(provider):
                self._host.mark_probe(provider)
            case Moved():
                self._host.moved(effect)
            case SuspendLane():
                self._host.suspended(effect)
            case Rethrow() | RaiseFailure():
                raise self._last_error or RuntimeError("nothing to rethrow")
            case RaiseSummary(summary):
                raise self._summary_error(summary) from self._last_error
            case CandidateFailed() | FinishRun():
                pass
        return None

    async def _called(self, call: Call) -> ChainEvent:
        try:
            self._answer = await self._call(call)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - every failure of a candidate is the chain's to judge
            self._last_error = error
            return CallFailed(self._judged(failure_of(error, call.model), call.model))
        return Succeeded()

    def _judged(self, failure: Failure, model: ModelRef) -> Failure:
        """A failure and its consequence for the chain: a conversation that is too long needs a model with a larger
        window.
        """
        reach = reach_of(failure.reason) if failure.kind is FailureKind.PROVIDER else Reach.ACCOUNT
        if reach is Reach.END:
            return replace(failure, kind=FailureKind.REFUSED)
        if reach is Reach.WINDOW and not self._host.larger_window_follows(model):
            return replace(failure, kind=FailureKind.REFUSED)
        return failure

    def _summary_error(self, summary: FallbackSummary) -> AllModelsFailedError:
        soonest = self._host.soonest_recovery(self._models)
        return AllModelsFailedError(
            FallbackSummary(summary.attempts, summary.total, soonest),
            hint="clawtop status shows which profile is usable when",
        )


def failure_of(error: Exception, model: ModelRef) -> Failure:
    """A failed call as the chain sees it: what clawtop knows for certain, else what the error says."""
    if isinstance(error, ProviderError):
        return Failure(FailureKind.PROVIDER, error.message, error.reason, error.status, error.code)
    if isinstance(error, TurnTimeoutError):
        return Failure(FailureKind.LANE_TIMEOUT, error.title)
    failure = candidate_failure.failure_of(error, model)
    if failure.kind is FailureKind.UNKNOWN and _is_local(error):
        return replace(failure, kind=FailureKind.NO_HARNESS)
    return failure


def _is_local(error: Exception) -> bool:
    """The problem is local: another model would fail too."""
    return isinstance(error, ClawtopError) and not isinstance(error, ProviderError | ProviderUnknownError)
