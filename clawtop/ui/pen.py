"""Cells of a terminal, and the shortest bytes that write them. Knows no terminal library.

A change within a word rewrites the whole word, so that screen readers and programs that watch a terminal see "×11" and
not the last digit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

MARKED = frozenset({"4", "7", "9", "21", "53"})
"""Attributes that show on a blank: underlined, reverse, struck through, underlined twice, overlined."""

DEFAULT_COLORS = ("39", "49")

UNKNOWN = "\0"
"""Marks a cell for which it is unknown what the terminal shows."""

GAP = 6
"""Unchanged cells are written as well if a jump over them would take more bytes."""


class Looks(NamedTuple):
    """The look of a cell, as SGR codes can express it."""

    attributes: frozenset[str] = frozenset()
    foreground: str = ""
    background: str = ""


PLAIN = Looks()
GlyphsAndLooks = tuple[Sequence[str], Sequence[Looks]]
"""Looks and glyphs of the same cells, one of each per cell."""


class Pen:
    """Writes cells; keeps track of the cursor's position and style."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._at: tuple[int, int] | None = None
        self._looks = PLAIN

    def write(self, x: int, y: int, glyphs: Sequence[str], looks: Sequence[Looks]) -> None:
        if self._at is not None and self._at[1] == y:
            self._parts.append(f"\x1b[{x + 1}G")
        else:
            self._parts.append(f"\x1b[{y + 1};{x + 1}H")
        self._at = (x + len(glyphs), y)
        start = 0
        for stop in range(1, len(looks) + 1):
            if stop == len(looks) or looks[stop] != looks[start]:
                text = "".join(glyphs[start:stop])
                self._look(looks[start], blank=text.isspace())
                self._parts.append(text)
                start = stop

    def write_changes(self, x: int, y: int, old: GlyphsAndLooks, new: GlyphsAndLooks) -> None:
        """Write the new cells that differ from the old ones, which are as many."""
        if old != new:
            glyphs, looks = new
            for start, stop in _spans(*old, glyphs, looks):
                self.write(x + start, y, glyphs[start:stop], looks[start:stop])

    def _look(self, wanted: Looks, *, blank: bool) -> None:
        codes, self._looks = changed_looks(self._looks, wanted, blank=blank)
        self._parts.append(codes)

    @property
    def text(self) -> str:
        """Everything written, with the style reset."""
        if self._looks != PLAIN:
            self._parts.append("\x1b[0m")
        return "".join(self._parts)


def _spans(
    old_glyphs: Sequence[str], old_looks: Sequence[Looks], glyphs: Sequence[str], looks: Sequence[Looks]
) -> Iterator[tuple[int, int]]:
    """Where the two differ: whole words and blocks, and cells in between where a cursor jump would take more bytes."""
    if old_glyphs[0] == UNKNOWN:  # usually all of it
        yield 0, len(glyphs)
        return
    start = stop = -1
    for place in range(len(glyphs)):
        if old_glyphs[place] == glyphs[place] and old_looks[place] == looks[place]:
            continue
        if place < stop:
            continue
        left = place
        while left > max(stop, 0) and _goes_on(old_glyphs, glyphs, left):
            left -= 1
        if start >= 0 and left - stop > GAP:
            yield start, stop
            start = left
        elif start < 0:
            start = left
        stop = place + 1
        while stop < len(glyphs) and _goes_on(old_glyphs, glyphs, stop):
            stop += 1
    if start >= 0:
        yield start, stop


def _goes_on(old_glyphs: Sequence[str], glyphs: Sequence[str], place: int) -> bool:
    """Whether an old or new word or block continues across the cell left of `place`."""
    return not (glyphs[place] and old_glyphs[place]) or " " not in (glyphs[place - 1], glyphs[place])


@lru_cache(maxsize=4_096)
def looks_on(glyphs: Sequence[str], looks: Looks) -> tuple[Looks, ...]:
    """The visible style of each cell: for a blank only the background, unless it has an attribute that shows."""
    if " " not in glyphs or looks.attributes & MARKED:
        return (looks,) * len(glyphs)
    blank = Looks(background=looks.background)
    return tuple(blank if glyph == " " else looks for glyph in glyphs)


@lru_cache(maxsize=4_096)
def changed_looks(before: Looks, wanted: Looks, *, blank: bool) -> tuple[str, Looks]:
    """The shortest SGR sequence from one look to the other, and the resulting one; for blanks only the background
    counts.
    """
    if blank and not wanted.attributes and not before.attributes & MARKED:
        wanted = before._replace(background=wanted.background)
    if before == wanted:
        return "", wanted
    whole = ";".join(("0", *sorted(wanted.attributes), *filter(None, (wanted.foreground, wanted.background))))
    if not before.attributes <= wanted.attributes:
        return f"\x1b[{whole}m", wanted
    codes = sorted(wanted.attributes - before.attributes)
    codes += [wanted.foreground or DEFAULT_COLORS[0]] if wanted.foreground != before.foreground else []
    codes += [wanted.background or DEFAULT_COLORS[1]] if wanted.background != before.background else []
    return f"\x1b[{min(whole, ';'.join(codes), key=len)}m", wanted
