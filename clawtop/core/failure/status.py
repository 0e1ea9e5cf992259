"""Classifying an error by its status first, then its code, then its text.

Agrees with OpenClaw 2026.5.20; `dialect` names the versions that differ. The words are read by `rules`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from clawtop.core.failure import billing_tables as money
from clawtop.core.failure import phrase_tables as phrases
from clawtop.core.failure.rules import (
    NOTHING,
    Classification,
    Kind,
    because,
    billing_text,
    message_class,
    normalized,
    payment_required,
    quoted_402_rule,
)
from clawtop.core.model import FailureReason
from clawtop.patterns import regex
from clawtop.values import dataclass

Reason = FailureReason


class Signal(NamedTuple):
    """What an error says about itself, flattened. A text status such as "429" counts as a number already."""

    status: int | float | None = None
    code: str | None = None
    message: str | None = None
    provider: str | None = None
    details: tuple[str, ...] = ()
    """Other texts of the error's body (2026.6.11 and later read them)."""


# --- statuses and codes ------------------------------------------------------------------------------------------

LEADING_STATUS = regex(r"\s*(?:error:\s*)?(?:http\s*)?(\d{3})(?=\s|:.|$)", re.ASCII | re.DOTALL)
"""A text that begins with its HTTP status: `429 {...}`, `HTTP 503: ...`, `Error: 404 ...`."""

HTML_BODY = regex(
    r"(?:error:\s*)?(?:(?:http\s*)?\d{3}\s*:?\s+)?<(?:html\b|!doctype html\b)(?=[\s\S]*</html>)", re.ASCII
)

NO_BODY = regex(
    r"(?:error:\s*)?(?:(?:http\s*)?(?P<status>\d{3})\s*:?\s+)?(?:status code \(no body\)|no body)", re.ASCII
)
"""What client libraries say about an answer without a body."""

DEFAULT_STATUS: Mapping[str, int] = MappingProxyType(
    {
        Reason.BILLING: 402,
        Reason.SERVER_ERROR: 500,
        Reason.RATE_LIMIT: 429,
        Reason.OVERLOADED: 503,
        Reason.AUTH: 401,
        Reason.AUTH_PERMANENT: 403,
        Reason.TIMEOUT: 408,
        Reason.FORMAT: 400,
        Reason.MODEL_NOT_FOUND: 404,
        Reason.SESSION_EXPIRED: 410,
    }
)
"""The HTTP status that represents a reason if the provider gave none (2026.5.20)."""


def _codes(reason: FailureReason, names: str) -> dict[str, FailureReason]:
    return dict.fromkeys(names.split(), reason)


CODES: Mapping[str, FailureReason] = MappingProxyType(
    _codes(
        Reason.RATE_LIMIT,
        "RESOURCE_EXHAUSTED RATE_LIMIT RATE_LIMITED RATE_LIMIT_EXCEEDED TOO_MANY_REQUESTS THROTTLED THROTTLING"
        " THROTTLINGEXCEPTION THROTTLING_EXCEPTION",
    )
    | _codes(Reason.OVERLOADED, "OVERLOADED OVERLOADED_ERROR")
    | _codes(
        Reason.TIMEOUT,
        "ETIMEDOUT ESOCKETTIMEDOUT ECONNRESET ECONNABORTED ECONNREFUSED ENETUNREACH EHOSTUNREACH EHOSTDOWN ENETRESET"
        " EPIPE EAI_AGAIN",
    )
)
"""Error codes, upper-cased."""


@dataclass(frozen=True, slots=True)
class StatusRule:
    """What an HTTP status means: `default`, unless the text belongs to one of the `text_wins` classes."""

    default: FailureReason
    text_wins: frozenset[str] = frozenset()


_ACCOUNT = frozenset({Reason.BILLING, Reason.AUTH_PERMANENT, Reason.AUTH})

