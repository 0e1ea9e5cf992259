"""The dashboard on a large state, through a real terminal, against a bare Textual app in the same run."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.bench.bare_app import MARK
from tests.bench.harness import Bench, Figure, Limit, Row, cpu_of, interleaved, percentile, resident_mb
from tests.support import big_state
from tests.support.terminals import Terminal, clawtop, open_terminal

COLUMNS, LINES = 160, 48
BARE = [sys.executable, "-m", "tests.bench.bare_app"]
ANY_ROW = rb"main-\d+|agent:"
"""A row of the overview or of the blocking tree, which opens first when something is blocked."""
PROFILE_ROW = rb"main-\d+"
CURSOR = "▌".encode()
PAINT, MEMORY, IDLE, CHANGE_MS, KEY_MS = 1.35, 1.4, 0.7, 120.0, 10.0


def start(argv: Sequence[str]) -> Terminal:
    return Terminal(argv, columns=COLUMNS, lines=LINES, emulate=False)


def first_paint(argv: Sequence[str], mark: bytes) -> float:
    """From starting the process to its mark on the terminal, in ms."""
    begun = time.monotonic()
    terminal = start(argv)
    try:
        return 1000 * (terminal.wait_for_bytes(mark, 0, 60.0) - begun)
    finally:
        terminal.close()


def resident(argv: Sequence[str], mark: bytes, settle: float) -> float:
    """Megabytes of resident memory after the first paint and `settle` seconds."""
    with open_terminal(argv, columns=COLUMNS, lines=LINES, emulate=False) as terminal:
        terminal.wait_for_bytes(mark, 0, 60.0)
        terminal.drain(settle)
        return resident_mb(terminal.process.pid)


def open_overview(terminal: Terminal) -> None:
    """Wait for the first paint and go to the overview."""
    terminal.wait_for_bytes(ANY_ROW, 0, 60.0)
    terminal.send("1")
    terminal.wait_for_bytes(PROFILE_ROW, 0, 60.0)


def paint_figures(argv: Sequence[str], rounds: int) -> Iterator[Row]:
    bare, ours = interleaved([lambda: first_paint(BARE, MARK.encode()), lambda: first_paint(argv, ANY_ROW)], rounds)
    yield Figure(
        "first useful paint",
        statistics.median(ours),
        "ms",
        PAINT,
        Limit.TIMES,
        floor=statistics.median(bare),
        samples=rounds,
        note="floor: a bare Textual app",
    )
    memory, base = resident(argv, ANY_ROW, 6.0), resident(BARE, MARK.encode(), 2.0)
    yield Figure("resident memory", memory, "MB", MEMORY, Limit.TIMES, floor=base, note="floor: a bare Textual app")


def idle(argv: Sequence[str], mark: bytes, seconds: float) -> float:
    """The share of a core that it takes once it stands open, in per cent."""
    with open_terminal(argv, columns=COLUMNS, lines=LINES, emulate=False) as terminal:
        terminal.wait_for_bytes(mark, 0, 60.0)
        terminal.drain(min(10.0, 2 * seconds))
        before = cpu_of(terminal.process.pid)
        terminal.drain(seconds)
        return 100 * (cpu_of(terminal.process.pid) - before) / seconds


def idle_figures(large: Sequence[str], small: Sequence[str], seconds: float) -> Iterator[Figure]:
    """The limit is for a small state: a large one has more countdowns."""
    floor, note = idle(BARE, MARK.encode(), seconds), f"over {seconds:.0f} s; floor: a bare Textual app"
    what = "idle, of a core, its clock counting"
    yield Figure(f"{what}, small state", idle(small, ANY_ROW, seconds), "%", IDLE, floor=floor, note=note)
    yield Figure(what, idle(large, ANY_ROW, seconds), "%", on=Limit.NONE, floor=floor, note=note)


def replaced(path: Path, value: Any) -> None:
    """As OpenClaw writes: a temporary file, renamed over."""
    temporary = path.with_name(f"{path.name}.bench.tmp")
    temporary.write_text(json.dumps(value, indent=2) + "\n")
    temporary.chmod(0o600)
    temporary.rename(path)


def changes(argv: Sequence[str], auth_state: Path, rounds: int) -> list[float]:
    """From a profile's error counts changed on disk to a changed cell on the terminal, in ms; the first is not told."""
    document = json.loads(auth_state.read_text())
    took: list[float] = []
    with open_terminal(argv, columns=COLUMNS, lines=LINES, emulate=False) as terminal:
        open_overview(terminal)
        terminal.drain(4.0)
        for number in range(rounds + 1):
            count = 10 + number
            for stats in document["usageStats"].values():
                stats["errorCount"] = count
            seen = len(terminal.raw)
            begun = time.monotonic()
            replaced(auth_state, document)
            took.append(1000 * (terminal.wait_for_bytes(f"×{count}".encode(), seen, 60.0) - begun))
            terminal.drain(0.6)
    return took[1:]


def change_figure(argv: Sequence[str], state: big_state.BigState, rounds: int) -> Figure:
    took = changes(argv, state.auth_state, rounds)
    note = f"median {statistics.median(took):.0f} ms"
    what = "file replaced -> changed cell, p95"
    return Figure(what, percentile(took, 0.95), "ms", CHANGE_MS, samples=len(took), note=note)


def keys(terminal: Terminal, rounds: int, mark: bytes = CURSOR) -> list[float]:
    """From a key to the cursor elsewhere, in ms; the first four are not told."""
    took: list[float] = []
    for number in range(rounds + 4):
        seen = len(terminal.raw)
        begun = time.monotonic()
        terminal.send(("j", "k")[number // 4 % 2])
        took.append(1000 * (terminal.wait_for_bytes(mark, seen, 60.0) - begun))
        terminal.drain(0.137)
    return took[4:]


def key_figure(argv: Sequence[str], state: big_state.BigState, rounds: int) -> Figure:
    """A key moves the cursor while 5 % of all rows change four times a second."""
    churner = [sys.executable, "-m", "tests.bench.churn", str(state.state_dir)]
    with open_terminal(argv, columns=COLUMNS, lines=LINES, emulate=False) as terminal:
        open_overview(terminal)
        terminal.drain(3.0)
        churn = subprocess.Popen(churner)
        try:
            terminal.drain(2.0)
            took = keys(terminal, rounds)
        finally:
            churn.terminate()
            churn.wait()
    note = f"median {statistics.median(took):.1f} ms"
    what = "key -> paint while 5 % change at 4 Hz, p95"
    return Figure(what, percentile(took, 0.95), "ms", KEY_MS, samples=len(took), note=note)


def figures(quick: bool) -> Iterator[Row]:
    with tempfile.TemporaryDirectory(prefix="clawtop-bench-") as place:
        state = big_state.make(Path(place), now=int(time.time() * 1000))
        argv = clawtop("--view", "overview", "--state-dir", str(state.state_dir))
        yield from paint_figures(argv, 2 if quick else 11)
        young = big_state.make(
            Path(place) / "small", now=int(time.time() * 1000), agents=1, profiles=4, sessions=4, locks=0
        )
        small = clawtop("--view", "overview", "--state-dir", str(young.state_dir))
        yield from idle_figures(argv, small, 3.0 if quick else 30.0)
        yield change_figure(argv, state, 8 if quick else 200)
        yield key_figure(argv, state, 16 if quick else 200)


BENCHES = (Bench("screen", "first paint, memory, idle, change -> cell, key -> paint", 360, 70, figures),)
