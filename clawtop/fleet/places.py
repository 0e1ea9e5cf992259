"""How many hosts are greeted at the same time: as many as a machine bears, and those that hang delay no others."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from clawtop.clock import Clock, Timer

AT_ONCE = 16
"""GreetingPlaces: enough for 200 hosts in seconds, few enough for a jump host."""

TURN_S = 2.0
"""How long a host that does not answer keeps its place, where others answer quickly."""

LONGEST_TURN_S = 20.0

_SLOWER = 2.0
"""A host may take this many times as long as the slowest of the last ones that answered. Where all of them are slow,
this machine, a jump host or the machine that they share is busy, and starting more would only make each slower."""


class GreetingPlaces:
    """The places of one fleet. Used on one event loop."""

    def __init__(self, clock: Clock, at_once: int = AT_ONCE) -> None:
        self._clock = clock
        self._free = asyncio.Semaphore(at_once)
        self._answered: deque[float] = deque(maxlen=at_once)

    @property
    def turn_s(self) -> float:
        """How long a host keeps its place now, in seconds."""
        return min(LONGEST_TURN_S, max(TURN_S, _SLOWER * max(self._answered, default=0.0)))

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """A place, until the body ends or the turn is over; a body that ends without an error was an answer."""
        await self._free.acquire()
        began, given = self._clock.monotonic(), False
        timer: Timer

        def give() -> None:
            nonlocal given
            if not given:
                given = True
                self._free.release()

        def look() -> None:
            nonlocal timer
            left = began + self.turn_s - self._clock.monotonic()  # others may have answered more slowly meanwhile
            if left <= 0:
                give()
                return
            timer = self._clock.call_later(left, look)

        timer = self._clock.call_later(self.turn_s, look)
        try:
            yield
            self._answered.append(self._clock.monotonic() - began)
        finally:
            timer.cancel()
            give()
