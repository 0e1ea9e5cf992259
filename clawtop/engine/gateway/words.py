"""What the gateway says about its runs, tasks and lanes, over a connection with read scope."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from clawtop.clock import Clock
from clawtop.core.model import GatewayWords, LaneStats, TaskSight
from clawtop.engine.gateway.answers import lanes_said, sessions_said, tasks_said, waits_said
from clawtop.engine.gateway.client import Belongs, GatewayConnection, connected
from clawtop.engine.gateway.door import Door, Pass
from clawtop.engine.gateway.errors import GatewayCallError, Trouble
from clawtop.engine.gateway.wire import READ
from clawtop.store.locks.processes import answers_to
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
class GatewayRound:
    """One round: the words, and the lanes where they were asked for."""

    words: GatewayWords
    lanes: tuple[LaneStats, ...] | None = None


async def ask_words(
    door: Door,
    leave: Pass,
    clock: Clock,
    *,
    lanes: bool = True,
    only: str | None = None,
    belongs: Belongs = answers_to,
) -> GatewayRound:
    """Ask which sessions have runs, and what waits.

    Args:
        lanes: ask for lanes too. only: a session key; its row is then included wherever it is in the list.

    Raises:
        GatewayCallError: there was no usable answer.
    """
    async with connected(door, leave, (READ,), clock=clock, belongs=belongs) as link:
        return await words_over(link, clock, lanes=lanes, only=only)


async def words_over(
    link: GatewayConnection, clock: Clock, *, lanes: bool = True, only: str | None = None
) -> GatewayRound:
    """As `ask_words`, over a connection that is open already."""
    asked = {"limit": MOST_SESSIONS, "includeGlobal": True, "includeUnknown": True}
    at = clock.now_ms()  # not of the answer: a busy gateway may give one that it made some seconds before
    seen, complete = sessions_said(await link.ask(SESSIONS, asked))
    if only is not None and only not in seen and not complete:
        more, _ = sessions_said(await link.ask(SESSIONS, {**asked, "search": only}))
        seen = {**seen, **more}
    words = GatewayWords(at, link.hello.version, seen, complete)
    if TASKS in link.hello.methods:
        tasks, every_one = await _tasks(link)
        words = replace(words, tasks=tasks, all_tasks=every_one)
    return GatewayRound(words, await _lanes(link) if lanes else None)


async def _tasks(link: GatewayConnection) -> tuple[tuple[TaskSight, ...], bool]:
    """The open tasks, and whether these are all. 2026.6 to 2026.8 leave open what a crash interrupted, so that they
    may be many.
    """
    found: list[TaskSight] = []
    asked: dict[str, Any] = {"status": ["queued", "running"], "limit": TASKS_AT_ONCE}
    for _ in range(TASK_PAGES):
        tasks, cursor = tasks_said(await link.ask(TASKS, asked))
        found += tasks
        if cursor is None:
            return tuple(found), True
        asked = {**asked, "cursor": cursor}
    return tuple(found), False


async def _lanes(link: GatewayConnection) -> tuple[LaneStats, ...]:
    """Global lanes if the gateway reports them, and session lanes from its latest events."""
    found: list[LaneStats] = []
    for method, params, said in ((LANES, {}, lanes_said), (EVENTS, {"limit": MOST_EVENTS}, waits_said)):
        try:
            found += said(await link.ask(method, params))
        except GatewayCallError as error:
            if error.trouble not in {Trouble.UNKNOWN, Trouble.SCOPE, Trouble.REFUSED}:
                raise
    return tuple(found)
