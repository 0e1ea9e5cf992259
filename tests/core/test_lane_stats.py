"""Lanes and contention, counted from events."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clawtop.core.incident.lane_stats import KEPT_WAITS, contention, lanes_of, percentile
from clawtop.core.model import Event, EventKind


def lane(step: str, name: str = "main", wait: int | None = None, **data: int) -> Event:
    return Event(1, EventKind.LANE, "gateway-log", step, lane=name, duration_ms=wait, data={"step": step, **data})


def test_a_lane_follows_its_queue() -> None:
    events = [
        lane("enqueue", queueSize=1),
        lane("dequeue", wait=3, queueSize=0),
        lane("enqueue", queueSize=1),
        lane("enqueue", queueSize=2),
        lane("done", active=0, queued=2),
        lane("dequeue", wait=900, queueSize=1),
    ]
    (stats,) = lanes_of(events, {"main": 4}, "gateway-log")
    assert (stats.active, stats.limit, stats.queued) == (1, 4, 1)
    assert (stats.wait_p50_ms, stats.wait_max_ms, stats.waits) == (3, 900, (3, 900))


def test_the_busiest_lane_comes_first_and_a_session_lane_has_one_place() -> None:
    key = "session:agent:main:telegram:channel:42"
    stats = lanes_of([lane("enqueue", queueSize=1), lane("enqueue", key, queueSize=5)], {}, "gateway-log")
    assert [(item.lane, item.limit, str(item.lane_class)) for item in stats] == [
        (key, 1, "channel"),
        ("main", None, "main"),
    ]


def test_only_recent_waits_are_kept() -> None:
    (stats,) = lanes_of([lane("dequeue", wait=number) for number in range(500)], {}, "x")
    assert len(stats.waits) == KEPT_WAITS
    assert stats.wait_max_ms == 499


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [([], 0.5, None), ([7], 0.95, 7), ([1, 2, 3, 4], 0.5, 2), (list(range(1, 101)), 0.95, 95), ([5, 1, 9], 1.0, 9)],
)
def test_percentiles_are_nearest_rank(values: list[int], share: float, expected: int | None) -> None:
    assert percentile(values, share) == expected


@given(st.lists(st.integers(0, 10**6), min_size=1), st.floats(0.01, 1.0))
def test_a_percentile_is_one_of_the_values_and_enough_are_not_above_it(values: list[int], share: float) -> None:
    found = percentile(values, share)
    assert found in values
    assert sum(value <= (found or 0) for value in values) >= share * len(values) - 1e-9 * len(values)


def test_the_histogram_of_thread_five() -> None:
    def takeover(key: str) -> Event:
        return Event(9, EventKind.TAKEOVER, "gateway-log", "fence", session_key=key)

    def wait(key: str, ms: int) -> Event:
        return Event(10, EventKind.WAIT, "gateway-log", "lane wait exceeded", session_key=key, duration_ms=ms)

    heartbeat, channel = "agent:main:main:heartbeat", "agent:main:telegram:channel:7"
    counted = contention([takeover(heartbeat), takeover(heartbeat), takeover(channel), wait(channel, 2500)])
    assert counted.takeovers == {"heartbeat": 2, "channel": 1}
    assert counted.collisions == {"channel": 1}
    assert [(item.session, item.takeovers, item.collisions, item.longest_ms) for item in counted.worst] == [
        (heartbeat, 2, 0, None),
        (channel, 1, 1, 2500),
    ]
