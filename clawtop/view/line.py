"""Lines of toned text: what every view is made of, whether a terminal, a file or a test shows it.

A tone says what a piece means, never a colour; the ui maps tones to styles, `plain` drops them. Meaning is never
carried by a tone alone: a word or a glyph always says the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import TypeVar, overload

from clawtop.cells import cells, clusters


class Tone(StrEnum):
    """What a piece of text means."""

    PLAIN = "plain"
    STRONG = "strong"
    DIM = "dim"
    FAINT = "faint"
    HEAD = "head"
    TITLE = "title"
    BAND = "band"
    ACCENT = "accent"
    KEY = "key"
    OK = "ok"
    WARN = "warn"
    BAD = "bad"
    INFO = "info"
    NOTE = "note"
    BADGE_OK = "badge-ok"
    BADGE_WARN = "badge-warn"
    BADGE_BAD = "badge-bad"
    BADGE_CALM = "badge-calm"


Piece = tuple[str, Tone]
Line = tuple[Piece, ...]

EMPTY: Line = ()

T = TypeVar("T")


class LinesOf(Sequence[Line]):
    """A title, and a line for each of many items that is made when it is looked at."""

    def __init__(self, title: Line, items: Sequence[T], make: Callable[[T], Line]) -> None:
        self._count = 1 + len(items)
        self._make: Callable[[int], Line] = lambda place: make(items[place - 1])
        self._made: dict[int, Line] = {0: title}

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, at: int) -> Line: ...
    @overload
    def __getitem__(self, at: slice) -> list[Line]: ...
    def __getitem__(self, at: int | slice) -> Line | list[Line]:
        place = range(self._count)[at]
        return self._line(place) if isinstance(place, int) else [self._line(one) for one in place]

    def _line(self, place: int) -> Line:
        line = self._made.get(place)
        if line is None:
            line = self._made[place] = self._make(place)
        return line


GLYPHS_AS_ASCII = str.maketrans(
    {
        "●": "*",
        "○": "o",
        "◐": "~",
        "◌": ".",
        "◆": "#",
        "✗": "x",
        "✓": "v",
        "▶": ">",
        "▸": ">",
        "▍": "|",
        "▌": "|",
        "█": "#",
        "▉": "#",
        "▊": "#",
        "▋": "#",
        "▎": "-",
        "▏": "-",
        "░": ".",
        "━": "=",
        "╸": "-",
        "┃": "|",
        "─": ".",
        "│": "|",
        "├": "|",
        "└": "`",
        "┬": "+",
        "▲": "^",
        "▼": "v",
        "↑": "^",
        "↓": "v",
        "→": ">",
        "←": "<",
        "·": "-",
        "•": "*",
        "…": "+",
        "⏎": "E",
        "⇧": "S",
        "×": "x",
        "≥": ">",
        "‖": "=",
        "⊘": "/",
        "⧗": "%",
        "⚠": "!",
        "⊙": "@",
        "▁": "_",
        "▂": "_",
        "▃": "-",
        "▄": "-",
        "▅": "=",
        "▆": "=",
        "▇": "#",
        "\N{REPLACEMENT CHARACTER}": "?",
    }
)
"""clawtop's glyphs, each with an ASCII character of the same width."""


def ascii_only(text: str) -> str:
    """`text` for an ASCII-only terminal; every character keeps its width."""
    if text.isascii():
        return text
    text = text.translate(GLYPHS_AS_ASCII)
    return "".join(part if part.isascii() else "?" * cells(part) for part in clusters(text))


def piece(text: str, tone: Tone = Tone.PLAIN) -> Line:
    """A line of one piece."""
    return ((text, tone),)


def text_of(line: Line) -> str:
    """The line's text."""
    return "".join(text for text, _ in line)


def width_of(line: Line) -> int:
    """Terminal cells of the line."""
    total = 0
    for text, _ in line:
        total += len(text) if text.isascii() else cells(text)  # a generator here is half of what drawing costs
    return total


def join(lines: Iterable[Line], separator: Piece) -> Line:
    """Lines one after the other with a separator between them; empty ones are left out."""
    out: list[Piece] = []
    for line in lines:
        if line:
            out.extend([separator, *line] if out else line)
    return tuple(out)


_THUMB: Piece = ("┃", Tone.DIM)
_TRACK: Piece = (" ", Tone.PLAIN)


def scroll_mark(y: int, top: int, page: int, total: int) -> Piece:
    """The scroll bar's piece beside line `y` of a page of `total` lines that is scrolled to line `top`."""
    if total <= page:
        return _TRACK
    size = max(1, page * page // total)
    start = (page - size) * top // (total - page)
    return _THUMB if start <= y < start + size else _TRACK


def changed_span(before: Line, after: Line) -> tuple[int, int]:
    """The range of cells from the first to the last piece in which two lines differ; to the end of the wider line if
    what follows has moved.
    """
    head = _alike(before, after)
    left = width_of(after[:head])
    before, after = before[head:], after[head:]
    tail = _alike(before[::-1], after[::-1])
    old, new = width_of(before[: len(before) - tail]), width_of(after[: len(after) - tail])
    if old != new:
        new = max(width_of(before), width_of(after))
    return left, left + new


def _alike(before: Line, after: Line) -> int:
    """How many pieces two lines share from the left."""
    for count, (old, new) in enumerate(zip(before, after, strict=False)):
        if old != new:
            return count
    return min(len(before), len(after))
