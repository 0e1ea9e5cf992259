"""Lines: widths are terminal cells, nothing is lost but what an ellipsis says is gone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clawtop.cells import cells
from clawtop.text import safe
from clawtop.view.fitting import cut, cut_middle, fitted, wrapped
from clawtop.view.line import GLYPHS_AS_ASCII, Line, Tone, ascii_only, changed_span, join, piece, text_of, width_of

WORDS = st.text(st.sampled_from("abc 日本·─…é"), max_size=24)
LINES = st.lists(st.tuples(WORDS, st.sampled_from(Tone)), max_size=5).map(tuple)


@given(LINES, st.integers(0, 60), st.booleans())
def test_fitted_takes_exactly_the_width(line: Line, width: int, right: bool) -> None:
    assert width_of(fitted(line, width, right=right)) == width


@given(LINES, st.integers(1, 60))
def test_cut_keeps_a_prefix_and_says_where_it_stopped(line: Line, width: int) -> None:
    short = text_of(cut(line, width))
    if width_of(line) <= width:
        assert short == text_of(line)
    else:
        kept = short.rstrip().rpartition("…")
        assert kept[1] == "…"
        assert text_of(line).startswith(kept[0])


@given(LINES, st.integers(8, 40), st.integers(0, 3))
def test_wrapping_keeps_every_character_but_spaces(line: Line, width: int, indent: int) -> None:
    lines = wrapped(line, width, indent)
    assert all(cells(text_of(part).rstrip()) <= width for part in lines)
    assert "".join(text_of(part) for part in lines).replace(" ", "") == text_of(line).replace(" ", "")


def test_wrapping_breaks_at_spaces_and_indents_the_rest() -> None:
    line = (("a long reason ", Tone.DIM), ("that goes on", Tone.PLAIN))
    assert [text_of(part).rstrip() for part in wrapped(line, 12, 2)] == ["a long", "  reason", "  that goes", "  on"]


def test_join_leaves_out_empty_lines() -> None:
    a, b = (("a", Tone.OK),), (("b", Tone.BAD),)
    assert text_of(join([a, (), b], (" · ", Tone.FAINT))) == "a · b"
    assert join([(), ()], (" · ", Tone.FAINT)) == ()


@given(st.text(max_size=40))
def test_ascii_keeps_the_width_of_safe_text(text: str) -> None:
    shown = safe(text)
    plain = ascii_only(shown)
    assert plain.isascii()
    assert cells(plain) == cells(shown)


@pytest.mark.parametrize("point", sorted(GLYPHS_AS_ASCII))
def test_every_glyph_has_one_ascii_character_of_its_width(point: int) -> None:
    replacement = GLYPHS_AS_ASCII[point]
    assert isinstance(replacement, str)
    assert len(replacement) == cells(chr(point)) == 1


@given(LINES, LINES, st.integers(0, 60), st.booleans())
def test_outside_of_the_changed_span_two_lines_are_alike(before: Line, after: Line, width: int, fits: bool) -> None:
    if fits:
        before, after = fitted(before, width), fitted(after, width)
    left, right = changed_span(before, after)

    def cells_of(line: Line) -> list[tuple[str, Tone]]:
        return [(char, tone) for text, tone in line for char in text for _ in range(cells(char))]

    old, new = cells_of(before), cells_of(after)
    assert 0 <= left <= right <= max(len(old), len(new))
    assert old[:left] == new[:left]
    assert old[right:] == new[right:]


def test_one_changed_piece_is_the_changed_span() -> None:
    before = (("name  ", Tone.PLAIN), ("9s", Tone.WARN), ("  rest", Tone.DIM))
    after = (("name  ", Tone.PLAIN), ("8s", Tone.WARN), ("  rest", Tone.DIM))
    assert changed_span(before, after) == (6, 8)
    assert changed_span(before, before) == (14, 14)


@given(st.text("ab ", max_size=60), st.integers(6, 20), st.integers(0, 2))
def test_no_wrapped_line_is_wider_than_it_may_be_and_no_word_is_lost(text: str, width: int, indent: int) -> None:
    """The blank at which a line is broken is no cell of it: else the last letter would give way to an ellipsis."""
    lines = wrapped(((text[:9], Tone.PLAIN), (text[9:], Tone.DIM)), width, indent)
    assert all(width_of(line) <= width for line in lines)
    assert "".join(text_of(line) for line in lines).replace(" ", "") == text.replace(" ", "")


@pytest.mark.parametrize("width", range(24, 70))
def test_a_sentence_is_elided_between_words(width: int) -> None:
    text = "held by run run-7c1e (channel, prompting), 2 waiting: heartbeat, direct"
    short = text_of(cut_middle(piece(text), width, words=True))
    assert len(short) <= width
    head, mark, tail = short.partition("…")
    assert mark
    assert text.startswith(head)
    assert text.endswith(tail)
    assert {*head.split(), *tail.split()} <= {*text.split()}
    assert tail.endswith("direct")


@pytest.mark.parametrize("width", range(12, 60))
def test_an_id_that_is_the_whole_sentence_keeps_both_ends(width: int) -> None:
    text = "cron:3f1c77aa-0d54-4be1-9a2e-5d8f1c0b9e10 waits since 3f1c77aa-0d54-4be1-9a2e-5d8f1c0b9e10"
    short = text_of(cut_middle(piece(text), width, words=True))
    assert width_of(piece(short)) <= width
    assert short.startswith("cro")
    assert short.endswith("9e10")


@pytest.mark.parametrize("room", range(14, 38))
def test_a_sentence_keeps_its_subject(room: int) -> None:
    """Also where its first word says nothing alone."""
    said = fitted(piece("the gateway does not run: nothing is answered"), room, middle=True, words=True)
    assert text_of(said).startswith("the gateway")


@pytest.mark.parametrize("room", range(8, 17))
def test_a_sign_alone_is_no_text(room: int) -> None:
    shown = text_of(fitted(piece("⚠ gateway-stopped"), room))
    assert shown.startswith("⚠ g")
    assert shown.endswith("ped")
