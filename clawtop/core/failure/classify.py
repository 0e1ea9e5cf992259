"""What kind of failure is this error? The one place that answers, for the engine and for people.

Agrees with OpenClaw 2026.5.20 (its tables: `failure_phrases.py` and `failure_signal.py`) but for one thing: a contended
session is a coordination error too (thread 83510). Everything here is total and deterministic, and ends on cyclic and
on very deep causes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from clawtop.core.failure.phrase_tables import ABORTED_REQUEST
from clawtop.core.failure.record import ErrorRecord, ErrorValue, Extractor, from_exception, from_mapping, nested
from clawtop.core.failure.rules import NOTHING, Classification, Kind, normalized, timeout_text
from clawtop.core.failure.signal import direct_signal, holds_contention, holds_lock_timeout, signal_of
from clawtop.core.failure.status import (
    DEFAULT_STATUS,
    Signal,
    classify_message,
    classify_signal,
    code_reason,
    inferred_status,
    says_nothing,
)
from clawtop.core.model import FailureReason
from clawtop.core.rules import Marking

__all__ = [
    "Classification",
    "CoercionContext",
    "ErrorExplanation",
    "FailoverDescription",
    "Kind",
    "Signal",
    "classify_failure",
    "classify_message",
    "classify_signal",
    "coerced",
    "explain_error",
    "is_non_provider_runtime_coordination_error",
    "is_timeout_error",
    "marked_reason",
    "recorded",
    "signal_of",
    "status_for_reason",
]

MAX_DEPTH = 25
"""Causes below this depth are not asked, as in OpenClaw."""

INNER_NO_BODY = Classification(Kind.NONE, None, "inner-no-body", "an inner 400 or 422 without a body")

AnyError = ErrorValue | BaseException | Mapping[str, Any]


def recorded(error: AnyError, extractors: Sequence[Extractor] = ()) -> ErrorValue:
    """`error` as a value that the functions of this module read; records and plain values pass through."""
    if isinstance(error, BaseException):
        return from_exception(error, extractors)
    if isinstance(error, Mapping):
        return from_mapping(error)
    return error


def status_for_reason(reason: FailureReason | str | None) -> int | None:
    """The HTTP status that stands for a reason where the provider gave none; None for reasons without one."""
    return DEFAULT_STATUS.get(reason) if reason is not None else None


# --- classification ----------------------------------------------------------------------------------------------


def classify_failure(error: AnyError, provider_hint: str | None = None) -> Classification:
    """The class of `error`; the kind NONE where it has none. `provider_hint` counts where the error names none."""
    return _classified(recorded(error), provider_hint, set(), 0)


def _classified(value: ErrorValue, hint: str | None, seen: set[int], depth: int) -> Classification:
    if depth > MAX_DEPTH or not _first_visit(value, seen):
        return NOTHING
    if isinstance(value, ErrorRecord) and value.is_failover:
        return Classification(Kind.REASON, _known(str(value.reason)), "failover-error", str(value.reason))
    signal = signal_of(value, hint)
    answer = classify_signal(signal)
    if isinstance(value, ErrorRecord) and not value.is_simple:
        answer = _asked_within(value, answer, signal.status, _Visit(hint, seen, depth))
    if _local_without_provider(value, signal):
        return Classification(Kind.NONE, None, "session-lock", "a session lock timeout")
    if not answer and answer is not INNER_NO_BODY and is_timeout_error(value):
        return Classification(Kind.REASON, FailureReason.TIMEOUT, "timeout-error", signal.message or "")
    return answer


def _first_visit(value: ErrorValue, seen: set[int]) -> bool:
    if not isinstance(value, ErrorRecord):
        return True
    if id(value) in seen:
        return False
    seen.add(id(value))
    return True


_REASONS: Mapping[str, FailureReason] = MappingProxyType({reason.value: reason for reason in FailureReason})


def _known(reason: str) -> FailureReason | str:
    return _REASONS.get(reason, reason)


@dataclass(frozen=True, slots=True)
class _Visit:
    """How far a classification has gone: records already asked, and the depth reached."""

    hint: str | None
    seen: set[int]
    depth: int


def _asked_within(
    value: ErrorRecord, answer: Classification, status: int | float | None, visit: _Visit
) -> Classification:
    """What the errors within say where the outer one is silent, overflowed, or calls the request malformed."""
    inner = nested(value)
    if not answer or answer.kind is Kind.CONTEXT_OVERFLOW:
        for each in inner:
            found = _classified(each, visit.hint, visit.seen, visit.depth + 1)
            if found:
                return found
    if answer.reason == FailureReason.FORMAT:
        for each in inner:
            empty = _inner_said_nothing(each, status, visit.seen, visit.depth + 1)
            if empty is not None:
                return INNER_NO_BODY if empty else answer
    return answer


def _inner_said_nothing(value: ErrorValue, status: int | float | None, seen: set[int], depth: int) -> bool | None:
    """Whether a wrapped 400 or 422 came without a body; None where this branch cannot tell."""
    if depth > MAX_DEPTH or not _first_visit(value, seen):
        return None
    direct = direct_signal(value)
    inner = nested(value)
    status = direct.status if direct.status is not None else status
    if direct.message and direct.message.strip():
        if says_nothing(inferred_status(status, direct.message), direct.message):
            return True
        if not inner or classify_signal(direct):
            return False
    for each in inner:
        answer = _inner_said_nothing(each, status, seen, depth + 1)
        if answer is not None:
            return answer
    return None


def _local_without_provider(value: ErrorValue, signal: Signal) -> bool:
    """A session lock's timeout is in it, and the provider said nothing explicit: no status, no code but a network's."""
    if not holds_lock_timeout(value):
        return False
    reason = code_reason(signal.code)
    return inferred_status(signal.status, signal.message) is None and reason in (None, FailureReason.TIMEOUT)


# --- predicates --------------------------------------------------------------------------------------------------


def is_timeout_error(error: AnyError) -> bool:
    """The error is a timeout, or an abort that a timeout caused. Never one that a session lock's timeout is part of."""
    value = recorded(error)
    if _hints_at_timeout(value):
        return True
    if not isinstance(value, ErrorRecord) or value.name != "AbortError" or holds_lock_timeout(value):
        return False
    if ABORTED_REQUEST.search((signal_of(value).message or "").lower()) is not None:
        return True
    return _hints_at_timeout(value.cause) or _hints_at_timeout(value.reason)


