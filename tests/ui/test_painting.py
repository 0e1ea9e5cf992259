"""Painting sparingly: a terminal shows what it would show if everything was written, and nothing is written twice."""

from __future__ import annotations

from typing import Any

import pyte
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual.geometry import Region
from textual.strip import Strip

from clawtop.ui.painting import Canvas

WIDTH, HEIGHT = 14, 2
CONSOLE = Console(force_terminal=True, color_system="256", width=WIDTH, _environ={})
STYLES = tuple(
    Style.parse(words)
    for words in (
        "color(245) on color(234)",
        "bold color(203) on color(234)",
        "color(203) on color(237)",
        "underline color(203) on color(234)",
        "reverse color(9)",
        "bold italic red on #101010",
        "none",
    )
)
WORDS = ("a", "×11", "  ", " ", "left 3s", "●", "漢字", "ne\N{COMBINING ACUTE ACCENT}e", "█░", "漢")

STRIPS = st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from(STYLES)), max_size=9).map(
    lambda pieces: Strip([Segment(text, style) for text, style in pieces]).adjust_cell_length(WIDTH, STYLES[0])
)
LAYOUTS = st.lists(STRIPS, min_size=HEIGHT, max_size=HEIGHT).map(
    lambda strips: LayoutUpdate([[strip] for strip in strips], Region(0, 0, WIDTH, HEIGHT))
)


@st.composite
def chops(draw: st.DrawFn) -> ChopsUpdate:
    """Lines that are cut in two, of which spans are dirty."""
    lines, ends, spans = [], [], []
    for y in range(HEIGHT):
        strip, cut = draw(STRIPS), draw(st.integers(1, WIDTH - 1))
        left, right = strip.divide([cut, WIDTH])
        lines.append({0: left, cut: right if draw(st.booleans()) else None})
        ends.append([cut, WIDTH])
        first = draw(st.integers(0, WIDTH - 1))
        spans.append((y, first, draw(st.integers(first + 1, WIDTH))))
    return ChopsUpdate(lines, spans, ends)


class Emulator:
    """A terminal as a program sees it that writes to it."""

    def __init__(self) -> None:
        self._screen = pyte.Screen(WIDTH, HEIGHT)
        self._screen.reset_mode(pyte.modes.DECAWM >> 5, private=True)
        self._stream = pyte.Stream(self._screen)

    def shown_after(self, text: str) -> list[list[tuple[object, ...]]]:
        """What each cell shows."""
        self._stream.feed(text.replace("\n", "\r\n") + "\x1b[H")  # where Textual leaves the cursor
        return [[_seen(self._screen.buffer[y][x]) for x in range(WIDTH)] for y in range(HEIGHT)]


def _seen(char: Any) -> tuple[object, ...]:
    """Of a blank only the background is seen, unless it is underlined or reversed; what it carries takes its looks."""
    if char.data.startswith(" ") and not char.underscore and not char.reverse:
        return (char.data, char.bg)
    return tuple(char)


@given(LAYOUTS, st.lists(st.one_of(LAYOUTS, chops()), max_size=6))
def test_the_terminal_shows_what_it_would_if_all_was_written(
    first: LayoutUpdate, updates: list[LayoutUpdate | ChopsUpdate]
) -> None:
    canvas, sparing, whole = Canvas(), Emulator(), Emulator()
    for update in (first, *updates):
        assert sparing.shown_after(canvas.paint(update, CONSOLE)) == whole.shown_after(update.render_segments(CONSOLE))


@given(LAYOUTS)
def test_what_is_there_already_is_not_written(update: LayoutUpdate) -> None:
    canvas = Canvas()
    assert canvas.paint(update, CONSOLE)
    assert canvas.paint(update, CONSOLE) == ""
    canvas.forget()
    assert canvas.paint(update, CONSOLE)


def layout(*pieces: tuple[str, Style]) -> LayoutUpdate:
    strip = Strip([Segment(text, style) for text, style in pieces]).adjust_cell_length(40, STYLES[0])
    return LayoutUpdate([[strip]], Region(0, 0, 40, 1))


@pytest.mark.parametrize(
    ("before", "after", "written"),
    [
        pytest.param("left 10s", "left 9s ", "\x1b[1;6H\x1b[38;5;245;48;5;234m9s \x1b[0m", id="a shorter word"),
        pytest.param("err ×11 now", "err ×12 now", "\x1b[1;5H\x1b[38;5;245;48;5;234m×12\x1b[0m", id="a whole word"),
        pytest.param("1 2 same", "3 4 same", "\x1b[1;1H\x1b[38;5;245;48;5;234m3 4\x1b[0m", id="no jump over one cell"),
        pytest.param(
            "1 the same again 2",
            "3 the same again 4",
            "\x1b[1;1H\x1b[38;5;245;48;5;234m3\x1b[18G4\x1b[0m",
            id="a jump over many",
        ),
    ],
)
def test_only_changed_words_are_written(before: str, after: str, written: str) -> None:
    canvas = Canvas()
    canvas.paint(layout((before, STYLES[0])), CONSOLE)
    assert canvas.paint(layout((after, STYLES[0])), CONSOLE) == written


def test_looks_are_told_by_what_changes() -> None:
    pieces = (("dim ", STYLES[0]), ("bad", STYLES[1]), (" ", STYLES[0]), ("cursor", STYLES[2]), (" ", STYLES[0]))
    assert Canvas().paint(layout(*pieces), CONSOLE) == (
        "\x1b[1;1H\x1b[38;5;245;48;5;234mdim \x1b[1;38;5;203mbad \x1b[0;38;5;203;48;5;237mcursor\x1b[48;5;234m"
        + " " * 26
        + "\x1b[0m"
    )


def test_another_size_is_painted_whole() -> None:
    canvas = Canvas()
    canvas.paint(layout(("same", STYLES[0])), CONSOLE)
    wider = LayoutUpdate([[Strip([Segment("same", STYLES[0])]).adjust_cell_length(41)]], Region(0, 0, 41, 1))
    assert "same" in canvas.paint(wider, CONSOLE)
