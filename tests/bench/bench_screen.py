"""The dashboard on a large state, through a real terminal, against a bare Textual app in the same run.

    python -m tests.bench.bench_screen [--quick]

Prints one line for each figure with its limit; exits 1 when one is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.bare_app import MARK
from tests.support import big_state
from tests.support.terminals import Terminal, clawtop, open_terminal

COLUMNS, LINES = 160, 48
BARE = [sys.executable, "-m", "tests.bench.bare_app"]
ANY_ROW = rb"main-\d+|agent:"
"""A row of the overview or of the blocking tree, which opens first when something is blocked."""
PROFILE_ROW = rb"main-\d+"
CURSOR = "▌".encode()
PAGE_SIZE = os.sysconf("SC_PAGE_SIZE")
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Figure:
    """One measured figure and its limit."""

    name: str
    value: float
    limit: float
    unit: str
    note: str = ""

    @property
    def met(self) -> bool:
        return self.value <= self.limit

    def __str__(self) -> str:
        verdict = "ok" if self.met else "MISSED"
        return f"{self.name:<34} {self.value:8.2f} {self.unit:<4} limit {self.limit:g}  {verdict}  {self.note}"


def p95(values: Sequence[float]) -> float:
    return sorted(values)[min(len(values) - 1, round(0.95 * (len(values) - 1)))]


def start(argv: Sequence[str]) -> Terminal:
    return Terminal(argv, columns=COLUMNS, lines=LINES, emulate=False)


def first_paint(argv: Sequence[str], mark: bytes) -> float:
    """Seconds from starting the process to its mark on the terminal."""
    begun = time.monotonic()
    terminal = start(argv)
    try:
        return terminal.wait_for_bytes(mark, 0, 60.0) - begun
    finally:
        terminal.close()


def resident(argv: Sequence[str], mark: bytes, settle: float) -> float:
    """Megabytes of resident memory after the first paint and `settle` seconds."""
    with open_terminal(argv, columns=COLUMNS, lines=LINES, emulate=False) as terminal:
        terminal.wait_for_bytes(mark, 0, 60.0)
        terminal.drain(settle)
        pages = int(Path(f"/proc/{terminal.process.pid}/statm").read_text().split()[1])
        return pages * PAGE_SIZE / 1e6


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def open_overview(terminal: Terminal) -> None:
    """Wait for the first paint and go to the overview."""
    terminal.wait_for_bytes(ANY_ROW, 0, 60.0)
    terminal.send("1")
    terminal.wait_for_bytes(PROFILE_ROW, 0, 60.0)


def paint_figures(argv: Sequence[str], rounds: int) -> list[Figure]:
    bare, ours = [], []
    for _ in range(rounds):
        bare.append(first_paint(BARE, MARK.encode()))
        ours.append(first_paint(argv, ANY_ROW))
    middle, reference = statistics.median(ours), statistics.median(bare)
    note = f"{middle * 1000:.0f} ms against {reference * 1000:.0f} ms"
    memory, base = resident(argv, ANY_ROW, 6.0), resident(BARE, MARK.encode(), 2.0)
    return [
        Figure("first useful paint / bare app", middle / reference, 2.0, "x", note),
        Figure("resident memory / bare app", memory / base, 1.5, "x", f"{memory:.0f} MB against {base:.0f} MB"),
    ]


def idle_figure(argv: Sequence[str], seconds: float) -> Figure:
    with open_terminal(argv, columns=COLUMNS, lines=LINES, emulate=False) as terminal:
        open_overview(terminal)
        terminal.drain(8.0)
        before = cpu_seconds(terminal.process.pid)
        terminal.drain(seconds)
        used = cpu_seconds(terminal.process.pid) - before
    return Figure("idle CPU of a core", 100 * used / seconds, 1.0, "%", f"over {seconds:.0f} s, its clock counting")


def replaced(path: Path, value: Any) -> None:
    """As OpenClaw writes: a temporary file, renamed over."""
    temporary = path.with_name(f"{path.name}.bench.tmp")
    temporary.write_text(json.dumps(value, indent=2) + "\n")
    temporary.chmod(0o600)
    temporary.rename(path)


def change_figure(argv: Sequence[str], state: big_state.BigState, rounds: int) -> Figure:
    """A profile's error count is changed on disk; its cell changes on the terminal."""
    document = json.loads(state.auth_state.read_text())
    took: list[float] = []
    with open_terminal(argv, columns=COLUMNS, lines=LINES, emulate=False) as terminal:
        open_overview(terminal)
        terminal.drain(4.0)
        for number in range(rounds):
            count = 10 + number
            for stats in document["usageStats"].values():
                stats["errorCount"] = count
            seen = len(terminal.raw)
            begun = time.monotonic()
            replaced(state.auth_state, document)
            took.append(terminal.wait_for_bytes(f"×{count}".encode(), seen) - begun)
            terminal.drain(1.0)
    note = f"median {1000 * statistics.median(took):.0f} ms of {rounds}"
    return Figure("file replaced -> cell changed, p95", 1000 * p95(took), 150.0, "ms", note)


def key_figure(argv: Sequence[str], state: big_state.BigState, rounds: int) -> Figure:
    """A key moves the cursor while 5 % of all rows change four times a second."""
    took: list[float] = []
    churner = [sys.executable, "-m", "tests.bench.churn", str(state.state_dir)]
    with open_terminal(argv, columns=COLUMNS, lines=LINES, emulate=False) as terminal:
        open_overview(terminal)
        terminal.drain(3.0)
        churn = subprocess.Popen(churner)
        try:
            terminal.drain(2.0)
            key = "j"
            for number in range(rounds):
                key = ("j", "k")[number // 4 % 2]
                seen = len(terminal.raw)
                begun = time.monotonic()
                terminal.send(key)
                took.append(terminal.wait_for_bytes(CURSOR, seen) - begun)
                terminal.drain(0.137)
        finally:
            churn.terminate()
            churn.wait()
    note = f"median {1000 * statistics.median(took):.1f} ms of {rounds}"
    return Figure("key -> paint while 5 % change, p95", 1000 * p95(took), 20.0, "ms", note)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--only", choices=("paint", "idle", "change", "key"), help="one part")
    options = parser.parse_args()
    rounds = 3 if options.quick else 9
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="clawtop-bench-") as place:
        state = big_state.make(Path(place), now=int(time.time() * 1000))
        argv = clawtop("--view", "overview", "--state-dir", str(state.state_dir))
        parts: dict[str, Callable[[], list[Figure]]] = {
            "paint": lambda: paint_figures(argv, rounds),
            "idle": lambda: [idle_figure(argv, 10.0 if options.quick else 30.0)],
            "change": lambda: [change_figure(argv, state, 10 if options.quick else 40)],
            "key": lambda: [key_figure(argv, state, 60 if options.quick else 200)],
        }
        for name, part in parts.items():
            if options.only in (None, name):
                for figure in part():
                    print(figure, flush=True)
                    figures.append(figure)
    return 0 if all(figure.met for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
