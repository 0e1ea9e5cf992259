"""Which kind of failure an error is. The only place that decides, for the engine and for explanations.

Agrees with OpenClaw 2026.5.20 (its tables: `phrase_tables` and `signal`) with one exception: a contended session is a
coordination error too (thread 83510). Everything here is total and deterministic, and terminates on cyclic and very
deep causes.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from clawtop.core.failure.dialect import CLAWTOP, TAKEOVER, Dialect
from clawtop.core.failure.local_9_6 import Local
from clawtop.core.failure.phrase_tables import ABORTED_REQUEST
from clawtop.core.failure.record import ErrorRecord, ErrorValue, from_exception, from_mapping, nested, walk
from clawtop.core.failure.rules import NOTHING, Classification, Kind, normalized
from clawtop.core.failure.signal import direct_signal, holds_code, holds_name, signal_of
from clawtop.core.failure.status import Signal, inferred_status, says_nothing
from clawtop.core.model import FailureReason

MAX_DEPTH = 25
"""Causes below this depth are not read, as in OpenClaw."""

INNER_NO_BODY = Classification(Kind.NONE, None, "inner-no-body", "an inner 400 or 422 without a body")

AnyError = ErrorValue | BaseException | Mapping[str, Any]


def recorded(error: AnyError) -> ErrorValue:
    """`error` as a value that the functions of this module read; records and plain values pass through."""
    if isinstance(error, BaseException):
        return from_exception(error)
    if isinstance(error, Mapping):
        return from_mapping(error)
    return error


def status_for_reason(reason: FailureReason | str | None, dialect: Dialect = CLAWTOP) -> int | None:
    """The HTTP status that represents a reason if the provider gave none; None for reasons without one."""
    return dialect.default_status.get(reason) if reason is not None else None


def classify_failure(error: AnyError, provider_hint: str | None = None, dialect: Dialect = CLAWTOP) -> Classification:
    """The class of `error`; the kind NONE where it has none. `provider_hint` counts where the error names none.

    Args:
        dialect: who reads it; clawtop's own engine, unless an OpenClaw version's reading is asked for.
    """
    value = recorded(error)
    if dialect.outside_in:
        return _outside_in(value, dialect)
    return _Classifying(dialect, provider_hint).classified(value, 0)


def classify_message(text: str, provider: str | None = None, dialect: Dialect = CLAWTOP) -> Classification:
    """The class of a bare error text, as found in a log."""
    if dialect.of_words is not None:
        return dialect.of_words(text, provider or "")
    return dialect.of_signal(Signal(message=text, provider=provider))


_REASONS: Mapping[str, FailureReason] = MappingProxyType({reason.value: reason for reason in FailureReason})


def known_reason(reason: str) -> FailureReason | str:
    return _REASONS.get(reason, reason)


def is_failover_error(value: ErrorValue, dialect: Dialect) -> bool:
    if not isinstance(value, ErrorRecord) or not value.is_failover:
        return False
    return dialect.failover_by_name or value.is_ours


class _Classifying:
    """One classification; remembers which records it has already read."""

    __slots__ = ("_dialect", "_hint", "_seen")

    def __init__(self, dialect: Dialect, hint: str | None) -> None:
        self._dialect = dialect
        self._hint = hint
        self._seen: set[int] = set()

    def classified(self, value: ErrorValue, depth: int) -> Classification:
        if depth > MAX_DEPTH or not self._first_visit(value):
            return NOTHING
        if isinstance(value, ErrorRecord) and is_failover_error(value, self._dialect):
            return Classification(Kind.REASON, known_reason(str(value.reason)), "failover-error", str(value.reason))
        signal = signal_of(value, self._hint)
        answer = self._dialect.of_signal(signal)
        if isinstance(value, ErrorRecord) and not value.is_simple:
            answer = self._asked_within(value, answer, signal.status, depth)
        if _local_without_provider(value, signal, self._dialect):
            return Classification(Kind.NONE, None, "session-lock", "a session lock timeout")
        if not answer and answer is not INNER_NO_BODY and is_timeout_error(value, self._dialect):
            return Classification(Kind.REASON, FailureReason.TIMEOUT, "timeout-error", signal.message or "")
        return answer

    def _first_visit(self, value: ErrorValue) -> bool:
        if not isinstance(value, ErrorRecord):
            return True
        if id(value) in self._seen:
            return False
        self._seen.add(id(value))
        return True

    def _asked_within(
        self, value: ErrorRecord, answer: Classification, status: int | float | None, depth: int
    ) -> Classification:
        """What the nested errors say if the outer one has no class, is an overflow, or calls the request malformed."""
        inner = nested(value)
        if not answer or answer.kind is Kind.CONTEXT_OVERFLOW:
            for each in inner:
                found = self.classified(each, depth + 1)
                if found:
                    return found
        if answer.reason == FailureReason.FORMAT:
            for each in inner:
                empty = self._said_nothing(each, status, depth + 1)
                if empty is not None:
                    return INNER_NO_BODY if empty else answer
        return answer

    def _said_nothing(self, value: ErrorValue, status: int | float | None, depth: int) -> bool | None:
        """Whether a wrapped 400 or 422 came without a body; None if this branch cannot tell."""
        if depth > MAX_DEPTH or not self._first_visit(value):
            return None
        direct = direct_signal(value)
        inner = nested(value)
        status = direct.status if direct.status is not None else status
        if direct.message and direct.message.strip():
            if says_nothing(inferred_status(status, direct.message), direct.message):
                return True
            if not inner or self._dialect.of_signal(direct):
                return False
        for each in inner:
            answer = self._said_nothing(each, status, depth + 1)
            if answer is not None:
                return answer
        return None


def _outside_in(value: ErrorValue, dialect: Dialect) -> Classification:
    """2026.3.28: status, code, then the same for each cause; then timeouts and words, from the innermost cause
    outwards.
    """
    chain: list[ErrorValue] = []
    current: ErrorValue = value
    while current is not None and not any(current is each for each in chain if isinstance(each, ErrorRecord)):
        if isinstance(current, ErrorRecord) and is_failover_error(current, dialect):
            return Classification(Kind.REASON, known_reason(str(current.reason)), "failover-error", str(current.reason))
        answer = dialect.of_signal(signal_of(current))
        if answer:
            return answer
        chain.append(current)
        current = current.cause if isinstance(current, ErrorRecord) else None
    for each in reversed(chain):
        signal = signal_of(each)
        if is_timeout_error(each, dialect):
            return Classification(Kind.REASON, FailureReason.TIMEOUT, "timeout-error", signal.message or "")
        answer = classify_message(signal.message or "", None, dialect)
        if answer:
            return answer
    return NOTHING


def _local_without_provider(value: ErrorValue, signal: Signal, dialect: Dialect) -> bool:
    """It contains a session lock's timeout, and the provider said nothing explicit: no status, no code except network
    ones.
    """
    if not holds_code(value, dialect.lock_codes):
        return False
    reason = dialect.code_reason(signal.code)
    return inferred_status(signal.status, signal.message) is None and reason in (None, FailureReason.TIMEOUT)


def is_timeout_error(error: AnyError, dialect: Dialect = CLAWTOP) -> bool:
    """The error is a timeout, or an abort that a timeout caused. Never one that a session lock's timeout is part of."""
    value = recorded(error)
    if _hints_at_timeout(value, dialect):
        return True
    if not isinstance(value, ErrorRecord) or value.name != "AbortError" or holds_code(value, dialect.lock_codes):
        return False
    if ABORTED_REQUEST.search((signal_of(value).message or "").lower()) is not None:
        return True
    return _hints_at_timeout(value.cause, dialect) or _hints_at_timeout(value.reason, dialect)


