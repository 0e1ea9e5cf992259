"""The demo's tour: each of its keys is a key of the table, and only the awaited one leads on."""

from __future__ import annotations

import pytest

from clawtop.commands import command
from clawtop.demo.scenarios import SCENARIOS, TOUR_SCENARIO
from clawtop.view.line import text_of, width_of
from clawtop.view.tour import TOUR, TOUR_LINES, Tour


def said(tour: Tour, width: int = 120) -> str:
    return "\n".join(text_of(line).rstrip() for line in tour.lines(width))


def test_seven_questions_each_with_a_key() -> None:
    assert len(TOUR) == 7
    assert all(command(step.command_id).keys for step in TOUR)
    assert TOUR_SCENARIO in SCENARIOS


def test_only_the_awaited_key_leads_on() -> None:
    tour = Tour()
    assert "1 of 7  Which account works?  press 5" in said(tour)
    assert not tour.took("tree")
    assert tour.took("forecast")
    assert "Which account works? One line per agent" in said(tour)
    assert "2 of 7  When is the next one back?  press 1" in said(tour)
    for step in TOUR[1:]:
        assert tour.took(step.command_id)
    assert tour.awaited is None
    assert "q leaves" in said(tour)
    assert not tour.took(TOUR[0].command_id)


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_it_takes_three_lines_and_no_more_than_the_width(width: int) -> None:
    tour = Tour()
    for step in (None, *TOUR):
        assert step is None or tour.took(step.command_id)
        lines = tour.lines(width)
        assert len(lines) == TOUR_LINES
        assert all(width_of(line) <= width for line in lines)
        if step is not None:
            assert step.answer in " ".join(said(tour, width).split())
