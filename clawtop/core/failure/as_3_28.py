"""How OpenClaw 2026.3.28 classifies an error: fewer phrases, and the status is trusted before any text.

Statuses are checked first, then codes, then causes; the text comes last. A text that merely begins with a status is
read as words.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from clawtop.core.failure import billing_tables as money
from clawtop.core.failure import phrase_tables as phrases
from clawtop.core.failure.phrases import Phrases, ordered, pattern
from clawtop.core.failure.rules import (
    NOTHING,
    Classification,
    Reader,
    api_error,
    because,
    finds,
    image_too_large,
    leading_transient,
    normalized,
    payment_required,
    periodic_limit,
    says,
)
from clawtop.core.failure.status import DEFAULT_STATUS, LEADING_STATUS, Signal, code_reason
from clawtop.core.model import FailureReason

Reason = FailureReason

RATE_LIMIT = Phrases(
    literals=(
        "rate limit",
        "rate_limit",
        "too many requests",
        "429",
        "model_cooldown",
        "exceeded your current quota",
        "resource has been exhausted",
        "quota exceeded",
        "resource_exhausted",
        "usage limit",
        "tokens per minute",
        "tokens per day",
    ),
    patterns=(pattern("tpm", r"\btpm\b"),),
)

_SERVICE = r"service[_ ]unavailable"
_PRESSED = r"overload|capacity|high[_ ]demand"

OVERLOADED = Phrases(
    literals=("overloaded", "high demand"),
    patterns=(ordered("unavailable", _SERVICE, _PRESSED), ordered("unavailable", _PRESSED, _SERVICE)),
)

SERVER_TEXT = Phrases(
    literals=(
        "an error occurred while processing",
        "internal server error",
        "internal_error",
        "server_error",
        "service temporarily unavailable",
        "service_unavailable",
        "bad gateway",
        "gateway timeout",
        "upstream error",
        "upstream connect error",
        "connection reset",
    )
)

TIMEOUT = Phrases(
    literals=(
        "timeout",
        "timed out",
        "service unavailable",
        "deadline exceeded",
        "connection error",
        "network error",
        "network request failed",
        "fetch failed",
        "socket hang up",
    ),
    patterns=(
        pattern(
            "econn|enet|ehost|epipe|eai_|enotfound|etime|esocket",
            r"\b(?:econn(?:refused|reset|aborted)|enetunreach|enetreset|ehostunreach|ehostdown|etimedout|esockettimedout"
            r"|epipe|enotfound|eai_again)\b",
        ),
        pattern("without sending", r"without sending (?:any )?chunk"),
        pattern("reason:", r"\breason:\s*(?:abort|error|malformed_response|network_error)\b"),
    ),
)

BILLING = Phrases(
    literals=(
        "payment required",
        "insufficient credits",
        "insufficient_quota",
        "insufficient quota",
        "credit balance",
        "plans & billing",
        "insufficient balance",
        "insufficient usd or diem balance",
    ),
    patterns=(
        pattern("more", r"requires?\s+more\s+credits"),
        pattern(
            "billing|insufficient credit",
            r"\A(?:error[:\s-]+)?(?:billing(?:\s+error)?(?:[:\s-]|\Z)|insufficient credit)",
            r"upgrade|credits|payment|plan",
        ),
    ),
)
BILLING_TEXT_LIMIT = 512

AUTH_PERMANENT = Phrases(
    literals=(
        "invalid_api_key",
        "key has been disabled",
        "key has been revoked",
        "account has been deactivated",
        "permission_error",
        "not allowed for this organization",
    ),
    patterns=(
        pattern("key", r"api[_ ]?key[_ ]?(?:revoked|invalid|deactivated|deleted)"),
        ordered("could not", r"could not (?:authenticate|validate)", r"api[_ ]?key|credentials"),
    ),
)

AUTH = Phrases(
    literals=(
        "incorrect api key",
        "invalid token",
        "authentication",
        "re-authenticate",
        "oauth token refresh failed",
        "unauthorized",
        "forbidden",
        "access denied",
        "insufficient permission",
        "missing scope:",
        "missing scopes:",
        "expired",
        "no credentials found",
        "no api key found",
    ),
    patterns=(
        pattern("invalid", r"invalid[_ ]?api[_ ]?key"),
        pattern("401|403", r"\b40[13]\b"),
        ordered("token", r"\bfailed to (?:extract|parse|validate|decode)\b", r"\btoken\b"),
    ),
)

FORMAT = Phrases(
    literals=("string should match pattern", "tool_use.id", "tool_use_id", "invalid request format"),
    patterns=(ordered("tool call id was", r"tool call id was", r"must be"),),
)

MODEL_NOT_FOUND = Phrases(
    literals=("unknown model", "model not found", "model_not_found", "not_found_error"),
    patterns=(
        pattern("does not exist", r"does not exist", r"model"),
        pattern("invalid model", r"\A(?![\s\S]*invalid model reference)[\s\S]*?invalid model"),
        pattern("is not found", r"(?<!\S)(?=\S*?models/\S)\S++ is not found"),
        pattern("404", r"\b404\b", r"not[-_ ]?found"),
    ),
)

API_ERROR_TRANSIENT = Phrases(
    literals=(
        "internal server error",
        "overload",
        "temporarily unavailable",
        "service unavailable",
        "unknown error",
        "server error",
        "bad gateway",
        "gateway timeout",
        "upstream error",
        "backend error",
        "try again later",
    ),
    patterns=(ordered("temporarily", "temporarily.", "unable"),),
)

SESSION_EXPIRED = Phrases(
    literals=tuple(text for text in phrases.SESSION_EXPIRED.literals if text != "no conversation found")
)

POINTS_GONE = Phrases(patterns=(pattern("points", r"^402\s+[^\n]*?used up your points\b"),))


def timeout_text(text: str) -> str | None:
    """The timeout phrase of a normalized text, or None."""
    return TIMEOUT.find(text)


def billing_text(text: str) -> str | None:
    """The billing phrase of a normalized text, or None."""
    hard = money.HARD_402.find(text) or money.PAYMENT_402.find(text)
    if hard is not None or len(text) > BILLING_TEXT_LIMIT:
        return hard
    return BILLING.find(text)


def _quoted_402(text: str, _provider: str) -> Classification | None:
    if money.HARD_402.find(text) is None and POINTS_GONE.find(text) is None:
        return None
    return payment_required(text, RATE_LIMIT)[0]


def _leading_410(text: str, _provider: str) -> Classification | None:
    match = LEADING_STATUS.match(text)
    return _gone(text[match.end() :]) if match is not None and match.group(1) == "410" else None


def _gone(text: str) -> Classification:
    for table, reason in (
        (SESSION_EXPIRED, Reason.SESSION_EXPIRED),
        (None, Reason.BILLING),
        (AUTH_PERMANENT, Reason.AUTH_PERMANENT),
        (AUTH, Reason.AUTH),
    ):
        found = billing_text(text) if table is None else table.find(text)
        if found is not None:
            return because(reason, "status-410", found)
    return because(Reason.TIMEOUT, "status-410", "410")


read_words = Reader(
    (
        image_too_large(phrases.IMAGE),
        says(SESSION_EXPIRED, Reason.SESSION_EXPIRED, "session-expired-text"),
        says(MODEL_NOT_FOUND, Reason.MODEL_NOT_FOUND, "model-not-found-text"),
        _leading_410,
        _quoted_402,
        periodic_limit(billing_text),
        says(RATE_LIMIT, Reason.RATE_LIMIT, "rate-limit-text"),
        says(OVERLOADED, Reason.OVERLOADED, "overloaded-text"),
        leading_transient,
        finds(billing_text, Reason.BILLING, "billing-text"),
        says(AUTH_PERMANENT, Reason.AUTH_PERMANENT, "auth-permanent-text"),
        says(AUTH, Reason.AUTH, "auth-text"),
        says(SERVER_TEXT, Reason.TIMEOUT, "server-text"),
        api_error(API_ERROR_TRANSIENT),
        says(FORMAT, Reason.FORMAT, "format-text"),
        says(TIMEOUT, Reason.TIMEOUT, "timeout-text"),
    )
)

DEFAULTS: Mapping[str, int] = MappingProxyType(
    {reason: status for reason, status in DEFAULT_STATUS.items() if reason != Reason.SERVER_ERROR}
)


def _by_status(status: int | float, message: str) -> Classification | None:
    text = normalized(message)
    name, said = f"status-{status:g}", f"{status:g}"
    if status == 402:
        return payment_required(text, RATE_LIMIT)[0]
    if status == 429:
        return because(Reason.RATE_LIMIT, name, said)
    if status in (401, 403):
        found = AUTH_PERMANENT.find(text)
        return because(Reason.AUTH if found is None else Reason.AUTH_PERMANENT, name, found or said)
    if status == 410:
        return _gone(text)
    if status in (499, 503) and (found := OVERLOADED.find(text)) is not None:
        return because(Reason.OVERLOADED, name, found)
    if status in (408, 499, 500, 502, 503, 504):
        return because(Reason.TIMEOUT, name, said)
    if status == 529:
        return because(Reason.OVERLOADED, name, said)
    if status in (400, 422):
        unpaid = billing_text(text)
        return because(Reason.FORMAT if unpaid is None else Reason.BILLING, name, unpaid or said)
    return None


def read_signal(signal: Signal) -> Classification:
    """The class of an error's own status or code; its words are checked after its causes."""
    if signal.status is not None and (answer := _by_status(signal.status, signal.message or "")) is not None:
        return answer
    reason = code_reason(signal.code)
    return NOTHING if reason is None else because(reason, "error-code", signal.code or "")