def _hints_at_timeout(value: ErrorValue) -> bool:
    if not value or holds_lock_timeout(value):
        return False
    if isinstance(value, ErrorRecord) and value.name == "TimeoutError":
        return True
    message = signal_of(value).message
    return message is not None and timeout_text(normalized(message)) is not None


def is_non_provider_runtime_coordination_error(error: AnyError) -> bool:
    """Local contention on one session, not a failure of the model: the chain stops and nothing is recorded.

    True for a session write-lock timeout, a takeover or a contended session, direct or nested as error, cause or
    reason. False where the error was classified, or the provider said something explicit (thread 83510).
    """
    value = recorded(error)
    if isinstance(value, ErrorRecord) and value.is_failover:
        return False
    if not holds_lock_timeout(value) and not holds_contention(value):
        return False
    return not classify_failure(value)


# --- failover errors ---------------------------------------------------------------------------------------------


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
    """A classified failure with all that is known of it. None where nothing is.

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


def coerced(error: AnyError, context: CoercionContext | None = None) -> FailoverDescription | None:
    """`error` as a failover error; None if it is not a failure that another profile or model could mend.

    An error that is one already keeps all it says.
    """
    value = recorded(error)
    context = context if context is not None else CoercionContext()
    if isinstance(value, ErrorRecord) and value.is_failover:
        return _as_it_is(value)
    reason = classify_failure(value, context.provider).reason
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
        status=signal.status if signal.status is not None else status_for_reason(reason),
        code=signal.code,
        session_id=context.session_id,
        lane=context.lane,
        raw_error=message,
        suspend=bool(context.session_id) and reason in SUSPENDING,
        has_cause=isinstance(value, ErrorRecord) and value.is_exception,
    )


def _as_it_is(value: ErrorRecord) -> FailoverDescription:
    return FailoverDescription(
        message=value.message,
        reason=_known(str(value.reason)),
        provider=value.provider,
        status=value.status,
        code=value.code,
        has_cause=value.cause is not None,
        **value.details,
    )


def _fallback_text(value: ErrorValue) -> str:
    """What stands for the message of an error that has none."""
    if not isinstance(value, ErrorRecord):
        return str(value)
    return (value.name or "Error") if value.is_exception else "[object Object]"


# --- marks -------------------------------------------------------------------------------------------------------


def marked_reason(
    reason: FailureReason | str | None,
    marking: Marking,
    policy: str | None = None,
    *,
    provider_started: bool = False,
    passing: bool = False,
) -> FailureReason | str | None:
    """The reason under which a failure counts against its profile; None where it does not.

    Args:
        policy: "local" for a run whose failures are its own business: nothing is marked. "local_transient": only its
            passing failures are.
        provider_started: the provider had begun to answer.
        passing: the failure is known to pass.
    """
    if reason is None or policy == "local":
        return None
    if policy == "local_transient":
        spared = marking.spared_locally | marking.spared_if_passing if passing else marking.spared_locally
        if reason in spared:
            return None
    if reason == "timeout" and marking.timeouts_once_started:
        return reason if provider_started else None
    return None if reason in marking.never else reason


# --- explanation -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ErrorExplanation:
    """How an error is classified and why; the decision that follows is `core.failover`'s.

    Attributes:
        kind, reason, rule, matched: as in `Classification`.
        status: the error's own HTTP status, or the one that stands for the reason.
        coordination: local contention; the run ends with the true error and nothing is recorded.
        timeout: the error is a timeout by itself.
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
    error: AnyError, provider_hint: str | None, marking: Marking, *, policy: str | None = None
) -> ErrorExplanation:
    """Everything that classification says of `error`."""
    value = recorded(error)
    answer = classify_failure(value, provider_hint)
    signal = signal_of(value, provider_hint)
    status = inferred_status(signal.status, signal.message)
    return ErrorExplanation(
        kind=answer.kind,
        reason=answer.reason,
        rule=answer.rule,
        matched=answer.matched,
        status=status if status is not None else status_for_reason(answer.reason),
        coordination=is_non_provider_runtime_coordination_error(value),
        timeout=is_timeout_error(value),
        marked=marked_reason(answer.reason, marking, policy),
    )
