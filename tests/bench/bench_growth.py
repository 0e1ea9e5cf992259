"""How the dashboard grows with its sessions, in files: 200, 2,000, 20,000 of them; and its keys while they are read."""

from __future__ import annotations

import json
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.bench_screen import COLUMNS, LINES, PAUSE_S, WHOLE, first_paint, keys, open_overview
from tests.bench.harness import Bench, Figure, Limit, Row, percentile, resident_mb
from tests.support import big_state
from tests.support.terminals import Terminal, clawtop, open_terminal

SIZES = (200, 2_000, 20_000)
LINEAR = 10.0
"""Ten times as many sessions take at most so many times as long."""

KEY_MS, MEMORY_MB = 10.0, 120.0
MODEL = b"fake-model"
AGAIN_S = 2.0
"""How often the list of sessions is replaced while keys are pressed."""


class SessionList:
    """sessions.json, in which the model of the row that stands first changes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        text = path.read_bytes()
        entries = json.loads(text)
        running = [key for key, entry in entries.items() if entry["status"] == "running"]
        first = max(running or entries, key=lambda key: entries[key]["startedAt"])
        at = text.index(MODEL, text.index(json.dumps(first).encode() + b": {"))
        self._before, self._after = text[:at], text[at + len(MODEL) :]

    def parsed_ms(self) -> float:
        """How long json.loads takes for it."""
        text, began = self._path.read_text(), time.perf_counter()
        json.loads(text)
        return 1000 * (time.perf_counter() - began)

    def replace(self, model: str) -> float:
        """As OpenClaw writes: a temporary file, renamed over; the monotonic time of that."""
        temporary = self._path.with_name(f"{self._path.name}.bench.tmp")
        with temporary.open("wb") as file:
            for part in (self._before, model.encode(), self._after):
                file.write(part)
        temporary.chmod(0o600)
        temporary.rename(self._path)
        return time.monotonic()

    @contextmanager
    def replaced_again_and_again(self) -> Iterator[None]:
        over = threading.Event()

        def run() -> None:
            number = 0
            while not over.wait(AGAIN_S):
                self.replace(f"again-{number:04d}")
                number += 1

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


@dataclass(frozen=True)
class Grown:
    """What one size took: ms, and MB."""

    paint: float
    change: float
    parsed: float
    key: float
    resident: float
    paints: int
    changes: int
    keys: int


def changed(terminal: Terminal, sessions: SessionList, rounds: int) -> list[float]:
    """From a new list of sessions to a changed cell, in ms; the first is not told."""
    took: list[float] = []
    for number in range(rounds + 1):
        model, seen = f"moved-{number:04d}", len(terminal.raw)
        begun = sessions.replace(model)
        took.append(1000 * (terminal.wait_for_bytes(model.encode(), seen, 60.0) - begun))
        terminal.drain(2 * PAUSE_S)
    return took[1:]


def grown(number: int, quick: bool) -> Grown:
    with tempfile.TemporaryDirectory(prefix="clawtop-bench-") as place:
        now = int(time.time() * 1000)
        state = big_state.make(Path(place), agents=1, profiles=25, sessions=number, locks=0, now=now)
        sessions = SessionList(state.sessions)
        parsed = sessions.parsed_ms()
        argv = clawtop("--view", "overview", "--no-gateway", "--state-dir", str(state.state_dir))
        paints = [first_paint(argv, WHOLE) for _ in range(1 if quick else 5)]
        with open_terminal(argv, columns=COLUMNS, lines=LINES, emulate=False) as terminal:
            open_overview(terminal)
            terminal.drain(8.0)
            memory = resident_mb(terminal.process.pid)
            took = changed(terminal, sessions, 2 if quick else 15)
            with sessions.replaced_again_and_again():
                pressed = keys(terminal, 12 if quick else 200, 0.05)
        paint, change = statistics.median(paints), statistics.median(took)
        return Grown(paint, change, parsed, percentile(pressed, 0.95), memory, len(paints), len(took), len(pressed))


def figures(quick: bool) -> Iterator[Row]:
    before: Grown | None = None
    for size in SIZES:
        now = grown(size, quick)
        linear = (LINEAR, Limit.TIMES) if before is not None else (0.0, Limit.NONE)
        note = "peer: a tenth of them" if before is not None else ""
        peer = before.paint if before is not None else None
        yield Figure(
            f"{size:,} sessions: first paint", now.paint, "ms", *linear, peer=peer, samples=now.paints, note=note
        )
        what, peer = f"{size:,} sessions: list replaced -> cell", before.change if before is not None else None
        note = "; ".join(filter(None, (note, "median; floor: json.loads")))
        yield Figure(what, now.change, "ms", *linear, peer=peer, floor=now.parsed, samples=now.changes, note=note)
        key, memory = (
            ((KEY_MS, Limit.AT_MOST), (MEMORY_MB, Limit.AT_MOST)) if size == SIZES[-1] else 2 * ((0.0, Limit.NONE),)
        )
        note = f"replaced every {AGAIN_S:.0f} s"
        what = f"{size:,} sessions: key -> paint meanwhile, p95"
        yield Figure(what, now.key, "ms", *key, samples=now.keys, note=note)
        yield Figure(f"{size:,} sessions: resident memory", now.resident, "MB", *memory)
        before = now


BENCHES = (Bench("growth", "200, 2,000 and 20,000 sessions in files", 130, 60, figures, long=True),)
