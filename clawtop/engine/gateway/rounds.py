"""Which question a live gateway is asked next: one request per round at most, only ones that it can answer, and none
too often.

Mutable state is `Rounds`'s alone and is touched only on the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from itertools import chain

from clawtop.clock import Clock
from clawtop.core.model import Gateway, GatewayHealth, GatewayState, GatewayWords, LaneStats
from clawtop.engine.gateway.client import GatewayConnection
from clawtop.engine.gateway.door import Door
from clawtop.engine.gateway.errors import GatewayCallError, Trouble
from clawtop.engine.gateway.http import HttpProbe
from clawtop.engine.gateway.line import KeptLine
from clawtop.engine.gateway.words import (
    EVENTS,
    LANES,
    SESSIONS,
    TASKS,
    TasksSaid,
    events_over,
    lanes_over,
    next_tasks,
    sessions_over,
)
from clawtop.store.locks.processes import listens
from clawtop.values import dataclass

SILENT_ROUNDS = 6
"""Rounds for which a gateway that gave no words is not asked for them again."""


class Question(StrEnum):
    """Over HTTP, READY: its health. METRICS: its lanes, where the plugin is on.

    Over the WebSocket, SESSIONS: which of them have runs. TASKS: what works or waits. LANES, EVENTS: its lanes, now and
    in its latest events.
    """

    READY = "ready"
    METRICS = "metrics"
    SESSIONS = "sessions"
    TASKS = "tasks"
    LANES = "lanes"
    EVENTS = "events"


FIRST = (Question.SESSIONS, Question.READY, Question.TASKS, Question.LANES, Question.EVENTS)
"""The first rounds with a gateway: each question once."""

CYCLE = tuple(
    question
    for other in (
        Question.TASKS,
        Question.LANES,
        Question.READY,
        Question.TASKS,
        Question.LANES,
        Question.EVENTS,
    )
    for question in (Question.SESSIONS, other)
)
"""The rounds after them. Every second one is for what changes fastest and counts most."""


def question_of(round_: int) -> Question:
    """What is asked in a round, counted from 1, of a gateway that gives words."""
    after = round_ - 1 - len(FIRST)
    return FIRST[round_ - 1] if after < 0 else CYCLE[after % len(CYCLE)]


_METHODS = {Question.SESSIONS: SESSIONS, Question.TASKS: TASKS, Question.LANES: LANES, Question.EVENTS: EVENTS}
_ILL = frozenset({Trouble.FOREIGN, Trouble.NONSENSE, Trouble.TOKEN})
"""What an operator should know at once. A busy gateway may be mute for once: that is told when it happens again."""

_REFUSALS = frozenset({Trouble.UNKNOWN, Trouble.SCOPE, Trouble.REFUSED})


@dataclass(frozen=True, slots=True)
class GatewayReport:
    """What a gateway said last, part by part."""

    health: GatewayHealth
    lanes: tuple[LaneStats, ...] = ()
    words: GatewayWords | None = None


_ProcessLife = tuple[int | None, int | None, int | None]
"""Which process of which gateway."""


def _life(gateway: Gateway) -> _ProcessLife | None:
    live = gateway.state is GatewayState.LIVE and gateway.port is not None
    return (gateway.pid, gateway.port, gateway.started_at) if live else None


class Rounds:
    """Asks the gateway of one state directory, one question at each `look`."""

    def __init__(
        self,
        clock: Clock,
        door: Door,
        http: HttpProbe | None = None,
        listens: Callable[[int, int], bool] = listens,
    ) -> None:
        """`listens`: whether a process listens on a port of this machine."""
        self._listens = listens
        self._clock = clock
        self._door = door
        self._http = http or HttpProbe(clock)
        self._line = KeptLine(door, clock)
        self._last: GatewayReport | None = None
        self._of: _ProcessLife | None = None
        self._round = 0
        self._health_rounds = 0
        self._wordless_until = 0
        self._was_mute = False
        self._metrics: tuple[LaneStats, ...] | None = ()
        self._lanes: dict[Question, tuple[LaneStats, ...]] = {}
        self._refused: set[Question] = set()
        self._sessions: GatewayWords | None = None
        self._tasks: TasksSaid | None = None
        self._asking: TasksSaid | None = None
        self._refusal: str | None = None

    async def look(self, gateway: Gateway) -> GatewayReport | None:
        """Ask the next question; returns what is known afterwards. None without a live gateway."""
        life = _life(gateway)
        if life is None or life != self._of:
            await self._forget(life)
        if self._of is None or gateway.port is None:
            return None
        self._round += 1
        await self._ask(self._next(), gateway, gateway.port)
        return self._last

    async def all_at_once(self, gateway: Gateway, seconds: float) -> GatewayReport | None:
        """Ask everything, for at most `seconds`; later looks go on from there. None without a live gateway.

        What was not answered by then is left out, and the report says so.
        """
        await self._forget(_life(gateway))
        if self._of is None or gateway.port is None:
            return None
        try:
            async with self._clock.timeout(seconds):
                await self._ask_all(gateway, gateway.port)
        except TimeoutError:
            last = self._last.health if self._last is not None else GatewayHealth(self._clock.now_ms())
            self._keep(health=replace(last, late=True))
        self._round = len(FIRST)
        await self.close()
        return self._last

    async def _ask_all(self, gateway: Gateway, port: int) -> None:
        for question in FIRST:
            if question is Question.READY or self._gives_words:
                await self._ask(question, gateway, port)
            while self._asking is not None and self._gives_words:
                await self._ask(Question.TASKS, gateway, port)
        await self._ask_metrics(gateway, port)

    async def close(self) -> None:
        """Close what is kept open; the next question opens it anew."""
        await self._http.close()
        await self._line.close()

    @property
    def _gives_words(self) -> bool:
        return self._round >= self._wordless_until

    def _next(self) -> Question:
        """A gateway that did not tell its health is asked for it again at once: what it said is shown until then."""
        well = self._last is None or self._last.health.live
        question = question_of(self._round) if self._gives_words and well else Question.READY
        if question is not Question.READY:
            return question
        self._health_rounds += 1
        turn = well and self._metrics is not None and self._health_rounds % 2 == 0
        return Question.METRICS if turn else Question.READY

    async def _ask(self, question: Question, gateway: Gateway, port: int) -> None:
        if question is Question.METRICS and await self._ask_metrics(gateway, port):
            return
        if question not in {Question.READY, Question.METRICS} and await self._ask_words(question, gateway):
            return
        health = await self._http.ready(port)
        had = self._last.health.metrics if self._last is not None else False
        self._keep(health=replace(health, metrics=had, problem=health.problem or self._refusal))

    async def _ask_words(self, question: Question, gateway: Gateway) -> bool:
        """Whether a question was sent: the given one, or that for its sessions where it does not know the other."""
        try:
            leave = self._door.knock(gateway)
        except GatewayCallError as error:
            await self._line.close()
            self._wordless(error)
            return False
        try:
            async with self._line.to(leave) as link:
                await self._ask_over(link, question)
        except GatewayCallError as error:
            self._wordless(error)
            return True
        self._was_mute = False
        self._keep(words=self._words())
        return True

    async def _ask_over(self, link: GatewayConnection, question: Question) -> None:
        if question in self._refused or self._sessions is None or not link.knows(_METHODS[question]):
            question = Question.SESSIONS
        try:
            match question:
                case Question.TASKS:
                    said = await next_tasks(link, self._asking or TasksSaid(self._clock.now_ms()))
                    self._asking = None if said.is_over else said
                    self._tasks = said if said.is_over else self._tasks
                case Question.LANES:
                    self._lanes[question] = await lanes_over(link)
                case Question.EVENTS:
                    self._lanes[question] = await events_over(link)
                case _:
                    self._sessions = await sessions_over(link, self._clock)
        except GatewayCallError as error:
            if question is Question.SESSIONS or error.trouble not in _REFUSALS:
                raise
            self._refused.add(question)

    def _words(self) -> GatewayWords | None:
        """What it said of its sessions and of its tasks, as of when it was asked for the older of both."""
        if self._sessions is None or self._tasks is None:
            return self._sessions
        at = min(self._sessions.at, self._tasks.at)
        return replace(self._sessions, at=at, tasks=self._tasks.tasks, all_tasks=self._tasks.all_of_them)

    def _wordless(self, error: GatewayCallError) -> None:
        pause = 1 if error.trouble is Trouble.STARTING else SILENT_ROUNDS
        self._wordless_until = self._round + pause
        self._lanes, self._sessions, self._tasks, self._asking = {}, None, None, None
        mute = error.trouble is Trouble.MUTE
        is_ill = error.trouble in _ILL or (mute and self._was_mute)
        self._was_mute = mute
        self._keep(words=GatewayWords(self._clock.now_ms(), problem=error.words, is_ill=is_ill))

    async def _ask_metrics(self, gateway: Gateway, port: int) -> bool:
        """Ask for its metrics; whether a request was sent. The port's owner is checked right before the token goes
        there.
        """
        try:
            leave = self._door.knock(gateway)
        except GatewayCallError:
            return False
        if not await asyncio.to_thread(self._listens, leave.listener.pid, port):
            return False
        try:
            self._metrics = await self._http.metrics(port, leave.token)
        except GatewayCallError as error:
            if error.trouble is Trouble.TOKEN:
                self._door.refused(leave)
                self._refusal = error.words
            self._metrics = None if error.trouble in {Trouble.TOKEN, Trouble.UNKNOWN} else ()
        health = self._last.health if self._last is not None else GatewayHealth(self._clock.now_ms())
        self._keep(health=replace(health, metrics=bool(self._metrics), problem=self._refusal or health.problem))
        return True

    def _keep(self, *, health: GatewayHealth | None = None, words: GatewayWords | None = None) -> None:
        last = self._last or GatewayReport(GatewayHealth(self._clock.now_ms()))
        lanes = (*chain.from_iterable(self._lanes.values()), *(self._metrics or ()))
        self._last = replace(last, health=health or last.health, words=words or last.words, lanes=lanes)

    async def _forget(self, life: _ProcessLife | None) -> None:
        if self._of is not None:
            await self.close()
        self._of, self._last, self._round, self._health_rounds, self._wordless_until = life, None, 0, 0, 0
        self._metrics, self._lanes, self._refusal, self._refused = (), {}, None, set()
        self._sessions, self._tasks, self._asking, self._was_mute = None, None, None, False
