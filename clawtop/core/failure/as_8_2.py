"""How OpenClaw 2026.8.2 reads an error, where it differs from 2026.9.6: what the server answers is mostly a timeout, a
status that it does not list says nothing, and the code inside a body is not read.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from clawtop.core.failure import as_9_6
from clawtop.core.failure.as_9_6 import CODES_9, Plugin, SignalReading, leading_status, no_plugin
from clawtop.core.failure.rules import Classification, MessageRule, Reader, because
from clawtop.core.failure.status import Signal
from clawtop.core.model import FailureReason

Reason = FailureReason

_LATER = ("ERR_WEBSOCKET_TRANSPORT", "UNKNOWN_PARAMETER", "SELECTED_AUTH_PROFILE_UNAVAILABLE")
CODES_8: Mapping[str, FailureReason] = MappingProxyType(
    {code: reason for code, reason in CODES_9.items() if code not in _LATER}
)

_PASSING = frozenset({499, 500, 502, 503, 504, 521, 522, 523, 524})
"""Statuses at the beginning of a text that mean a timeout."""

_AS_9_6 = frozenset({400, 401, 402, 403, 404, 408, 410, 422, 429})
"""The statuses of requests that it lists. Any other says nothing, so that a code goes before words of an overflow."""

_WORDS_WIN: Mapping[int | float, FailureReason] = MappingProxyType(
    {
        499: Reason.OVERLOADED,
        500: Reason.SERVER_ERROR,
        502: Reason.SERVER_ERROR,
        503: Reason.OVERLOADED,
        504: Reason.SERVER_ERROR,
    }
)
"""The statuses of servers that it lists, each a timeout unless the words are of this class."""


def code_reason(code: str | None) -> FailureReason | None:
    """The reason for an error code, in any case."""
    return CODES_8.get(code.strip().upper()) if code else None


def _leading_status(text: str, _provider: str) -> Classification | None:
    status = leading_status(text)
    if status == 529:
        return because(Reason.OVERLOADED, "status-529", "529")
    return because(Reason.TIMEOUT, f"status-{status}", f"{status}") if status in _PASSING else None


def _rules() -> tuple[MessageRule, ...]:
    made: list[MessageRule] = []
    for rule in as_9_6.RULES:
        if rule in (as_9_6.broken_transcript, as_9_6.overflow_last, as_9_6.status_alone):
            continue
        made += [rule, _leading_status] if rule is as_9_6.server_error_field else [rule]
    return tuple(made)


read_words = Reader(_rules())


def by_status(
    signal: Signal, status: int | float, provider: str, words: Classification, *, own: bool
) -> Classification | None:
    """What the status says; None where it says nothing. `own`: the provider's plugin gave the words."""
    if status == 529:
        return because(Reason.OVERLOADED, "status-529", "529")
    if status in _AS_9_6:
        return as_9_6.by_status(signal, status, provider, words, own=own)
    wins = _WORDS_WIN.get(status)
    if wins is None:
        return None
    return words if words.reason == wins else because(Reason.TIMEOUT, f"status-{status:g}", f"{status:g}")


_READING = SignalReading(read_words, by_status, code_reason, body_codes=False, pages_time_out=True)


def read_signal(signal: Signal, plugin: Plugin = no_plugin) -> Classification:
    """The class of an error's status, code and message, after what its provider's plugin says."""
    return as_9_6.read(signal, _READING, plugin)
