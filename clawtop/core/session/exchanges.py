"""A transcript's last messages and what followed each: answered, silent on purpose, failed, or nothing yet.

Works on parsed entries (transcript versions 3 and 4; 2026.3.28 to 2026.9.6). Texts are read but never kept; one that
an operator asks for is looked up again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from clawtop.core.javascript import parse_date
from clawtop.core.model import Exchange, TurnOutcome
from clawtop.nested import among
from clawtop.patterns import regex
from clawtop.text import shown

AGAIN_MS = 10 * 60_000
"""A failed attempt's message is repeated for the next attempt (2026.5.20); the same text later is a new message."""

MOST = 50
_ERROR_CHARS = 120
_LOOKED_AT_CHARS = 4_096

_SILENT = regex(r"\s*(?:NO_REPLY|\{\s*\"action\"\s*:\s*\"NO_REPLY\"\s*\})\s*", re.IGNORECASE)
_NO_NEWS = regex(r"\W*HEARTBEAT_OK\b.*", re.DOTALL)
_NOT_A_MODEL = frozenset({"gateway-injected"})
_FAILED_TURN = "[assistant turn failed before producing content]"
_SENDERS: tuple[tuple[str, str], ...] = (
    ("[OpenClaw heartbeat", "heartbeat"),
    ("Read HEARTBEAT.md", "heartbeat"),
    ("[cron:", "cron"),
    ("[Inter-session message]", "agent"),
    ("[Subagent ", "agent"),
    ("[OpenClaw room event]", "unaddressed"),
    ("System: ", "system"),
)
"""Beginnings of messages that no person sent, and who sent them."""

_CONTINUES = (
    "Continue where you left off. The previous model attempt failed or timed out.",
    "[Retry after the previous model attempt failed or timed out]",
)
"""Beginnings of the text that is sent to the next model after a failure (2026.3.28, 2026.5.20); not a new message."""

_ENVELOPE = regex(r"^\[[A-Z][a-z]{2} [^\]\n]{0,40}\] ")
_ENDED = frozenset({"stop", "length", "end_turn", "max_tokens", "completed"})
EMPTY_ANSWER = "an empty answer"

_STOPPED = frozenset({"aborted", "cancelled"})


def exchanges(entries: Iterable[Mapping[str, Any]]) -> tuple[Exchange, ...]:
    """The exchanges of the last entries of a transcript, oldest first; at most `MOST`."""
    found: list[Exchange] = []
    texts: list[int] = []
    for entry in entries:
        message = entry.get("message")
        if entry.get("type") != "message" or not isinstance(message, Mapping):
            continue
        at = _time(entry, message)
        if at is None:
            continue
        if message.get("role") == "user":
            _ask(found, texts, at, message)
        elif message.get("role") == "assistant":
            _answer(found, texts, at, message)
    return tuple(found[-MOST:])


def asked_text(entries: Iterable[Mapping[str, Any]], at: int) -> str | None:
    """The text of the message that came at `at` (ms since the epoch), unchanged; None without one."""
    for entry in entries:
        message = entry.get("message")
        if entry.get("type") != "message" or not isinstance(message, Mapping) or message.get("role") != "user":
            continue
        if _time(entry, message) == at:
            return _text(message)
    return None


def _ask(found: list[Exchange], texts: list[int], at: int, message: Mapping[str, Any]) -> None:
    text = _text(message)
    mark = hash(text)
    again = found and texts[-1] == mark and at - found[-1].asked_at <= AGAIN_MS
    if found and _ENVELOPE.sub("", text[:_LOOKED_AT_CHARS]).startswith(_CONTINUES):
        again = at - (found[-1].ended_at or found[-1].asked_at) <= AGAIN_MS
    if again and found[-1].outcome in (TurnOutcome.FAILED, TurnOutcome.OPEN, TurnOutcome.STOPPED):
        found[-1] = _tried_again(found[-1])
        return
    found.append(Exchange(at, len(text), _sender(text, message), TurnOutcome.OPEN))
    texts.append(mark)


