"""How it came to this: what happened between snapshots, merged and filtered."""

from __future__ import annotations

from dataclasses import replace

import pytest

from clawtop.core.incident.happenings import happenings
from clawtop.core.incident.timeline import BACKGROUND, KEPT_ACTS, KIND_GROUPS, Filter, Timeline, narrowings, newest
from clawtop.core.model import (
    Event,
    EventKind,
    Gateway,
    GatewayState,
    LockKind,
    OpenClawVerdict,
    ProcessEvidence,
    Snapshot,
    UsageStats,
    Verdict,
    VerdictKind,
)
from tests.support.worlds import CALM, MINUTE, NOW, SECOND, agent, cooling, profile, session, session_lock

RUNNING = session("main", "direct:1", 1, "running", active=True)
HELD = Verdict(VerdictKind.HELD, ("alive",))


def world(**parts: object) -> Snapshot:
    base = replace(CALM, taken_at=NOW, agents=(agent("main", (profile("anthropic:max-reef"),)),), sessions=(), locks=())
    return replace(base, **parts)  # type: ignore[arg-type]


def later(snapshot: Snapshot, seconds: int, **parts: object) -> Snapshot:
    return replace(snapshot, number=2, taken_at=NOW + seconds * SECOND, **parts)  # type: ignore[arg-type]


def texts(before: Snapshot, after: Snapshot) -> list[str]:
    return [event.text for event in happenings(before, after)]


def matching(timeline: Timeline, chosen: Filter) -> tuple[Event, ...]:
    return tuple(event for event in timeline.events if chosen.admits(event))


def test_a_cooldown_begins_and_ends_by_itself() -> None:
    before = world()
    cooled = later(before, 0, agents=(agent("main", (profile("anthropic:max-reef", cooling(30 * SECOND)),)),))
    assert texts(before, cooled) == ["anthropic:max-reef is cooling for 30 s"]
    over = replace(cooled, taken_at=NOW + 31 * SECOND)
    assert texts(cooled, over) == ["anthropic:max-reef is usable again"]
    event = happenings(before, cooled)[0]
    assert (event.kind, event.profile, event.reason) == (EventKind.PROFILE, "anthropic:max-reef", "rate_limit")


def test_an_inherited_profile_is_told_once_by_its_owner() -> None:
    mine, theirs = profile("anthropic:max-reef"), profile("anthropic:max-reef", cooling(9 * SECOND))
    before = world(agents=(agent("main", (mine,)), agent("coder", (mine,))))
    after = later(before, 0, agents=(agent("main", (theirs,)), agent("coder", (theirs,))))
    assert len(happenings(before, after)) == 1


def test_a_used_profile_is_no_news() -> None:
    used = agent("main", (profile("anthropic:max-reef", UsageStats(last_used=NOW)),))
    assert texts(world(), later(world(), 1, agents=(used,))) == []


def test_locks_come_change_their_verdict_and_go() -> None:
    lock = session_lock(
        RUNNING, MINUTE, HELD, OpenClawVerdict(False, (), False), pid=4711, owner=ProcessEvidence(4711, True)
    )
    stale = replace(lock, verdict=Verdict(VerdictKind.STALE, ("dead-pid",)))
    assert lock.file.kind is LockKind.SESSION
    name = f"session lock {RUNNING.session_id}"
    assert texts(world(), later(world(), 1, locks=(lock,))) == [f"{name} taken by pid 4711"]
    assert texts(world(locks=(lock,)), later(world(), 1, locks=(stale,))) == [f"{name} is now stale (owner is dead)"]
    assert texts(world(locks=(stale,)), later(world(), 1)) == [f"{name} released"]


def test_sessions_and_the_gateway_change() -> None:
    done = replace(RUNNING, status="done", active=False)
    pinned = replace(done, profile="anthropic:max-reef", profile_source="user")
    assert texts(world(sessions=(RUNNING,)), later(world(), 1, sessions=(done,))) == [
        "agent:main:direct:1 running → done"
    ]
    assert texts(world(sessions=(done,)), later(world(), 1, sessions=(pinned,))) == [
        "agent:main:direct:1 pinned to anthropic:max-reef (user)"
    ]
    gone = later(world(), 1, gateway=Gateway(GatewayState.DEAD))
    assert texts(world(gateway=Gateway(GatewayState.LIVE, pid=7)), gone) == ["gateway live → dead"]


