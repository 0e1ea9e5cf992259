"""What the gateway says about its runs, tasks and lanes, over a connection with read scope."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from clawtop.clock import Clock
from clawtop.core.model import GatewayWords, LaneStats, TaskSight
from clawtop.engine.gateway.answers import lanes_said, sessions_said, tasks_said, waits_said
from clawtop.engine.gateway.client import GatewayConnection, connected
from clawtop.engine.gateway.door import Door, Pass
from clawtop.engine.gateway.wire import READ
from clawtop.values import dataclass

SESSIONS = "sessions.list"
TASKS = "tasks.list"
LANES = "diagnostics.lanes"
EVENTS = "diagnostics.stability"

MOST_SESSIONS = 200
"""Rows that one question asks for, the newest first: a busy 2026.6.11 computes each of them on its only thread."""

MOST_EVENTS = 300

TASKS_AT_ONCE = 500
"""OpenClaw gives 100 where no limit is named, and never more than this."""

TASK_PAGES = 4


@dataclass(frozen=True, slots=True)
class TasksSaid:
    """Its open tasks, as far as they were asked for: a page in each question.

    Attributes:
        at: when the first page was asked for (ms since the epoch). cursor: of the next page; None: there is none.
    """

    at: int
    tasks: tuple[TaskSight, ...] = ()
    cursor: str | None = None
    pages: int = 0

    @property
    def is_over(self) -> bool:
        """Whether no further page is asked for."""
        return self.pages > 0 and (self.cursor is None or self.pages >= TASK_PAGES)

    @property
    def all_of_them(self) -> bool:
        """Whether there are no others."""
        return self.pages > 0 and self.cursor is None


async def ask_words(door: Door, leave: Pass, clock: Clock, *, only: str | None = None) -> GatewayWords:
    """Ask, over a connection of its own, which sessions have runs, and what waits.

    Args:
        only: a session key; its row is then included wherever it is in the list.

    Raises:
        GatewayCallError: there was no usable answer.
    """
    async with connected(door, leave, (READ,), clock=clock) as link:
        words = await sessions_over(link, clock, only=only)
        if not link.knows(TASKS):
            return words
        said = TasksSaid(words.at)
        while not said.is_over:
            said = await next_tasks(link, said)
    return replace(words, tasks=said.tasks, all_tasks=said.all_of_them)


async def sessions_over(link: GatewayConnection, clock: Clock, *, only: str | None = None) -> GatewayWords:
    """Ask which sessions have runs; without `only`, in one request. Raises GatewayCallError."""
    asked = {"limit": MOST_SESSIONS, "includeGlobal": True, "includeUnknown": True}
    at = clock.now_ms()  # not of the answer: a busy gateway may give one that is some seconds old
    seen, complete = sessions_said(await link.ask(SESSIONS, asked))
    if only is not None and only not in seen and not complete:
        more, _ = sessions_said(await link.ask(SESSIONS, {**asked, "search": only}))
        seen = {**seen, **more}
    return GatewayWords(at, link.hello.version, seen, complete)


async def next_tasks(link: GatewayConnection, so_far: TasksSaid) -> TasksSaid:
    """Ask for a page more of the open tasks, in one request. Raises GatewayCallError.

    2026.6 to 2026.8 leave open what a crash interrupted, so that there may be many.
    """
    asked: dict[str, Any] = {"status": ["queued", "running"], "limit": TASKS_AT_ONCE}
    if so_far.cursor is not None:
        asked["cursor"] = so_far.cursor
    tasks, cursor = tasks_said(await link.ask(TASKS, asked))
    return TasksSaid(so_far.at, (*so_far.tasks, *tasks), cursor, so_far.pages + 1)


async def lanes_over(link: GatewayConnection) -> tuple[LaneStats, ...]:
    """Ask for the global lanes. Raises GatewayCallError."""
    return tuple(lanes_said(await link.ask(LANES, {})))


async def events_over(link: GatewayConnection) -> tuple[LaneStats, ...]:
    """Ask for the session lanes in its latest events. Raises GatewayCallError."""
    return tuple(waits_said(await link.ask(EVENTS, {"limit": MOST_EVENTS})))
