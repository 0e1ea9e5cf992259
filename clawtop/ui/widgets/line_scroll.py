"""Lines to read: the detail pane, the help. Scrolls; draws only what changed."""

from __future__ import annotations

from collections.abc import Sequence

from textual.geometry import Region, Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from clawtop.ui.face import face
from clawtop.ui.strips import strip
from clawtop.view.line import EMPTY, Line, Tone


class LineScroll(ScrollView):
    """Shows lines that were made for its width."""

    DEFAULT_CSS = """
    LineScroll { overflow-x: hidden; overflow-y: auto; scrollbar-size-vertical: 1; height: 1fr; }
    """

    def __init__(self, *, id: str, can_focus: bool = False, margin: int = 1, raised: bool = False) -> None:  # noqa: A002
        super().__init__(id=id)
        self.can_focus = can_focus
        self._lines: Sequence[Line] = ()
        self._margin = margin
        self._raised = raised

    @property
    def text_width(self) -> int:
        """Cells that a line has."""
        return max(10, self.scrollable_content_region.width - 2 * self._margin)

    def show(self, lines: Sequence[Line], *, from_top: bool = False) -> None:
        """Show these lines; `from_top` for another subject than before."""
        before, self._lines = self._lines, lines
        size = Size(1, len(lines))
        if from_top and self.scroll_y:
            self.scroll_to(y=0, animate=False)
        if size != self.virtual_size:
            self.virtual_size = size
            self.refresh()
            return
        top = round(self.scroll_y)
        for y in range(self.size.height):
            if before[top + y : top + y + 1] != lines[top + y : top + y + 1]:
                self.refresh(Region(0, y, self.size.width, 1))

    def render_line(self, y: int) -> Strip:
        look = face(self).look
        index = round(self.scroll_y) + y
        line = self._lines[index] if index < len(self._lines) else EMPTY
        line = ((" " * self._margin, Tone.PLAIN), *line) if self._margin else line
        base = look.raised if self._raised else look.base
        return strip(line, self.scrollable_content_region.width, look, base, ascii_glyphs=face(self).ascii_glyphs)
