"""Many histories, in several processes, and what they came to."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.sim.whole.history import FAULTS, WEIGHTS, Outcome, play

CHUNK = 10
ALL = (*WEIGHTS, *FAULTS)
ENOUGH = 500
"""So many histories meet with every kind of act and fault."""


@dataclass
class Report:
    """What many histories came to."""

    seeds: int = 0
    steps: int = 0
    calls: int = 0
    seconds: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)
    broken: list[Outcome] = field(default_factory=list)

    @property
    def turns(self) -> int:
        return sum(number for what, number in self.counts.items() if what.startswith("turn: "))

    @property
    def unfelt(self) -> tuple[str, ...]:
        """What none of the histories met with: of that they prove nothing."""
        return tuple(kind for kind in ALL if not self.counts[kind])

    def add(self, outcome: Outcome) -> None:
        self.seeds += 1
        self.steps += outcome.steps
        self.calls += outcome.calls
        self.counts.update(outcome.counts)
        if outcome.broken:
            self.broken.append(outcome)

    def lines(self) -> Iterator[str]:
        per = max(self.seconds, 0.001)
        yield (
            f"{self.seeds} seeds, {self.steps} steps, {self.calls} system calls and {self.turns} turns in {per:.1f} s: "
            f"{self.seeds / per:.1f} seeds, {self.steps / per:.0f} steps and {self.turns / per:.1f} turns a second"
        )
        for what, number in sorted(self.counts.items()):
            yield f"  {number:>8} {what}"
        if self.unfelt:
            yield f"never felt: {', '.join(self.unfelt)}"
        yield (
            f"{self.seeds} histories, {self.steps:,} steps, {self.turns:,} turns in {per:.0f} s; "
            f"felt {len(ALL) - len(self.unfelt)} of {len(ALL)} kinds of acts and faults; broken: {len(self.broken)}"
        )


def simulate(
    first: int,
    number: int,
    *,
    seconds: float | None = None,
    jobs: int | None = None,
    told: Callable[[Report, Outcome], None] = lambda _report, _outcome: None,
) -> Report:
    """Play `number` seeds from `first` on, in processes of their own; no new ones once `seconds` are over.

    SIGINT and SIGTERM end it as `seconds` do: those that were begun are played to their end and counted. `told` hears
    of each outcome as it is counted.
    """
    report, began = Report(), time.monotonic()
    context = multiprocessing.get_context("spawn")
    jobs = jobs or os.cpu_count() or 1
    pending: list[Future[list[Outcome]]] = []

    def count(future: Future[list[Outcome]]) -> None:
        for outcome in future.result():
            report.add(outcome)
            report.seconds = time.monotonic() - began
            told(report, outcome)

    with _asked_to_end() as ended, ProcessPoolExecutor(jobs, mp_context=context, initializer=_deaf) as pool:
        for start in range(first, first + number, CHUNK):
            pending.append(pool.submit(play_some, start, min(start + CHUNK, first + number)))
            if len(pending) > jobs:
                count(pending.pop(0))
            if ended() or (seconds is not None and time.monotonic() - began > seconds):
                break
        for one in pending:
            count(one)
    report.seconds = time.monotonic() - began
    return report


@contextmanager
def _asked_to_end() -> Iterator[Callable[[], bool]]:
    """Whether a signal asked this process to end."""
    came: list[int] = []
    before = {
        number: signal.signal(number, lambda got, _frame: came.append(got))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield lambda: bool(came)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _deaf() -> None:
    """A key that interrupts goes to all of the terminal's processes; the first of them decides."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def play_some(first: int, end: int) -> list[Outcome]:
    """The seeds from `first` to before `end`, in this process."""
    return [play(seed) for seed in range(first, end)]
