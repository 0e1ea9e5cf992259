"""Scrollable lines: the detail pane, pages, dialogs. Draws only changes, and its own scroll mark.

Not a ScrollView: there, a change in the number of lines lays out the whole screen again, at every move of the cursor.
"""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.geometry import Region
from textual.strip import Strip

from clawtop.ui.shell import shell
from clawtop.ui.widgets.drawn import Drawn
from clawtop.ui.widgets.strips import strip
from clawtop.view.fitting import fitted
from clawtop.view.line import Line, Tone, scroll_mark

WHEEL_LINES = 3


class LineScroll(Drawn):
    """Shows lines that are made for its width."""

    DEFAULT_CSS = "LineScroll { height: 1fr; }"

    def __init__(self, *, id: str, can_focus: bool = False, margin: int = 1, raised: bool = False) -> None:  # noqa: A002
        super().__init__(id=id)
        self.can_focus = can_focus
        self._lines: Sequence[Line] = ()
        self._top = 0
        self._margin = margin
        self._raised = raised
        self.painted = False
        """Whether any of its lines has been on the screen."""

    @property
    def text_width(self) -> int:
        """The width of a line in cells."""
        return self.text_width_of(self.size.width)

    def text_width_of(self, width: int) -> int:
        """The same where the pane is this wide."""
        return max(10, width - 2 * self._margin)

    @property
    def page(self) -> int:
        """How many lines are visible at once."""
        return max(1, self.size.height)

    def show(self, lines: Sequence[Line], *, from_top: bool = False) -> None:
        """Show these lines; `from_top` scrolls to the first, for a new subject."""
        before, top = self._lines, self._top
        self._lines = lines
        self._top = 0 if from_top else self._within(top)
        if len(before) != len(lines) or top != self._top:
            self.refresh()
            return
        shown = slice(top, top + self.size.height)
        for y, (old, new) in enumerate(zip(before[shown], lines[shown], strict=True)):
            if old != new:
                self.refresh(Region(0, y, self.size.width, 1))

    def scroll_by(self, rows: int) -> None:
        """Scroll down by a number of lines, or up if it is negative."""
        top = self._within(self._top + rows)
        if top != self._top:
            self._top = top
            self.refresh()

    def scroll_to_edge(self, direction: int) -> None:
        """Scroll to the beginning (negative) or the end."""
        self.scroll_by(direction * len(self._lines))

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self.scroll_by(WHEEL_LINES)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self.scroll_by(-WHEEL_LINES)

    def on_resize(self) -> None:
        self._top = self._within(self._top)
        self.refresh()

    def _within(self, top: int) -> int:
        return max(0, min(top, len(self._lines) - self.page))

    def _line(self, y: int) -> Line:
        index = self._top + y
        line = self._lines[index] if index < len(self._lines) else ()
        if not self._margin:
            return line
        return (
            (" " * self._margin, Tone.PLAIN),
            *fitted(line, self.text_width),
            scroll_mark(y, self._top, self.page, len(self._lines)),
        )

    def render_line(self, y: int) -> Strip:
        self.painted = self.painted or bool(self._lines)
        look = shell(self).look
        surface = look.raised if self._raised else look.base
        return strip(self._line(y), self.size.width, surface, ascii_glyphs=shell(self).ascii_glyphs)
