"""The one door through which time enters. Everything else is handed a `Clock` or a number."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Wall time for records, monotonic time for waits."""

    def now_ms(self) -> int:
        """Milliseconds since the epoch, as OpenClaw writes them."""

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back; only differences mean anything."""

    def pause(self, seconds: float) -> None:
        """Block this thread."""

    async def sleep(self, seconds: float) -> None:
        """Suspend this task."""


class SystemClock:
    """The clock of the machine."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()

    def pause(self, seconds: float) -> None:
        time.sleep(seconds)

    async def sleep(self, seconds: float) -> None:
        import asyncio  # commands that never wait need no event loop

        await asyncio.sleep(seconds)
