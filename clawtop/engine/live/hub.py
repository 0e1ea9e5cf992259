"""Changed sources become snapshots: the first change at once, then at most four a second, never two reads at a time.

Mutable state lives in `Hub` and is touched only on the event loop; the reader runs in a thread, one call at a time.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Protocol, runtime_checkable

from clawtop.clock import Clock, settled_within
from clawtop.core.diff import same_content
from clawtop.core.model import Problem, Snapshot
from clawtop.crash import unexpected
from clawtop.errors import ClawtopError, StateUnreadableError
from clawtop.text import safe

MIN_INTERVAL = 0.25
"""Seconds between the starts of two reads after one that found changes, where a person watches."""

QUIET_INTERVAL = 0.05
"""The same after a read without changes (the poll notices late what the watcher has already reported), so that the
next change does not wait.
"""

RECHECK_FACTOR = 1000
"""A read without a known change waits this many times its own duration, so that it costs at most a tenth of a percent
of a core."""

RECHECK_SECONDS, LONGEST_RECHECK_SECONDS = 5.0, 60.0

POLL_FACTOR = 2000
SLOW_POLL = 5.0
"""A poll beside a working watcher waits this many times its own duration, but no longer than so many seconds."""

READ_DEADLINE = 5.0
"""Seconds after which an unanswered read is reported, and again at the same interval."""

TRAFFIC_WINDOW_MS = 60_000

GLANCE_SECONDS = 1.0
LIVELY_GLANCE_SECONDS = 0.05
LIVELY_SECONDS = 1.0
"""What changes unseen is checked every second, and twenty times a second for a second after anything happened."""


class StateReader(Protocol):
    """What the hub reads from: `store.snapshot.SnapshotReader`, or a recording."""

    def read(self) -> Snapshot:
        """A new snapshot; its number rises."""

    def watch_directories(self) -> tuple[Path, ...]:
        """The exact directories whose changes matter, as of the last read."""


@runtime_checkable
class Glancing(Protocol):
    """A reader that can tell cheaply about changes that no watched directory shows: commits to a database, ends of
    processes.
    """

    @property
    def may_change_unseen(self) -> bool:
        """Whether there is any such thing to check. Does not touch the disk."""

    def has_changed(self) -> bool:
        """Whether one of them has changed since the last read. Takes microseconds."""


def _no_answer(reader: StateReader, seconds: float) -> StateUnreadableError:
    where = getattr(reader, "reading", "") or "the state directory"
    return StateUnreadableError(
        f"no answer for {seconds:.0f} s from {safe(where, 200)}",
        hint="a disk or mount is hanging; the data shown may be old, as its age says",
    )


def slower_poll(usual: float, spent: float) -> float:
    """Seconds until the next poll beside a working watcher, after one that took `spent`."""
    return max(usual, min(spent * POLL_FACTOR, SLOW_POLL))


class Hub:
    """Owns the tasks that turn changes on disk into snapshots.

    `run` delivers every snapshot that differs from the one before to `deliver`, on the loop, until cancelled. A read
    that fails is delivered to `failed` with its error and tried again at the next change or poll; the first successful
    one after it is always delivered.
    """

    def __init__(
        self,
        reader: StateReader,
        clock: Clock,
        *,
        interval: float = MIN_INTERVAL,
        poll_seconds: float = 2.0,
        native: bool = True,
        seen: Callable[[], None] = lambda: None,
    ) -> None:
        """`interval`: seconds between the starts of two reads after one that found changes. `seen` is called after
        each successful read, whether or not it found changes.
        """
        self._reader = reader
        self._clock = clock
        self._interval = interval
        self._leisure = interval / MIN_INTERVAL  # how much later than on a screen a change may be noticed
        self._poll_seconds = poll_seconds
        self._native = native
        self._seen = seen
        self._dirty = asyncio.Event()
        self._resumed = asyncio.Event()
        self._resumed.set()
        self._latest: Snapshot | None = None
        self._failing = False
        self._degraded: Problem | None = None
        self._comings: dict[str, deque[int]] = {}
        self._lively_until = 0.0
        self._watched: tuple[Path, ...] = ()
        self._directories_moved = asyncio.Event()

    @property
    def latest(self) -> Snapshot | None:
        """The last delivered snapshot."""
        return self._latest

    def poke(self) -> None:
        """Read as soon as the rate allows."""
        self._dirty.set()

    def pause(self) -> None:
        """Deliver nothing until `resume`; changes are remembered."""
        self._resumed.clear()

    def resume(self) -> None:
        self._resumed.set()
        self._dirty.set()

    async def run(
        self,
        deliver: Callable[[Snapshot], None],
        failed: Callable[[ClawtopError], None] = lambda _error: None,
    ) -> None:
        """Read and deliver until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._reading(deliver, failed))
            tasks.create_task(self._polling())
            if self._native:
                tasks.create_task(self._watching())
            if isinstance(self._reader, Glancing):
                tasks.create_task(self._glancing(self._reader))

    async def _glancing(self, reader: Glancing) -> None:
        while True:
            lively = self._clock.monotonic() < self._lively_until
            await self._clock.sleep(LIVELY_GLANCE_SECONDS * self._leisure if lively else GLANCE_SECONDS)
            is_due = self._dirty.is_set()
            if not is_due and reader.may_change_unseen and await asyncio.to_thread(reader.has_changed):
                self._stir()

    def _stir(self) -> None:
        """Called when something changed: read, and check more often for a while."""
        self._lively_until = self._clock.monotonic() + LIVELY_SECONDS
        self._dirty.set()

    async def _reading(self, deliver: Callable[[Snapshot], None], failed: Callable[[ClawtopError], None]) -> None:
        recheck = 0.0
        while True:
            if recheck:
                with suppress(TimeoutError):
                    async with self._clock.timeout(recheck):
                        await self._dirty.wait()
            await self._resumed.wait()
            self._dirty.clear()
            started = self._clock.monotonic()
            interval = QUIET_INTERVAL
            try:
                snapshot = await self._read(failed)
            except ClawtopError as error:
                self._failing = True
                failed(error)
            else:
                self._seen()
                self._follow(self._reader.watch_directories())
                snapshot = self._annotated(snapshot)
                if self._failing or not same_content(self._latest, snapshot):
                    self._failing = False
                    self._latest = snapshot
                    interval = self._interval
                    deliver(snapshot)
                if snapshot.counting:
                    self._dirty.set()
            spent = self._clock.monotonic() - started
            wait = min(max(RECHECK_SECONDS, spent * RECHECK_FACTOR), LONGEST_RECHECK_SECONDS)
            recheck = RECHECK_SECONDS if self._failing else wait
            await self._clock.sleep(max(0.0, interval - spent))

    async def _read(self, failed: Callable[[ClawtopError], None]) -> Snapshot:
        """One read, in a thread. If it does not answer, that is reported with the cause, and the wait continues.

        Raises ClawtopError, for unexpected errors too.
        """
        started = self._clock.monotonic()
        reading = asyncio.create_task(asyncio.to_thread(self._reader.read))
        try:
            while True:
                await settled_within(self._clock, READ_DEADLINE, {reading})
                if reading.done():
                    return reading.result()
                self._failing = True
                failed(_no_answer(self._reader, self._clock.monotonic() - started))
        except ClawtopError:
            raise
        except Exception as error:
            raise unexpected(error, "reading the state") from error

    def _annotated(self, snapshot: Snapshot) -> Snapshot:
        warnings = (*snapshot.warnings, self._degraded) if self._degraded else snapshot.warnings
        return replace(snapshot, warnings=warnings, lock_traffic=self._traffic(snapshot.taken_at))

    def _traffic(self, now: int) -> dict[str, int]:
        for path, times in list(self._comings.items()):
            while times and times[0] < now - TRAFFIC_WINDOW_MS:
                times.popleft()
            if not times:
                del self._comings[path]
        return {path: len(times) for path, times in self._comings.items()}

    def _follow(self, directories: tuple[Path, ...]) -> None:
        if directories != self._watched:
            self._watched = directories
            self._directories_moved.set()

    async def _polling(self) -> None:
        from clawtop.store import watch  # after the first paint: watchfiles takes a while to load

        poll, pause = watch.Poll(), self._poll_seconds
        while True:
            await self._clock.sleep(pause)
            started = self._clock.monotonic()
            if await asyncio.to_thread(poll.changed, self._watched):
                self._dirty.set()
            spent = self._clock.monotonic() - started
            watched = self._native and self._degraded is None
            pause = slower_poll(self._poll_seconds, spent) if watched else self._poll_seconds

    async def _watching(self) -> None:
        await self._directories_moved.wait()
        from clawtop.store import watch

        step_ms = round(watch.STEP_MS * self._leisure)
        while True:
            await self._directories_moved.wait()
            self._directories_moved.clear()
            try:
                async for batch in watch.changes(self._watched, self._directories_moved, step_ms=step_ms):
                    self._count(change.path for change in batch if change.appeared and change.path.endswith(".lock"))
                    self._stir()
                self._degraded = None
            except watch.WatchFailedError as error:
                self._degraded = Problem(
                    "watch-degraded", "", f"{error.title}; polling every {self._poll_seconds:g} s instead"
                )
                self._dirty.set()

    def _count(self, lock_paths: Iterable[str]) -> None:
        now = self._clock.now_ms()
        for path in lock_paths:
            self._comings.setdefault(path, deque(maxlen=600)).append(now)
