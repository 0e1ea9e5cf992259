"""A candidate model that gave no answer: the kind of failure, and what gets recorded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from types import MappingProxyType

from clawtop.core.failure import phrase_tables as phrases
from clawtop.core.failure.classify import (
    AnyError,
    is_non_provider_runtime_coordination_error,
    is_timeout_error,
    recorded,
)
from clawtop.core.failure.dialect import CLAWTOP, Dialect
from clawtop.core.failure.failover_error import CoercionContext, FailoverDescription, coerced
from clawtop.core.failure.local_trouble import is_local_trouble
from clawtop.core.failure.phrases import Phrases, ordered
from clawtop.core.failure.record import ErrorRecord, ErrorValue
from clawtop.core.failure.rules import billing_text, normalized
from clawtop.core.failure.signal import signal_of
from clawtop.core.model import FailureReason, ModelRef
from clawtop.patterns import regex
from clawtop.text import shown
from clawtop.values import dataclass

DETAIL_CELLS = 400

ABORT_NAME = "AbortError"
LANE_TIMEOUT_NAME = "CommandLaneTaskTimeoutError"
MODEL_SWITCH_NAME = "LiveSessionModelSwitchError"


class FailureKind(StrEnum):
    """The kinds of failed calls, in order of precedence: the first that matches applies."""

    LANE_TIMEOUT = "lane-timeout"
    USER_ABORT = "user-abort"
    COORDINATION = "coordination"
    LOCAL = "local"
    CONTEXT_OVERFLOW = "context-overflow"
    NO_HARNESS = "no-harness"
    REFUSED = "refused"
    MODEL_SWITCH = "model-switch"
    PROVIDER = "provider"
    UNKNOWN = "unknown"


RETHROWN = frozenset(
    {
        FailureKind.LANE_TIMEOUT,
        FailureKind.USER_ABORT,
        FailureKind.COORDINATION,
        FailureKind.LOCAL,
        FailureKind.CONTEXT_OVERFLOW,
        FailureKind.NO_HARNESS,
        FailureKind.REFUSED,
    }
)
"""Another model would hit the same condition, or nobody needs the answer any more."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed call, as the chain sees it.

    Attributes:
        message: the error's text; `raw` the provider's own words, where they are known apart.
        reason: why, for the kind PROVIDER; else what could be classified, or None.
        switch_to: the model that the session was switched to, for the kind MODEL_SWITCH.
    """

    kind: FailureKind
    message: str
    reason: FailureReason | None = None
    status: int | None = None
    code: str | None = None
    raw: str | None = None
    switch_to: ModelRef | None = None

    @property
    def detail(self) -> str:
        return self.raw or self.message


@dataclass(frozen=True, slots=True)
class FallbackAttempt:
    """A candidate that gave no answer: it failed, or was skipped while it cooled."""

    model: ModelRef
    error: str
    reason: FailureReason | None = None
    status: int | None = None
    code: str | None = None

    def __str__(self) -> str:
        why = f" ({self.reason})" if self.reason else ""
        return f"{shown(self.model)}: {shown(self.error, DETAIL_CELLS)}{why}"


@dataclass(frozen=True, slots=True)
class FallbackSummary:
    """No candidate answered. `soonest_recovery`: when a profile of any of them is usable again (ms since the epoch)."""

    attempts: tuple[FallbackAttempt, ...]
    total: int
    soonest_recovery: int | None = None

    @property
    def text(self) -> str:
        listed = " | ".join(str(attempt) for attempt in self.attempts) or "unknown"
        return f"All models failed ({len(self.attempts) or self.total}): {listed}"


def failure_of(error: AnyError, model: ModelRef | None = None, dialect: Dialect = CLAWTOP) -> Failure:
    """A failed call as the chain sees it; the kinds are tried in OpenClaw 2026.5.20's order.

    An error that is classified, or carries what the provider said, is never treated as an abort or as coordination.
    """
    value = recorded(error)
    known = coerced(value, CoercionContext(provider=model.provider if model else None), dialect)
    kind = _kind(value, known, dialect)
    if known is not None:
        reason = _REASONS.get(known.reason, FailureReason.UNKNOWN)
        return Failure(kind, known.message or "", reason, _whole(known.status), known.code, known.raw_error)
    signal = signal_of(value)
    message = signal.message or (value.name or "Error" if isinstance(value, ErrorRecord) else str(value))
    return Failure(kind, message, None, _whole(signal.status), signal.code, switch_to=_switch_target(value))


_STATUS_DIGITS = 3
_KIND_OF_NAME: Mapping[str, FailureKind] = MappingProxyType(
    {"MissingAgentHarnessError": FailureKind.NO_HARNESS, MODEL_SWITCH_NAME: FailureKind.MODEL_SWITCH}
)
_REASONS: Mapping[str, FailureReason] = MappingProxyType({reason.value: reason for reason in FailureReason})


def _whole(status: object) -> int | None:
    """A status as a number. An error that was pasted may have anything in its place."""
    if isinstance(status, str) and len(status) <= _STATUS_DIGITS and status.isascii() and status.isdigit():
        return int(status)
    if not isinstance(status, int | float) or isinstance(status, bool) or status != status // 1:
        return None
    return int(status)


def _switch_target(value: ErrorValue) -> ModelRef | None:
    if not isinstance(value, ErrorRecord) or value.name != MODEL_SWITCH_NAME:
        return None
    model = value.details.get("model")
    return ModelRef(value.provider, model) if isinstance(value.provider, str) and isinstance(model, str) else None


def _kind(value: ErrorValue, known: FailoverDescription | None, dialect: Dialect) -> FailureKind:
    name = value.name if isinstance(value, ErrorRecord) else None
    if name == LANE_TIMEOUT_NAME and isinstance(value, ErrorRecord) and value.is_exception:
        return FailureKind.LANE_TIMEOUT
    if _is_abort(value, dialect) and (known is None or dialect.aborted is not None):
        return FailureKind.USER_ABORT
    if is_non_provider_runtime_coordination_error(value, dialect):
        return FailureKind.COORDINATION
    if dialect.ends_local_trouble and not _is_classified(value) and is_local_trouble(value, signal_of(value)):
        return FailureKind.LOCAL
    if is_likely_context_overflow(" | ".join(_messages(value))):
        return FailureKind.CONTEXT_OVERFLOW
    if known is not None:
        return FailureKind.PROVIDER
    return _KIND_OF_NAME.get(name or "", FailureKind.UNKNOWN)


def _is_abort(value: ErrorValue, dialect: Dialect) -> bool:
    if dialect.aborted is not None:
        return dialect.aborted(value)
    return isinstance(value, ErrorRecord) and value.name == ABORT_NAME and not is_timeout_error(value, dialect)


def _is_classified(value: ErrorValue) -> bool:
    return isinstance(value, ErrorRecord) and value.is_failover


def _messages(value: ErrorValue) -> Iterator[str]:
    """The error's own text and, of a thrown one, those of its causes."""
    seen: set[int] = set()
    while isinstance(value, ErrorRecord) and id(value) not in seen:
        seen.add(id(value))
        yield value.message or value.name or ""
        value = value.cause if value.is_exception else None
    if isinstance(value, str):
        yield value


