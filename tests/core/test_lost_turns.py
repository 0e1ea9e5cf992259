"""A turn that went with its gateway: it failed, and whoever wrote waits, although no transcript tells of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from clawtop.core.health.judgement import Level, judge
from clawtop.core.health.turns import recent_turns
from clawtop.core.health.waiting import waiting
from clawtop.core.model import (
    EndedTurn,
    Exchange,
    Gateway,
    GatewayState,
    Problem,
    Session,
    TurnOutcome,
    Witness,
    WitnessKind,
)
from tests.support.worlds import CALM, NOW

BEGAN = NOW - 30_000
GHOST = Problem("ghost", "agent:main:chat", "stored as running, but a gateway that is gone ran it")
LEFT: dict[str, Any] = {
    "status": "running",
    "active": False,
    "started_at": BEGAN,
    "updated_at": BEGAN + 10,
    "problems": (GHOST,),
    "witnesses": (Witness(WitnessKind.TRAJECTORY, False, "its gateway is gone", at=BEGAN + 200, run_id="run-1"),),
    "lane_class": "direct",
    "exchanges": (),
    "turns": (),
}
RESTARTED = Gateway(GatewayState.LIVE, 7, 18789, started_at=NOW - 10_000)


def session(**changes: Any) -> Session:
    return replace(CALM.sessions[0], key=GHOST.where, **{**LEFT, **changes})


def exchange(asked: int, outcome: TurnOutcome = TurnOutcome.OPEN, ended: int | None = None) -> Exchange:
    return Exchange(asked, 4, "user", outcome, ended)


@pytest.mark.parametrize(
    ("changes", "failed", "unanswered"),
    [
        ({}, True, True),
        ({"witnesses": ()}, True, True),
        ({"problems": (replace(GHOST, code="unsettled"),)}, False, False),
        ({"status": "done", "problems": (), "ended_at": BEGAN + 100}, False, False),
        ({"started_at": None}, False, False),
        ({"lane_class": "cron"}, True, False),
        ({"exchanges": (exchange(BEGAN - 100_000, TurnOutcome.ANSWERED, BEGAN - 90_000),)}, True, True),
        ({"exchanges": (exchange(BEGAN - 900, TurnOutcome.ANSWERED, BEGAN + 900),)}, False, False),
        ({"exchanges": (exchange(BEGAN + 50),)}, True, True),
        ({"turns": (EndedTurn(BEGAN + 500, TurnOutcome.ANSWERED, "run-0"),)}, False, False),
        ({"turns": (EndedTurn(BEGAN - 500, TurnOutcome.ANSWERED, "run-0"),)}, True, True),
    ],
)
def test_a_turn_that_went_with_its_gateway(changes: dict[str, Any], failed: bool, unanswered: bool) -> None:
    world = replace(CALM, sessions=(session(**changes),), gateway=RESTARTED, events=())
    told = [recent.turn for recent in recent_turns(world, NOW, 60_000, 60_000).turns if recent.failed]
    assert [turn.at >= BEGAN for turn in told] == [True] * failed
    dead = replace(world, gateway=Gateway(GatewayState.DEAD, 6))
    assert not [recent for recent in recent_turns(dead, NOW, 60_000, 60_000).turns if recent.failed], (
        "its death is told by itself"
    )
    assert [one.session for one in waiting(world, NOW).unanswered] == [GHOST.where] * unanswered
    assert (judge(world, NOW).level > Level.WELL) is (failed or unanswered)


def test_a_turn_that_went_long_ago_says_nothing_of_now() -> None:
    old = NOW - 26 * 3_600_000
    lost = session(started_at=old, updated_at=old, witnesses=())
    world = replace(CALM, sessions=(lost,), gateway=RESTARTED, events=())
    assert waiting(world, NOW).unanswered == ()
    assert recent_turns(world, NOW, 60_000, 60_000) == ((), {})


def test_turns_of_which_only_rows_tell_are_counted_once_in_the_time_they_ended_in() -> None:
    ends = {
        "now": ("done", NOW),
        "lately": ("failed", NOW - 60_000),
        "today": ("done", NOW - 60_001),
        "yesterday": ("done", NOW - 3_600_000),
        "to come": ("done", NOW + 1),
        "open": ("running", None),
    }
    rows = [
        replace(session(status=status, ended_at=ended, problems=(), witnesses=(), started_at=None), key=key, file=key)
        for key, (status, ended) in ends.items()
    ]
    told = replace(rows[0], key="told", file="told", turns=(EndedTurn(NOW, TurnOutcome.ANSWERED, "run-1"),))
    world = replace(CALM, sessions=(*rows, told), gateway=RESTARTED, events=())
    found = recent_turns(world, NOW, 60_000, 3_600_000)
    assert [(turn.session, turn.turn.at) for turn in found.turns] == [
        ("lately", NOW - 60_000),
        ("now", NOW),
        ("told", NOW),
    ]
    assert found.outcomes == {TurnOutcome.ANSWERED: 3, TurnOutcome.FAILED: 1}
