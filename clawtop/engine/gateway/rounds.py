"""Which question a live gateway is asked next: at most one per round, only ones that it can answer, and none too
often.

Mutable state is `Rounds`'s alone and is touched only on the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum

from clawtop.clock import Clock
from clawtop.core.model import Gateway, GatewayHealth, GatewayState, GatewayWords, LaneStats
from clawtop.engine.gateway.door import Door
from clawtop.engine.gateway.errors import GatewayCallError, Trouble
from clawtop.engine.gateway.http import HttpProbe
from clawtop.engine.gateway.line import KeptLine
from clawtop.engine.gateway.words import GatewayRound, words_over
from clawtop.store.locks.processes import listens
from clawtop.values import dataclass

HEALTH_EVERY, FIRST_HEALTH = 5, 2
"""Rounds between two questions for health, if the gateway can be asked for words; the first of them comes early."""

LANES_EVERY = 3
"""Rounds with words between two questions for lanes."""

SILENT_ROUNDS = 6
"""Rounds for which a gateway that gave no words is not asked for them again."""


class Question(StrEnum):
    """READY: its health. METRICS: its lanes, where the plugin is on. WORDS: its runs, tasks and lanes."""

    READY = "ready"
    METRICS = "metrics"
    WORDS = "words"


@dataclass(frozen=True, slots=True)
class GatewayReport:
    """What a gateway said last, part by part."""

    health: GatewayHealth
    lanes: tuple[LaneStats, ...] = ()
    words: GatewayWords | None = None


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
        self._of: tuple[int | None, int | None, int | None] | None = None
        self._round = 0
        self._word_rounds = 0
        self._wordless_until = 0
        self._metrics: tuple[LaneStats, ...] | None = ()
        self._lanes: tuple[LaneStats, ...] = ()
        self._refusal: str | None = None

    async def look(self, gateway: Gateway) -> GatewayReport | None:
        """Ask the next question; returns what is known afterwards. None without a live gateway."""
        if gateway.state is not GatewayState.LIVE or gateway.port is None:
            await self._forget(None)
            return None
        life = (gateway.pid, gateway.port, gateway.started_at)
        if life != self._of:
            await self._forget(life)
        self._round += 1
        await self._ask(self._next(), gateway, gateway.port)
        return self._last

    async def all_at_once(self, gateway: Gateway) -> GatewayReport | None:
        """Ask everything, for a caller that asks only once."""
        if gateway.state is GatewayState.LIVE and gateway.port is not None:
            for question in (Question.READY, Question.WORDS, Question.METRICS):
                await self._ask(question, gateway, gateway.port)
        await self.close()
        return self._last

    async def close(self) -> None:
        """Close what is kept open; the next question opens it anew."""
        await self._http.close()
        await self._line.close()

    def _next(self) -> Question:
        words = self._round >= self._wordless_until
        if words and self._round % HEALTH_EVERY != FIRST_HEALTH:
            return Question.WORDS
        turn = self._round // HEALTH_EVERY if words else self._round + 1
        return Question.METRICS if self._metrics is not None and turn % 2 else Question.READY

    async def _ask(self, question: Question, gateway: Gateway, port: int) -> None:
        if question is Question.WORDS and not await self._ask_words(gateway):
            question = Question.READY
        if question is Question.METRICS and not await self._ask_metrics(gateway, port):
            question = Question.READY
        if question is Question.READY:
            health = await self._http.ready(port)
            had = self._last.health.metrics if self._last is not None else False
            self._keep(health=replace(health, metrics=had, problem=health.problem or self._refusal))

    async def _ask_words(self, gateway: Gateway) -> bool:
        """Whether a question was sent for it."""
        with_lanes = self._word_rounds % LANES_EVERY == 0
        self._word_rounds += 1
        try:
            leave = self._door.knock(gateway)
        except GatewayCallError as error:
            await self._line.close()
            self._wordless(error)
            return False
        try:
            async with self._line.to(leave) as link:
                said = await words_over(link, self._clock, lanes=with_lanes)
        except GatewayCallError as error:
            self._wordless(error)
            return True
        self._take(said)
        return True

    def _wordless(self, error: GatewayCallError) -> None:
        pause = 1 if error.trouble is Trouble.STARTING else SILENT_ROUNDS
        self._wordless_until = self._round + pause
        self._lanes = ()
        self._keep(words=GatewayWords(self._clock.now_ms(), problem=error.words))

    def _take(self, said: GatewayRound) -> None:
        if said.lanes is not None:
            self._lanes = said.lanes
        self._keep(words=said.words)

    async def _ask_metrics(self, gateway: Gateway, port: int) -> bool:
        """Whether a question was sent for it. The port's owner is checked right before the token goes there."""
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
        lanes = (*self._lanes, *(self._metrics or ()))
        self._last = replace(last, health=health or last.health, words=words or last.words, lanes=lanes)

    async def _forget(self, life: tuple[int | None, int | None, int | None] | None) -> None:
        if self._of is not None:
            await self.close()
        self._of, self._last, self._round, self._word_rounds = life, None, 0, 0
        self._wordless_until, self._metrics, self._lanes, self._refusal = 0, (), (), None