def _hints_at_timeout(value: ErrorValue, dialect: Dialect) -> bool:
    if not value or holds_code(value, dialect.lock_codes):
        return False
    if isinstance(value, ErrorRecord) and value.name == "TimeoutError":
        return True
    message = signal_of(value).message
    return message is not None and dialect.timeout_text(normalized(message)) is not None


def is_non_provider_runtime_coordination_error(error: AnyError, dialect: Dialect = CLAWTOP) -> bool:
    """Local contention on one session, not a failure of the model: the chain stops and nothing is recorded.

    True for a session write-lock timeout, a takeover or a contended session, direct or nested as error, cause or
    reason. False where the error was classified, or the provider said something explicit (thread 83510).
    """
    value = recorded(error)
    if dialect.local is not None:
        local = dialect.local(value)
        return local is Local.ALWAYS or (
            local is Local.UNLESS_CLASSIFIED and not classify_failure(value, None, dialect)
        )
    if dialect.takeover_wins and isinstance(value, ErrorRecord) and value.name == TAKEOVER:
        return True
    if isinstance(value, ErrorRecord) and value.is_failover:
        return False
    said = dialect.local_unclassified
    marked = said is not None and any(said(each) for each in walk(value))
    if not marked and not holds_code(value, dialect.lock_codes) and not holds_name(value, dialect.local_names):
        return False
    return not classify_failure(value, None, dialect)
