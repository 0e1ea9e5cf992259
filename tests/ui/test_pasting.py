"""What is pasted is text to the last byte: no part of it arrives as a key."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual import events

from clawtop.ui.pasting import PasteFilter, pasted_text
from clawtop.ui.terminal_input import _TerminalParser

START, END = "\x1b[200~", "\x1b[201~"
PASTES = ["plain", "", "one\x1b[31m y\ny two", "\x1b", "\x1b\ryes\r", "\x1b[20", "\x1b[201", "y" * 70 + "\x1b[y" * 20]


def told(pieces: list[str]) -> list[events.Event]:
    parser = _TerminalParser()
    return [event for piece in pieces for event in parser.feed(piece)]  # type: ignore[misc]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 64, 4096])
@pytest.mark.parametrize("text", PASTES)
def test_an_escape_character_that_is_pasted_presses_no_key(text: str, size: int) -> None:
    sent = f"a{START}{text}{END}b"
    heard = told([sent[at : at + size] for at in range(0, len(sent), size)])
    keys = [event.key for event in heard if isinstance(event, events.Key)]
    assert keys == ["a", "b"]
    assert "".join(pasted_text(event.text) for event in heard if isinstance(event, events.Paste)) == pasted_text(text)


@given(
    st.lists(st.sampled_from([START, END, "\x1b", "\x1b[", "\x1b[20", "[201~", "y", "\n", "\x1b[A"]), max_size=12),
    st.lists(st.integers(1, 4), min_size=1),
)
def test_no_way_of_cutting_what_comes_changes_what_passes(parts: list[str], sizes: list[int]) -> None:
    sent, whole, pieces, at = "".join(parts), PasteFilter(), PasteFilter(), 0
    out = ""
    while at < len(sent):
        size = sizes[at % len(sizes)]
        out += pieces.passed(sent[at : at + size])
        at += size
    assert out == whole.passed(sent)
    if START not in sent:
        assert out == sent


def test_keys_outside_of_a_paste_are_heard_at_once() -> None:
    parser = _TerminalParser()
    assert [event.key for event in parser.feed("\x1b[A") if isinstance(event, events.Key)] == ["up"]
    assert [event.key for event in parser.feed("\x1b[2~") if isinstance(event, events.Key)] == ["insert"]
