"""The order in which an error's message, status and code are asked, and what each answer means.

`classify_message` and `classify_signal` agree with OpenClaw 2026.5.20. Every answer names the rule that gave it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType

from clawtop.core import failure_phrases as phrases
from clawtop.core.failure_phrases import Phrases
from clawtop.core.model import FailureReason

Reason = FailureReason


class Kind(StrEnum):
    """NONE: no failover class. CONTEXT_OVERFLOW: the caller compacts, no profile or model is to blame."""

    REASON = "reason"
    CONTEXT_OVERFLOW = "context_overflow"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Classification:
    """What kind of failure an error is, and which rule said so.

    Attributes:
        reason: for the kind REASON; a failover error may carry any string.
        rule: stable kebab-case id of the deciding rule.
        matched: the phrase, status or code that decided.
    """

    kind: Kind
    reason: FailureReason | str | None
    rule: str
    matched: str = ""

    def __bool__(self) -> bool:
        return self.kind is not Kind.NONE


def _reason(reason: FailureReason | str, rule: str, matched: str = "") -> Classification:
    return Classification(Kind.REASON, reason, rule, matched)


NOTHING = Classification(Kind.NONE, None, "unclassified")


@dataclass(frozen=True, slots=True)
class Signal:
    """What an error says about itself, flattened. A text status such as "429" counts as a number already."""

    status: int | float | None = None
    code: str | None = None
    message: str | None = None
    provider: str | None = None


# --- statuses and codes ------------------------------------------------------------------------------------------

LEADING_STATUS = re.compile(r"\s*(?:error:\s*)?(?:http\s*)?(\d{3})(?=\s|:.|$)", re.ASCII | re.DOTALL)
"""A text that begins with its HTTP status: `429 {...}`, `HTTP 503: ...`, `Error: 404 ...`."""

LEADING_402 = re.compile(r"(?:error:\s*)?(?:http\s*)?402\b", re.ASCII)

LEADING_TRANSIENT = re.compile(r"(?:http\s*)?(?:499|50[0234]|52[1-4]|529)(?=[\s:]|$)", re.ASCII)

HTML_BODY = re.compile(
    r"(?:error:\s*)?(?:(?:http\s*)?\d{3}\s*:?\s+)?<(?:html\b|!doctype html\b)(?=[\s\S]*</html>)", re.ASCII
)

NO_BODY = re.compile(
    r"(?:error:\s*)?(?:(?:http\s*)?(?P<status>\d{3})\s*:?\s+)?(?:status code \(no body\)|no body)", re.ASCII
)
"""What client libraries say of an answer without a body."""

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
"""The HTTP status that stands for a reason where the provider gave none (2026.5.20)."""


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
"""400, 402 and 422 ask the text more than one question and have functions of their own."""


# --- messages ----------------------------------------------------------------------------------------------------

BILLING_TEXT_LIMIT = 512
"""Longer texts are prose (a page, a transcript): soft billing phrases inside them prove nothing."""

CACHED_TEXTS = 512
CACHEABLE_LENGTH = 1024


TEXT_LIMIT = 32_768
"""Longer texts are whole pages; how they begin says what they are."""


def normalized(text: str) -> str:
    """The form in which texts are matched: lower-cased, trimmed, and not longer than `TEXT_LIMIT`."""
    return text[:TEXT_LIMIT].strip().lower()


def billing_text(text: str) -> str | None:
    """The billing phrase of a normalized text, or None."""
    hard = phrases.HARD_402.find(text) or phrases.PAYMENT_402.find(text) or phrases.ZAI_NO_RESOURCE.find(text)
    if hard is not None or len(text) > BILLING_TEXT_LIMIT:
        return hard
    return phrases.BILLING.find(text)


def timeout_text(text: str) -> str | None:
    """The timeout phrase of a normalized text, or None."""
    if text in phrases.WHOLE_TIMEOUTS:
        return text
    return phrases.TIMEOUT.find(text)


def _payment_required(text: str) -> tuple[Classification, bool]:
    """What a 402 means: an empty purse, or a limit that comes back. Second: whether the text itself decided."""
    if (found := phrases.MONEY_GONE.find(text)) is not None:
        return _reason(Reason.BILLING, "402-money-gone", found), True
    if (found := phrases.SUBSCRIPTION_QUOTA.find(text)) is not None:
        refill = phrases.WINDOW_REFILLS.find(text)
        if refill is None:
            return _reason(Reason.BILLING, "402-money-gone", found), True
        return _reason(Reason.RATE_LIMIT, "402-limit-resets", refill), True
    if (found := phrases.RATE_LIMIT.find(text) or phrases.LIMIT_RESETS.find(text)) is not None:
        return _reason(Reason.RATE_LIMIT, "402-limit-resets", found), True
    return _reason(Reason.BILLING, "status-402", "402"), False


def _quoted_402(text: str, _provider: str) -> Classification | None:
    if "402" not in text:
        return None
    hard = phrases.HARD_402.find(text) or phrases.POINTS_GONE.find(text)
    if hard is None and LEADING_402.match(text) is None:
        return None
    answer, decided = _payment_required(text)
    return answer if decided or hard is not None else None


def _openrouter(table: Phrases, reason: FailureReason, rule: str) -> MessageRule:
    def ask(text: str, provider: str) -> Classification | None:
        if "openrouter" not in provider or (found := table.find(text)) is None:
            return None
        return _reason(reason, rule, found)

    return ask


def _periodic_limit(text: str, _provider: str) -> Classification | None:
    if (found := phrases.PERIODIC_LIMIT.find(text)) is None:
        return None
    if (money := billing_text(text)) is not None:
        return _reason(Reason.BILLING, "periodic-limit-billing", money)
    return _reason(Reason.RATE_LIMIT, "periodic-limit", found)


def _leading_transient(text: str, _provider: str) -> Classification | None:
    if (match := LEADING_TRANSIENT.match(text)) is None:
        return None
    reason = Reason.OVERLOADED if match.group(0).endswith("529") else Reason.TIMEOUT
    return _reason(reason, "leading-http-status", match.group(0))


def _context_overflow(text: str, _provider: str) -> Classification | None:
    found = phrases.CONTEXT_OVERFLOW.find(text)
    if found is None or phrases.NOT_CONTEXT_OVERFLOW.find(text) is not None:
        return None
    return Classification(Kind.CONTEXT_OVERFLOW, None, "context-overflow", found)


def _image(text: str, _provider: str) -> Classification | None:
    found = phrases.IMAGE.find(text)
    return None if found is None else Classification(Kind.NONE, None, "image-too-large", found)


def _billing(text: str, _provider: str) -> Classification | None:
    found = billing_text(text)
    return None if found is None else _reason(Reason.BILLING, "billing-text", found)


def _timeout(text: str, _provider: str) -> Classification | None:
    found = timeout_text(text)
    return None if found is None else _reason(Reason.TIMEOUT, "timeout-text", found)


def _server_error_field(text: str, _provider: str) -> Classification | None:
    if (found := phrases.SERVER_ERROR_FIELD.find(text)) is None:
        return None
    if billing_text(text) or phrases.AUTH_PERMANENT.find(text) or phrases.AUTH.find(text):
        return None
    return _reason(Reason.SERVER_ERROR, "server-error-field", found)


def _openai_processing(text: str, _provider: str) -> Classification | None:
    if phrases.OPENAI_PROCESSING.find(text) is None or (found := phrases.OPENAI_SIGNED.find(text)) is None:
        return None
    return _reason(Reason.TIMEOUT, "openai-processing", found)


def _oauth_refresh(text: str, _provider: str) -> Classification | None:
    if phrases.OAUTH_REFRESH.find(text) is None or (found := phrases.OAUTH_REFRESH_FINAL.find(text)) is None:
        return None
    return _reason(Reason.AUTH_PERMANENT, "oauth-refresh-final", found)


def _api_error(text: str, _provider: str) -> Classification | None:
    if '"type":"api_error"' not in text or (found := phrases.API_ERROR_TRANSIENT.find(text)) is None:
        return None
    return _reason(Reason.TIMEOUT, "anthropic-api-error", found)


def _whole(texts: frozenset[str], reason: FailureReason, rule: str) -> MessageRule:
    def ask(text: str, _provider: str) -> Classification | None:
        return _reason(reason, rule, text) if text in texts else None

    return ask


def _says(table: Phrases, reason: FailureReason, rule: str) -> MessageRule:
    def ask(text: str, _provider: str) -> Classification | None:
        found = table.find(text)
        return None if found is None else _reason(reason, rule, found)

    return ask


MessageRule = Callable[[str, str], Classification | None]
"""(normalized text, lower-cased provider) -> an answer, or None to ask the next rule."""

MESSAGE_RULES: tuple[MessageRule, ...] = (
    _image,
    _says(phrases.SESSION_EXPIRED, Reason.SESSION_EXPIRED, "session-expired-text"),
    _says(phrases.MODEL_NOT_FOUND, Reason.MODEL_NOT_FOUND, "model-not-found-text"),
    _context_overflow,
    _quoted_402,
    _openrouter(phrases.OPENROUTER_KEY_LIMIT, Reason.BILLING, "openrouter-key-limit"),
    _periodic_limit,
    _says(phrases.RATE_LIMIT, Reason.RATE_LIMIT, "rate-limit-text"),
    _says(phrases.OVERLOADED, Reason.OVERLOADED, "overloaded-text"),
    _server_error_field,
    _leading_transient,
    _openai_processing,
    _billing,
    _oauth_refresh,
    _says(phrases.AUTH_PERMANENT, Reason.AUTH_PERMANENT, "auth-permanent-text"),
    _says(phrases.AUTH, Reason.AUTH, "auth-text"),
    _whole(phrases.WHOLE_UNKNOWNS, Reason.TIMEOUT, "unknown-error"),
    _openrouter(phrases.OPENROUTER_UPSTREAM, Reason.TIMEOUT, "openrouter-upstream"),
    _says(phrases.SERVER_TEXT, Reason.TIMEOUT, "server-text"),
    _api_error,
    _says(phrases.FORMAT, Reason.FORMAT, "format-text"),
    _whole(phrases.WHOLE_NO_DETAILS, Reason.NO_ERROR_DETAILS, "no-error-details"),
    _timeout,
    _says(phrases.CONCURRENCY_LIMIT, Reason.RATE_LIMIT, "concurrency-limit"),
    _says(phrases.MODEL_NOT_READY, Reason.OVERLOADED, "bedrock-model-not-ready"),
    _says(phrases.MODEL_RETIRED, Reason.MODEL_NOT_FOUND, "model-retired"),
)


def _ask_message(text: str, provider: str) -> Classification:
    for rule in MESSAGE_RULES:
        answer = rule(text, provider)
        if answer is not None:
            return answer
    return NOTHING


_cached_answer = lru_cache(maxsize=CACHED_TEXTS)(_ask_message)


def message_class(message: str, provider: str = "") -> Classification:
    """The class of the words alone, without their leading status. Providers repeat themselves, so answers are kept."""
    text = normalized(message)
    if not text:
        return NOTHING
    ask = _cached_answer if len(text) <= CACHEABLE_LENGTH else _ask_message
    return ask(text, provider.lower())


# --- signals -----------------------------------------------------------------------------------------------------


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


def _by_status(signal: Signal, status: int | float, provider: str) -> Classification | None:
    """What the status says; None where it says nothing and the code is asked next."""
    message = signal.message or ""
    if (status in (408, 499) or 500 <= status < 600) and HTML_BODY.match(normalized(message)) is not None:
        return _reason(Reason.TIMEOUT, "html-error-page", f"{status}")
    if status == 402:
        return _says_402(signal, provider)
    if status in (400, 422):
        return _bad_request(status, message, provider)
    rule = STATUS_RULES.get(status)
    if rule is None:
        return None
    default = _reason(rule.default, f"status-{int(status)}", f"{int(status)}")
    if status == 429 and any(name in provider for name in phrases.BILLING_AS_429):
        money = billing_text(normalized(message))
        return default if money is None else _reason(Reason.BILLING, "billing-as-429", money)
    if status in (401, 403) and (found := phrases.AUTH_PERMANENT.find(normalized(message))) is not None:
        return _reason(Reason.AUTH_PERMANENT, "auth-permanent-text", found)
    if rule.text_wins:
        answer = message_class(message, provider)
        if (answer.reason or answer.kind) in rule.text_wins:
            return answer
    return default


def _says_402(signal: Signal, provider: str) -> Classification | None:
    """A status field of 402 is a 402; one that only begins the text must be confirmed by what follows it."""
    text = normalized(signal.message or "")
    if signal.status is not None:
        return _payment_required(text)[0]
    return _quoted_402(text, provider) or message_class(text, provider) or None


def _bad_request(status: int | float, message: str, provider: str) -> Classification:
    answer = message_class(message, provider)
    if answer and answer.reason != Reason.SERVER_ERROR:
        return answer
    if says_nothing(status, message):
        return Classification(Kind.NONE, None, "no-body", f"{int(status)}")
    return _reason(Reason.FORMAT, f"status-{int(status)}", f"{int(status)}")


def code_reason(code: str | None) -> FailureReason | None:
    """The reason that an error code stands for, whatever its case."""
    return CODES.get(code.strip().upper()) if code else None


def classify_signal(signal: Signal) -> Classification:
    """The class of an error's status, code and message: the status first, then the code, then the words."""
    provider = (signal.provider or "").lower()
    status = inferred_status(signal.status, signal.message)
    answer = None if status is None else _by_status(signal, status, provider)
    if answer:
        return answer
    if (reason := code_reason(signal.code)) is not None:
        return _reason(reason, "error-code", signal.code or "")
    return message_class(signal.message or "", provider) if answer is None else answer


def classify_message(text: str, provider: str | None = None) -> Classification:
    """The class of a bare error text, as it stands in a log."""
    return classify_signal(Signal(message=text, provider=provider))
