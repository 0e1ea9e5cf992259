"""Everything that classification says of one error."""

from __future__ import annotations

from clawtop.core.failure.classify import (
    AnyError,
    classify_failure,
    is_non_provider_runtime_coordination_error,
    is_timeout_error,
    recorded,
    status_for_reason,
)
from clawtop.core.failure.dialect import CLAWTOP, Dialect
from clawtop.core.failure.marked import marked_reason
from clawtop.core.failure.rules import Kind
from clawtop.core.failure.signal import signal_of
from clawtop.core.failure.status import inferred_status
from clawtop.core.model import FailureReason
from clawtop.core.rules import Marking
from clawtop.values import dataclass


@dataclass(frozen=True, slots=True)
class ErrorExplanation:
    """How an error is classified and why; the decision that follows is `core.failover`'s.

    Attributes:
        kind, reason, rule, matched: as in `Classification`.
        status: the error's own HTTP status, or the one that represents the reason.
        coordination: local contention; the run ends with the true error and nothing is recorded.
        timeout: the error itself is a timeout.
        marked: the reason under which the profile is marked, or None.
        failure: it counts as a failure that failover deals with.
    """

    kind: Kind
    reason: FailureReason | str | None
    rule: str
    matched: str
    status: int | float | None
    coordination: bool
    timeout: bool
    marked: FailureReason | str | None

    @property
    def failure(self) -> bool:
        return self.kind is Kind.REASON


def explain_error(
    error: AnyError,
    provider_hint: str | None,
    marking: Marking,
    dialect: Dialect = CLAWTOP,
) -> ErrorExplanation:
    """Everything that classification says of `error`."""
    value = recorded(error)
    answer = classify_failure(value, provider_hint, dialect)
    signal = signal_of(value, provider_hint)
    status = inferred_status(signal.status, signal.message)
    return ErrorExplanation(
        kind=answer.kind,
        reason=answer.reason,
        rule=answer.rule,
        matched=answer.matched,
        status=status if status is not None else status_for_reason(answer.reason, dialect),
        coordination=is_non_provider_runtime_coordination_error(value, dialect),
        timeout=is_timeout_error(value, dialect),
        marked=marked_reason(answer.reason, marking),
    )
