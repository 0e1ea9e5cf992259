"""Lanes: how many turns run at once in this process, and which goes first.

A turn takes the lane of its session first and a global lane second, so that turns waiting for their own session never
occupy a slot that another session could use. The discipline is `core.session.lane_queue`; across processes a session is
kept by the registry. One `LaneScheduler` belongs to one event loop, whose thread alone touches its state.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field

from clawtop.clock import Clock
from clawtop.core.incident.lane_stats import KEPT_WAITS, busiest_first, percentile
from clawtop.core.model import ENGINE, Event, EventKind, LaneStats
from clawtop.core.session.lane_queue import (
    Cancel,
    Cleared,
    ClearLane,
    DrainLane,
    Enqueue,
    LaneEffect,
    LaneEvent,
    LaneState,
    Reset,
    StartTask,
    TaskEnded,
    TaskRefused,
    WaitExceeded,
    apply,
    lane_name,
)
from clawtop.core.session.lanes import DEFAULT_LIMIT, classify_lane
from clawtop.errors import CoordinationError
from clawtop.text import safe

OnEvent = Callable[[Event], None]


class LaneUnavailableError(CoordinationError):
    """The turn got no place: its lane was cleared, is draining, or stayed full until the deadline."""

    code = "CLAWTOP_LANE_UNAVAILABLE"


@dataclass
class _ScheduledLane:
    """A lane, the tasks that wait in it, and statistics of past waits."""

    state: LaneState
    waiting: dict[str, asyncio.Future[int]] = field(default_factory=dict)
    waits: deque[int] = field(default_factory=lambda: deque(maxlen=KEPT_WAITS))
    longest_ms: int = 0
    collisions: int = 0
    takeovers: int = 0


class LaneScheduler:
    """Hands out places in lanes."""

    def __init__(
        self, *, clock: Clock, limits: Mapping[str, int] | None = None, journal: OnEvent | None = None
    ) -> None:
        """Args:
        limits: places by global lane (`core.session.lanes.lane_limits`); a lane without one has a single place.
        journal: gets an event for each wait over the warning threshold.
        """
        self._clock = clock
        self._limits = dict(limits or {})
        self._journal = journal
        self._lanes: dict[str, _ScheduledLane] = {}
        self._serial = itertools.count(1)
        self._draining = False

    @contextlib.asynccontextmanager
    async def slot(
        self,
        session_lane: str,
        global_lane: str,
        *,
        deadline: float | None = None,
    ) -> AsyncIterator[int]:
        """A place in both lanes for the length of the context; yields the ms that it was waited for.

        Args:
            deadline: monotonic seconds (of the clock) at which waiting ends.

        Raises:
            LaneUnavailableError: a lane was cleared or drains, or the deadline passed.
        """
        async with contextlib.AsyncExitStack() as places:
            waited = 0
            for lane in dict.fromkeys((lane_name(session_lane), lane_name(global_lane))):
                waited += await places.enter_async_context(self._place(lane, deadline))
            yield waited

    # --- what operators do ---------------------------------------------------------------------------------------

    def clear(self, lane: str) -> int:
        """Refuse everything that waits in a lane; returns how many."""
        waiting = self._lane(lane)
        count = len(waiting.state.queue)
        self._feed(waiting, ClearLane())
        return count

    def reset(self, lane: str) -> int:
        """Forget the running tasks of a lane, because their owner was aborted, and start the next; returns how many."""
        found = self._lane(lane)
        count = len(found.state.active)
        self._feed(found, Reset())
        return count

    def drain(self) -> None:
        """Accept no further turn in any lane; waiting and running ones are completed."""
        self._draining = True
        for lane in self._lanes.values():
            self._feed(lane, DrainLane())

    def state(self, lane: str) -> LaneState:
        """The lane as it is now."""
        return self._lane(lane).state

    def note_takeover(self, lane: str) -> None:
        """Count a takeover that a turn of this lane met."""
        self._lane(lane).takeovers += 1

    def stats(self) -> tuple[LaneStats, ...]:
        """Every lane that was ever used, busiest first."""
        return busiest_first(_stats(name, [lane]) for name, lane in self._lanes.items())

    # --- one place -----------------------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def _place(self, name: str, deadline: float | None) -> AsyncIterator[int]:
        lane = self._lane(name)
        task = f"turn-{next(self._serial)}"
        began = self._clock.monotonic()
        granted = lane.waiting[task] = asyncio.get_running_loop().create_future()
        try:
            self._feed(lane, Enqueue(task))
            lane.collisions += not granted.done()
            if not granted.done():
                await self._granted(lane, granted, deadline)
            granted.result()
            waited = round((self._clock.monotonic() - began) * 1000)
            lane.waits.append(waited)
            lane.longest_ms = max(lane.longest_ms, waited)
            yield waited
        finally:
            del lane.waiting[task]
            self._feed(lane, Cancel(task))
            if granted.done() and not granted.cancelled() and granted.exception() is None:
                self._feed(lane, TaskEnded(task, granted.result()))

    async def _granted(self, lane: _ScheduledLane, granted: asyncio.Future[int], deadline: float | None) -> None:
        left = None if deadline is None else deadline - self._clock.monotonic()
        try:
            async with self._clock.timeout(left):
                await asyncio.shield(granted)
        except TimeoutError:
            raise LaneUnavailableError(
                f"no place in lane {safe(lane.state.lane)} before the deadline: {len(lane.state.active)} turns run,"
                f" {len(lane.state.queue)} wait",
                unchanged="nothing was sent and nothing was written",
            ) from None

    def _lane(self, name: str) -> _ScheduledLane:
        name = lane_name(name)
        if name not in self._lanes:
            limit = self._limits.get(name, DEFAULT_LIMIT)
            self._lanes[name] = _ScheduledLane(LaneState(name, limit=limit, draining=self._draining))
        return self._lanes[name]

    def _feed(self, lane: _ScheduledLane, event: LaneEvent) -> None:
        lane.state, effects = apply(lane.state, event, round(self._clock.monotonic() * 1000))
        for effect in effects:
            self._carry_out(lane, effect)

    def _carry_out(self, lane: _ScheduledLane, effect: LaneEffect) -> None:
        match effect:
            case StartTask(task, generation):
                _settle(lane.waiting.get(task), generation)
            case Cleared(task):
                _settle(lane.waiting.get(task), _unavailable(lane, "was cleared"))
            case TaskRefused(task):
                _settle(lane.waiting.get(task), _unavailable(lane, "accepts no more turns: it is draining"))
            case WaitExceeded():
                self._tell(lane, effect)

    def _tell(self, lane: _ScheduledLane, effect: WaitExceeded) -> None:
        if self._journal is not None:
            self._journal(
                Event(
                    at=self._clock.now_ms(),
                    kind=EventKind.WAIT,
                    source=ENGINE,
                    text=f"waited for lane {safe(lane.state.lane)}",
                    lane=lane.state.lane,
                    duration_ms=effect.waited_ms,
                )
            )


def _stats(name: str, lanes: list[_ScheduledLane]) -> LaneStats:
    """Figures of one lane, or of all lanes of a class."""
    waits = [wait for lane in lanes for wait in lane.waits]
    return LaneStats(
        lane=name,
        lane_class=classify_lane(lanes[0].state.lane),
        source="clawtop",
        active=sum(len(lane.state.active) for lane in lanes),
        limit=sum(lane.state.limit for lane in lanes),
        queued=sum(len(lane.state.queue) for lane in lanes),
        wait_p50_ms=percentile(waits, 0.5),
        wait_p95_ms=percentile(waits, 0.95),
        wait_max_ms=max(lane.longest_ms for lane in lanes) if waits else None,
        waits=tuple(waits[-KEPT_WAITS:]),
        collisions=sum(lane.collisions for lane in lanes),
        takeovers=sum(lane.takeovers for lane in lanes),
    )


def _unavailable(lane: _ScheduledLane, why: str) -> LaneUnavailableError:
    return LaneUnavailableError(
        f"lane {safe(lane.state.lane)} {why}", unchanged="nothing was sent and nothing was written"
    )


def _settle(waiting: asyncio.Future[int] | None, outcome: int | LaneUnavailableError) -> None:
    if waiting is None or waiting.done():
        return
    if isinstance(outcome, LaneUnavailableError):
        waiting.set_exception(outcome)
        waiting.exception()  # its waiter may be gone: retrieve the error, so that asyncio does not report it
    else:
        waiting.set_result(outcome)
