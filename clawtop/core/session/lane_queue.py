"""The queue discipline of one lane, as a state machine: `apply(state, event, now)` -> new state and effects.

Like OpenClaw's command queue (2026.3-2026.9): first in, first out within a priority; a limit of turns at a time; a
reset forgets running tasks and increments the generation, so that their late ends are ignored; a task that exceeds its
timeout loses its place although it may still be unwinding. Times are milliseconds of any one clock.
"""

from __future__ import annotations

from dataclasses import replace
from enum import IntEnum

from clawtop.core.session.lanes import DEFAULT_LIMIT, MAIN
from clawtop.values import dataclass

WARN_AFTER_MS = 2_000
_PROBE_LANES = ("auth-probe:", "session:probe-")
"""Probes are never suspended: their lanes keep at least one place."""


class Priority(IntEnum):
    """Which task goes first. Within a priority, tasks are served in order of arrival."""

    FOREGROUND = 1
    NORMAL = 0
    BACKGROUND = -1


@dataclass(frozen=True, slots=True)
class WaitingTask:
    """A task that waits. `task` is the caller's unique id; the two `ahead` figures are those of its arrival."""

    task: str
    priority: Priority
    enqueued_at: int
    warn_after_ms: int
    timeout_ms: int | None
    queued_ahead: int
    active_ahead: int


@dataclass(frozen=True, slots=True)
class Active:
    """A task that has a place. `deadline` is extended by the task's progress."""

    task: str
    started_at: int
    timeout_ms: int | None
    deadline: int | None


@dataclass(frozen=True, slots=True)
class LaneState:
    """One lane.

    Attributes:
        queue: what waits, in the order in which it will start.
        abandoned: tasks that lost their places to a reset; their callers are still told of a timeout.
        draining: new tasks are refused.
    """

    lane: str = MAIN
    limit: int = DEFAULT_LIMIT
    queue: tuple[WaitingTask, ...] = ()
    active: tuple[Active, ...] = ()
    abandoned: tuple[Active, ...] = ()
    generation: int = 0
    draining: bool = False

    @property
    def is_full(self) -> bool:
        """Whether no further task can start before one ends or the limit is raised."""
        return len(self.active) >= self.limit


# --- events ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Enqueue:
    task: str
    priority: Priority = Priority.NORMAL
    warn_after_ms: int = WARN_AFTER_MS
    timeout_ms: float | None = None


@dataclass(frozen=True, slots=True)
class TaskEnded:
    """A task ended. `generation` is the one it was started in."""

    task: str
    generation: int


@dataclass(frozen=True, slots=True)
class TaskProgress:
    """A task made progress: its timeout restarts now."""

    task: str


@dataclass(frozen=True, slots=True)
class Cancel:
    """A waiting task is withdrawn by its caller."""

    task: str


@dataclass(frozen=True, slots=True)
class SetLimit:
    """0 suspends the lane; running tasks continue."""

    limit: float


@dataclass(frozen=True, slots=True)
class ClearLane:
    """Refuse everything that waits."""


@dataclass(frozen=True, slots=True)
class Reset:
    """Forget running tasks (their owner was aborted) and start the next."""


@dataclass(frozen=True, slots=True)
class DrainLane:
    """Accept no new tasks; waiting and running ones are completed."""


@dataclass(frozen=True, slots=True)
class Tick:
    """Time passed: tasks past their deadline give up their places."""


LaneEvent = Enqueue | TaskEnded | TaskProgress | Cancel | SetLimit | ClearLane | Reset | DrainLane | Tick


# --- effects -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StartTask:
    """Run the task, and send `TaskEnded` with this generation when it ends."""

    task: str
    generation: int
    waited_ms: int


@dataclass(frozen=True, slots=True)
class WaitExceeded:
    """A task waited longer than its warning threshold before it started."""

    task: str
    waited_ms: int
    queued_ahead: int
    active_ahead: int
    active_now: int
    queued_behind: int


@dataclass(frozen=True, slots=True)
class TimedOut:
    """The task exceeded its timeout: tell its caller. The slot is free."""

    task: str
    timeout_ms: int


@dataclass(frozen=True, slots=True)
class Cleared:
    """The task will not run: its lane was cleared."""

    task: str


