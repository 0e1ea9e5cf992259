"""Strips: the same text as the line, as few segments as it takes, nothing visible changed by that."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clawtop.ui.palettes import BADGES, THEMES
from clawtop.ui.theme import ThemeStyles
from clawtop.ui.widgets.strips import changed_region, strip
from clawtop.view.line import Line, Tone

LINES = st.lists(
    st.tuples(st.sampled_from(["a", "  ", "left", " ", "●"]), st.sampled_from(Tone)), min_size=1, max_size=8
).map(tuple)
LOOKS = {name: ThemeStyles(name) for name in THEMES}
SURFACES = ("base", "raised", "head", "head_focused", "cursor", "cursor_idle")


@given(LINES, st.sampled_from(THEMES), st.sampled_from(SURFACES))
def test_every_visible_cell_has_the_style_of_its_tone(line: Line, theme: str, surface: str) -> None:
    look = getattr(LOOKS[theme], surface)
    width = sum(len(text) for text, _ in line)
    drawn = [(char, s.style) for s in strip(line, width, look, ascii_glyphs=False) for char in s.text]
    wanted = [(char, look[tone]) for text, tone in line for char in text]
    assert [char for char, _ in drawn] == [char for char, _ in wanted]
    for (char, style), (_, expected) in zip(drawn, wanted, strict=True):
        assert style is not None
        assert style.bgcolor == expected.bgcolor
        if char != " " or style.reverse:
            assert style == expected


def test_blanks_belong_to_their_neighbours() -> None:
    line = (
        ("7 ", Tone.DIM),
        (" ", Tone.PLAIN),
        ("30s", Tone.BAD),
        ("  ", Tone.PLAIN),
        (" READ-ONLY ", Tone.BADGE_CALM),
    )
    texts = [segment.text for segment in strip(line, 20, LOOKS["lobster"].base, ascii_glyphs=False)]
    assert texts == ["7  ", "30s  ", " READ-ONLY ", " "]


@pytest.mark.parametrize("tone", sorted(BADGES))
def test_the_blanks_of_a_badge_stay_its_own(tone: Tone) -> None:
    segments = list(strip(((" OK ", tone), (" ", Tone.PLAIN)), 5, LOOKS["lobster"].base, ascii_glyphs=False))
    assert [segment.text for segment in segments] == [" OK ", " "]


def test_the_changed_region_is_that_of_the_changed_piece() -> None:
    before: Line = (("name ", Tone.PLAIN), ("9s", Tone.WARN))
    after: Line = (("name ", Tone.PLAIN), ("8s", Tone.WARN))
    assert changed_region(before, after, 3, 20) == (5, 3, 2, 1)
    assert changed_region((), after, 0, 20) == (0, 0, 7, 1)
    assert changed_region(before, after, 0, 6) == (0, 0, 6, 1)
