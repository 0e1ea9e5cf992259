"""Recording what a dashboard shows, while it shows it: `<state>/clawtop/recordings/`, private to its owner.

Encoding and writing happen in a thread, one batch at a time, so that the screen never waits for the disk.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from clawtop.clock import Clock
from clawtop.core.model import Snapshot
from clawtop.errors import ClawtopError, OperationFailedError

if TYPE_CHECKING:
    from clawtop.store.own.recording import Recorder

FLUSH_SECONDS = 5.0
"""The file is never further behind than this, in seconds."""

BACKLOG = 16
"""How many snapshots wait for the disk; beyond that the oldest are dropped: the next one has their events too."""

TapeEntry: TypeAlias = "tuple[Recorder, Snapshot | None]"
"""A snapshot for a recorder; None ends its file."""


class Tape:
    """Records the snapshots it is given while it is on.

    Everything but the files is touched on the loop only. A thread takes the lock for as long as it writes, so that
    the end of `run` waits for the batch that is under way.
    """

    def __init__(self, clock: Clock, clawtop_version: str, directory: Path | None = None) -> None:
        """`directory`: where recordings go; None: beside what is recorded."""
        self._directory = directory
        self._clock = clock
        self._version = clawtop_version
        self._latest: Snapshot | None = None
        self._recorder: Recorder | None = None
        self._path: Path | None = None
        self._backlog: list[TapeEntry] = []
        self._woken = asyncio.Event()
        self._lock = threading.Lock()

    @property
    def recording(self) -> str | None:
        """The file that is being written; None while it is off."""
        return str(self._path) if self._path is not None else None

    def take(self, snapshot: Snapshot) -> None:
        """Record this, if it is on."""
        self._latest = snapshot
        if self._recorder is not None:
            self._add(self._recorder, snapshot)

    def start(self) -> str:
        """Begin a recording of the state directory that was last seen; its file.

        Raises:
            OperationFailedError: nothing was seen yet, or the file cannot be made.
        """
        from clawtop.store.own.recording import Recorder, recordings_dir  # heavy, and most screens never record

        if self._latest is None:
            raise OperationFailedError("there is nothing to record yet", unchanged="nothing was written")
        now = self._clock.now_ms()
        directory = recordings_dir(self._latest.state_dir, self._directory)
        path = directory / f"{datetime.fromtimestamp(now / 1000, UTC):%Y%m%dT%H%M%S}-{now % 1000:03}Z.clawtop"
        self._recorder = Recorder(path, started_at=now, clawtop_version=self._version)
        self._path = path
        self.take(self._latest)
        return str(path)

    def stop(self) -> str:
        """End the recording; its file, which is complete a moment later. Raises OperationFailedError when it is off."""
        if self._recorder is None or self._path is None:
            raise OperationFailedError("nothing is being recorded", unchanged="nothing was written")
        path = self._path
        self._add(self._recorder, None)
        self._recorder = self._path = None
        return str(path)

    async def run(self, failed: Callable[[ClawtopError], None]) -> None:
        """Write until cancelled; then what is left is written and the file ended."""
        try:
            while True:
                with suppress(TimeoutError):
                    async with self._clock.timeout(FLUSH_SECONDS):
                        await self._woken.wait()
                self._woken.clear()
                try:
                    await asyncio.to_thread(self._write, self._taken(), self._recorder)
                except ClawtopError as error:
                    self._recorder = self._path = None
                    failed(error)
        finally:
            self.close()

    def close(self) -> None:
        """Write what is left and end the file. Calling it twice is fine, and so is a tape that never ran."""
        if self._recorder is not None:
            self._add(self._recorder, None)
            self._recorder = self._path = None
        with suppress(ClawtopError):
            self._write(self._taken(), None)

    def _add(self, recorder: Recorder, snapshot: Snapshot | None) -> None:
        self._backlog.append((recorder, snapshot))
        waiting = [entry for entry in self._backlog if entry[1] is not None]
        if len(waiting) > BACKLOG:
            self._backlog.remove(waiting[0])
        self._woken.set()

    def _taken(self) -> list[TapeEntry]:
        taken, self._backlog = self._backlog, []
        return taken

    def _write(self, entries: list[TapeEntry], flushed: Recorder | None) -> None:
        with self._lock:
            for recorder, snapshot in entries:
                if snapshot is None:
                    recorder.close()
                else:
                    recorder.add(snapshot)
            if flushed is not None:
                flushed.flush()
