"""How late the event loop is: without this, timers would attribute the loop's own delay to providers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from clawtop.clock import Clock, Timer

TICK_S = 0.05
"""How often the loop's lateness is measured, while there are listeners."""


class LoopLateness:
    """Reports how late the event loop is to timers that must not count that time. A process with hundreds of turns, or
    without CPU time, may notice an established connection only after its limit. A tick that is late runs before the
    timers that were due after it. Belongs to one event loop.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due = 0.0
        self._listeners: dict[int, Callable[[float], None]] = {}
        self._names = itertools.count()
        self._next: Timer | None = None

    @contextmanager
    def told_to(self, listener: Callable[[float], None]) -> Iterator[None]:
        """Call `listener` with the seconds of each delay, while the context lasts."""
        name = next(self._names)
        self._listeners[name] = listener
        if self._next is None:
            self._wait()
        try:
            yield
        finally:
            del self._listeners[name]
            if not self._listeners and self._next is not None:
                self._next.cancel()
                self._next = None

    def _wait(self) -> None:
        self._due = self._clock.monotonic() + TICK_S
        self._next = self._clock.call_later(TICK_S, self._tick)

    def _tick(self) -> None:
        late = self._clock.monotonic() - self._due
        self._wait()
        if late > TICK_S:
            for listener in tuple(self._listeners.values()):
                listener(late)
