"""Lane names, their classes, and the queue discipline of one lane."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clawtop.core.session.lane_queue import (
    Cancel,
    Cleared,
    ClearLane,
    DrainLane,
    Enqueue,
    LaneEffect,
    LaneEvent,
    LaneState,
    Priority,
    Reset,
    SetLimit,
    StartTask,
    TaskEnded,
    TaskProgress,
    TaskRefused,
    Tick,
    TimedOut,
    WaitExceeded,
    apply,
)
from clawtop.core.session.lanes import (
    LaneClass,
    classify_lane,
    classify_session_key,
    global_lane,
    session_lane,
)
from tests.conformance.openclaw_only import cron_agent_lane, isolated_heartbeat_key, nested_lane, next_deadline


@pytest.mark.parametrize(
    ("lane", "expected"),
    [
        ("main", LaneClass.MAIN),
        ("cron", LaneClass.CRON),
        ("cron-nested", LaneClass.CRON_NESTED),
        ("subagent", LaneClass.SUBAGENT),
        ("nested", LaneClass.NESTED),
        ("nested:agent:ops:main", LaneClass.NESTED),
        ("session:agent:main:main", LaneClass.MAIN),
        ("session:main", LaneClass.MAIN),
        ("session:agent:main:main:heartbeat", LaneClass.HEARTBEAT),
        ("session:agent:main:discord:channel:1234", LaneClass.CHANNEL),
        ("session:agent:main:telegram:group:-100", LaneClass.CHANNEL),
        ("session:agent:main:discord:channel:1234:thread:99", LaneClass.CHANNEL),
        ("session:agent:main:slack:direct:u1", LaneClass.DIRECT),
        ("session:agent:main:slack:work:direct:u1", LaneClass.DIRECT),
        ("session:agent:main:direct:u1", LaneClass.DIRECT),
        ("session:agent:main:telegram:dm:7", LaneClass.DIRECT),
        ("session:agent:main:cron:job-1:run:5", LaneClass.CRON),
        ("session:agent:main:subagent:a1", LaneClass.SUBAGENT),
        ("session:agent:main:main:thread:5", LaneClass.MAIN),
        ("session:agent:main:explicit:11111111", LaneClass.SESSION),
        ("session:agent:main", LaneClass.OTHER),
        ("session:global", LaneClass.OTHER),
        ("auth-probe:fakeai", LaneClass.OTHER),
        ("", LaneClass.OTHER),
    ],
)
def test_a_lane_has_the_class_of_its_name(lane: str, expected: LaneClass) -> None:
    assert classify_lane(lane) is expected


def test_a_peer_named_like_a_kind_does_not_make_the_kind() -> None:
    assert classify_session_key("agent:main:slack:channel:direct") is LaneClass.CHANNEL
    assert classify_session_key("agent:main:explicit:a:b:channel") is LaneClass.SESSION


def test_classes_are_the_histogram_of_the_field_report() -> None:
    seen = {
        "main": 60,
        "session:agent:a:main:heartbeat": 36,
        "session:agent:a:discord:channel:1": 20,
        "session:agent:a:telegram:direct:2": 3,
        "session:agent:a:cron:daily": 1,
        "session:agent:a:slack:channel:c9": 1,
        "cron-nested": 1,
    }
    histogram: dict[LaneClass, int] = {}
    for lane, takeovers in seen.items():
        kind = classify_lane(lane)
        histogram[kind] = histogram.get(kind, 0) + takeovers
    assert histogram == {
        LaneClass.MAIN: 60,
        LaneClass.HEARTBEAT: 36,
        LaneClass.CHANNEL: 21,
        LaneClass.DIRECT: 3,
        LaneClass.CRON: 1,
        LaneClass.CRON_NESTED: 1,
    }


def test_names_are_resolved_as_openclaw_does() -> None:
    assert [global_lane(name) for name in (None, "  ", "cron", " subagent ")] == [
        "main",
        "main",
        "cron-nested",
        "subagent",
    ]
    assert [session_lane(key) for key in ("", "a", "session:a")] == ["session:main", "session:a", "session:a"]
    assert [cron_agent_lane(name) for name in (None, "cron", "mine")] == ["cron-nested", "cron-nested", "mine"]
    assert [nested_lane(key) for key in (None, " ", " agent:a:main ")] == ["nested", "nested", "nested:agent:a:main"]


@pytest.mark.parametrize(
    ("key", "configured", "stored", "expected"),
    [
        ("agent:a:main", "agent:a:main", None, ("agent:a:main:heartbeat", "agent:a:main")),
        ("agent:a:main:heartbeat:heartbeat", "agent:a:main", None, ("agent:a:main:heartbeat", "agent:a:main")),
        ("x:heartbeat:heartbeat", "agent:a:main", "x", ("x:heartbeat", "x")),
        ("x:heartbeat:other", "x", None, ("x:heartbeat:other:heartbeat", "x:heartbeat:other")),
        ("a:heartbeat", "a:heartbeat", None, ("a:heartbeat:heartbeat", "a:heartbeat")),
    ],
)
def test_heartbeat_suffixes_collapse(key: str, configured: str, stored: str | None, expected: tuple[str, str]) -> None:
    assert isolated_heartbeat_key(key, configured, stored) == expected


# --- the queue ---------------------------------------------------------------------------------------------------


def run(state: LaneState, *events: tuple[int, LaneEvent]) -> tuple[LaneState, list[LaneEffect]]:
    effects: list[LaneEffect] = []
    for now, event in events:
        state, more = apply(state, event, now)
        effects += more
    return state, effects


def test_priorities_go_first_and_arrival_decides_within() -> None:
    state, _ = run(LaneState(), (0, Enqueue("running")))
    order = [("b", Priority.BACKGROUND), ("n1", Priority.NORMAL), ("f", Priority.FOREGROUND), ("n2", Priority.NORMAL)]
    state, _ = run(state, *[(1, Enqueue(task, priority)) for task, priority in order])
    assert [entry.task for entry in state.queue] == ["f", "n1", "n2", "b"]


def test_a_lane_runs_as_many_as_its_limit() -> None:
    state, effects = run(LaneState(limit=2), *[(0, Enqueue(task)) for task in "abc"])
    assert effects == [StartTask("a", 0, 0), StartTask("b", 0, 0)]
    state, effects = run(state, (7, TaskEnded("a", 0)))
    assert effects == [StartTask("c", 0, 7)]
    state, effects = run(state, (8, SetLimit(0)), (9, Enqueue("d")), (10, TaskEnded("b", 0)), (11, TaskEnded("c", 0)))
    assert effects == []
    assert run(state, (20, SetLimit(1.9)))[1] == [StartTask("d", 0, 11)]


def test_probe_lanes_cannot_be_suspended() -> None:
    assert apply(LaneState("auth-probe:x"), SetLimit(0), 0)[0].limit == 1
    assert apply(LaneState("session:probe-x"), SetLimit(-2), 0)[0].limit == 1
    assert apply(LaneState("main"), SetLimit(-2), 0)[0].limit == 0


def test_a_reset_lets_the_next_in_and_ignores_late_ends() -> None:
    state, _ = run(LaneState(), (0, Enqueue("a")), (0, Enqueue("b")), (0, Enqueue("c")))
    state, effects = run(state, (5, Reset()))
    assert effects == [StartTask("b", 1, 5)]
    state, effects = run(state, (6, TaskEnded("a", 0)))
    assert effects == []
    assert [active.task for active in state.active] == ["b"]


def test_the_caller_of_an_abandoned_task_still_hears_of_its_timeout() -> None:
    state, _ = run(LaneState(), (0, Enqueue("a", timeout_ms=50)), (0, Enqueue("b", timeout_ms=60)), (5, Reset()))
    assert next_deadline(state) == 50
    state, effects = run(state, (20, TaskProgress("a")), (50, Tick()), (70, Tick()))
    assert effects == [TimedOut("a", 50), TimedOut("b", 60)]
    assert state.active == state.abandoned == ()


def test_an_abandoned_task_that_ends_in_time_is_forgotten() -> None:
    state, _ = run(LaneState(), (0, Enqueue("a", timeout_ms=50)), (5, Reset()), (10, TaskEnded("a", 0)))
    assert next_deadline(state) is None
    assert run(state, (60, Tick()))[1] == []


def test_clear_refuses_what_waits_and_cancel_withdraws_one() -> None:
    state, _ = run(LaneState(), *[(0, Enqueue(task)) for task in "abcd"])
    state, _ = run(state, (1, Cancel("c")))
    state, effects = run(state, (1, ClearLane()))
    assert effects == [Cleared("b"), Cleared("d")]
    assert [active.task for active in state.active] == ["a"]


def test_a_draining_lane_serves_what_it_has() -> None:
    state, _ = run(LaneState(), (0, Enqueue("a")), (0, Enqueue("b")), (0, DrainLane()))
    state, effects = run(state, (1, Enqueue("c")), (2, TaskEnded("a", 0)))
    assert effects == [TaskRefused("c"), StartTask("b", 0, 2)]


def test_a_timeout_frees_the_place_first_and_progress_puts_it_off() -> None:
    state, _ = run(LaneState(), (0, Enqueue("a", timeout_ms=100)), (0, Enqueue("b")))
    assert next_deadline(state) == 100
    state, effects = run(state, (90, TaskProgress("a")), (100, Tick()))
    assert effects == []
    assert next_deadline(state) == 190
    state, effects = run(state, (190, Tick()), (200, TaskEnded("a", 0)))
    assert effects == [StartTask("b", 0, 190), TimedOut("a", 100)]
    assert [active.task for active in state.active] == ["b"]


@pytest.mark.parametrize(("given", "expected"), [(None, None), (0, None), (-1, None), (float("inf"), None), (0.4, 1)])
def test_only_positive_finite_timeouts_count(given: float | None, expected: int | None) -> None:
    assert next_deadline(apply(LaneState(), Enqueue("a", timeout_ms=given), 0)[0]) == expected


def test_a_long_wait_is_reported_with_what_was_ahead() -> None:
    state, _ = run(LaneState(), (0, Enqueue("a")), (0, Enqueue("b")), (0, Enqueue("c")))
    state, effects = run(state, (1_999, TaskEnded("a", 0)))
    assert effects == [StartTask("b", 0, 1_999)]
    _, effects = run(state, (2_000, TaskEnded("b", 0)))
    assert effects == [WaitExceeded("c", 2_000, 1, 1, 0, 0), StartTask("c", 0, 2_000)]


events = st.one_of(
    st.builds(Enqueue, st.uuids().map(str), st.sampled_from(Priority), timeout_ms=st.none() | st.integers(1, 50)),
    st.builds(TaskEnded, st.just("oldest"), st.just(0)),
    st.builds(SetLimit, st.integers(-1, 4)),
    st.sampled_from([ClearLane(), Reset(), Tick(), DrainLane()]),
)


@given(st.lists(events, max_size=60))
def test_every_task_is_answered_once_and_the_limit_holds(script: list[LaneEvent]) -> None:
    state = LaneState()
    answered: list[str] = []
    asked: list[str] = []
    for now, scripted in enumerate(script):
        event = scripted
        if isinstance(event, TaskEnded):
            if not state.active:
                continue
            event = TaskEnded(state.active[0].task, state.generation)
        if isinstance(event, Enqueue):
            asked.append(event.task)
        before = len(state.active)
        state, effects = apply(state, event, now)
        assert len(state.active) <= max(before, state.limit)
        assert not state.queue or len(state.active) >= state.limit
        answered += [e.task for e in effects if isinstance(e, StartTask | Cleared | TaskRefused)]
    waiting = [entry.task for entry in state.queue]
    assert sorted(answered + waiting) == sorted(asked)
    assert [entry.priority for entry in state.queue] == sorted((e.priority for e in state.queue), reverse=True)
