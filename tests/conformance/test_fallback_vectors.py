"""OpenClaw's chain of candidate models, run from the rows' scripts."""

from __future__ import annotations

from typing import Any

from clawtop.core.failover.candidate import FallbackAttempt, FallbackSummary, failure_of
from clawtop.core.failover.decision import TimeoutPolicy
from clawtop.core.failover.fallback import (
    Available,
    Call,
    CallFailed,
    CandidateFailed,
    ChainEffect,
    ChainEvent,
    Consult,
    FinishRun,
    Moved,
    RaiseFailure,
    RaiseSummary,
    Succeeded,
    candidates,
    start,
    step,
)
from clawtop.core.failure.dialect import CLAWTOP, Dialect
from clawtop.core.failure.record import ErrorRecord, ErrorValue
from clawtop.core.model import ModelRef
from tests.conformance.differences import TIMEOUTS_COMPARED_UNDER, calls_before_contention, names_contended
from tests.conformance.harness import Row, error_from_spec, replay
from tests.conformance.openclaw_only import CHAIN_ENDS, end_text
from tests.support.rules import dialect, reads_as_the_engine, schedule, semantics

LANE = "main"


def models(names: list[str]) -> tuple[ModelRef, ...]:
    first, *others = (ModelRef(*name.split("/", 1)) for name in names)
    return candidates(first, fallbacks=others)


class Replay:
    """A run over a row's candidates; each call takes the next outcome of its script."""

    def __init__(self, given: Any, version: str, read: Dialect | None = None) -> None:
        self.dialect = dialect(version) if read is None else read
        self.end = CHAIN_ENDS[semantics(version).name]
        transient = schedule(version).transient_reasons
        self.script = list(given["script"])
        self.seen: list[ChainEffect] = []
        self.errors: list[ErrorValue] = []
        state, effects = start(models(given["candidates"]), transient, TimeoutPolicy(TIMEOUTS_COMPARED_UNDER))
        self.seen += effects
        while isinstance(effects[-1], Consult | Call):
            state, effects = step(state, self.answer(effects[-1]))
            self.seen += effects

    def answer(self, question: Consult | Call) -> ChainEvent:
        if isinstance(question, Consult):
            return Available()
        outcome = self.script.pop(0) if self.script else "ok"
        if outcome == "ok":
            return Succeeded()
        self.errors.append(error_from_spec(outcome))
        return CallFailed(failure_of(self.errors[-1], question.model, self.dialect))

    def observed(self) -> dict[str, Any]:
        ending = self.seen[-1]
        shown: dict[str, Any] = {
            "calls": [str(effect.model) for effect in self.seen if isinstance(effect, Call)],
            "onError": [told(effect) for effect in self.seen if isinstance(effect, CandidateFailed)],
            "fallbackSteps": [
                moved(effect) for effect in self.seen if isinstance(effect, Moved) and self.end.tells_steps
            ],
        }
        if isinstance(ending, FinishRun):
            answer = {"result": "OK", "provider": ending.model.provider, "model": ending.model.model}
            return {**shown, "ok": {**answer, "attempts": [attempt(each) for each in ending.attempts]}}
        return {**shown, "error": self.error(ending)}

    def error(self, ending: ChainEffect) -> dict[str, Any]:
        last = self.errors[-1]
        match ending:
            case RaiseSummary(summary):
                return self.exhausted(summary, last)
            case RaiseFailure(failure) if not self.is_failover(last):
                fields = {"message": failure.message, "reason": failure.reason, "status": failure.status}
                called = next(effect.model for effect in reversed(self.seen) if isinstance(effect, Call))
                where = {"provider": called.provider, "model": called.model, "code": failure.code, "lane": self.lane}
                return present({"name": "FailoverError", **fields, **where, "hasCause": is_thrown(last)})
            case _:
                wrapped = self.end.wraps_objects and isinstance(last, ErrorRecord) and not last.is_exception
                return {**raw(last), "hasCause": True} if wrapped else raw(last)

    def exhausted(self, summary: FallbackSummary, last: ErrorValue) -> dict[str, Any]:
        final = summary.attempts[-1]
        as_failure = {
            "reason": final.reason,
            "status": final.status,
            "provider": final.model.provider,
            "model": final.model.model,
        }
        said = {
            "name": "FailoverError" if self.end.is_failure else "FallbackSummaryError",
            "message": end_text(summary, self.end),
            "attempts": [attempt(each) for each in summary.attempts],
            "lane": self.lane,
            "hasCause": not self.is_failover(last) or is_thrown(last),
            **(as_failure if self.end.is_failure else {}),
        }
        return {**present(said), "soonestCooldownExpiry": summary.soonest_recovery}

    @property
    def lane(self) -> str | None:
        return LANE if self.dialect.describes_context else None

    def is_failover(self, error: ErrorValue) -> bool:
        known = isinstance(error, ErrorRecord) and error.is_failover
        return known and (self.dialect.failover_by_name or is_thrown(error))


