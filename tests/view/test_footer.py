"""Footer and help are the table of commands."""

from __future__ import annotations

import pytest

from clawtop.commands import COMMANDS, Arming, Context, Target, TargetKind, command, why_not
from clawtop.view.footer import footer_command_at, footer_line, help_lines
from clawtop.view.line import Tone, piece, text_of, width_of
from tests.support.worlds import INCIDENT

PROFILE = Target(TargetKind.PROFILE, "openai:prod", "main", "openai")
READ_ONLY = Context(INCIDENT, PROFILE)
ARMED = Context(INCIDENT, PROFILE, Arming.ARMED)


@pytest.mark.parametrize("width", [20, 80, 200])
def test_the_footer_fits_and_its_labels_can_be_clicked(width: int) -> None:
    line = footer_line(ARMED, width)
    assert width_of(line) <= width
    text = text_of(line)
    for item in (item for item in COMMANDS if item.footer and item.title in text):
        assert footer_command_at(ARMED, width, text.index(item.title)) == item.id


@pytest.mark.parametrize("width", [60, 80, 200])
def test_a_message_leaves_the_keys_that_always_stand(width: int) -> None:
    said = piece("usable again: anthropic:work")
    text = text_of(footer_line(ARMED, width, said))
    assert text.startswith(" usable again: anthropic:work ")
    assert "Clear cooldown" not in text
    for title in ("Help", "Quit", "Arm"):
        assert footer_command_at(ARMED, width, text.index(title), said) == title.lower()


def test_a_long_answer_is_read_in_the_place_of_the_keys() -> None:
    said = piece("the store was not written: " + "reasons " * 10)
    assert text_of(footer_line(ARMED, 60, said)) == f" {text_of(said)[:58]}…"
    assert footer_command_at(ARMED, 60, 50, said) is None


def test_a_footer_does_not_ask_whether_the_process_may_be_stopped() -> None:
    """It is drawn each second, and the answer costs system calls."""
    asked: list[str] = []

    def stays() -> str:
        asked.append("why")
        return "it works"

    context = Context(INCIDENT, PROFILE, stays=stays)
    assert "Quit" in text_of(footer_line(context, 400))
    assert not asked
    assert why_not(command("suspend"), context) == "it works"
    assert asked == ["why"]


def tone_of(title: str, context: Context) -> Tone:
    return next(tone for text, tone in footer_line(context, 400) if text.strip() == title)


def test_what_cannot_run_is_faint_but_there() -> None:
    assert tone_of("Clear cooldown", READ_ONLY) is Tone.FAINT
    assert tone_of("Clear cooldown", ARMED) is Tone.PLAIN
    assert tone_of("Help", READ_ONLY) is Tone.PLAIN


def test_help_lists_every_command_with_its_reason() -> None:
    text = " ".join(" ".join(text_of(line) for line in help_lines(READ_ONLY, 100)).split())
    for item in COMMANDS:
        assert item.help in text
    assert "(not now: READ-ONLY: press a to arm)" in text
    assert command("rotate").usage in text


def test_in_a_replay_the_footer_steers_it() -> None:
    replaying = Context(INCIDENT, PROFILE, Arming.LOCKED, replaying=True)
    text = text_of(footer_line(replaying, 120))
    assert text.startswith(" Space Play / stop  . Step  , Step back")
    assert "Drain" not in text_of(footer_line(replaying, 400))
    assert "q Quit" in text_of(footer_line(replaying, 400))
    assert tone_of("Step", replaying) is Tone.PLAIN


def test_a_row_that_nothing_acts_on_hints_at_no_command_of_rows() -> None:
    nothing = text_of(footer_line(Context(INCIDENT, None, view="tree"), 400))
    assert not {"Detail", "Jump", "Events", "Unlock", "Drain"} & set(nothing.split())
    marked = Context(INCIDENT, None, view="overview", marked=frozenset({TargetKind.LOCK}))
    assert "u Unlock" in text_of(footer_line(marked, 400))
