"""Events to the journal from a thread of their own: no run waits for the journal's lock or the disk."""

from __future__ import annotations

import queue
import threading

from clawtop.core.model import Event
from clawtop.errors import ClawtopError
from clawtop.store.own.journal import Journal

GATHER_S = 0.02
MOST = 200
"""Events that follow each other this closely are appended together: taking the journal's lock is the greater part."""


class JournalWriter:
    """Appends events in the order in which they were put.

    Attributes:
        problem: why the journal could not be written, the first time it failed; the run goes on without it.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self.problem: ClawtopError | None = None

    def put(self, event: Event) -> None:
        """Have `event` written. Never waits, never fails."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="clawtop journal", daemon=True)
            self._thread.start()
        self._events.put(event)

    def close(self, wait_s: float = 5.0) -> None:
        """Write what was put so far, for at most `wait_s` seconds, and end."""
        if self._thread is not None:
            self._events.put(None)
            self._thread.join(wait_s)
            self._thread = None

    def _run(self) -> None:
        while batch := self._batch():
            try:
                self._journal.append(*batch)
            except ClawtopError as error:
                self.problem = self.problem or error

    def _batch(self) -> list[Event]:
        """What comes one upon the other, the first of it waited for; nothing at the end."""
        event = self._events.get()
        batch: list[Event] = []
        while event is not None:
            batch.append(event)
            if len(batch) >= MOST:
                return batch
            try:
                event = self._events.get(timeout=GATHER_S)
            except queue.Empty:
                return batch
        if batch:
            self._events.put(None)
        return batch
