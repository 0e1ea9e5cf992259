"""What stands in for the engine's own threads: the same work on the loop's time."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from clawtop.clock import Clock
from clawtop.core.cooldown.marking import Mark
from clawtop.errors import ClawtopError
from clawtop.store.locks import openclaw
from clawtop.store.own.journal import Journal
from clawtop.store.own.spool_writer import SpooledMark
from clawtop.store.timed_reads import TimedReads
from tests.sim.whole.loop import PROCESS

T = TypeVar("T")


class Spool:
    """`engine.drive.marks.SpoolWriter` without a thread: a note is written as soon as it is given."""

    def __init__(self, spool: Any) -> None:
        self._spool = spool

    def start(self) -> None:
        """There is no thread to start."""

    def put(self, mark: Mark) -> SpooledMark:
        note = SpooledMark(self._spool, mark)
        note.write()
        return note

    def adopted(self, mark: Mark, path: Path) -> SpooledMark:
        return SpooledMark(self._spool, mark, path)


class Journals:
    """`engine.drive.journal_writer.JournalWriter` without a thread: what was put stands a moment later."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._events: list[Any] = []
        self.problem: ClawtopError | None = None

    def put(self, event: Any) -> None:
        if not self._events:
            asyncio.get_running_loop().call_later(0.005, self.close)
        self._events.append(event)

    def close(self, _wait_s: float = 5.0) -> None:
        batch, self._events = self._events, []
        try:
            if batch:
                self._journal.append(*batch)
        except ClawtopError as error:
            self.problem = self.problem or error


def asked_at_once(_reads: TimedReads, _source: str, _where: str, read: Callable[[], T]) -> T:
    """`TimedReads.ask` without a thread: the simulated disk is slow in the threads of the loop."""
    return read()


class Unreleased:
    """The locks that the disk kept from being given back, tried again on the loop's time."""

    def add(self, published: openclaw.Published) -> None:
        asyncio.get_running_loop().call_later(0.05, self._again, published)

    def _again(self, published: openclaw.Published) -> None:
        try:
            openclaw._removed(published)
        except OSError:
            self.add(published)

    def settled(self, _wait_s: float = 0.0) -> bool:
        return True


class Lines:
    """The lines before the locks of auth stores, as the kernel keeps them: who died is gone, who is frozen stays."""

    def __init__(self) -> None:
        self._lines: dict[str, list[SimulatedPlace]] = {}

    def place(self, directory: str) -> SimulatedPlace:
        """Stands for `clawtop.store.locks.line.LinePlace`."""
        return SimulatedPlace(self._lines.setdefault(directory, []))


class SimulatedPlace:
    def __init__(self, line: list[SimulatedPlace]) -> None:
        self._line = line
        self._process = PROCESS.get()
        self.queued = False
        self.ordered = True
        self.waits_since = math.inf

    def reached(self, _clock: Clock, _seconds: float) -> bool:
        self._line[:] = [place for place in self._line if place._process is None or place._process.alive]
        if self not in self._line:
            self.queued = bool(self._line)
            self._line.append(self)
        return self._line[0] is self

    def leave(self) -> None:
        if self in self._line:
            self._line.remove(self)


class Uses(dict[Any, Any]):
    """What each process knows of a lock's use: in the place of `clawtop.store.auth.lock._uses`."""

    def get(self, path: Any, otherwise: Any = None) -> Any:
        return super().get((PROCESS.get(), path), otherwise)

    def __setitem__(self, path: Any, use: Any) -> None:
        super().__setitem__((PROCESS.get(), path), use)
