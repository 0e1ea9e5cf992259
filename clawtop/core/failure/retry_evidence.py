"""What an error's text says about retrying: whether a limit is temporary, and how long to wait.

As OpenClaw 2026.9 reads it: on this evidence it retries the same account before it rotates.
"""

from __future__ import annotations

import math
import re
from email.utils import parsedate_to_datetime
from enum import StrEnum

from clawtop.core.failure.as_9_6 import CODES_9, leading_status
from clawtop.core.failure.provider_json import body_of
from clawtop.core.failure.rules import TEXT_LIMIT, normalized
from clawtop.core.model import FailureReason
from clawtop.patterns import regex
from clawtop.values import dataclass

SHORT_WINDOW_S = 60.0

_REPLAYED_STATUSES = frozenset({429, 500, 502, 503, 504, 524})
_TRANSIENT = regex(
    r"overloaded|rate.?limit|too many requests|service.?unavailable|server.?error|internal.?error"
    r"|provider.?returned.?error|network.?error|connection.?error|connection.?refused|connection.?lost"
    r"|other side closed|fetch failed|upstream.?connect|reset before headers|socket hang up"
    r"|socket connection was closed|timed? out|timeout|terminated|websocket.?closed|websocket.?error|ended without"
    r"|http2 request did not get a response|retry delay|you can retry your request|try your request again"
    r"|please retry your request|resource[_ -]?exhausted|\A[\w -]{0,200}stream ended before "
    r"|\Aresponses stream ended with unresolved tool calls[.!]?\Z",
    re.ASCII,
)
_LIMITED = regex(
    r"rate.?limit|too many requests|resource[_ -]?exhausted|daily (?:request|usage) limit|requests? per day"
    r"|tokens? per day|quota[_ -]?exceeded",
    re.ASCII,
)
_LONG = regex(
    r"\b(?:daily|weekly|monthly|tokens per day|requests per day|per[- ](?:day|week|month)|usage limit|subscription"
    r"|insufficient[_ -]?quota|current quota|quota[_ -]?exceeded|(?:go|free)usagelimiterror|available balance"
    r"|out of budget)\b",
    re.ASCII,
)
_PER_MINUTE = regex(r"\b(?:requests per minute|tokens per minute|per-minute|rpm|tpm)\b", re.ASCII)
_SHORT = regex(
    r"\b(?:requests per minute|tokens per minute|per-minute|rpm|tpm|model_cooldown)\b|请求过于频繁|调用频率|频率限制",
    re.ASCII,
)
_ASKED = regex(
    r"\b(?:retry[- ]after\b\s{0,8}:?\s{0,8}(?:in\b\s{0,8})?|(?:please\s{1,8})?try again in\s{1,8})([^\r\n;]{1,400})",
    re.ASCII,
)
_FIGURE = regex(r"(\d{1,15}(?:\.\d{1,15})?|infinity)\s{0,8}([a-z]+)?\b", re.ASCII)
_WRAPPED_STATUS = regex(
    r"(?:[a-z][\w-]{0,40}(?:\s+[a-z][\w-]{0,40}){0,3}\s+)?api\s*error\s*\((\d{3})\)(?:\s*:|\Z)", re.ASCII
)
_UNITS_S = {
    unit: seconds
    for units, seconds in (
        ("ms msec msecs millisecond milliseconds", 0.001),
        ("s sec secs second seconds", 1.0),
        ("m min mins minute minutes", 60.0),
        ("h hr hrs hour hours", 3600.0),
        ("d day days", 86_400.0),
    )
    for unit in units.split()
}


class Span(StrEnum):
    """How long a limit lasts: up to a minute, longer, or unknown."""

    SHORT = "short"
    LONG = "long"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class LimitWindow:
    """A limit's span and, if it is short, the wait in seconds that its text asks for."""

    span: Span
    wait_s: float | None = None


def asked_wait_s(text: str, now_ms: int) -> float | None:
    """The longest wait in seconds that a text asks for ("retry after 5 seconds", "try again in 2 hours")."""
    waits = (_wait_of(match.group(1).strip(), now_ms) for match in _ASKED.finditer(normalized(text)))
    return max((wait for wait in waits if wait is not None), default=None)


def _wait_of(value: str, now_ms: int) -> float | None:
    figure = _FIGURE.match(value)
    if figure is not None:
        unit = _UNITS_S.get(figure.group(2) or "s")
        return None if unit is None else float(figure.group(1)) * unit
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now_ms / 1000)
    except (ValueError, OverflowError, TypeError):
        return None


def asked_wait_ms(text: str, now_ms: int) -> float | None:
    """The same in ms, rounded up."""
    seconds = asked_wait_s(text, now_ms)
    if seconds is None or math.isinf(seconds):
        return seconds
    return math.ceil(round(seconds * 1000, 6))


def speaks_of_a_long_limit(text: str) -> bool:
    """The text names a window of a day or longer, or money: no retry within the run helps."""
    lowered = normalized(text)
    return _LONG.search(lowered) is not None and _PER_MINUTE.search(lowered) is None


def limit_window(text: str, now_ms: int, *, status_is_short: bool = True) -> LimitWindow:
    """How long the limit of a text lasts. `status_is_short`: a leading 429 alone says that it passes soon (2026.9)."""
    lowered = normalized(text)
    if not lowered:
        return LimitWindow(Span.UNKNOWN)
    wait = asked_wait_s(lowered, now_ms)
    if wait is not None:
        return LimitWindow(Span.LONG) if wait > SHORT_WINDOW_S else LimitWindow(Span.SHORT, wait)
    if _ASKED.search(lowered) is not None and _PER_MINUTE.search(lowered) is None:
        return LimitWindow(Span.LONG)
    if speaks_of_a_long_limit(lowered):
        return LimitWindow(Span.LONG)
    if _SHORT.search(lowered) is not None or (status_is_short and leading_status(lowered) == 429):
        return LimitWindow(Span.SHORT)
    return LimitWindow(Span.UNKNOWN)


def may_be_replayed(text: str, reason: str | None, now_ms: int, *, code: str | None = None) -> bool:
    """Whether the very same request is sent again within the attempt, on the evidence of its text."""
    lowered = normalized(text[:TEXT_LIMIT])
    wrapped = _WRAPPED_STATUS.match(lowered)
    status = leading_status(lowered) if wrapped is None else int(wrapped.group(1))
    named = CODES_9.get((code or "").strip().upper())
    if not (status in _REPLAYED_STATUSES or _TRANSIENT.search(lowered) or named is FailureReason.TIMEOUT):
        return False
    if reason == FailureReason.FORMAT:
        coded = named or CODES_9.get((body_of(text).code or "").strip().upper())
        if status is None or 500 <= status < 600 or coded is FailureReason.FORMAT:
            return False
    limited = reason in (FailureReason.BILLING, FailureReason.RATE_LIMIT)
    limited = limited or status == 429 or _LIMITED.search(lowered) is not None
    return not (limited and limit_window(lowered, now_ms).span is Span.LONG)
