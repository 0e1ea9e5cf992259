"""The only module that reads the time. Everything else is given a `Clock` or a number."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import asyncio
    import threading
    from types import TracebackType


class Timer(Protocol):
    """What `Clock.call_later` returns: a pending call that can be cancelled."""

    def cancel(self) -> None:
        """Cancel the call; does nothing if it was made already."""


class Deadline(Protocol):
    """A time limit for the body of its `async with`: TimeoutError is raised there when it passes."""

    def reschedule(self, when: float | None, /) -> None:
        """Move the limit to `when` on the clock's `monotonic`; None: no limit."""

    async def __aenter__(self) -> object: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> bool | None: ...


class Clock(Protocol):
    """Wall time for records, monotonic time for waits, and every timer.

    Timers are built on `sleep` unless a clock has its own, so a simulated clock drives them all.
    """

    def now_ms(self) -> int:
        """Milliseconds since the epoch, as OpenClaw writes them."""

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back; only differences mean anything."""

    def pause(self, seconds: float) -> None:
        """Block this thread."""

    def acquired(self, lock: threading.Lock, _seconds: float) -> bool:
        """Block this thread until `lock` can be acquired, for at most this long; whether it was. Only the system clock
        really waits: simulated clocks do not drive threads.
        """
        return lock.acquire(blocking=False)

    async def sleep(self, seconds: float) -> None:
        """Suspend this task."""

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Timer:
        """Call `callback` from the running loop when `seconds` have passed."""
        return _SleptTimer(self, seconds, callback)

    def timeout_at(self, when: float | None) -> Deadline:
        """An `async with` that ends at `when` on `monotonic`; None: it never does."""
        return _SleptDeadline(self, when)

    def timeout(self, seconds: float | None) -> Deadline:
        """An `async with` that ends after `seconds`; None: it never does."""
        return self.timeout_at(None if seconds is None else self.monotonic() + seconds)


class SystemClock(Clock):
    """The clock of the machine. Its timers are asyncio's, whose loop counts the seconds of `monotonic`."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()

    def pause(self, seconds: float) -> None:
        time.sleep(seconds)

    def acquired(self, lock: threading.Lock, seconds: float) -> bool:
        return lock.acquire(timeout=seconds)

    async def sleep(self, seconds: float) -> None:
        import asyncio  # commands that never wait need no event loop

        await asyncio.sleep(seconds)

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Timer:
        import asyncio

        return asyncio.get_running_loop().call_later(seconds, callback)

    def timeout_at(self, when: float | None) -> Deadline:
        import asyncio

        return asyncio.timeout_at(when)


def machine_began_ms() -> int:
    """When this machine booted by its clock as it is set now, in ms since the epoch: setting the clock moves it."""
    running = time.clock_gettime_ns(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
    return (time.time_ns() - running) // 1_000_000


def processor_seconds(thread: int) -> float | None:
    """Processor time that a thread of this process has used, by its `ident`; None if the system does not report it."""
    clock_of = getattr(time, "pthread_getcpuclockid", None)
    return None if clock_of is None else time.clock_gettime(clock_of(thread))


async def settled_within(clock: Clock, seconds: float, tasks: Collection[asyncio.Task[Any]]) -> None:
    """Wait until all these tasks are done, `seconds` at most; the others continue."""
    import asyncio

    with contextlib.suppress(TimeoutError):
        async with clock.timeout(seconds):
            await asyncio.wait(tasks)


class _SleptTimer:
    """A timer that sleeps on its clock."""

    def __init__(self, clock: Clock, seconds: float, callback: Callable[[], object]) -> None:
        import asyncio

        self._task = asyncio.get_running_loop().create_task(self._wait(clock, seconds, callback))

    async def _wait(self, clock: Clock, seconds: float, callback: Callable[[], object]) -> None:
        await clock.sleep(max(0.0, seconds))
        callback()

    def cancel(self) -> None:
        self._task.cancel()


class _SleptDeadline:
    """asyncio's timeout, ended by a timer that sleeps on a clock."""

    def __init__(self, clock: Clock, when: float | None) -> None:
        import asyncio

        self._clock = clock
        self._when = when
        self._inner = asyncio.timeout(None)
        self._timer: Timer | None = None

    def reschedule(self, when: float | None, /) -> None:
        self._inner.reschedule(None)  # a limit that has passed but not cancelled anything yet is withdrawn
        self._when = when
        self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        if self._when is not None:
            self._timer = self._clock.call_later(self._when - self._clock.monotonic(), self._end)

    def _end(self) -> None:
        self._timer = None
        self._inner.reschedule(float("-inf"))

    async def __aenter__(self) -> object:
        await self._inner.__aenter__()
        self._arm()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> bool | None:
        if self._timer is not None:
            self._timer.cancel()
        await self._inner.__aexit__(kind, error, trace)
        return None