_TOO_MUCH = r"too (?:large|long)|exceed|over|limit|max"
_OVERFLOW_HINT = Phrases(
    patterns=(
        ordered("context", r"context", r"overflow"),
        ordered("", r"context window|prompt", _TOO_MUCH),
        ordered("context window", r"context window", r"requested|sent|tokens"),
        ordered("", r"request|input", r"context|window|length|token", _TOO_MUCH),
    )
)
_NO_OVERFLOW_HINT = regex(
    r"rate limit|too many requests|requests per (?:minute|hour|day)|quota|throttl|429\b|tokens per day"
)
_WINDOW_TOO_SMALL = Phrases(patterns=(ordered("context window", r"context window", r"too small|minimum is"),))


def is_likely_context_overflow(message: str) -> bool:
    """Whether a text says that the conversation is too long for the model: compaction helps, another model does not."""
    text = normalized(message)
    others = (phrases.NOT_CONTEXT_OVERFLOW.find(text), _WINDOW_TOO_SMALL.find(text), phrases.RATE_LIMIT.find(text))
    if any(others) or billing_text(text):
        return False
    if phrases.CONTEXT_OVERFLOW.find(text):
        return True
    return _OVERFLOW_HINT.find(text) is not None and _NO_OVERFLOW_HINT.search(text) is None
