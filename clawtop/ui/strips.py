"""Lines of the views become strips of the terminal."""

from __future__ import annotations

from textual.content import Content
from textual.strip import Strip
from textual.style import Style

from clawtop.ui.theme import Look
from clawtop.view.line import Line, ascii_only, fitted, width_of


def strip(line: Line, width: int, look: Look, base: Style, *, over: Style | None = None, ascii_glyphs: bool) -> Strip:
    """The line in exactly `width` cells.

    Args:
        base: what lies under every piece.
        over: what lies on top of every piece: the cursor.
    """
    if width_of(line) != width:
        line = fitted(line, width)
    tones = look.tone
    pieces = [
        (ascii_only(text) if ascii_glyphs else text, base + tones[tone] if over is None else base + tones[tone] + over)
        for text, tone in line
    ]
    return Strip(Content.assemble(*pieces).render_segments(base if over is None else base + over), width)
