"""The first frame, drawn while Textual is still being imported, exactly as Textual will draw it.

Importing Textual takes longer than reading the state. So the terminal is taken as soon as the state is known, and the
overview written on it; Textual's driver takes the terminal over as it is, and what it draws first is what is there.
Keys that are typed until then stay in the terminal's queue for it. Imports no terminal library.
"""

from __future__ import annotations

import shutil
import signal
import sys
import termios
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import chain, repeat
from typing import Any, NamedTuple

from clawtop.cells import cells, clusters
from clawtop.ui.colours import Depth, depth_of, is_drawn_exactly, looks_of_paint
from clawtop.ui.palettes import BY_NAME, choose, surfaces, tone_paints
from clawtop.ui.pen import PLAIN, UNKNOWN, Looks, Pen, looks_on
from clawtop.ui.terminal import JobControl
from clawtop.ui.terminal_file import TerminalOutput, screen_file
from clawtop.view.fitting import fitted
from clawtop.view.line import Line, Tone, ascii_only
from clawtop.view.overview import Stretch, Surface

TAKEN = "\x1b[?1049h\x1b[?25l"
GIVEN_BACK = "\x1b[0m\x1b[?25h\x1b[?1049l"
LEAST = (20, 8)
"""Columns and lines of the smallest screen that is drawn early."""

FLAGS = termios.ECHO | termios.ICANON | termios.IEXTEN
INPUT_FLAGS = termios.IXON | termios.IXOFF | termios.ICRNL | termios.INLCR | termios.IGNCR
NO_KEY = b"\0"


class CellRow(NamedTuple):
    """The cells of a line of the screen."""

    glyphs: list[str]
    looks: list[Looks]

    @property
    def certain(self) -> list[str]:
        """The cells whose content is known for certain."""
        return [glyph if len(glyph) == 1 else UNKNOWN for glyph in self.glyphs]


class Painter:
    """Turns lines of the overview into cells, in the style of a theme."""

    def __init__(self, theme: str, depth: Depth, *, ascii_glyphs: bool = False) -> None:
        palette = BY_NAME[theme]
        self._tones = tone_paints(palette)
        self._surfaces = surfaces(palette)._asdict()
        self._depth = depth
        self._ascii = ascii_glyphs
        self._known: dict[tuple[Surface, Tone], Looks] = {}

    def row(self, blocks: Sequence[Stretch]) -> CellRow:
        """One line of the screen."""
        row = CellRow([], [])
        for block in blocks:
            self._add(row, fitted(block.line, block.width), block.surface)
        return row

    def _add(self, row: CellRow, line: Line, surface: Surface) -> None:
        for piece, tone in line:
            first = len(row.glyphs)
            text = ascii_only(piece) if self._ascii else piece
            if text.isascii():
                row.glyphs.extend(text)
                row.looks.extend(looks_on(text, self._looks(surface, tone)))
                continue
            for cluster in clusters(text):
                width = 1 if cluster.isascii() else cells(cluster)
                if width == 1 and len(cluster) == 1:
                    row.glyphs.append(cluster)
                elif width:  # terminals disagree on its width: what follows is put in its own place
                    row.glyphs.extend([f"{cluster}\x1b[{len(row.glyphs) + width + 1}G", *[""] * (width - 1)])
            row.looks.extend(looks_on(tuple(row.glyphs[first:]), self._looks(surface, tone)))

    def _looks(self, surface: Surface, tone: Tone) -> Looks:
        known = self._known.get((surface, tone))
        if known is None:
            under, over = self._surfaces[surface]
            look = self._tones[tone].over(under)
            known = looks_of_paint(look if over is None else over.over(look), self._depth)
            self._known[surface, tone] = known
        return known


