"""A few fixed lines: first line, headline, footer. Only what changed is drawn again."""

from __future__ import annotations

from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from clawtop.ui.face import face
from clawtop.ui.strips import strip
from clawtop.view.line import EMPTY, Line


class LineBar(Widget):
    """Lines that somebody else makes; `show` gives them, one for each row of the widget."""

    DEFAULT_CSS = "LineBar { height: 1; }"

    def __init__(self, *, id: str, raised: bool = False) -> None:  # noqa: A002 - Textual's name for it
        super().__init__(id=id)
        self._lines: tuple[Line, ...] = ()
        self._raised = raised

    def show(self, *lines: Line) -> None:
        """Show these lines."""
        before, self._lines = self._lines, lines
        for y in range(max(len(before), len(lines))):
            if before[y : y + 1] != lines[y : y + 1]:
                self.refresh(Region(0, y, self.size.width, 1))

    def render_line(self, y: int) -> Strip:
        look = face(self).look
        line = self._lines[y] if y < len(self._lines) else EMPTY
        base = look.raised if self._raised else look.base
        return strip(line, self.size.width, look, base, ascii_glyphs=face(self).ascii_glyphs)
