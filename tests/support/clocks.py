"""Clocks that tests move by hand."""

from __future__ import annotations

import asyncio
import heapq

from clawtop.clock import Clock


class ManualClock(Clock):
    """A clock that stands still until `advance` moves it; sleepers wake in order of their deadlines.

    `pause` advances the clock itself, so that synchronous waits end at once and `paused` tells how long they were.
    """

    def __init__(self, now_ms: int = 1_700_000_000_000) -> None:
        self._now_ms = now_ms
        self._monotonic = 1_000.0
        self._sleepers: list[tuple[float, int, asyncio.Event]] = []
        self._count = 0
        self.paused: list[float] = []

    def now_ms(self) -> int:
        return self._now_ms

    def monotonic(self) -> float:
        return self._monotonic

    def pause(self, seconds: float) -> None:
        self.paused.append(seconds)
        self._move(seconds)

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken = asyncio.Event()
        self._count += 1
        heapq.heappush(self._sleepers, (self._monotonic + seconds, self._count, woken))
        await woken.wait()

    @property
    def sleeping(self) -> int:
        """How many tasks sleep now."""
        return len(self._sleepers)

    async def advance(self, seconds: float) -> None:
        """Advance, waking every sleeper that is due, one deadline after the other."""
        target = self._monotonic + seconds
        await settle()
        while self._sleepers and self._sleepers[0][0] <= target:
            deadline, _, woken = heapq.heappop(self._sleepers)
            self._move(max(0.0, deadline - self._monotonic))
            woken.set()
            await settle()
        self._move(max(0.0, target - self._monotonic))

    def set_wall(self, now_ms: int) -> None:
        """Set the wall clock, as an administrator or a time server does; nobody sleeps longer for it."""
        self._now_ms = now_ms

    def _move(self, seconds: float) -> None:
        self._monotonic += seconds
        self._now_ms += round(seconds * 1000)


async def settle(rounds: int = 20) -> None:
    """Let every task that can run do so."""
    for _ in range(rounds):
        await asyncio.sleep(0)
