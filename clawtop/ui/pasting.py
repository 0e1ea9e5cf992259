"""Pasting: no control byte of pasted text reaches an input or the screen."""

from __future__ import annotations

from textual import events
from textual.message_pump import MessagePump

from clawtop.text import safe

TAB = "    "


def pasted_text(text: str) -> str:
    """Pasted text without control bytes, line by line."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "\n".join(safe(line.replace("\t", TAB)) for line in lines)


class PasteFilter:
    """Filters what a terminal sends, in chunks of any size: removes escape characters inside pasted text.

    Textual (8.2) takes such a character for the start of a key's sequence, and hands up to 32 pasted characters over as
    keys: a pasted `y` would answer a question.
    """

    def __init__(self) -> None:
        self._pasting = False
        self._held = ""  # the beginning of what may be the end of a paste
        self._tail = ""  # the latest characters, which may begin the start of one

    def passed(self, data: str) -> str:
        """`data` as it may be read; may be empty while the end of a paste is awaited."""
        out: list[str] = []
        while data:
            data, passed = self._inside(data) if self._pasting else self._outside(data)
            out.append(passed)
        return "".join(out)

    def _inside(self, data: str) -> tuple[str, str]:
        data, self._held = self._held + data, ""
        body, end, rest = data.partition(_PASTE_END)
        if end:
            self._pasting = False
        else:
            begun = next((n for n in range(len(_PASTE_END) - 1, 0, -1) if body.endswith(_PASTE_END[:n])), 0)
            body, self._held = body[: len(body) - begun], body[len(body) - begun :]
        return rest, body.replace("\x1b", safe("\x1b")) + end

    def _outside(self, data: str) -> tuple[str, str]:
        seen = self._tail + data
        found = seen.find(_PASTE_START)
        if found < 0:
            self._tail = seen[1 - len(_PASTE_START) :]
            return "", data
        end = found + len(_PASTE_START) - len(self._tail)
        self._pasting, self._tail = True, ""
        return data[end:], data[:end]


_PASTE_START, _PASTE_END = "\x1b[200~", "\x1b[201~"


class PastingApp(MessagePump):
    """The app's mixin; must precede Textual's App in the bases."""

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.Paste) and not event.is_forwarded:
            event = events.Paste(pasted_text(event.text))
        await super().on_event(event)
