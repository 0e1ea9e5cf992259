"""The stream between two clawtops: JSON lines, ASCII, bounded, checked on the way in.

Far to near: a handshake `{"clawtop_stream": 2, "clawtop": VERSION, "host": .., "state_dir": .., "at": ms}`, then
`{"beat": ms}` every few seconds, `{"summary": {...}}` (the fields of `HostSummary` that changed), `{"problem": words}`
while the state cannot be read, `{"pong": n, "at": ms}`, and while the host is opened `{"records": [...]}`, one line a
snapshot (`store.own.deltas`). Near to far: `{"hello": 1, "salt": hex}`, `{"ping": n}`, `{"open": true | false}`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeGuard

from pydantic import TypeAdapter, ValidationError

from clawtop import nested
from clawtop.core.fleet.summary import HostSummary
from clawtop.redaction import masked_words
from clawtop.text import shown
from clawtop.values import dataclass

STREAM = 2
"""Version of the stream; a clawtop with another version is reported, not guessed at."""

HEARTBEAT_S = 5.0
DEAD_S = 8 * HEARTBEAT_S
"""Without a line for this long, a connection is dropped and made again."""

MAX_GREETING = 64 * 1024
"""Bytes that may come before the handshake: banners of login scripts."""

MAX_LINE = 512 * 1024
"""Bytes of a line of a host that is not opened."""

MAX_OPENED_LINE = 64 * 1024 * 1024

_SUMMARY = TypeAdapter(HostSummary)
_FIELDS = tuple(item.name for item in fields(HostSummary))


class ProtocolError(Exception):
    """The other side does not speak the stream; the text says what came instead, unsanitised."""


@dataclass(frozen=True, slots=True)
class Handshake:
    """The handshake. `at`: ms since the epoch by its clock."""

    stream: int
    clawtop: str
    host: str
    state_dir: str
    at: int


def encode(message: Mapping[str, Any]) -> bytes:
    """One line."""
    return json.dumps(message, separators=(",", ":"), check_circular=False).encode("ascii") + b"\n"


def decode(line: bytes) -> dict[str, Any]:
    """The object on a line. Raises ProtocolError."""
    try:
        message = nested.loads(line)
    except ValueError as error:
        raise ProtocolError(line[:200].decode("ascii", "replace")) from error
    if not isinstance(message, dict):
        raise ProtocolError(line[:200].decode("ascii", "replace"))
    return message


def handshake_of(message: Mapping[str, Any]) -> Handshake | None:
    """A message as a handshake; None if it is another one. Raises ProtocolError for a malformed one."""
    if "clawtop_stream" not in message:
        return None
    texts = [message.get(name) for name in ("clawtop", "host", "state_dir")]
    stream, at = message["clawtop_stream"], message.get("at")
    if not (is_whole(stream) and is_whole(at) and all(isinstance(text, str) and len(text) < 5_000 for text in texts)):
        raise ProtocolError("an invalid handshake")
    return Handshake(stream, str(texts[0]), str(texts[1]), str(texts[2]), int(at or 0))


def is_whole(value: object) -> TypeGuard[int]:
    """A whole number within the range of clocks and counters."""
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 60


def texts(value: object, most: int = 50) -> tuple[str, ...]:
    """Lines that another clawtop sent, for a screen; none in place of anything else."""
    return tuple(shown(item, 400) for item in value[:most] if isinstance(item, str)) if isinstance(value, list) else ()


class SummaryWriter:
    """Summaries as the fields that changed; `at` alone does not count as a change."""

    def __init__(self) -> None:
        self._before: HostSummary | None = None

    def changed(self, summary: HostSummary) -> dict[str, Any] | None:
        """What to send; None when nothing but the time changed."""
        before = self._before
        names = [name for name in _FIELDS if before is None or getattr(before, name) != getattr(summary, name)]
        if names == ["at"] or not names:
            return None
        self._before = summary
        whole = _SUMMARY.dump_python(summary, mode="json")
        return {name: whole[name] for name in {"at", *names}}


class SummaryReader:
    """Puts summaries together again."""

    def __init__(self) -> None:
        self._parts: dict[str, Any] = {}

    def take(self, changed: object) -> HostSummary:
        """The summary after a change, with its words masked here too: another clawtop may mask less.

        Raises ProtocolError and then stays unchanged.
        """
        if not isinstance(changed, dict):
            raise ProtocolError("a summary that is not an object")
        told = {name: masked_words(value) for name, value in changed.items() if name in _FIELDS}
        parts = {**self._parts, **told}
        try:
            summary = _SUMMARY.validate_python(parts)
        except ValidationError as error:
            raise ProtocolError(f"an invalid summary: {error.errors()[0]['loc']}") from error
        self._parts = parts
        return summary