def event(at: int, kind: EventKind = EventKind.MARK, text: str = "marked", **facts: str) -> Event:
    return Event(at, kind, "journal", text, **facts)  # type: ignore[arg-type]


def test_sources_are_merged_in_order_and_told_once() -> None:
    journal = [event(1), event(5, run_id="r")]
    log = [event(3, EventKind.ROTATE), event(5, run_id="r"), event(5, run_id="other")]
    timeline = Timeline().extended(journal, log)
    assert [(item.at, item.run_id) for item in timeline.events] == [(1, None), (3, None), (5, "r"), (5, "other")]
    assert timeline.extended(log).events == timeline.events
    assert [item.at for item in Timeline(limit=2).extended(journal, log).events] == [5, 5]


@pytest.mark.parametrize(
    ("chosen", "shown"),
    [
        (Filter(), ["mark", "rotate", "takeover"]),
        (Filter(background=True), ["mark", "rotate", "lane", "takeover"]),
        (Filter(kinds=frozenset({EventKind.LANE})), ["lane"]),
        (Filter(profile="a:one"), ["mark"]),
        (Filter(session="agent:main:x"), ["takeover"]),
        (Filter(lane="main"), []),
        (Filter(lane="main", background=True), ["lane"]),
        (Filter(text="ROTATE to"), ["rotate"]),
        (Filter(since=4), ["takeover"]),
        (Filter(since=5), []),
    ],
)
def test_filters(chosen: Filter, shown: list[str]) -> None:
    timeline = Timeline().extended(
        [
            event(1, profile="a:one"),
            event(2, EventKind.ROTATE, "rotate to the next profile"),
            event(3, EventKind.LANE, "lane enqueue", lane="main"),
            event(4, EventKind.TAKEOVER, "fence", session_key="agent:main:x"),
        ]
    )
    assert [str(item.kind) for item in matching(timeline, chosen)] == shown
    assert EventKind.TAKEOVER not in BACKGROUND


def test_routine_stays_away_from_a_chosen_kind_and_its_background_kinds_do_not() -> None:
    landed = Event(1, EventKind.MARK, "engine", "mark success landed", data={"routine": True})
    failed = Event(2, EventKind.MARK, "engine", "mark rate_limit landed", data={"routine": False})
    queued = Event(3, EventKind.LANE, "gateway-log", "queued in lane main")
    told = Timeline((landed, failed, queued))
    assert matching(told, Filter()) == (failed,)
    assert matching(told, Filter(kinds=KIND_GROUPS["failover"])) == (failed,)
    assert matching(told, Filter(kinds=KIND_GROUPS["failover"], background=True)) == (landed, failed)
    assert matching(told, Filter(kinds=KIND_GROUPS["contention"])) == (queued,)
    assert matching(told, Filter(background=True)) == (landed, failed, queued)


def test_narrowing_names_one_thing_at_a_time() -> None:
    event = Event(1, EventKind.MARK, "engine", "x", session_file="/s", lane="main")
    assert narrowings(event) == (("session", "/s"), ("lane", "main"))
    chosen = Filter(background=True).narrowed("session", "/s").narrowed("lane", "main")
    assert chosen == Filter(background=True, lane="main")
    assert chosen.narrowed() == Filter(background=True)


def test_what_an_operator_did_outlasts_what_merely_happens() -> None:
    acts = [event(at, EventKind.OPERATION, f"done: {at}") for at in range(KEPT_ACTS + 1)]
    many = [event(100 + at, text=f"marked {at}") for at in range(20)]
    timeline = Timeline(limit=5).extended(acts).extended(many[:10]).extended(many[10:])
    assert timeline.events == (*acts[1:], *many[-5:])
    assert newest(timeline.events, 2) == (*acts[1:], *many[-2:])