def _answer(found: list[Exchange], texts: list[int], at: int, message: Mapping[str, Any]) -> None:
    outcome, error = _outcome(message, found[-1].by if found else "user")
    if outcome is None:
        return
    if among(message.get("model"), _NOT_A_MODEL) and (not found or found[-1].outcome is not TurnOutcome.OPEN):
        # The gateway's own words about a message that never reached the transcript.
        if outcome is TurnOutcome.FAILED:
            found.append(Exchange(at, 0, "user", outcome, at, error))
            texts.append(0)
        return
    if found:
        found[-1] = replace(found[-1], outcome=outcome, ended_at=at, error=error, failed_at=None, failed_with=None)


def _tried_again(asked: Exchange) -> Exchange:
    """The next attempt has begun: until it ends, the failure of the last one is what is known."""
    failed = asked.outcome is TurnOutcome.FAILED
    return replace(
        asked,
        outcome=TurnOutcome.OPEN,
        ended_at=None,
        error=None,
        failed_at=asked.ended_at if failed else asked.failed_at,
        failed_with=asked.error if failed else asked.failed_with,
    )


def _outcome(message: Mapping[str, Any], by: str) -> tuple[TurnOutcome | None, str | None]:
    reason = str(message.get("stopReason") or "")
    text = _text(message)
    if reason == "error" or text.startswith(_FAILED_TURN):
        said = message.get("errorMessage")
        return TurnOutcome.FAILED, _error(said) if isinstance(said, str) else None
    if reason in _STOPPED:
        return TurnOutcome.STOPPED, None
    if among(message.get("model"), _NOT_A_MODEL):
        told = text.lstrip().startswith(("⚠", "❌"))
        return (TurnOutcome.FAILED, shown(text, _ERROR_CHARS)) if told else (TurnOutcome.TOLD, None)
    if reason and reason not in _ENDED:
        return None, None  # a tool is running
    if _SILENT.fullmatch(text) or (by == "heartbeat" and _NO_NEWS.fullmatch(text)):
        return TurnOutcome.SILENT, None
    return (TurnOutcome.ANSWERED, None) if text.strip() else (TurnOutcome.FAILED, EMPTY_ANSWER)


def _error(said: str) -> str:
    """A provider's error in short: of JSON, its status and what it says to people."""
    from clawtop.core.failure.provider_json import body_of  # most transcripts hold no error

    message = body_of(said).message
    status = _STATUS.match(said)
    return shown(f"{status[0] if status is not None else ''}{message}" if message else said, _ERROR_CHARS)


_STATUS = regex(r"\d{3} ", re.ASCII)


def _sender(text: str, message: Mapping[str, Any]) -> str:
    head = text[:_LOOKED_AT_CHARS]
    plain = _ENVELOPE.sub("", head)
    for begin, who in _SENDERS:
        if plain.startswith(begin):
            return who
    if '"is_group_chat": true' in head:
        if '"was_mentioned": true' in head or '"explicitly_mentioned_bot": true' in head:
            return "addressed"
        return "unaddressed" if '"explicitly_mentioned_bot": false' in head else "group"
    return "unaddressed" if _is_room_event(head, message) else "user"


def _is_room_event(head: str, message: Mapping[str, Any]) -> bool:
    """Whether 2026.8 or later wrote a group message that is not meant for the bot: only those are stored with their id
    in the channel and their sender in front, as `#4 Ann: who brings bread?`, and never with the bot's own reading of
    them.
    """
    about = message.get("__openclaw")
    transport = about.get("transport") if isinstance(about, Mapping) else None
    id_ = transport.get("messageId") if isinstance(transport, Mapping) else None
    return isinstance(id_, str) and any(line.startswith(f"#{id_} ") for line in head.split("\n"))


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    texts = [part.get("text") for part in parts if isinstance(part, Mapping) and part.get("type") == "text"]
    return "".join(text for text in texts if isinstance(text, str))


def _time(entry: Mapping[str, Any], message: Mapping[str, Any]) -> int | None:
    """When the message came: its own time for a question (the entry is written when its run starts)."""
    stored, own = entry.get("timestamp"), message.get("timestamp")
    asked = own if isinstance(own, int) and not isinstance(own, bool) and own > 0 else None
    if message.get("role") == "user" and asked is not None:
        return asked
    written = parse_date(stored) if isinstance(stored, str) else None
    return written if written is not None else asked