STATUS_RULES: Mapping[int | float, StatusRule] = MappingProxyType(
    {
        401: StatusRule(Reason.AUTH, frozenset({Reason.BILLING})),
        403: StatusRule(Reason.AUTH, frozenset({Reason.BILLING})),
        404: StatusRule(Reason.MODEL_NOT_FOUND, _ACCOUNT | {Reason.SESSION_EXPIRED, Reason.CONTEXT_OVERFLOW}),
        408: StatusRule(Reason.TIMEOUT),
        410: StatusRule(Reason.TIMEOUT, _ACCOUNT | {Reason.SESSION_EXPIRED}),
        429: StatusRule(Reason.RATE_LIMIT),
        499: StatusRule(Reason.TIMEOUT, frozenset({Reason.OVERLOADED})),
        500: StatusRule(Reason.TIMEOUT, frozenset({Reason.SERVER_ERROR})),
        502: StatusRule(Reason.TIMEOUT, frozenset({Reason.SERVER_ERROR})),
        503: StatusRule(Reason.TIMEOUT, frozenset({Reason.OVERLOADED})),
        504: StatusRule(Reason.TIMEOUT, frozenset({Reason.SERVER_ERROR})),
        529: StatusRule(Reason.OVERLOADED),
    }
)
"""400, 402 and 422 depend on more than one aspect of the text and have functions of their own."""

_DEFAULT_ANSWERS: Mapping[int | float, Classification] = MappingProxyType(
    {status: because(rule.default, f"status-{status}", f"{status}") for status, rule in STATUS_RULES.items()}
)


# --- classification ----------------------------------------------------------------------------------------------


def inferred_status(status: int | float | None, message: str | None) -> int | float | None:
    """The status field, or the HTTP status with which the message begins."""
    if status is not None or not message:
        return status
    match = LEADING_STATUS.match(normalized(message))
    return int(match.group(1)) if match is not None else None


def says_nothing(status: int | float | None, message: str | None) -> bool:
    """A 400 or 422 whose answer had no body: nothing is known, so nothing is claimed."""
    if status not in (400, 422):
        return False
    text = normalized(message or "")
    if not text:
        return True
    match = NO_BODY.fullmatch(text)
    return match is not None and match["status"] in (None, str(status))


def by_status(signal: Signal, status: int | float, provider: str, words: Classification) -> Classification | None:
    """What the status says; None where it says nothing and the code is asked next. `words`: the class of the text."""
    message = signal.message or ""
    if (status in (408, 499) or 500 <= status < 600) and HTML_BODY.match(normalized(message)) is not None:
        return because(Reason.TIMEOUT, "html-error-page", f"{status}")
    if status == 402:
        return _says_402(signal, provider, words)
    if status in (400, 422):
        return _bad_request(status, message, words)
    rule = STATUS_RULES.get(status)
    if rule is None:
        return None
    default = _DEFAULT_ANSWERS[status]
    if status == 429:
        unpaid = billing_text(normalized(message)) if any(map(provider.__contains__, money.BILLING_AS_429)) else None
        return default if unpaid is None else because(Reason.BILLING, "billing-as-429", unpaid)
    if status in (401, 403) and (found := phrases.AUTH_PERMANENT.find(normalized(message))) is not None:
        return because(Reason.AUTH_PERMANENT, "auth-permanent-text", found)
    if (words.reason or words.kind) in rule.text_wins:
        return words
    return default


def _says_402(signal: Signal, provider: str, words: Classification) -> Classification | None:
    """A status field of 402 is a 402; one that only begins the text must be confirmed by what follows it."""
    text = normalized(signal.message or "")
    if signal.status is not None:
        return payment_required(text)[0]
    return quoted_402_rule(text, provider) or words or None


def _bad_request(status: int | float, message: str, words: Classification) -> Classification:
    if words and words.reason != Reason.SERVER_ERROR:
        return words
    if says_nothing(status, message):
        return Classification(Kind.NONE, None, "no-body", f"{int(status)}")
    return because(Reason.FORMAT, f"status-{int(status)}", f"{int(status)}")


def code_reason(code: str | None) -> FailureReason | None:
    """The reason for an error code, in any case."""
    return CODES.get(code.strip().upper()) if code else None


def decided(signal: Signal, answer: Classification | None, words: Classification) -> Classification:
    """What holds of an error: what its status says, else its code, else its words."""
    if answer:
        return answer
    if (reason := code_reason(signal.code)) is not None:
        return because(reason, "error-code", signal.code or "")
    return words if answer is None else answer


def read_signal(signal: Signal) -> Classification:
    """The class of an error's status, code and message: the status first, then the code, then the words."""
    provider = (signal.provider or "").lower()
    status = inferred_status(signal.status, signal.message)
    rule = None if status is None else STATUS_RULES.get(status)
    unread = rule is not None and not rule.text_wins
    words = NOTHING if unread else message_class(signal.message or "", provider)
    answer = None if status is None else by_status(signal, status, provider, words)
    return decided(signal, answer, words)