class EarlyScreen:
    """The terminal from the first frame until Textual takes over.

    Attributes:
        attributes: the terminal's, as they were before.
    """

    def __init__(self, painter: Painter) -> None:
        self._painter = painter
        self._output: TerminalOutput | None = None
        self.attributes: list[Any] | None = None
        self._size = (0, 0)
        self._rows: list[CellRow] = []
        self._drawn: list[tuple[Stretch, ...]] = []
        self._job = JobControl(self._let_go, self._take_again)

    @property
    def taken(self) -> bool:
        """Whether anything is on the terminal."""
        return self._output is not None

    @staticmethod
    def room() -> tuple[int, int] | None:
        """Columns and lines of the screen; None where it is too small."""
        width, height = shutil.get_terminal_size()
        return (width, height) if width >= LEAST[0] and height >= LEAST[1] else None

    def draw(self, frame: Sequence[Sequence[Stretch]], size: tuple[int, int]) -> None:
        """Write what changed since the frame before."""
        with self._job.held_off():
            known = dict(zip(self._drawn, self._rows, strict=True)) if size == self._size else {}
            drawn = [tuple(stretches) for stretches in frame]
            rows = [known.get(stretches) or self._painter.row(stretches) for stretches in drawn]
            before = self._rows if known else []
            self._size, self._drawn, self._rows = size, drawn, rows
            self._write(self._changes(before))

    def _changes(self, before: Sequence[CellRow]) -> str:
        """The bytes that turn these rows, and an unknown screen below them, into the current ones."""
        blank = CellRow([UNKNOWN] * self._size[0], [PLAIN] * self._size[0])
        pen = Pen()
        for y, (row, old) in enumerate(zip(self._rows, chain(before, repeat(blank)), strict=False)):
            pen.write_changes(0, y, old, row)
        return pen.text

    def _write(self, text: str) -> None:
        if self._output is None:
            # first: attributes that are set after it are restored however this ends
            self._output = TerminalOutput(screen_file(), lambda: None)
            self._take()
            text = TAKEN + text
        self._output.write(text)
        self._output.flush()

    def _take(self) -> None:
        self.attributes = termios.tcgetattr(0)
        self._set_attributes()
        signal.signal(signal.SIGWINCH, self._lose)
        self._job.begin()

    @staticmethod
    def _set_attributes() -> None:
        descriptor = 0
        changed = termios.tcgetattr(descriptor)
        changed[0] &= ~INPUT_FLAGS
        changed[3] &= ~FLAGS
        changed[6][termios.VMIN] = 1
        changed[6][termios.VSUSP] = NO_KEY  # Ctrl-Z is a key like any other, as it will be once Textual reads keys
        termios.tcsetattr(descriptor, termios.TCSANOW, changed)

    def _lose(self, *_: object) -> None:
        """The window was resized: what it shows is unknown."""
        self._size, self._rows, self._drawn = (0, 0), [], []

    def _let_go(self) -> None:
        """Leave the terminal as it was, for as long as the process is stopped."""
        if self._output is None:
            return
        self._output.write(GIVEN_BACK)
        self._output.flush()
        if self.attributes is not None:
            with suppress(termios.error, OSError):
                termios.tcsetattr(0, termios.TCSANOW, self.attributes)

    def _take_again(self) -> None:
        """Redraw: another program had the terminal."""
        if self._output is None:
            return
        try:
            self._set_attributes()
        except termios.error:  # still in the background, or no longer our terminal
            return
        if self.room() != self._size:
            self._lose()
        self._write(TAKEN + self._changes([]))

    def hand_over(self) -> tuple[tuple[int, int], list[CellRow]]:
        """Hand the terminal to Textual's driver. Returns its size and cells; none if the terminal did not take all of
        them.
        """
        global _early  # noqa: PLW0603 - one terminal, one process
        _early = None
        assert self._output is not None  # noqa: S101 - it was drawn on
        with self._job.held_off():
            complete = not self._output.stalled
            if not complete:
                self._write("\x1b[0m")  # ends a sequence that was cut off in the middle
            self._output.close()
            self._output = None
        return (self._size, self._rows) if complete else ((0, 0), [])

    def give_back(self) -> None:
        """Leave the terminal as it was, unless Textual has taken it."""
        with self._job.held_off():
            if self._output is not None:
                self._let_go()
                self._output.close()
                self._output = None


_early: EarlyScreen | None = None  # the one that is shown until Textual takes over


def early_screen(theme: str | None, environment: Mapping[str, str], *, ascii_glyphs: bool) -> EarlyScreen | None:
    """The screen for a first frame; None where it would not look like Textual's."""
    global _early  # noqa: PLW0603 - as above
    name, depth = choose(theme, environment), depth_of(environment)
    if not is_drawn_exactly(BY_NAME[name], depth) or not sys.stdin.isatty() or EarlyScreen.room() is None:
        return None
    _early = EarlyScreen(Painter(name, depth, ascii_glyphs=ascii_glyphs))
    return _early


def waiting_screen() -> EarlyScreen | None:
    """The screen that was drawn and not yet taken over."""
    return _early if _early is not None and _early.taken else None