def is_thrown(error: ErrorValue) -> bool:
    return isinstance(error, ErrorRecord) and error.is_exception


def raw(error: ErrorValue) -> dict[str, Any]:
    """The very error of the last call, as the rows print errors."""
    if not isinstance(error, ErrorRecord):
        return {"primitive": error}
    reason = {"name": error.reason.name} if isinstance(error.reason, ErrorRecord) else error.reason
    where = {"provider": error.provider, "model": error.details.get("model")}
    shown = {"name": error.name, "message": error.message, "reason": reason, "status": error.status, **where}
    return present({**shown, "hasCause": error.cause is not None})


def present(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def told(effect: CandidateFailed) -> dict[str, Any]:
    where = {"provider": effect.model.provider, "model": effect.model.model}
    return {**where, "attempt": effect.number, "total": effect.total}


def moved(effect: Moved) -> dict[str, Any]:
    fields = {
        "Type": "fallback_step",
        "FromModel": str(effect.source),
        "ToModel": str(effect.target) if effect.target else None,
        "FromFailureReason": effect.reason,
        "FromFailureDetail": effect.detail or None,
        "ChainPosition": effect.position,
        "FinalOutcome": effect.outcome,
    }
    return {f"fallbackStep{name}": value for name, value in present(fields).items()}


def attempt(made: FallbackAttempt) -> dict[str, Any]:
    where = {"provider": made.model.provider, "model": made.model.model}
    return present({**where, "error": made.error, "reason": made.reason, "status": made.status, "code": made.code})


def expected_of(row: Row) -> Any:
    """The row's expectation with the deliberate difference for contended sessions applied."""
    expected = row.expected
    steps = enumerate(expected["fallbackSteps"], start=1)
    classified = [number for number, step in steps if "fallbackStepFromFailureReason" in step]
    number = calls_before_contention(row.input["script"], len(expected["calls"]), classified)
    if number is None:
        return expected
    return {
        "calls": expected["calls"][:number],
        "onError": expected["onError"][: number - 1],
        "fallbackSteps": expected["fallbackSteps"][: number - 1],
        "error": raw(error_from_spec(row.input["script"][number - 1])),
    }


CANDIDATE = frozenset({"provider", "model", "code"})


def as_recorded(observed: dict[str, Any], expected: Any) -> dict[str, Any]:
    """What was observed, in the recorder's words: not every recording prints whose error ended the run."""
    error, wanted = observed.get("error"), expected.get("error")
    if not error or not wanted or CANDIDATE & set(wanted):
        return observed
    return {**observed, "error": {name: value for name, value in error.items() if name not in CANDIDATE}}


@replay("model-fallback")
def test_model_fallback(row: Row) -> None:
    observed = Replay(row.input, row.version).observed()
    assert as_recorded(observed, row.expected) == row.expected


@replay("model-fallback", of=reads_as_the_engine, where=lambda raw: any(map(names_contended, raw["input"]["script"])))
def test_clawtops_chain_ends_with_a_contended_session(row: Row) -> None:
    observed = Replay(row.input, row.version, CLAWTOP).observed()
    assert as_recorded(observed, row.expected) == expected_of(row)
