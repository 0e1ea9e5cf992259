"""Where a message is written: several lines by pasting, Enter sends."""

from __future__ import annotations

from textual import events
from textual.message import Message
from textual.widgets import TextArea

from clawtop.text import safe

EDITOR_LINES = 4


class MessageEditor(TextArea):
    """Enter posts `Sent`. What is pasted is made safe for the terminal first, line by line."""

    class Sent(Message):
        """The operator pressed Enter."""

    def __init__(self) -> None:
        super().__init__(
            "",
            soft_wrap=True,
            compact=True,
            show_line_numbers=False,
            highlight_cursor_line=False,
            placeholder="What to say. Enter sends, Escape leaves; pasted lines stay lines.",
            classes="dialog-extra",
        )

    async def _on_key(self, event: events.Key) -> None:
        if event.key == "enter":
            event.stop()
            event.prevent_default()
            self.post_message(self.Sent())
            return
        await super()._on_key(event)

    async def _on_paste(self, event: events.Paste) -> None:
        lines = event.text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        clean = "\n".join(safe(line.replace("\t", "    ")) for line in lines)
        event.prevent_default()  # Textual would call the base class's handler with the text as it came
        await super()._on_paste(events.Paste(clean))
