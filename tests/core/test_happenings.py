"""What two snapshots differ in, as events."""

from __future__ import annotations

from dataclasses import replace

import pytest

from clawtop.core.incident.happenings import happenings
from clawtop.core.incident.timeline import is_background
from clawtop.core.model import (
    SHARED,
    Event,
    EventKind,
    Gateway,
    GatewayState,
    Problem,
    Snapshot,
    UsageStats,
    Verdict,
    VerdictKind,
)
from tests.support.worlds import CALM, INCIDENT, LOCKS, NOW, SECOND, SESSIONS, agent, cooling, profile

MAIN = replace(SESSIONS[1], status="done", active=False, profile=None)


def between(before: Snapshot, after: Snapshot) -> list[tuple[EventKind, str]]:
    return [(event.kind, event.text) for event in happenings(before, replace(after, taken_at=NOW + SECOND))]


def with_session(**changes: object) -> Snapshot:
    return replace(CALM, sessions=(replace(MAIN, **changes),))  # type: ignore[arg-type]


def test_the_same_snapshot_tells_nothing() -> None:
    assert happenings(INCIDENT, replace(INCIDENT, number=8)) == ()


def test_a_profile_cools_and_comes_back() -> None:
    well = replace(CALM, agents=(agent("main", (profile("openai:a"),)),))
    ill = replace(CALM, agents=(agent("main", (profile("openai:a", cooling(31 * SECOND)),)),))
    assert between(well, ill) == [(EventKind.PROFILE, "openai:a is cooling for 30 s")]
    over = replace(ill, taken_at=NOW + 40 * SECOND)
    assert [event.text for event in happenings(ill, over)] == ["openai:a is usable again"]


@pytest.mark.parametrize("owner", ["main", "ops", SHARED])
def test_a_profile_that_several_agents_have_is_told_once(owner: str) -> None:
    def world(stats: UsageStats) -> Snapshot:
        profiles = (profile("openai:a", stats, owner=owner),)
        return replace(CALM, agents=(agent("main", profiles), agent("ops", profiles)))

    told = happenings(world(UsageStats()), world(cooling(60 * SECOND)))
    assert [event.agent for event in told] == [owner]


@pytest.mark.parametrize(
    ("before", "after", "text", "routine"),
    [
        ({}, {"status": "running", "active": True}, "done → running", True),
        ({"status": "running", "active": True}, {"status": "failed"}, "running → failed", False),
        ({}, {"active": True}, "done → done, at work", True),
        ({}, {"profile": "openai:a", "profile_source": "user"}, "pinned to openai:a (user)", False),
        ({"profile": "openai:a"}, {}, "unpinned", False),
        (
            {"status": "running", "active": True},
            {"status": "running", "problems": (Problem("ghost", "k", "gone"),)},
            "running → running (ghost)",
            False,
        ),
    ],
)
def test_sessions(before: dict[str, object], after: dict[str, object], text: str, routine: bool) -> None:
    (event,) = happenings(with_session(**before), with_session(**after))
    assert event.text == f"{MAIN.key} {text}"
    assert is_background(event) is routine


def lock_events(before: tuple[object, ...], after: tuple[object, ...]) -> list[Event]:
    return list(
        happenings(replace(INCIDENT, locks=before), replace(INCIDENT, locks=after))  # type: ignore[arg-type]
    )


def test_a_lock_that_comes_and_goes_is_routine_and_names_its_session() -> None:
    lock = LOCKS[0]
    held = replace(lock, verdict=Verdict(VerdictKind.HELD, ("alive",)))
    (taken,) = lock_events((), (held,))
    assert taken.text.startswith("session lock of agent:")
    assert taken.text.endswith(f"taken by pid {lock.pid}")
    assert is_background(taken)
    (released,) = lock_events((held,), ())
    assert released.text.endswith(" released")
    assert is_background(released)


def test_a_lock_whose_owner_died_is_news() -> None:
    held = replace(LOCKS[0], verdict=Verdict(VerdictKind.HELD, ("alive",)))
    stale = replace(held, verdict=Verdict(VerdictKind.STALE, ("dead-pid",)))
    (event,) = lock_events((held,), (stale,))
    assert event.text.endswith("is now stale (owner is dead)")
    assert not is_background(event)


def test_a_gateway_that_dies() -> None:
    live = replace(CALM, gateway=Gateway(GatewayState.LIVE, 7))
    dead = replace(CALM, gateway=Gateway(GatewayState.DEAD, 7))
    assert between(live, dead) == [(EventKind.GATEWAY, "gateway live → dead, pid 7")]


def test_names_from_the_disk_are_safe() -> None:
    evil = "agent:main:\x1b[2J\u202e"
    (event,) = happenings(with_session(key=evil), with_session(key=evil, status="failed"))
    assert event.text.isprintable()
    assert event.session_key == evil
