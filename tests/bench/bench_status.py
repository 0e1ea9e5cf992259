"""`clawtop status --json` beside `openclaw models status --json` (2026.5.20) on the same directory, in one run."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.bench.harness import Bench, Figure, Limit, Row, Skipped, interleaved
from tests.interop.openclaw_install import VERSION, OpenClaw, installed, why_not_here
from tests.support.big_state import make

LARGE, SMALL = 15.0, 18.0
LIBRARIES = "argparse, dataclasses, datetime, enum, hashlib, json, pathlib, re, socket, threading, typing, urllib.parse"
"""What any such command has to load, whatever it does."""


def milliseconds(command: Sequence[str], env: Mapping[str, str]) -> float:
    """Wall time of one run."""
    started = time.perf_counter()
    subprocess.run(command, env=dict(env), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    return 1000 * (time.perf_counter() - started)


def compared(what: str, openclaw: OpenClaw, state_dir: Path, rounds: int, limit: float) -> Figure:
    theirs = openclaw.command("models", "status", "--json"), openclaw.environment(state_dir.parent, state_dir)
    ours = [sys.executable, "-m", "clawtop", "status", "--json", "--state-dir", str(state_dir)]
    floor = [sys.executable, "-c", f"import {LIBRARIES}"]
    mine, peers, floors = interleaved(
        [
            lambda: milliseconds(ours, os.environ),
            lambda: milliseconds(*theirs),
            lambda: milliseconds(floor, os.environ),
        ],
        rounds,
    )
    return Figure(
        what,
        statistics.median(mine),
        "ms",
        limit,
        Limit.FASTER,
        peer=statistics.median(peers),
        floor=statistics.median(floors),
        samples=rounds,
        note="openclaw models status --json; floor: python with the libraries that it loads",
    )


def figures(quick: bool) -> Iterator[Row]:
    sizes: tuple[tuple[str, float, dict[str, int]], ...] = (
        ("status --json, 200 profiles and 2,000 sessions", LARGE, {}),
        ("status --json, 4 profiles and 4 sessions", SMALL, {"agents": 1, "profiles": 4, "sessions": 4, "locks": 0}),
    )
    why = why_not_here(VERSION)
    for what, limit, size in sizes:
        if why:
            yield Skipped(what, why)
            continue
        with tempfile.TemporaryDirectory() as directory:
            state = make(Path(directory), **size)
            yield compared(what, installed(), state.state_dir, 2 if quick else 5, limit)


BENCHES = (Bench("status", "status --json beside OpenClaw's models status --json", 30, 15, figures),)
