"""A recording in place of the hub: the same snapshots, at the operator's pace.

`PlayerClock` is the clock of the screen that shows it, so that ages and countdowns are those of the recording.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise

from clawtop.clock import Clock
from clawtop.core.incident.happenings import happenings
from clawtop.core.incident.timeline import Timeline, is_background
from clawtop.core.model import Event, Snapshot
from clawtop.errors import ClawtopError
from clawtop.store.own.recording import Recording

SPEEDS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
SHOWN_EVENTS = 1_000
_EDGE_MS = 1


class Player:
    """Plays a recording. All state is touched on the event loop only.

    The position is a time of the recording (ms since epoch); while playing it moves `speed` times as fast as real
    time.
    """

    def __init__(self, recording: Recording, clock: Clock) -> None:
        self._frames = recording.frames
        self._times = [frame.at for frame in recording.frames]
        between = [
            event
            for earlier, later in pairwise(frame.snapshot for frame in recording.frames)
            for event in happenings(earlier, later)
        ]
        self._events = Timeline(limit=200_000).extended(sorted(recording.events, key=lambda e: e.at), between).events
        self._event_times = [event.at for event in self._events]
        self._wall = clock
        self._speed = 1.0
        self._playing = True
        self._position = float(self.start)
        self._since = clock.monotonic()
        self._moved = asyncio.Event()
        self.problem = recording.problem

    # --- position ----------------------------------------------------------------------------------------

    @property
    def start(self) -> int:
        """Time of the first snapshot, ms since epoch."""
        return self._times[0]

    @property
    def end(self) -> int:
        """Time of the last snapshot or event, ms since epoch."""
        return max(self._times[-1], self._event_times[-1] if self._event_times else 0)

    @property
    def playing(self) -> bool:
        return self._playing and self.now_ms() < self.end

    @property
    def speed(self) -> float:
        return self._speed

    def now_ms(self) -> int:
        """The position."""
        passed = (self._wall.monotonic() - self._since) * 1000 * self._speed if self._playing else 0.0
        return int(min(self._position + passed, self.end))

    @property
    def latest(self) -> Snapshot:
        """The snapshot of this position."""
        return self._snapshot(self.now_ms())

    # --- what the operator does ---------------------------------------------------------------------------------

    def pause(self) -> None:
        """Pause."""
        self._settle(self.now_ms(), playing=False)

    def resume(self) -> None:
        """Play on; from the start when the end was reached."""
        now = self.now_ms()
        self._settle(self.start if now >= self.end else now, playing=True)

    def seek(self, at: int) -> None:
        """Go to a time of the recording, ms since epoch."""
        self._settle(min(max(at, self.start), self.end), playing=self._playing)

    def step(self, frames: int) -> None:
        """Pause, and step this many snapshots forward (or back)."""
        index = min(max(self._index(self.now_ms()) + frames, 0), len(self._times) - 1)
        self._settle(self._times[index], playing=False)

    def faster(self, steps: int) -> None:
        """Change the speed by this many steps of `SPEEDS`."""
        now = self.now_ms()
        self._speed = SPEEDS[min(max(SPEEDS.index(self._speed) + steps, 0), len(SPEEDS) - 1)]
        self._settle(now, playing=self._playing)

    def next_event(self) -> Event | None:
        """Go to the next event that a timeline shows, and pause; None without one."""
        after = self._events[bisect_right(self._event_times, self.now_ms()) :]
        found = next((event for event in after if not is_background(event)), None)
        if found is not None:
            self._settle(found.at, playing=False)
        return found

    def event_before(self) -> Event | None:
        """Go back to the last event before this position that a timeline shows, and pause; None without one."""
        before = self._events[: bisect_left(self._event_times, self.now_ms())]
        found = next((event for event in reversed(before) if not is_background(event)), None)
        if found is not None:
            self._settle(max(found.at, self.start), playing=False)
        return found

    def poke(self) -> None:
        """Deliver the current position again."""
        self._moved.set()

    def _settle(self, position: float, *, playing: bool) -> None:
        self._position = position
        self._since = self._wall.monotonic()
        self._playing = playing
        self._moved.set()

    # --- delivery -----------------------------------------------------------------------------------------------

    async def run(
        self, deliver: Callable[[Snapshot], None], failed: Callable[[ClawtopError], None] = lambda _error: None
    ) -> None:
        """Deliver each snapshot at its time until cancelled."""
        del failed  # a recording was read whole before it plays
        while True:
            self._moved.clear()
            now = self.now_ms()
            deliver(self._snapshot(now))
            wait = self._until_next(now)
            with suppress(TimeoutError):
                async with self._wall.timeout(wait):
                    await self._moved.wait()

    def _until_next(self, now: int) -> float | None:
        if not self._playing:
            return None
        following = [
            times[index]
            for times in (self._times, self._event_times)
            if (index := bisect_right(times, now)) < len(times)
        ]
        return (min(following) - now + _EDGE_MS) / 1000 / self._speed if following else None

    def _index(self, at: int) -> int:
        return max(0, bisect_right(self._times, at) - 1)

    def _snapshot(self, at: int) -> Snapshot:
        upto = bisect_right(self._event_times, at)
        return replace(self._frames[self._index(at)].snapshot, events=self._events[max(0, upto - SHOWN_EVENTS) : upto])


class PlayerClock(Clock):
    """The time of the recording, for the screen; waits are real."""

    def __init__(self, player: Player, wall: Clock) -> None:
        self._player = player
        self._wall = wall

    def now_ms(self) -> int:
        return self._player.now_ms()

    def monotonic(self) -> float:
        return self._wall.monotonic()

    def pause(self, seconds: float) -> None:
        self._wall.pause(seconds)

    async def sleep(self, seconds: float) -> None:
        await self._wall.sleep(seconds)