@dataclass(frozen=True, slots=True)
class TaskRefused:
    """The task will not run: the lane drains."""

    task: str


LaneEffect = StartTask | WaitExceeded | TimedOut | Cleared | TaskRefused


def lane_name(name: str) -> str:
    """Unnamed work goes to the main lane."""
    return name.strip() or MAIN


def apply(state: LaneState, event: LaneEvent, now: int) -> tuple[LaneState, tuple[LaneEffect, ...]]:
    """The lane after an event, and what is to be done, in order."""
    match event:
        case Enqueue():
            return _enqueue(state, event, now)
        case TaskEnded(task, generation):
            if generation != state.generation:
                return replace(state, abandoned=_without(state.abandoned, task)), ()
            return _start_next(replace(state, active=_without(state.active, task)), now)
        case TaskProgress(task):
            active, abandoned = (
                tuple(_alive(each, now) if each.task == task else each for each in tasks)
                for tasks in (state.active, state.abandoned)
            )
            return replace(state, active=active, abandoned=abandoned), ()
        case Cancel(task):
            return replace(state, queue=tuple(entry for entry in state.queue if entry.task != task)), ()
        case SetLimit(limit):
            least = 1 if state.lane.startswith(_PROBE_LANES) else 0
            return _start_next(replace(state, limit=max(least, int(limit // 1))), now)
        case ClearLane():
            return replace(state, queue=()), tuple(Cleared(entry.task) for entry in state.queue)
        case Reset():
            abandoned = (*state.abandoned, *(each for each in state.active if each.deadline is not None))
            cleared = replace(state, generation=state.generation + 1, active=(), abandoned=abandoned)
            return _start_next(cleared, now)
        case DrainLane():
            return replace(state, draining=True), ()
        case Tick():
            return _expire(state, now)


def _enqueue(state: LaneState, event: Enqueue, now: int) -> tuple[LaneState, tuple[LaneEffect, ...]]:
    if state.draining:
        return state, (TaskRefused(event.task),)
    ahead = sum(queued.priority >= event.priority for queued in state.queue)
    entry = WaitingTask(
        task=event.task,
        priority=event.priority,
        enqueued_at=now,
        warn_after_ms=event.warn_after_ms,
        timeout_ms=_timeout(event.timeout_ms),
        queued_ahead=ahead,
        active_ahead=len(state.active),
    )
    queue = (*state.queue[:ahead], entry, *state.queue[ahead:])
    return _start_next(replace(state, queue=queue), now)


def _timeout(ms: float | None) -> int | None:
    """Whole milliseconds, at least 1; a value that is not positive and finite means no timeout."""
    return max(1, int(ms)) if ms is not None and 0 < ms < float("inf") else None


def _start_next(state: LaneState, now: int) -> tuple[LaneState, tuple[LaneEffect, ...]]:
    effects: list[LaneEffect] = []
    while state.queue and not state.is_full:
        entry, *rest = state.queue
        waited = now - entry.enqueued_at
        if waited >= entry.warn_after_ms:
            effects.append(
                WaitExceeded(entry.task, waited, entry.queued_ahead, entry.active_ahead, len(state.active), len(rest))
            )
        started = _alive(Active(entry.task, now, entry.timeout_ms, None), now)
        state = replace(state, queue=tuple(rest), active=(*state.active, started))
        effects.append(StartTask(entry.task, state.generation, waited))
    return state, tuple(effects)


def _alive(active: Active, now: int) -> Active:
    return active if active.timeout_ms is None else replace(active, deadline=now + active.timeout_ms)


def _without(tasks: tuple[Active, ...], task: str) -> tuple[Active, ...]:
    return tuple(each for each in tasks if each.task != task)


def _expire(state: LaneState, now: int) -> tuple[LaneState, tuple[LaneEffect, ...]]:
    """Each expired task's place goes to the next before its caller hears of the timeout."""
    effects: list[LaneEffect] = []
    for late in (*state.abandoned, *state.active):
        if late.timeout_ms is not None and late.deadline is not None and late.deadline <= now:
            freed = replace(
                state, active=_without(state.active, late.task), abandoned=_without(state.abandoned, late.task)
            )
            state, started = _start_next(freed, now)
            effects += [*started, TimedOut(late.task, late.timeout_ms)]
    return state, tuple(effects)
