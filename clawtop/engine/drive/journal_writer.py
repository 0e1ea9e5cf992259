"""Writes events to the journal in a separate thread: no run waits for the journal's lock or the disk."""

from __future__ import annotations

import contextlib
import queue
import threading

from clawtop.core.model import Event
from clawtop.errors import ClawtopError
from clawtop.store.own.journal import Journal

GATHER_S = 0.2
MOST = 200
"""Events that follow this soon after another are appended with it: most of the cost is taking the journal's lock."""


class JournalWriter:
    """Appends events in the order in which they were put.

    Attributes:
        problem: why the journal could not be written, the first time it failed; the run continues without it.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()
        self.problem: ClawtopError | None = None

    def put(self, event: Event) -> None:
        """Queue `event` for writing. Never waits, never fails."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="clawtop journal", daemon=True)
            self._thread.start()
        self._events.put(event)

    def close(self, wait_s: float = 5.0) -> None:
        """Write what is queued, for at most `wait_s` seconds, and end."""
        if self._thread is not None:
            self._events.put(None)
            self._closing.set()
            self._thread.join(wait_s)
            self._thread = None
            self._closing.clear()

    def _run(self) -> None:
        while batch := self._batch():
            try:
                self._journal.append(*batch)
            except ClawtopError as error:
                self.problem = self.problem or error

    def _batch(self) -> list[Event]:
        """The first event is waited for, and then what follows it closely; nothing at the end.

        One pause in total, not one per event: waking the thread for each event would interrupt the runs each time.
        """
        event = self._events.get()
        if event is None:
            return []
        self._closing.wait(GATHER_S)
        batch = [event]
        with contextlib.suppress(queue.Empty):
            while len(batch) < MOST:
                event = self._events.get_nowait()
                if event is None:
                    self._events.put(None)
                    break
                batch.append(event)
        return batch
