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


class PastingApp(MessagePump):
    """The app's mixin; must precede Textual's App in the bases."""

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.Paste) and not event.is_forwarded:
            event = events.Paste(pasted_text(event.text))
        await super().on_event(event)
