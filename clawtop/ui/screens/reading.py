"""A page of lines over the dashboard: help, the whole detail of a row. q and Escape close it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen

from clawtop.ui.surviving import Surviving
from clawtop.ui.widgets.line_bar import LineBar
from clawtop.ui.widgets.line_scroll import LineScroll
from clawtop.view.line import Line, Tone

MakeLines = Callable[[int], Sequence[Line]]
"""Width in cells -> lines."""


class ReadingScreen(Surviving, ModalScreen[None]):
    """Shows what `make_lines` makes for its width; made again at every tick."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q,escape,question_mark,enter", "close", "Close", show=False),
        Binding("j,down", "scroll(1)", show=False),
        Binding("k,up", "scroll(-1)", show=False),
        Binding("pagedown,space,ctrl+f", "page(1)", show=False),
        Binding("pageup,b,ctrl+b", "page(-1)", show=False),
        Binding("g,home", "end(-1)", show=False),
        Binding("G,end", "end(1)", show=False),
    ]

    def __init__(self, title: str, make_lines: MakeLines) -> None:
        super().__init__()
        self._title = title
        self._make_lines = make_lines
        self._title_bar = LineBar(id="page-title", raised=True)
        self._pane = LineScroll(id="page-lines", can_focus=True, raised=True)

    def compose(self) -> ComposeResult:
        with Vertical(id="page"):
            yield self._title_bar
            yield self._pane

    def on_mount(self) -> None:
        self.set_focus(self._pane)

    def on_resize(self) -> None:
        self.call_after_refresh(self.refresh_time)

    def refresh_time(self) -> None:
        """Make the lines anew: their times have moved on."""
        title: Line = (
            (f" {self._title} ", Tone.ACCENT),
            ("  q closes, ", Tone.DIM),
            ("j k PgDn PgUp scroll", Tone.DIM),
        )
        self._title_bar.show(title)
        if self._pane.size.width:
            self._pane.show(self._make_lines(self._pane.text_width))

    def action_close(self) -> None:
        """Back to where one came from."""
        self.dismiss()

    def action_scroll(self, rows: int) -> None:
        """Scroll by lines."""
        self._pane.scroll_by(rows)

    def action_page(self, pages: int) -> None:
        """Scroll by pages."""
        self._pane.scroll_by(pages * max(1, self._pane.page - 1))

    def action_end(self, direction: int) -> None:
        """To the beginning or the end."""
        self._pane.scroll_to_edge(direction)
