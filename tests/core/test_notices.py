"""Notices: what changed for the worse or the better, each once, and nothing about what stood already."""

from __future__ import annotations

from dataclasses import replace

from clawtop.core.incident.blocking import Node, NodeKind, Severity, blocking_tree
from clawtop.core.incident.notices import Standing, next_due, notices, standing
from clawtop.core.model import Event, EventKind, Snapshot
from tests.support.worlds import CALM, INCIDENT, MINUTE, NOW, OUT, SECOND, agent, cooling, profile

LIMIT = 5 * MINUTE


def stands(snapshot: Snapshot, now: int = NOW) -> Standing:
    return standing(snapshot, now, blocking_tree(snapshot, now, snapshot.events))


def blocked(key: str, since: int, at: int = NOW) -> Standing:
    return Standing(at, blocked={key: since})


def test_at_the_start_everything_is_on_the_screen_already() -> None:
    assert notices(None, stands(OUT), LIMIT) == ()


def test_nothing_is_usable() -> None:
    assert notices(stands(CALM), stands(OUT), LIMIT) == ("nothing is usable for main",)
    assert notices(stands(OUT), stands(OUT), LIMIT) == ()


def test_a_profile_comes_back_when_its_window_ends_without_any_change_on_disk() -> None:
    world = replace(CALM, agents=(agent("main", (profile("openai:a"), profile("openai:b", cooling(22 * SECOND)))),))
    before, after = stands(world), stands(world, NOW + 23 * SECOND)
    assert notices(before, after, LIMIT) == ("usable again: openai:b",)
    assert notices(after, after, LIMIT) == ()


def test_a_profile_that_was_not_there_does_not_come_back() -> None:
    one = replace(CALM, agents=(agent("main", (profile("openai:a"),)),))
    two = replace(CALM, agents=(agent("main", (profile("openai:a"), profile("openai:new"))),))
    assert notices(stands(one), stands(two), LIMIT) == ()


def test_an_inherited_profile_is_told_once() -> None:
    mine = (profile("openai:a"), profile("openai:b", cooling(SECOND)))
    world = replace(CALM, agents=(agent("main", mine), agent("ops", mine)))
    assert notices(stands(world), stands(world, NOW + MINUTE), LIMIT) == ("usable again: openai:b",)


def test_a_session_blocked_for_too_long_is_told_once_when_its_time_is_over() -> None:
    since = NOW - LIMIT
    assert notices(blocked("s", since, NOW - 1), blocked("s", since), LIMIT) == ("blocked for 5 min: s",)
    assert notices(blocked("s", since), blocked("s", since, NOW + SECOND), LIMIT) == ()
    assert notices(blocked("s", since + 1, NOW - SECOND), blocked("s", since + 1), LIMIT) == ()


def test_a_block_that_is_found_late_is_told_at_once() -> None:
    assert notices(Standing(NOW - SECOND), blocked("s", NOW - 2 * LIMIT), LIMIT) == ("blocked for 5 min: s",)


def test_when_to_look_again() -> None:
    several = Standing(NOW, blocked={"a": NOW - LIMIT, "b": NOW - 60_000, "c": NOW - 10_000})
    assert next_due(several, LIMIT) == NOW - 60_000 + LIMIT
    assert next_due(Standing(NOW), LIMIT) is None


def test_a_reverted_write_is_told() -> None:
    event = Event(NOW, EventKind.REVERTED, "operation", "the gateway has reverted: clear openai:a")
    assert notices(stands(CALM), stands(replace(CALM, events=(event,))), LIMIT) == (event.text,)


def test_the_weightiest_comes_first_and_many_names_are_counted() -> None:
    before = Standing(NOW - 1, known=frozenset({("m", "p")}))
    after = Standing(
        NOW,
        usable=frozenset({("m", "p")}),
        silent=frozenset({"a1", "a2", "a3", "a4", "a5"}),
        blocked={f"s{n}": NOW - LIMIT for n in range(2)},
    )
    assert notices(before, after, LIMIT) == (
        "nothing is usable for a1, a2, a3 and 2 more",
        "blocked for 5 min: s0, s1",
        "usable again: p",
    )


def test_names_are_safe() -> None:
    (text,) = notices(Standing(NOW - 1), blocked("evil\x1b]0;x\x07", NOW - 2 * LIMIT), LIMIT)
    assert text.isprintable()


def test_normal_work_is_not_blocked() -> None:
    busy = Node(NodeKind.SESSION, "s", "s", "x", Severity.BUSY, since=NOW - LIMIT)
    assert standing(INCIDENT, NOW, (busy,)).blocked == {}
