"""How OpenClaw 2026.6.11 and 2026.7.1 classify an error, where they differ from 2026.5.20: billing is checked first.

Any billing text makes a 429 a billing failure, unless it is the one balance text that can also be a limit; the other
texts of an error's body count where its message says little.
"""

from __future__ import annotations

import re
from types import MappingProxyType

from clawtop.core.failure import phrase_tables as phrases
from clawtop.core.failure import rules as common
from clawtop.core.failure import status as plain
from clawtop.core.failure.phrases import Phrases, ordered, pattern
from clawtop.core.failure.provider_json import body_of
from clawtop.core.failure.rules import Classification, Kind, Reader, because, normalized
from clawtop.core.failure.status import Signal, inferred_status
from clawtop.core.model import FailureReason
from clawtop.patterns import regex

Reason = FailureReason

PLAN_LACKS = Phrases(
    patterns=(
        pattern("invalidsubscription", r'"code"\s*:\s*"invalidsubscription"'),
        pattern("subscription", r"\bdoes not have a valid coding\s*plan subscription\b"),
        ordered(
            "include",
            r"\bcurrent\s+subscription\s+plan\b",
            r"\b(?:does\s+not|doesn't|not)\b",
            r"\binclude\s+access\b",
        ),
        ordered("available", r"\bmodel\b", r"\bnot\s+available\b", r"\bcurrent\s+plan\b"),
    )
)
"""The subscription does not cover what was asked for."""

AMBIGUOUS_BALANCE = regex(r"\binsufficient\s+account\s+balance\b", re.ASCII)
MEANS_MONEY = ("xai", "moonshot", "kimi")

OUT_OF_ROOM = Phrases(patterns=(pattern("ran out of", r"ran out of (?:room|space)", r"context (?:window|length)"),))
OVERLOADED_TOO = Phrases(literals=("访问量过大",))
FORMAT_TOO = Phrases(
    patterns=(ordered("agent harness", r"agent harness ", r" does not support ", r"provider is not one of"),)
)
WHOLE_TIMEOUTS = phrases.WHOLE_TIMEOUTS | {"llm request failed."}
DEACTIVATED = "DEACTIVATED_WORKSPACE"


def timeout_text(text: str) -> str | None:
    """The timeout phrase of a normalized text, or None."""
    return text if text in WHOLE_TIMEOUTS else common.timeout_text(text)


def billing_text(text: str) -> str | None:
    """The billing phrase of a normalized text, or None."""
    found = common.billing_text(text)
    if found is not None:
        return found
    if len(text) > common.BILLING_TEXT_LIMIT:
        return PLAN_LACKS.patterns[0].find(text)
    return PLAN_LACKS.find(text)


def unpaid_429(text: str, provider: str) -> str | None:
    """The billing phrase of a 429's text, where it means money and not a limit."""
    found = billing_text(text)
    if found is None or any(name in provider for name in MEANS_MONEY) or AMBIGUOUS_BALANCE.search(text) is None:
        return found
    kind = body_of(text).kind
    return found if kind and (billing_text(kind) or billing_text(kind.replace("_", " "))) else None


def billing_unless_429(text: str, _provider: str) -> Classification | None:
    """Billing, before any limit; a text that begins with 429 is left to later rules."""
    if inferred_status(None, text) == 429 or (found := billing_text(text)) is None:
        return None
    return because(Reason.BILLING, "billing-text", found)


def _with(rules: tuple[common.MessageRule, ...]) -> tuple[common.MessageRule, ...]:
    made: list[common.MessageRule] = []
    for rule in rules:
        if rule is common.quoted_402_rule:
            made += [common.context_overflow(OUT_OF_ROOM), rule, billing_unless_429]
        elif rule is common.overloaded_rule:
            made += [rule, common.says(OVERLOADED_TOO, Reason.OVERLOADED, "overloaded-text")]
        elif rule is common.format_rule:
            made += [rule, common.says(FORMAT_TOO, Reason.FORMAT, "format-text")]
        elif rule is common.timeout_rule:
            made.append(common.finds(timeout_text, Reason.TIMEOUT, "timeout-text"))
        elif rule is not common.billing_rule:
            made.append(rule)
    return tuple(made)


read_words = Reader(_with(common.MESSAGE_RULES))


def merged(message: Classification, detail: Classification) -> Classification:
    """The class of a message together with a detail of its body: the more specific of the two."""
    if not message or not detail:
        return message or detail
    if message.kind is Kind.CONTEXT_OVERFLOW:
        return message
    if detail.kind is Kind.CONTEXT_OVERFLOW:
        return detail
    if detail.reason == Reason.BILLING and message.reason == Reason.RATE_LIMIT:
        return detail
    return detail if message.reason == Reason.FORMAT else message


def first_detail(signal: Signal, read: Reader) -> Classification:
    """The class of the first detail that has one."""
    answers = (read(detail, signal.provider or "") for detail in signal.details)
    return next((answer for answer in answers if answer), common.NOTHING)


def read_signal(signal: Signal) -> Classification:
    """The class of an error's status, code and message: the status first, then the code, then the words."""
    provider = (signal.provider or "").lower()
    status = inferred_status(signal.status, signal.message)
    words = merged(read_words(signal.message or "", provider), first_detail(signal, read_words))
    if (signal.code or "").strip().upper() == DEACTIVATED:
        return because(Reason.AUTH_PERMANENT, "error-code", signal.code or "")
    answer = None if status is None else _by_status(signal, status, provider, words)
    return plain.decided(signal, answer, words)


DEFAULTS_7_1 = MappingProxyType({**plain.DEFAULT_STATUS, Reason.CONTEXT_OVERFLOW: 413})


def read_signal_7_1(signal: Signal) -> Classification:
    """The same in 2026.7.1, where a conversation that is too long is a reason of its own."""
    answer = read_signal(signal)
    if answer.kind is not Kind.CONTEXT_OVERFLOW:
        return answer
    return Classification(answer.kind, Reason.CONTEXT_OVERFLOW, answer.rule, answer.matched)


def _by_status(signal: Signal, status: int | float, provider: str, words: Classification) -> Classification | None:
    if status == 429:
        text = normalized(signal.message or "")
        if words.reason == Reason.BILLING and (AMBIGUOUS_BALANCE.search(text) is None or unpaid_429(text, provider)):
            return words
        unpaid = unpaid_429(text, provider)
        if unpaid is not None:
            return because(Reason.BILLING, "billing-as-429", unpaid)
        return because(Reason.RATE_LIMIT, "status-429", "429")
    return plain.by_status(signal, status, provider, words)
