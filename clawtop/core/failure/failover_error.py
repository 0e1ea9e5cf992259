"""An error as a failover error: a classified failure with everything that is known about it."""

from __future__ import annotations

from dataclasses import field

from clawtop.core.failure.classify import (
    AnyError,
    classify_failure,
    is_failover_error,
    known_reason,
    recorded,
    status_for_reason,
)
from clawtop.core.failure.dialect import CLAWTOP, Dialect
from clawtop.core.failure.record import ErrorRecord, ErrorValue
from clawtop.core.failure.signal import signal_of
from clawtop.core.model import FailureReason
from clawtop.values import dataclass


@dataclass(frozen=True, slots=True)
class CoercionContext:
    """Where an attempt ran; goes into the description of its failure."""

    provider: str | None = None
    model: str | None = None
    profile_id: str | None = None
    session_id: str | None = None
    lane: str | None = None


@dataclass(frozen=True, slots=True)
class FailoverDescription:
    """A classified failure with everything known about it. None if nothing is.

    Attributes:
        raw_error: the error's own words.
        suspend: the session may be suspended until the quota is back; None where the error was classified elsewhere.
        has_cause: there is a thrown error behind it.
    """

    message: str | None = field(repr=False)
    reason: FailureReason | str
    provider: str | None = None
    model: str | None = None
    profile_id: str | None = None
    status: int | float | None = None
    code: str | None = None
    session_id: str | None = None
    lane: str | None = None
    raw_error: str | None = field(default=None, repr=False)
    suspend: bool | None = None
    has_cause: bool = False


SUSPENDING = frozenset({FailureReason.RATE_LIMIT, FailureReason.BILLING})


def coerced(
    error: AnyError, context: CoercionContext | None = None, dialect: Dialect = CLAWTOP
) -> FailoverDescription | None:
    """`error` as a failover error; None if it is not a failure that another profile or model could avoid.

    An error that already is one keeps all its details.
    """
    value = recorded(error)
    context = context if context is not None else CoercionContext()
    if isinstance(value, ErrorRecord) and is_failover_error(value, dialect):
        return _as_it_is(value)
    reason = classify_failure(value, context.provider, dialect).reason
    if not reason:
        return None
    signal = signal_of(value)
    message = signal.message if signal.message is not None else _fallback_text(value)
    return FailoverDescription(
        message=message,
        reason=reason,
        provider=context.provider if context.provider is not None else signal.provider,
        model=context.model,
        profile_id=context.profile_id,
        status=signal.status if signal.status is not None else status_for_reason(reason, dialect),
        code=signal.code,
        session_id=context.session_id if dialect.describes_context else None,
        lane=context.lane if dialect.describes_context else None,
        raw_error=message if dialect.describes_context else None,
        suspend=bool(context.session_id) and reason in SUSPENDING if dialect.describes_context else None,
        has_cause=isinstance(value, ErrorRecord) and value.is_exception,
    )


def _as_it_is(value: ErrorRecord) -> FailoverDescription:
    return FailoverDescription(
        message=value.message,
        reason=known_reason(str(value.reason)),
        provider=value.provider,
        status=value.status,
        code=value.code,
        has_cause=value.cause is not None,
        **value.details,
    )


def _fallback_text(value: ErrorValue) -> str:
    """The message to use for an error that has none."""
    if not isinstance(value, ErrorRecord):
        return str(value)
    return (value.name or "Error") if value.is_exception else "[object Object]"
