"""From bytes to events, whatever the content type says: server-sent events, JSON lines, or one JSON document.

Servers label the same stream text/event-stream, text/plain, application/x-ndjson, octet-stream or not at all, and some
answer a streaming request with one JSON document; so the bytes decide.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from clawtop.engine.providers import json_repair
from clawtop.engine.providers.encoding import Utf8

EVENT_LIMIT = 4 * 1024 * 1024
"""Maximum size of one event, in bytes."""

SseFrame = tuple[str, str]
"""(event name, data) of one event; the name is empty where the event has none."""


class FrameTooLargeError(ValueError):
    """An event does not end within the limit."""


STRAY_CHARS = 200
_FIELDS = frozenset({"data", "event", "error", "id", "retry"})


def _events_in(data: list[str]) -> list[str]:
    """The events that a server did not divide by blank lines; empty if the lines are one event."""
    try:
        json_repair.loads("\n".join(data))
    except ValueError:
        pass
    else:
        return []
    whole = [line for line in data if _is_object(line)]
    return data if len(whole) >= len(data) - 1 and whole else []


def _is_object(line: str) -> bool:
    try:
        return isinstance(json_repair.loads(line), dict)
    except ValueError:
        return False


class Frames:
    """Splits one body into events. `feed` returns those that became complete, `rest` those that the end of the body
    completes.

    Attributes:
        stray: the beginning of data that is not an event at all, for people.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched = 0
        self._event = ""
        self._data: list[str] = []
        self._held = 0
        self._document = False
        self._is_first = True
        self._utf8 = Utf8()
        self._values = 0
        self._is_framed = False
        self.stray = ""

    @property
    def was_one_document(self) -> bool:
        """The whole body was one JSON document."""
        return self._values == 1 and not self._is_framed

    def feed(self, chunk: bytes) -> Iterator[SseFrame]:
        """The events that end in `chunk`. Raises FrameTooLargeError."""
        self._take(self._utf8.feed(chunk))
        yield from self._lines()

    def _take(self, chunk: bytes) -> None:
        self._buffer += chunk
        if len(self._buffer) + self._held > EVENT_LIMIT:
            raise FrameTooLargeError(f"one event of the reply exceeds {EVENT_LIMIT} bytes")

    def _lines(self) -> Iterator[SseFrame]:
        while not self._document and (line := self._next_line()) is not None:
            yield from self._line(line)

    def rest(self) -> Iterator[SseFrame]:
        """What the end of the body completes: a last line without its newline, an event without its blank line."""
        self._take(self._utf8.feed(b"", last=True))
        yield from self._lines()
        left = self._buffer.decode("utf-8", "replace").removesuffix("\r")
        self._buffer.clear()
        if self._document:
            yield from self._documents(left)
            return
        if left.strip():
            if left.lstrip()[:1] in {"{", "["}:
                yield from self._documents(left)
            else:
                yield from self._line(left)
        yield from self._dispatched()

    def _next_line(self) -> str | None:
        """The next whole line, without its end; a `\\r` at the very end of what came may be half of an end."""
        buffer = self._buffer
        newline = buffer.find(b"\n", self._searched)
        at = buffer.find(b"\r", self._searched, newline if newline >= 0 else len(buffer))
        if at >= 0 and at + 1 == len(buffer):
            self._searched = at
            return None
        if at < 0:
            at = newline
        if at < 0:
            self._searched = len(buffer)
            return None
        end = at + 2 if buffer[at : at + 2] == b"\r\n" else at + 1
        line = buffer[:at].decode("utf-8", "replace")
        del buffer[:end]
        self._searched = 0
        return line

    def _line(self, line: str) -> Iterator[SseFrame]:
        if self._is_first and line.strip():
            self._is_first = False
            line = line.removeprefix("\ufeff")
        if not line:
            yield from self._dispatched()
        elif line[0] in "{[" or (line[0] in " \t\x1e" and line.lstrip(" \t\x1e")[:1] in {"{", "["}):
            yield from self._dispatched()
            yield from self._json_line(line.lstrip("\x1e"))
        elif line[0] != ":":
            self._field(line)

    def _json_line(self, line: str) -> Iterator[SseFrame]:
        """A line of JSON lines; one that is not whole begins a document over many lines."""
        try:
            json_repair.loads(line)
        except ValueError:
            self._document = True
            self._buffer[:0] = line.encode() + b"\n"
            return
        self._values += 1
        yield "", line

    def _field(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name if name in _FIELDS else name.strip("\ufeff\0 \t").lower():
            case "data":
                self._is_framed = True
                value = value.removeprefix("data:").removeprefix(" ")  # a proxy framed it a second time
                self._data.append(value)
                self._held += len(value)
            case "event":
                self._event = value
            case "error":
                self._event, self._data = "error", [*self._data, value]  # llama.cpp
            case _:
                if not self.stray and not name.startswith(":") and name not in _FIELDS:
                    self.stray = f"{name}:{value}"[:STRAY_CHARS] if value else name[:STRAY_CHARS]

    def _dispatched(self) -> Iterator[SseFrame]:
        event, data = self._event, self._data
        self._event, self._data, self._held = "", [], 0
        if len(data) > 1 and (whole := _events_in(data)):
            yield from ((event, one) for one in whole)
        elif data:
            yield event, "\n".join(data)

    def _documents(self, content: str) -> Iterator[SseFrame]:
        """One JSON document; a list (Gemini without `alt=sse`) counts as its members."""
        try:
            value = json_repair.loads(content)
        except ValueError:
            yield from (("", one) for one in json_repair.in_a_row(content) or [content])
            return
        members = value if isinstance(value, list) else (value,)
        self._values += len(members)
        for member in members:
            yield "", json.dumps(member)
