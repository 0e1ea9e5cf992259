"""A page of lines over the dashboard: help, or a row in full. q and Escape close it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical

from clawtop.ui.screens.pane import PaneScreen
from clawtop.ui.widgets.line_bar import LineBar
from clawtop.ui.widgets.line_scroll import LineScroll
from clawtop.view.line import Line, Tone

MakeLines = Callable[[int], Sequence[Line]]
"""Width in cells -> lines."""


class ReadingScreen(PaneScreen):
    """Shows the lines of `make_lines(width)`, which is called again at every tick."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q,escape,question_mark,enter", "close", "Close", show=False),
        Binding("b", "page(-1)", show=False),
        Binding("g", "end(-1)", show=False),
        Binding("G", "end(1)", show=False),
    ]

    def __init__(self, title: str, make_lines: MakeLines) -> None:
        super().__init__(
            LineBar(id="page-title", raised=True), LineScroll(id="page-lines", can_focus=True, raised=True)
        )
        self._title = title
        self._make_lines = make_lines

    def compose(self) -> ComposeResult:
        with Vertical(id="page"):
            yield self.title_bar
            yield self.pane

    def on_mount(self) -> None:
        self.set_focus(self.pane)

    def on_resize(self) -> None:
        self.call_after_refresh(self.refresh_time)

    def refresh_time(self) -> None:
        """Make the lines again: their ages and countdowns have changed."""
        title: Line = (
            (f" {self._title} ", Tone.ACCENT),
            ("  q closes, ", Tone.DIM),
            ("j k PgDn PgUp scroll", Tone.DIM),
        )
        self.title_bar.show(title)
        if self.pane.size.width:
            self.pane.show(self._make_lines(self.pane.text_width))

    def action_close(self) -> None:
        """Close the page."""
        self.dismiss()
