"""The order in which the phrase tables are checked, and what each match means.

Agrees with OpenClaw 2026.5.20. Every answer names the rule that gave it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import StrEnum
from functools import lru_cache

from clawtop.core.failure import billing_tables as money
from clawtop.core.failure import phrase_tables as phrases
from clawtop.core.failure.phrases import Phrases
from clawtop.core.model import FailureReason
from clawtop.patterns import regex
from clawtop.values import dataclass

Reason = FailureReason


class Kind(StrEnum):
    """NONE: no failover class. CONTEXT_OVERFLOW: the caller compacts, neither profile nor model is at fault."""

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


def because(reason: FailureReason | str, rule: str, matched: str = "") -> Classification:
    return Classification(Kind.REASON, reason, rule, matched)


NOTHING = Classification(Kind.NONE, None, "unclassified")


LEADING_402 = regex(r"(?:error:\s*)?(?:http\s*)?402\b", re.ASCII)

LEADING_TRANSIENT = regex(r"(?:http\s*)?(?:499|50[0234]|52[1-4]|529)(?=\s|:.|$)", re.ASCII | re.DOTALL)

BILLING_TEXT_LIMIT = 512
"""Longer texts are prose (a page, a transcript): vague billing phrases in them prove nothing."""

CACHED_TEXTS = 512
CACHEABLE_LENGTH = 1024


TEXT_LIMIT = 16_384
"""Longer texts are whole pages; their beginning is enough to classify them."""


def normalized(text: str) -> str:
    """The form in which texts are matched: lower-cased, trimmed, and not longer than `TEXT_LIMIT`."""
    return text[:TEXT_LIMIT].strip().lower()


def billing_text(text: str) -> str | None:
    """The billing phrase of a normalized text, or None."""
    hard = money.HARD_402.find(text) or money.PAYMENT_402.find(text) or money.ZAI_NO_RESOURCE.find(text)
    if hard is not None or len(text) > BILLING_TEXT_LIMIT:
        return hard
    return money.BILLING.find(text)


def timeout_text(text: str) -> str | None:
    """The timeout phrase of a normalized text, or None."""
    if text in phrases.WHOLE_TIMEOUTS:
        return text
    return phrases.TIMEOUT.find(text)


def payment_required(text: str, rate_limit: Phrases = phrases.RATE_LIMIT) -> tuple[Classification, bool]:
    """What a 402 means: no credit, or a temporary limit; and whether the text itself decided it."""
    if (found := money.ALLOWANCE_REFILLS.find(text)) is not None:
        return because(Reason.RATE_LIMIT, "402-limit-resets", found), True
    if (found := money.MONEY_GONE.find(text)) is not None:
        return because(Reason.BILLING, "402-money-gone", found), True
    if (found := rate_limit.find(text) or money.LIMIT_RESETS.find(text)) is not None:
        return because(Reason.RATE_LIMIT, "402-limit-resets", found), True
    return because(Reason.BILLING, "status-402", "402"), False


MessageRule = Callable[[str, str], Classification | None]
"""(normalized text, lower-cased provider) -> an answer, or None to try the next rule."""

PhraseFinder = Callable[[str], str | None]
"""Normalized text -> the phrase in it that matters, or None."""


# --- rules, for the tables that a version has ----------------------------------------------------------------------


def finds(find: PhraseFinder, reason: FailureReason, rule: str) -> MessageRule:
    def ask(text: str, _provider: str) -> Classification | None:
        found = find(text)
        return None if found is None else because(reason, rule, found)

    return ask


def says(table: Phrases, reason: FailureReason, rule: str) -> MessageRule:
    return finds(table.find, reason, rule)


def whole(texts: frozenset[str], reason: FailureReason, rule: str) -> MessageRule:
    def ask(text: str, _provider: str) -> Classification | None:
        return because(reason, rule, text) if text in texts else None

    return ask


def of_openrouter(table: Phrases, reason: FailureReason, rule: str) -> MessageRule:
    def ask(text: str, provider: str) -> Classification | None:
        if "openrouter" not in provider or (found := table.find(text)) is None:
            return None
        return because(reason, rule, found)

    return ask


def image_too_large(table: Phrases) -> MessageRule:
    def ask(text: str, _provider: str) -> Classification | None:
        found = table.find(text)
        return None if found is None else Classification(Kind.NONE, None, "image-too-large", found)

    return ask


def context_overflow(table: Phrases) -> MessageRule:
    def ask(text: str, _provider: str) -> Classification | None:
        found = table.find(text)
        if found is None or phrases.NOT_CONTEXT_OVERFLOW.find(text) is not None:
            return None
        return Classification(Kind.CONTEXT_OVERFLOW, None, "context-overflow", found)

    return ask


def quoted_402(points_gone: Phrases, rate_limit: Phrases) -> MessageRule:
    """A 402 within the text, confirmed by what stands around it."""

    def ask(text: str, _provider: str) -> Classification | None:
        if "402" not in text:
            return None
        hard = money.HARD_402.find(text) or points_gone.find(text)
        if hard is None and LEADING_402.match(text) is None:
            return None
        answer, decided = payment_required(text, rate_limit)
        return answer if decided or hard is not None else None

    return ask


def periodic_limit(unpaid_text: PhraseFinder, *, unpaid_rule: str = "periodic-limit") -> MessageRule:
    """A limit of the day, week or month; with a billing phrase it is no wait, but a bill."""

    def ask(text: str, _provider: str) -> Classification | None:
        if (found := phrases.PERIODIC_LIMIT.find(text)) is None:
            return None
        if (unpaid := unpaid_text(text)) is not None:
            return because(Reason.BILLING, unpaid_rule, unpaid)
        return because(Reason.RATE_LIMIT, "periodic-limit", found)

    return ask


def oauth_refresh(failed: Phrases, final: Phrases) -> MessageRule:
    """A token that could not be refreshed, and never will be."""

    def ask(text: str, _provider: str) -> Classification | None:
        if failed.find(text) is None or (found := final.find(text)) is None:
            return None
        return because(Reason.AUTH_PERMANENT, "oauth-refresh-final", found)

    return ask


def api_error(transient: Phrases) -> MessageRule:
    """Anthropic's `api_error` where its message says that it passes."""

    def ask(text: str, _provider: str) -> Classification | None:
        if '"type":"api_error"' not in text or (found := transient.find(text)) is None:
            return None
        return because(Reason.TIMEOUT, "anthropic-api-error", found)

    return ask


