"""Numbers for people."""

from __future__ import annotations

from datetime import UTC, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clawtop.core.model import Moment, agent_named, counted, plain_text, session_named, timed_problem
from clawtop.view.humanize import (
    age,
    ago,
    bar,
    clock_time,
    countdown,
    duration,
    in_zone,
    problem_text,
    rough,
    span,
    sparkline,
    time_near,
)

NOW = 1_795_144_327_000
SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "0s"),
        (999, "0s"),
        (59 * SECOND, "59s"),
        (60 * SECOND, "1m00s"),
        (4 * MINUTE + 12 * SECOND, "4m12s"),
        (HOUR, "1h00m"),
        (25 * HOUR, "1d01h"),
        (400 * DAY, "400d"),
        (10**12, "11574d"),
        (10**18, "ages"),
        (-5 * SECOND, "-5s"),
    ],
)
def test_duration(ms: int, text: str) -> None:
    assert duration(ms) == text


@given(st.integers(0, 10**20))
def test_duration_fits_its_column(ms: int) -> None:
    assert len(duration(ms)) <= 6


@pytest.mark.parametrize(("left", "text"), [(1, "1s"), (1000, "1s"), (1001, "2s"), (0, "0s"), (-9, "0s")])
def test_countdown_is_over_at_zero_and_not_before(left: int, text: str) -> None:
    assert countdown(NOW + left, NOW) == text


@pytest.mark.parametrize(
    ("then", "text"),
    [(None, "-"), (NOW - 42 * SECOND, "42s"), (NOW - 25 * MINUTE, "25m"), (NOW + HOUR, "+1h00m"), (NOW + 900, "0s")],
)
def test_age(then: int | None, text: str) -> None:
    assert age(then, NOW) == text


def test_words_about_time() -> None:
    assert ago(NOW - 90 * SECOND, NOW) == "1m ago"
    assert ago(NOW + 2 * HOUR, NOW) == "2h00m ahead of the clock"
    assert [rough(ms) for ms in (MINUTE - 1, MINUTE, HOUR - 1, HOUR)] == ["59s", "1m", "59m", "1h00m"]
    assert [span(ms) for ms in (12, 400, 9_900, 42_000)] == ["12ms", "0.4s", "9.9s", "42s"]
    assert [counted(1, "lock"), counted(2, "lock"), counted(2, "entry", "entries")] == [
        "1 lock",
        "2 locks",
        "2 entries",
    ]


def test_clock_times_follow_the_zone_and_say_another_day() -> None:
    assert clock_time(NOW, UTC) == "03:12:07"
    assert clock_time(NOW, timezone(timedelta(hours=-5))) == "22:12:07"
    assert time_near(NOW + HOUR, NOW, UTC) == "04:12:07"
    assert time_near(NOW + 30 * HOUR, NOW, UTC) == "21 Nov 09:12"
    assert time_near(NOW + 400 * DAY, NOW, UTC) == "2027-12-25 03:12"


@pytest.mark.parametrize("nonsense", [-1, 10**18])
def test_a_time_that_no_calendar_has_is_shown_as_its_number(nonsense: int) -> None:
    assert clock_time(nonsense, UTC) == time_near(nonsense, NOW, UTC) == str(nonsense)


@given(st.floats(0, 2, allow_nan=False), st.integers(1, 30))
def test_a_bar_has_its_width_and_shows_whatever_is_left(share: float, width: int) -> None:
    filled, empty = bar(share, width)
    assert len(filled) + len(empty) == width
    assert bool(filled) == (share > 0)


def test_sparkline() -> None:
    assert sparkline((0, 1, 2, 4, 8), 4) == "▁▂▄█"
    assert sparkline((), 4) == ""
    assert sparkline((0, 0), 4) == "▁▁"


def test_times_in_a_sentence_are_said_in_the_zone_of_the_screen() -> None:
    ended = Moment(1795143667000)
    sentence = ("the cooldown window ended ", ended, " and is still recorded")
    there = timezone(timedelta(hours=2))
    assert in_zone(sentence, NOW, there) == "the cooldown window ended 05:01:07 and is still recorded"
    assert plain_text(sentence) == "the cooldown window ended 2026-11-20 03:01:07 UTC and is still recorded"
    assert in_zone(("until ", Moment(1798155000000)), NOW, there) == "until 25 Dec 01:30"
    assert in_zone(("until ", Moment(10**18)), NOW, there) == f"until {10**18}"
    assert plain_text(("until ", Moment(10**18))) == f"until {10**18}"


def test_a_time_that_somebody_else_wrote_into_a_text_stays_as_it_is() -> None:
    there = timezone(timedelta(hours=2))
    assert in_zone("until 2026-12-24 23:30:00 UTC", NOW, there) == "until 2026-12-24 23:30:00 UTC"


def test_a_problem_of_a_time_is_said_in_the_zone_and_kept_in_utc() -> None:
    problem = timed_problem("lapsed-window", "p:one", ("it ended ", Moment(1795143667000)))
    assert problem_text(problem, NOW, timezone(timedelta(hours=2))) == "it ended 05:01:07"
    assert problem.text == "it ended 2026-11-20 03:01:07 UTC"


def test_whom_a_sentence_names_is_called_as_people_call_it() -> None:
    sentence = (agent_named("main"), " waits for ", session_named("agent:main:x"))
    assert in_zone(sentence, NOW, None, lambda name: f"<{name.what.value} {name.id}>") == (
        "<agent main> waits for <session agent:main:x>"
    )
    assert plain_text((agent_named("a\x1bb"),)).isprintable()
