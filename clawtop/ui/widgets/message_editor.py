"""The input for a message: Enter sends it; several lines can be pasted."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import TextArea

from clawtop.ui.pasting import TAB, pasted_text

TOGETHER_S = 0.005
"""Keys that come closer than this were not typed: a terminal without bracketed paste sends pasted text as keys."""

MANY = 3
"""Two typed keys may arrive together on a slow connection."""

PASTED_S = 0.25
"""How long after pasted keys an Enter still belongs to the paste: a slow connection delivers it in pieces."""


class MessageEditor(TextArea):
    """Enter posts `Sent`. What is pasted is made safe for the terminal first, line by line, and never sends: neither
    the terminal's own paste nor one that comes as keys.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("pagedown", "screen.page(1)", show=False),  # of the dialog: the editor has only four lines
        Binding("pageup", "screen.page(-1)", show=False),
    ]

    class Sent(Message):
        """The operator pressed Enter."""

    def __init__(self) -> None:
        super().__init__(
            "",
            soft_wrap=True,
            compact=True,
            show_line_numbers=False,
            highlight_cursor_line=False,
            placeholder="Your message. Enter sends, Escape leaves; pasted line breaks are kept.",
            classes="dialog-extra",
        )

        self._last_key = self._pasted = float("-inf")
        self._together = 0

    def _is_pasted(self, event: events.Key) -> bool:
        """Whether a key arrived together with others, or soon after many that did: it was pasted, not typed."""
        at_once = event.time - self._last_key < TOGETHER_S
        self._together = self._together + 1 if at_once else 1
        self._last_key = event.time
        if self._together >= MANY:
            self._pasted = event.time
        return at_once or event.time - self._pasted < PASTED_S

    async def _on_key(self, event: events.Key) -> None:
        if self._is_pasted(event) and event.key == "enter":
            event.stop()
            event.prevent_default()
            self.insert("\n")
            return
        if event.key == "enter":
            event.stop()
            event.prevent_default()
            self.post_message(self.Sent())
            return
        if event.key == "tab":  # a pasted tab must not focus a button, which the next pasted line end would press
            event.stop()
            event.prevent_default()
            self.insert(TAB)
            return
        await super()._on_key(event)

    async def _on_paste(self, event: events.Paste) -> None:
        event.prevent_default()  # Textual would call the base class's handler with the text as it came
        await super()._on_paste(events.Paste(pasted_text(event.text)))
