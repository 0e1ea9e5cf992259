"""Lanes and contention computed from a stream of events: queue sizes, waits, collisions and takeovers.

A gateway prints "lane wait exceeded" only when the wait is over (docs/formats.md 7), so a lane that is still blocked
shows as queued work without a recent dequeue.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field, replace
from math import ceil

from clawtop.core.model import GATEWAY_LOG, Event, EventKind, LaneStats, PromptHolder
from clawtop.core.session.lanes import LaneClass, classify_lane, classify_session_key, global_lane
from clawtop.nested import among
from clawtop.values import dataclass

KEPT_WAITS = 60
"""How many recent waits a lane keeps for its percentiles and sparkline."""

_STEPS = frozenset({"enqueue", "dequeue", "done", "error"})
"""Log lines about a lane that state how many are left; an error ends a task without doing so."""

COLLISIONS = frozenset({EventKind.CONTENDED, EventKind.WAIT})


def percentile(values: Sequence[int], share: float) -> int | None:
    """The nearest-rank percentile of `values` (any order), None without values. `share` is 0..1."""
    if not values:
        return None
    return sorted(values)[max(0, ceil(share * len(values)) - 1)]


@dataclass(slots=True)
class _LaneTally:
    active: int | None = None
    queued: int | None = None
    waits: deque[int] = field(default_factory=lambda: deque(maxlen=KEPT_WAITS))


def lanes_of(events: Iterable[Event], limits: Mapping[str, int], source: str) -> tuple[LaneStats, ...]:
    """Statistics of each lane from its events, busiest first. `limits`: configured concurrency by lane name."""
    found: dict[str, _LaneTally] = {}
    for event in events:
        step, data = event.data.get("step"), event.data
        if step == "start":
            for lane in found.values():
                lane.active = lane.queued = 0
        if not among(step, _STEPS) or event.lane is None:
            continue
        lane = found.setdefault(event.lane, _LaneTally())
        if step == "enqueue":
            lane.queued = data.get("queueSize", lane.queued)
        elif step == "dequeue":
            lane.queued = data.get("queueSize", lane.queued)
            lane.active = (lane.active or 0) + 1
            if event.duration_ms is not None:
                lane.waits.append(event.duration_ms)
        elif step == "done":
            lane.active = data.get("active", lane.active)
            lane.queued = data.get("queued", lane.queued)
        elif lane.active is not None:
            lane.active = max(0, lane.active - 1)
    return busiest_first(
        _stats(name, lane, limits.get(name, 1 if name.startswith("session:") else None), source)
        for name, lane in found.items()
    )


ENGINES = "clawtop"
_CLASSES = frozenset(map(str, LaneClass))
"""clawtop's own turns name their lane by its class."""

_COUNTED = frozenset({EventKind.ACQUIRE, EventKind.WAIT, EventKind.CONTENDED, EventKind.TAKEOVER})


def lanes_of_engines(
    holders: Iterable[PromptHolder], events: Iterable[Event], limits: Mapping[str, int]
) -> tuple[LaneStats, ...]:
    """What the registry and the journal say about the lanes of clawtop's engines, in all its processes.

    A turn runs while it holds a session's prompt, and is queued while it waits for one. Turns that wait for a slot
    within their own process cannot be seen from outside. `waits` are waits for a prompt.
    """
    found: dict[str, _LaneTally] = {}
    collisions: Counter[str] = Counter()
    takeovers: Counter[str] = Counter()
    for event in events:
        if event.lane is None or event.kind not in _COUNTED or event.source == GATEWAY_LOG:
            continue
        lane = found.setdefault(event.lane, _LaneTally(active=0, queued=0))
        if event.kind is EventKind.ACQUIRE and event.duration_ms is not None:
            lane.waits.append(event.duration_ms)
        collisions[event.lane] += event.kind in COLLISIONS
        takeovers[event.lane] += event.kind is EventKind.TAKEOVER
    for holder in holders:
        if holder.source == ENGINES:
            own = found.setdefault(holder.lane or "main", _LaneTally(active=0, queued=0))
            own.active = (own.active or 0) + 1
            for waiter in holder.waiters:
                other = found.setdefault(waiter.lane, _LaneTally(active=0, queued=0))
                other.queued = (other.queued or 0) + 1
    return busiest_first(
        replace(
            _stats(name, lane, limits.get(global_lane(name)), ENGINES),
            collisions=collisions[name],
            takeovers=takeovers[name],
        )
        for name, lane in found.items()
    )


def class_of_event(event: Event) -> str:
    """The class of the lane that an event happened to. The global main lane carries turns of every class."""
    if event.lane in _CLASSES and event.lane != LaneClass.MAIN:
        return event.lane
    return str(classify_session_key(event.session_key) if event.session_key else classify_lane(event.lane or ""))


def _stats(name: str, lane: _LaneTally, limit: int | None, source: str) -> LaneStats:
    return LaneStats(
        lane=name,
        lane_class=name if name in _CLASSES else classify_lane(name),
        source=source,
        active=lane.active,
        limit=limit,
        queued=lane.queued,
        wait_p50_ms=percentile(lane.waits, 0.5),
        wait_p95_ms=percentile(lane.waits, 0.95),
        wait_max_ms=max(lane.waits, default=None),
        waits=tuple(lane.waits),
    )


def busiest_first(stats: Iterable[LaneStats]) -> tuple[LaneStats, ...]:
    """Lanes in which most wait first, then those in which most run."""
    return tuple(sorted(stats, key=lambda lane: (-(lane.queued or 0), -(lane.active or 0), lane.lane)))


@dataclass(frozen=True, slots=True)
class WorstSession:
    """A session, with how often lanes collided on it."""

    session: str
    collisions: int
    takeovers: int
    longest_ms: int | None
    last_at: int


@dataclass(frozen=True, slots=True)
class Contention:
    """Collisions and takeovers by lane class, and the sessions that suffer most (thread 5's histogram)."""

    collisions: Mapping[str, int] = field(default_factory=dict)
    takeovers: Mapping[str, int] = field(default_factory=dict)
    worst: tuple[WorstSession, ...] = ()


_SESSION_LANE = "session:"


def session_of_lane(lane: str | None) -> str | None:
    """The session whose own lane this is."""
    return lane.removeprefix(_SESSION_LANE) if lane is not None and lane.startswith(_SESSION_LANE) else None


MOST_NAMED_SESSIONS = 10


def contention(events: Iterable[Event]) -> Contention:
    """Count collisions (waits over the limit, contended acquires) and takeovers."""
    collisions: Counter[str] = Counter()
    takeovers: Counter[str] = Counter()
    by_session: dict[str, list[Event]] = {}
    for event in events:
        if event.kind is not EventKind.TAKEOVER and event.kind not in COLLISIONS:
            continue
        session = event.session_key or event.session_file or session_of_lane(event.lane)
        (takeovers if event.kind is EventKind.TAKEOVER else collisions)[class_of_event(event)] += 1
        if session:
            by_session.setdefault(session, []).append(event)
    ranked = [
        WorstSession(
            session=session,
            collisions=sum(event.kind in COLLISIONS for event in hits),
            takeovers=sum(event.kind is EventKind.TAKEOVER for event in hits),
            longest_ms=max((event.duration_ms for event in hits if event.duration_ms is not None), default=None),
            last_at=max(event.at for event in hits),
        )
        for session, hits in by_session.items()
    ]
    ranked.sort(key=lambda item: (-item.takeovers, -item.collisions, -item.last_at, item.session))
    return Contention(dict(collisions), dict(takeovers), tuple(ranked[:MOST_NAMED_SESSIONS]))
