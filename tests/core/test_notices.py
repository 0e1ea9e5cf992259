"""Notices: what changed for the worse or the better, each once, and nothing about what stood already."""

from __future__ import annotations

from dataclasses import replace

import pytest

from clawtop.core.health.judgement import judge
from clawtop.core.health.wording import some_names
from clawtop.core.incident.notices import FALLBACK_QUIET_MS, NoticeState, next_due, notice_state, notices
from clawtop.core.model import SHARED, Event, EventKind, GatewayState, Snapshot
from tests.support.worlds import CALM, INCIDENT, MINUTE, NOW, OUT, SECOND, agent, cooling, profile

LIMIT = 5 * MINUTE


def stands(snapshot: Snapshot, now: int = NOW) -> NoticeState:
    return notice_state(snapshot, now, judge(snapshot, now))


def blocked(key: str, since: int, at: int = NOW) -> NoticeState:
    return NoticeState(at, blocked={key: since})


def test_at_the_start_everything_is_on_the_screen_already() -> None:
    assert notices(None, stands(OUT), LIMIT) == ()


def test_nothing_is_usable() -> None:
    world = replace(OUT, gateway=CALM.gateway)
    assert notices(stands(CALM), stands(world), LIMIT) == ("nothing is usable for any agent",)
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


@pytest.mark.parametrize("owner", ["main", SHARED])
def test_a_profile_that_several_agents_have_is_told_once(owner: str) -> None:
    mine = (profile("openai:a", owner=owner), profile("openai:b", cooling(SECOND), owner=owner))
    world = replace(CALM, agents=(agent("main", mine), agent("ops", mine)))
    assert notices(stands(world), stands(world, NOW + MINUTE), LIMIT) == ("usable again: openai:b",)


def test_a_session_blocked_for_too_long_is_told_once_when_its_time_is_over() -> None:
    since = NOW - LIMIT
    assert notices(blocked("s", since, NOW - 1), blocked("s", since), LIMIT) == ("blocked for 5 min: s",)
    assert notices(blocked("s", since), blocked("s", since, NOW + SECOND), LIMIT) == ()
    assert notices(blocked("s", since + 1, NOW - SECOND), blocked("s", since + 1), LIMIT) == ()


def test_a_block_that_is_found_late_is_told_at_once() -> None:
    assert notices(NoticeState(NOW - SECOND), blocked("s", NOW - 2 * LIMIT), LIMIT) == ("blocked for 5 min: s",)


def test_when_to_look_again() -> None:
    several = NoticeState(NOW, blocked={"a": NOW - LIMIT, "b": NOW - 60_000, "c": NOW - 10_000})
    assert next_due(several, LIMIT) == NOW - 60_000 + LIMIT
    assert next_due(NoticeState(NOW), LIMIT) is None
    world = replace(CALM, agents=(agent("main", (profile("openai:a"), profile("openai:b", cooling(22 * SECOND)))),))
    assert next_due(stands(world), LIMIT) == NOW + 22 * SECOND
    assert next_due(replace(several, back_at=NOW + SECOND), LIMIT) == NOW + SECOND


def test_a_reverted_write_is_told() -> None:
    event = Event(NOW, EventKind.REVERTED, "operation", "the gateway has reverted: clear openai:a")
    assert notices(stands(CALM), stands(replace(CALM, events=(event,))), LIMIT) == (event.text,)


def test_the_weightiest_comes_first_and_many_names_are_counted() -> None:
    before = NoticeState(NOW - 1, known=frozenset({("m", "p")}))
    after = NoticeState(
        NOW,
        usable=frozenset({("m", "p")}),
        silent={("models-out", f"a{n}"): "nothing is usable for any agent" for n in range(5)},
        blocked={f"s{n}": NOW - LIMIT for n in range(2)},
    )
    assert notices(before, after, LIMIT) == (
        "nothing is usable for any agent",
        "blocked for 5 min: s0, s1",
        "usable again: p",
    )


def test_names_are_safe() -> None:
    (text,) = notices(NoticeState(NOW - 1), blocked("evil\x1b]0;x\x07", NOW - 2 * LIMIT), LIMIT)
    assert text.isprintable()


def test_a_gateway_that_dies_is_told_once_and_again_when_it_dies_again() -> None:
    dead = replace(CALM, gateway=replace(CALM.gateway, state=GatewayState.DEAD, pid=7))
    (text,) = notices(stands(CALM), stands(dead), LIMIT)
    assert text.startswith("the gateway is dead (process 7 is gone)")
    assert notices(stands(dead), stands(dead, NOW + MINUTE), LIMIT) == ()


def test_a_cause_is_told_again_only_where_it_reaches_others() -> None:
    few = NoticeState(NOW - 1, silent={("models-out", "a"): "nothing is usable for a"})
    more = NoticeState(NOW, silent={("models-out", who): "nothing is usable for a, b" for who in "ab"})
    assert notices(few, more, LIMIT) == ("nothing is usable for a, b",)
    assert notices(more, few, LIMIT) == ()


def test_what_is_blocked_is_what_all_views_count() -> None:
    health = judge(INCIDENT, NOW)
    assert health.blocked
    dated = {key for (_, key), found in health.blocked.items() if found.since is not None}
    assert set(notice_state(INCIDENT, NOW, health).blocked) == dated


def test_a_session_that_falls_back_is_told_once_until_it_has_been_quiet() -> None:
    def fell(*ats: int, over: bool = False) -> Snapshot:
        events = (
            Event(at=at, kind=EventKind.FALLBACK, source="log", text="x", session_key="s", data={"over": over})
            for at in ats
        )
        return replace(CALM, events=tuple(events))

    first, second, later = NOW, NOW + MINUTE, NOW + MINUTE + FALLBACK_QUIET_MS
    said = ("fell back to another model: s",)
    assert notices(stands(CALM), stands(fell(first)), LIMIT) == said
    assert notices(stands(fell(first)), stands(fell(first, second), second), LIMIT) == ()
    assert notices(stands(fell(first, second)), stands(fell(first, second, later), later), LIMIT) == ()
    assert notices(stands(fell(second)), stands(fell(second, later + 1), later + 1), LIMIT) == said
    assert notices(stands(CALM), stands(fell(first, over=True)), LIMIT) == (), "there was no other model left"


def test_names_beyond_the_first_three_are_counted() -> None:
    assert some_names(["a", "b", "c"]) == "a, b, c"
    assert some_names(["a", "b", "a", "c", "d", "e"]) == "a, b, c and 2 more"
