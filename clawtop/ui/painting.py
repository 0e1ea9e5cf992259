"""Writes only cells that differ from what the terminal shows, in as few bytes as possible.

Textual writes each region that a widget calls dirty, every piece of it with its whole style; over a slow line that is
most of the wait.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from rich.cells import cell_len, get_character_cell_size
from rich.color import ColorSystem
from rich.console import Console
from rich.style import Style
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate
from textual.strip import Strip

from clawtop.ui.pen import DEFAULT_COLORS, PLAIN, UNKNOWN, Looks, Pen, looks_on


class Canvas:
    """What a terminal shows now, and the bytes that change it."""

    def __init__(self) -> None:
        self._size = (0, 0)
        self._glyphs: list[list[str]] = []
        self._looks: list[list[Looks]] = []
        self.adopted = False
        """Whether what it shows was drawn by another program."""

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines that are known; (0, 0): none."""
        return self._size

    def forget(self) -> None:
        """Forget what the terminal shows: it may have changed."""
        self._size = (0, 0)
        self.adopted = False

    def adopt(self, size: tuple[int, int], rows: Iterable[tuple[Sequence[str], Sequence[Looks]]]) -> None:
        """Assume that the terminal shows these cells; `UNKNOWN` where that is not known."""
        self._size, self.adopted = size, True
        self._glyphs, self._looks = [], []
        for glyphs, looks in rows:
            self._glyphs.append(list(glyphs))
            self._looks.append(list(looks))

    def paint(self, update: LayoutUpdate | ChopsUpdate, console: Console) -> str:
        """The bytes that make the terminal show `update`; they are assumed to be written."""
        self.adopted = False
        colors = console._color_system or ColorSystem.TRUECOLOR  # as Textual asks for it
        if isinstance(update, LayoutUpdate):
            self._fit(update.region.right, update.region.bottom)
            strips = _of_layout(update)
        else:
            self._fit(max(ends[-1] for ends in update.chop_ends), len(update.chops))
            strips = _of_chops(update)
        pen = Pen()
        for x, y, strip in strips:
            self._put(x, y, strip, colors, pen)
        return pen.text

    def _fit(self, width: int, height: int) -> None:
        if self._size != (width, height):
            self._size = (width, height)
            self._glyphs = [[UNKNOWN] * width for _ in range(height)]
            self._looks = [[PLAIN] * width for _ in range(height)]

    def _put(self, x: int, y: int, strip: Strip, colors: ColorSystem, pen: Pen) -> None:
        glyphs: list[str] = []
        looks: list[Looks] = []
        for text, style, _ in strip:
            cells = cells_of(text, x + len(glyphs))
            glyphs += cells
            looks += looks_on(cells, looks_of(style, colors) if style is not None else PLAIN)
        end = x + len(glyphs)
        old_glyphs, old_looks = self._glyphs[y], self._looks[y]
        if old_glyphs[x:end] == glyphs and old_looks[x:end] == looks:
            return
        if end > self._size[0]:
            raise ValueError(f"{end} cells in a line of {self._size[0]}")
        _break_up(old_glyphs, x)
        _break_up(old_glyphs, end)
        pen.write_changes(x, y, (old_glyphs[x:end], old_looks[x:end]), (glyphs, looks))
        old_glyphs[x:end] = glyphs
        old_looks[x:end] = looks


def _of_layout(update: LayoutUpdate) -> Iterator[tuple[int, int, Strip]]:
    for y, strips in enumerate(update.strips, update.region.y):
        x = update.region.x
        for strip in strips:
            yield x, y, strip
            x += strip.cell_length


def _of_chops(update: ChopsUpdate) -> Iterator[tuple[int, int, Strip]]:
    """The changed spans of a line, cut as Textual cuts them."""
    for y, left, right in update.spans:
        for end, (x, strip) in zip(update.chop_ends[y], update.chops[y].items(), strict=False):
            if strip is not None and x <= right and end > left:
                yield x, y, strip if left <= x < right and end <= right else strip.crop(0, min(end, right) - x)


@lru_cache(maxsize=4_096)
def cells_of(text: str, x: int) -> tuple[str, ...]:
    """A glyph for each cell of a text at column `x`.

    A text with zero-width or double-width characters is one block, in its first cell: terminals disagree on its width,
    so the cursor is positioned after it.
    """
    if text.isascii() or all(get_character_cell_size(char) == 1 for char in text):
        return tuple(text)
    width = cell_len(text)
    return (f"{text}\x1b[{x + width + 1}G", *[""] * (width - 1)) if width else ()


def _break_up(glyphs: list[str], place: int) -> None:
    """A block that is cut at `place` is no longer valid."""
    if place < len(glyphs) and not glyphs[place]:
        start = place
        while not glyphs[start]:
            start -= 1
        while place < len(glyphs) and not glyphs[place]:
            place += 1
        glyphs[start:place] = [UNKNOWN] * (place - start)


class Painted(CompositorUpdate):
    """A Textual update that writes only what changed."""

    def __init__(self, update: LayoutUpdate | ChopsUpdate, canvas: Canvas) -> None:
        self._update = update
        self._canvas = canvas

    def render_segments(self, console: Console) -> str:
        try:
            return self._canvas.paint(self._update, console)
        except Exception:
            self._canvas.forget()  # none of this update is written
            raise


@lru_cache(maxsize=4_096)
def looks_of(style: Style, colors: ColorSystem) -> Looks:
    """A style's appearance. Links are left out: no screen has any."""
    attributes = Strip.render_ansi(style.without_color, colors)
    foreground, background = (
        ";".join(color.downgrade(colors).get_ansi_codes(foreground=is_text)) if color is not None else ""
        for color, is_text in ((style.color, True), (style.bgcolor, False))
    )
    return Looks(
        frozenset(attributes.split(";")) if attributes else frozenset(),
        "" if foreground == DEFAULT_COLORS[0] else foreground,
        "" if background == DEFAULT_COLORS[1] else background,
    )
