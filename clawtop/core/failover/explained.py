"""One error explained twice: what this OpenClaw does, what clawtop's engine does, and why they differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import tzinfo

from clawtop.core.failover.candidate import RETHROWN, Failure, FailureKind, failure_of
from clawtop.core.failover.consequences import Consequence, Consequences, consequences
from clawtop.core.failover.decision import Action, AttemptStage, Signals, TimeoutPolicy
from clawtop.core.failover.openclaw_steps import Answers, Ended, RotationCounts, openclaw_course
from clawtop.core.failover.same_account import Retries, retries_before_rotation
from clawtop.core.failure.dialect import DIALECTS
from clawtop.core.failure.differences import Difference, Readings, differences
from clawtop.core.failure.engine_reason import Reach, engine_mark, reach_of, reason_of_error, sdk_status
from clawtop.core.failure.explanation import ErrorExplanation, explain_error
from clawtop.core.failure.provider_time import provider_wait_ms
from clawtop.core.failure.record import FAILOVER_NAME, ErrorRecord, ErrorValue
from clawtop.core.failure.retry_evidence import asked_wait_ms, may_be_replayed
from clawtop.core.failure.signal import signal_of
from clawtop.core.generations import Semantics
from clawtop.core.model import FailureReason, ModelRef
from clawtop.core.rules import Marking
from clawtop.values import dataclass


@dataclass(frozen=True, slots=True)
class ByOpenClaw:
    """What an OpenClaw makes of an error.

    Attributes:
        retries: of the same account, before it rotates.
        replayable: its text is evidence, to this version, that the very same request may pass.
        moves_on: its model chain continues after this error.
        marks_first: it marks the account before it rotates, and waits for the auth store.
        follows: what a run does next, on both sides, with and without another model.
    """

    found: ErrorExplanation
    retries: Retries
    replayable: bool
    moves_on: bool
    follows: tuple[Consequence, ...]
    marks_first: bool = False


@dataclass(frozen=True, slots=True)
class ByEngine:
    """How clawtop's engine classifies it.

    Attributes:
        reason: its class; None if it is not a provider failure.
        local: a fault on this machine or in one session: the run ends with the error.
        reach: who else would meet it.
        marked: the reason under which the account is marked, None where it is not.
        wait_ms: how long the provider asks to wait.
        follows: the decisions of a run.
    """

    reason: FailureReason | None
    local: bool
    reach: Reach
    marked: FailureReason | None
    wait_ms: int | None
    follows: Consequences


@dataclass(frozen=True, slots=True)
class Explained:
    """One error, explained twice, with the deliberate differences between both."""

    openclaw: ByOpenClaw
    engine: ByEngine
    differences: tuple[Difference, ...]


ONCE_EMPTY = RotationCounts(empty=3)
"""A run whose empty replies were already retried as often as any version does."""


def explained(
    error: ErrorValue,
    provider: str | None,
    semantics: Semantics,
    *,
    now: int,
    timeouts: TimeoutPolicy = TimeoutPolicy.TERMINAL,
    zone: tzinfo | None = None,
) -> Explained:
    """Explain `error`.

    Args:
        provider: where it came from, if the error does not name one.
        now: ms since the epoch, for times in its text; `zone`: for clock times without a zone, else UTC.
    """
    dialect = DIALECTS[semantics.reading]
    found = explain_error(error, provider, semantics.marking, dialect)
    model = ModelRef(provider, "") if provider else None
    failure = failure_of(error, model, dialect)
    wait = asked_wait_ms(failure.detail, now)
    theirs = ByOpenClaw(
        found,
        retries_before_rotation(str(found.reason or ""), failure.detail, semantics.retries, wait_ms=wait),
        semantics.retries.reads_words and may_be_replayed(failure.detail, found.reason, now, code=failure.code),
        failure.kind not in RETHROWN,
        () if found.coordination else tuple(_openclaw_sides(failure, semantics, marked=found.marked is not None)),
        semantics.policy.marks_first,
    )
    ours = _by_engine(error, provider, semantics.marking, timeouts, (now, zone))
    readings = Readings(
        openclaw=found.reason if found.reason is not None else _overflow(found),
        engine=ours.reason,
        openclaw_local=found.coordination,
        engine_local=ours.local,
        names_sdk_status=sdk_status(error) is not None and signal_of(error).status is None,
        says_when=ours.wait_ms is not None,
    )
    return Explained(theirs, ours, differences(readings))


def _openclaw_sides(failure: Failure, semantics: Semantics, *, marked: bool) -> Iterator[Consequence]:
    stopped = failure.kind is FailureKind.USER_ABORT
    for stage in (AttemptStage.PROMPT, AttemptStage.ASSISTANT):
        for fallback in (True, False):
            signals = Signals(
                reason=failure.reason,
                failover_failure=failure.reason is not None,
                fallback_configured=fallback,
                aborted=stopped,
                external_abort=stopped,
            )
            ended = Ended(signals, mark=failure.reason if marked else None, words=failure.detail, status=failure.status)
            spent = openclaw_course(stage, ended, ONCE_EMPTY, Answers(rotated=False), semantics)
            last = spent.last if spent.first.action is Action.ROTATE_PROFILE else spent.first
            yield Consequence(stage, fallback, spent.first, last, waits_for_mark=spent.waits_for_mark)


def _overflow(found: ErrorExplanation) -> FailureReason | None:
    return FailureReason.CONTEXT_OVERFLOW if found.kind == "context_overflow" else None


def _by_engine(
    error: ErrorValue,
    provider: str | None,
    marking: Marking,
    timeouts: TimeoutPolicy,
    moment: tuple[int, tzinfo | None],
) -> ByEngine:
    failure = failure_of(error, ModelRef(provider, "") if provider else None)
    if failure.kind in _OURS:
        return ByEngine(None, True, Reach.END, None, None, consequences(error, provider, timeouts))
    if failure.kind is FailureKind.USER_ABORT:
        return ByEngine(None, False, Reach.END, None, None, consequences(error, provider, timeouts))
    signal = signal_of(error, provider)
    reason = reason_of_error(error, provider)
    told = _as_engine(error, reason)
    wait = provider_wait_ms({}, _body(error), signal.message or "", *moment)
    return ByEngine(
        reason,
        False,
        reach_of(reason),
        engine_mark(reason, marking),
        wait,
        consequences(told, provider, timeouts),
    )


_OURS = frozenset({FailureKind.COORDINATION, FailureKind.LOCAL, FailureKind.LANE_TIMEOUT, FailureKind.NO_HARNESS})


def _as_engine(error: ErrorValue, reason: FailureReason) -> ErrorRecord:
    """The error as the engine raises it: classified, so that everything later goes by that class."""
    record = error if isinstance(error, ErrorRecord) else ErrorRecord(message=None if error is None else str(error))
    return replace(record, name=FAILOVER_NAME, reason=reason)


def _body(error: ErrorValue) -> Mapping[str, object] | None:
    if not isinstance(error, ErrorRecord):
        return None
    found = error.body.get("body")
    return found if isinstance(found, Mapping) else None
