"""The dashboard over SSH from afar: 200 ms round trip, 64 kB/s. Bytes are what such a line has too few of."""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.bench.bench_screen import COLUMNS, LINES, PROFILE_ROW, keys, open_overview, replaced
from tests.bench.harness import Bench, Figure, Row, percentile
from tests.support import big_state
from tests.support.terminals import Terminal, clawtop, open_terminal

ROUND_TRIP_MS, BYTES_PER_SECOND = 200, 64_000
AFTER_PAINT_KB, CHANGES_KB, KEY_MS = 6.0, 2.0, ROUND_TRIP_MS + 30
SETTLED_S = 4.0


def first_screen(terminal: Terminal) -> Figure:
    terminal.wait_for_bytes(PROFILE_ROW, 0, 60.0)
    terminal.drain(0.3)
    painted = len(terminal.raw)
    terminal.drain(SETTLED_S)
    note = f"in {SETTLED_S:.0f} s, countdowns included; first paint {painted / 1000:.1f} kB"
    return Figure(
        "slow line: bytes after the first paint", (len(terminal.raw) - painted) / 1000, "kB", AFTER_PAINT_KB, note=note
    )


def changes(terminal: Terminal, auth_state: Path, rounds: int) -> Figure:
    """Every row on the screen changes at once."""
    document = json.loads(auth_state.read_text())
    sizes = []
    for number in range(rounds):
        for stats in document["usageStats"].values():
            stats["errorCount"] = 10 + number
        before = len(terminal.raw)
        replaced(auth_state, document)
        terminal.wait_for_bytes(f"×{10 + number}".encode(), before, 60.0)
        terminal.drain(1.0)
        sizes.append((len(terminal.raw) - before) / 1000)
    note = f"{len(document['usageStats'])} rows change; with the clock's second"
    return Figure(
        "slow line: bytes of a screen of changes", statistics.median(sizes), "kB", CHANGES_KB, samples=rounds, note=note
    )


def figures(quick: bool) -> Iterator[Row]:
    with tempfile.TemporaryDirectory(prefix="clawtop-bench-") as place:
        state = big_state.make(Path(place), now=int(time.time() * 1000))
        line = [sys.executable, "-m", "tests.bench.slow_line", str(ROUND_TRIP_MS), str(BYTES_PER_SECOND)]
        program = clawtop("--view", "overview", "--no-gateway", "--state-dir", str(state.state_dir))
        with open_terminal([*line, *program], columns=COLUMNS, lines=LINES, emulate=False) as terminal:
            yield first_screen(terminal)
            open_overview(terminal)
            yield changes(terminal, state.auth_state, 3 if quick else 10)
            took = keys(terminal, 12 if quick else 200, 0.03)
            note = f"median {statistics.median(took):.0f} ms; the line alone takes {ROUND_TRIP_MS} ms"
            yield Figure(
                "slow line: key -> paint, p95",
                percentile(took, 0.95),
                "ms",
                KEY_MS,
                floor=ROUND_TRIP_MS,
                samples=len(took),
                note=note,
            )


BENCHES = (Bench("slow-line", "over 200 ms round trip and 64 kB/s: bytes, key -> paint", 70, 20, figures),)
