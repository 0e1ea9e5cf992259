"""How the plugins shipped with OpenClaw 2026.8 and 2026.9 classify their own provider's errors, before any table."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from clawtop.core.failure.as_9_6 import OVERFLOW, Plugin, no_plugin
from clawtop.core.failure.phrases import Phrases, ordered, pattern
from clawtop.core.failure.rules import Classification, because, normalized
from clawtop.core.failure.status import Signal
from clawtop.core.model import FailureReason
from clawtop.patterns import regex

Reason = FailureReason
Status = int | float | None

_OPENAI_CODES: Mapping[str, FailureReason] = MappingProxyType(
    {"SERVER_ERROR": Reason.SERVER_ERROR, "INSUFFICIENT_QUOTA": Reason.BILLING}
)
_FILTERED_SIZE = Phrases(patterns=(ordered("content_filter", r"content_filter", r"prompt|input", r"too long|exceed"),))
_XAI_MONEY = Phrases(
    patterns=(
        pattern(
            "credits|limit|subscription",
            r"\b(?:used all available credits|run out of credits|monthly spending limit|purchase more credits"
            r"|raise your spending limit|need a grok subscription)\b",
        ),
    )
)
_XAI_LIMIT = Phrases(patterns=(pattern("rate limit|too many", r"\b(?:rate limit exceeded|too many requests)\b"),))
_XAI_INTERNAL = Phrases(patterns=(pattern("internal error", r"\binternal error during token generation\b"),))
_KEY_LIMIT = Phrases(patterns=(pattern("limit", r"\b(?:api\s+key\s+budget|key)\s+limit\s*(?:exceeded|reached|hit)\b"),))
_UPSTREAM = Phrases(literals=("provider returned error",))
_CONCURRENCY = Phrases(patterns=(ordered("concurrency limit", r"\bconcurrency limit\b", r"\b(?:breached|reached)\b"),))
_OLLAMA_SIZE = Phrases(
    patterns=(
        ordered("ollama", r"\bollama\b", r"context length|too many tokens|context window"),
        ordered("truncating input", r"\btruncating input\b", r"\btoo long\b"),
    )
)
_OLLAMA_ENDED = regex(r"ollama api stream ended without a final response", re.ASCII)


def _openai(signal: Signal, _status: Status) -> Classification | None:
    if _FILTERED_SIZE.find(normalized(signal.message or "")) is not None:
        return OVERFLOW
    reason = _OPENAI_CODES.get((signal.code or "").strip().upper())
    return None if reason is None else because(reason, "openai-plugin", signal.code or "")


def _xai_8_2(signal: Signal, _status: Status) -> Classification | None:
    text = normalized(signal.message or "")
    if (found := _XAI_MONEY.find(text)) is not None:
        return because(Reason.BILLING, "xai-plugin", found)
    if (found := _XAI_LIMIT.find(text)) is not None:
        return because(Reason.RATE_LIMIT, "xai-plugin", found)
    return None


def _xai(signal: Signal, status: Status) -> Classification | None:
    own, text = _xai_8_2(signal, status), normalized(signal.message or "")
    if own is not None:
        return own
    if status is None and signal.code is None and (found := _XAI_INTERNAL.find(text)) is not None:
        return because(Reason.SERVER_ERROR, "xai-plugin", found)
    return None


def _openrouter(signal: Signal, _status: Status) -> Classification | None:
    text = normalized(signal.message or "")
    if (found := _KEY_LIMIT.find(text)) is not None:
        return because(Reason.BILLING, "openrouter-plugin", found)
    found = _UPSTREAM.find(text)
    return None if found is None else because(Reason.TIMEOUT, "openrouter-plugin", found)


def _together(signal: Signal, _status: Status) -> Classification | None:
    found = _CONCURRENCY.find(normalized(signal.message or ""))
    return None if found is None else because(Reason.RATE_LIMIT, "together-plugin", found)


def _ollama(signal: Signal, _status: Status) -> Classification | None:
    text = normalized(signal.message or "")
    if _OLLAMA_SIZE.find(text) is not None:
        return OVERFLOW
    found = _OLLAMA_ENDED.fullmatch(text)
    return None if found is None else because(Reason.SERVER_ERROR, "ollama-plugin", found.group())


_PLUGINS: Mapping[str, Plugin] = MappingProxyType(
    {
        "openai": _openai,
        "openai-codex": _openai,
        "xai": _xai,
        "openrouter": _openrouter,
        "together": _together,
        "ollama": _ollama,
    }
)


def plugin_of(provider: str | None) -> Plugin:
    """The plugin for a provider; a neutral one if there is none."""
    return _PLUGINS.get((provider or "").strip().lower(), no_plugin)


_PLUGINS_8_2: Mapping[str, Plugin] = MappingProxyType({**_PLUGINS, "xai": _xai_8_2})


def plugin_of_8_2(provider: str | None) -> Plugin:
    """The same in 2026.8.2."""
    return _PLUGINS_8_2.get((provider or "").strip().lower(), no_plugin)
