"""Spools marks in a separate thread: the caller continues after a moment, whatever the disk does."""

from __future__ import annotations

import queue
import threading
from contextlib import suppress
from pathlib import Path

from clawtop.core.cooldown.marking import Mark
from clawtop.errors import ClawtopError
from clawtop.store.own.mark_spool import MarkSpool


class SpooledMark:
    """A mark on its way to the spool. Mutable state under `_guard`: written by one thread, settled by another.

    Attributes:
        path: the spool file; None while there is none.
        why: why it could not be written down; None otherwise.
    """

    def __init__(self, spool: MarkSpool, mark: Mark, path: Path | None = None) -> None:
        self._spool = spool
        self._mark = mark
        self._guard = threading.Lock()
        self._done = threading.Event()
        self._settled = False
        self.path = path
        self.why: str | None = None
        if path is not None:
            self._done.set()

    def within(self, seconds: float) -> bool:
        """Whether the mark is on disk, after waiting at most this long."""
        self._done.wait(seconds)
        return self.path is not None

    def settle(self) -> None:
        """The mark has landed, or its loss was reported: its spool file is no longer needed."""
        with self._guard:
            self._settled = True
            path, self.path = self.path, None
        if path is not None:
            self._spool.drop(path)

    def write(self) -> None:
        """Write it down, unless that is no longer needed. For the writer's thread."""
        try:
            if not self._settled:
                self._written(self._spool.put(self._mark))
        except (OSError, ClawtopError) as error:
            self.why = str(getattr(error, "strerror", None) or error)
        finally:
            self._done.set()

    def _written(self, path: Path) -> None:
        with self._guard:
            if not self._settled:
                self.path = path
                return
        self._spool.drop(path)


class SpoolWriter:
    """Writes notes down in the order in which they come."""

    def __init__(self, spool: MarkSpool) -> None:
        self._spool = spool
        self._notes: queue.SimpleQueue[SpooledMark] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def put(self, mark: Mark) -> SpooledMark:
        """Have `mark` written down. Never waits, never fails: see `SpooledMark.within`."""
        note = SpooledMark(self._spool, mark)
        self._notes.put(note)
        self.start()
        return note

    def start(self) -> None:
        """Start the thread, so that the next mark need not wait for that. Never fails: tried again with each mark."""
        if self._thread is None:
            thread = threading.Thread(target=self._work, name="clawtop spool", daemon=True)
            with suppress(RuntimeError):  # no thread can be started
                thread.start()
                self._thread = thread

    def adopted(self, mark: Mark, path: Path) -> SpooledMark:
        """The entry of a mark that is already in the spool."""
        return SpooledMark(self._spool, mark, path)

    def _work(self) -> None:
        while True:
            self._notes.get().write()
