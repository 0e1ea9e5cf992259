"""Turns the views' lines into Textual's strips."""

from __future__ import annotations

from rich.segment import Segment
from textual.geometry import Region
from textual.strip import Strip

from clawtop.ui.theme import ToneStyles
from clawtop.view.fitting import fitted
from clawtop.view.line import Line, Tone, ascii_only, changed_span, width_of


def strip(line: Line, width: int, surface: ToneStyles, *, ascii_glyphs: bool) -> Strip:
    """The line in exactly `width` cells. Neighbours that look alike become one segment, because each costs two escape
    sequences.
    """
    if width_of(line) != width:
        line = fitted(line, width)
    segments: list[Segment] = []
    text = ""
    tone = Tone.PLAIN
    for piece, wanted in line:
        if wanted is not tone and not surface.looks_alike(piece, wanted, tone):
            if text and not surface.looks_alike(text, tone, wanted):
                segments.append(Segment(text, surface[tone]))
                text = ""
            tone = wanted
        text += ascii_only(piece) if ascii_glyphs else piece
    if text:
        segments.append(Segment(text, surface[tone]))
    return Strip(segments, width)


def changed_region(before: Line, after: Line, y: int, width: int) -> Region:
    """The part of row `y`, `width` cells wide, that must be drawn again; the whole row if a line is cut off."""
    left, right = changed_span(before, after)
    return Region(left, y, right - left, 1) if right <= width else Region(0, y, width, 1)