def leading_transient(text: str, _provider: str) -> Classification | None:
    if (match := LEADING_TRANSIENT.match(text)) is None:
        return None
    reason = Reason.OVERLOADED if match.group(0).endswith("529") else Reason.TIMEOUT
    return because(reason, "leading-http-status", match.group(0))


def openai_processing(text: str, _provider: str) -> Classification | None:
    if phrases.OPENAI_PROCESSING.find(text) is None or (found := phrases.OPENAI_SIGNED.find(text)) is None:
        return None
    return because(Reason.TIMEOUT, "openai-processing", found)


# --- the rules of 2026.5.20 ----------------------------------------------------------------------------------------


def _server_error_field(text: str, _provider: str) -> Classification | None:
    if (found := phrases.SERVER_ERROR_FIELD.find(text)) is None:
        return None
    if billing_text(text) or phrases.AUTH_PERMANENT.find(text) or phrases.AUTH.find(text):
        return None
    return because(Reason.SERVER_ERROR, "server-error-field", found)


overloaded_rule = says(phrases.OVERLOADED, Reason.OVERLOADED, "overloaded-text")
format_rule = says(phrases.FORMAT, Reason.FORMAT, "format-text")
timeout_rule = finds(timeout_text, Reason.TIMEOUT, "timeout-text")
billing_rule = finds(billing_text, Reason.BILLING, "billing-text")
quoted_402_rule = quoted_402(money.POINTS_GONE, phrases.RATE_LIMIT)

MESSAGE_RULES: tuple[MessageRule, ...] = (
    image_too_large(phrases.IMAGE),
    says(phrases.SESSION_EXPIRED, Reason.SESSION_EXPIRED, "session-expired-text"),
    says(phrases.MODEL_NOT_FOUND, Reason.MODEL_NOT_FOUND, "model-not-found-text"),
    context_overflow(phrases.CONTEXT_OVERFLOW),
    quoted_402_rule,
    of_openrouter(money.OPENROUTER_KEY_LIMIT, Reason.BILLING, "openrouter-key-limit"),
    periodic_limit(billing_text, unpaid_rule="periodic-limit-billing"),
    says(phrases.RATE_LIMIT, Reason.RATE_LIMIT, "rate-limit-text"),
    overloaded_rule,
    _server_error_field,
    leading_transient,
    openai_processing,
    billing_rule,
    oauth_refresh(phrases.OAUTH_REFRESH, phrases.OAUTH_REFRESH_FINAL),
    says(phrases.AUTH_PERMANENT, Reason.AUTH_PERMANENT, "auth-permanent-text"),
    says(phrases.AUTH, Reason.AUTH, "auth-text"),
    whole(phrases.WHOLE_UNKNOWNS, Reason.TIMEOUT, "unknown-error"),
    of_openrouter(phrases.OPENROUTER_UPSTREAM, Reason.TIMEOUT, "openrouter-upstream"),
    says(phrases.SERVER_TEXT, Reason.TIMEOUT, "server-text"),
    api_error(phrases.API_ERROR_TRANSIENT),
    format_rule,
    whole(phrases.WHOLE_NO_DETAILS, Reason.NO_ERROR_DETAILS, "no-error-details"),
    timeout_rule,
    says(phrases.PROVIDER_LIMIT, Reason.RATE_LIMIT, "provider-limit"),
    says(phrases.MODEL_NOT_READY, Reason.OVERLOADED, "bedrock-model-not-ready"),
    says(phrases.MODEL_RETIRED, Reason.MODEL_NOT_FOUND, "model-retired"),
)


class Reader:
    """Classifies an error's words by rules in order. Providers repeat themselves, so answers are cached."""

    def __init__(self, rules: tuple[MessageRule, ...]) -> None:
        self._rules = rules
        self._cached = lru_cache(maxsize=CACHED_TEXTS)(self._ask)

    def __call__(self, message: str, provider: str = "") -> Classification:
        """The class of the words alone, without their leading status."""
        text = normalized(message)
        if not text:
            return NOTHING
        ask = self._cached if len(text) <= CACHEABLE_LENGTH else self._ask
        return ask(text, provider.lower())

    def _ask(self, text: str, provider: str) -> Classification:
        answers = (rule(text, provider) for rule in self._rules)
        return next((answer for answer in answers if answer is not None), NOTHING)


message_class = Reader(MESSAGE_RULES)
