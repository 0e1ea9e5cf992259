"""A few fixed lines: first line, headline, footer. Only changes are redrawn."""

from __future__ import annotations

from itertools import zip_longest

from textual.strip import Strip

from clawtop.ui.shell import shell
from clawtop.ui.widgets.drawn import Drawn
from clawtop.ui.widgets.strips import changed_region, strip
from clawtop.view.line import EMPTY, Line


class LineBar(Drawn):
    """Shows the lines that `show` is given, one for each row of the widget."""

    DEFAULT_CSS = "LineBar { height: 1; }"

    def __init__(self, *, id: str, raised: bool = False) -> None:  # noqa: A002 - Textual's name for it
        super().__init__(id=id)
        self._lines: tuple[Line, ...] = ()
        self._raised = raised

    def show(self, *lines: Line) -> None:
        """Show these lines."""
        before, self._lines = self._lines, lines
        for y, (old, new) in enumerate(zip_longest(before, lines, fillvalue=EMPTY)):
            if old != new:
                self.refresh(changed_region(old, new, y, self.size.width))

    def render_line(self, y: int) -> Strip:
        look = shell(self).look
        line = self._lines[y] if y < len(self._lines) else EMPTY
        surface = look.raised if self._raised else look.base
        return strip(line, self.size.width, surface, ascii_glyphs=shell(self).ascii_glyphs)
