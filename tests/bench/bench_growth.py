"""How the dashboard grows with its sessions, in files: 200, 2,000, 20,000 of them."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.bench.bench_screen import ANY_ROW, COLUMNS, LINES, changes, first_paint, keys, open_overview, resident
from tests.bench.harness import Bench, Figure, Limit, Row, percentile
from tests.support import big_state
from tests.support.terminals import clawtop, open_terminal

SIZES = (200, 2_000, 20_000)
LINEAR = 10.0
"""Ten times as many sessions take at most so many times as long."""

KEY_MS, MEMORY_MB = 10.0, 120.0


@dataclass(frozen=True)
class Grown:
    """What one size took: ms, and MB."""

    paint: float
    change: float
    key: float
    resident: float
    samples: int


def grown(sessions: int, quick: bool) -> Grown:
    with tempfile.TemporaryDirectory(prefix="clawtop-bench-") as place:
        now = int(time.time() * 1000)
        state = big_state.make(Path(place), agents=1, profiles=25, sessions=sessions, locks=0, now=now)
        argv = clawtop("--view", "overview", "--no-gateway", "--state-dir", str(state.state_dir))
        paint = statistics.median(first_paint(argv, ANY_ROW) for _ in range(1 if quick else 5))
        memory = resident(argv, ANY_ROW, 8.0)
        count = 6 if quick else 200
        took = changes(argv, state.auth_state, count)
        with open_terminal(argv, columns=COLUMNS, lines=LINES, emulate=False) as terminal:
            open_overview(terminal)
            terminal.drain(8.0)
            pressed = keys(terminal, 2 * count)
        return Grown(paint, percentile(took, 0.95), percentile(pressed, 0.95), memory, count)


def figures(quick: bool) -> Iterator[Row]:
    before: Grown | None = None
    for size in SIZES:
        now = grown(size, quick)
        linear = (LINEAR, Limit.TIMES) if before is not None else (0.0, Limit.NONE)
        last = size == SIZES[-1]
        note = "peer: a tenth of them" if before is not None else ""
        for what, value, peer in (
            ("first paint", now.paint, before.paint if before is not None else None),
            ("file replaced -> changed cell, p95", now.change, before.change if before is not None else None),
        ):
            yield Figure(f"{size:,} sessions: {what}", value, "ms", *linear, peer=peer, samples=now.samples, note=note)
        key = (KEY_MS, Limit.AT_MOST) if last else (0.0, Limit.NONE)
        yield Figure(f"{size:,} sessions: key -> paint, p95", now.key, "ms", *key, samples=2 * now.samples)
        memory = (MEMORY_MB, Limit.AT_MOST) if last else (0.0, Limit.NONE)
        yield Figure(f"{size:,} sessions: resident memory", now.resident, "MB", *memory)
        before = now


BENCHES = (Bench("growth", "200, 2,000 and 20,000 sessions in files", 1_080, 110, figures, long=True),)
