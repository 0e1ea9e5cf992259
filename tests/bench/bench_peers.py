"""The dashboard beside two other programs for a terminal, on a small state: htop, and clawmonitor, which asks OpenClaw.

No limits: they show other things. They say what people are used to.
"""

from __future__ import annotations

import os
import re
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.bench_screen import COLUMNS, CURSOR, LINES
from tests.bench.harness import Bench, Figure, Limit, Row, Skipped, cpu_of, interleaved, percentile, resident_mb
from tests.interop.openclaw_install import VERSION, installed, why_not_here
from tests.support import big_state
from tests.support.terminals import Terminal, clawtop, open_terminal

DOWN, UP = "\x1bOB", "\x1bOA"
"""As a terminal sends them to a program that asked for application keys, as curses does."""

SMALL = {"agents": 1, "profiles": 4, "sessions": 4, "locks": 0}


@dataclass(frozen=True)
class Program:
    """A program: `shows` is on its first useful screen, `moves` comes when an arrow key moved its cursor."""

    name: str
    argv: list[str]
    shows: bytes
    moves: bytes
    environment: Mapping[str, str] = field(default_factory=dict)

    def opened(self) -> Terminal:
        return Terminal(self.argv, columns=COLUMNS, lines=LINES, environment=self.environment, emulate=False)

    def first_paint(self) -> float:
        """From its start to `shows`, in ms."""
        begun = time.monotonic()
        terminal = self.opened()
        try:
            return 1000 * (terminal.wait_for_bytes(self.shows, 0, 120.0) - begun)
        finally:
            terminal.close()


@dataclass(frozen=True)
class Lasting:
    """What a program takes while it stands open: MB, share of a core in %, ms from a key to the paint (p95)."""

    resident: float
    idle: float
    key: float
    keys: int


def lasting(program: Program, seconds: float, rounds: int) -> Lasting:
    with open_terminal(
        program.argv, columns=COLUMNS, lines=LINES, environment=program.environment, emulate=False
    ) as terminal:
        terminal.wait_for_bytes(program.shows, 0, 120.0)
        terminal.drain(8.0)
        before = cpu_of(terminal.process.pid)
        terminal.drain(seconds)
        used = cpu_of(terminal.process.pid) - before
        took: list[float] = []
        for number in range(rounds + 2):
            seen, begun = len(terminal.raw), time.monotonic()
            terminal.send((DOWN, UP)[number // 2 % 2])
            took.append(1000 * (terminal.wait_for_bytes(program.moves, seen, 60.0) - begun))
            terminal.drain(0.05)
        return Lasting(resident_mb(terminal.process.pid), 100 * used / seconds, percentile(took[2:], 0.95), rounds)


def measured(program: Program, quick: bool) -> Lasting:
    return lasting(program, 5.0 if quick else 10.0, 16 if quick else 200)


def beside(ours: Program, mine: Lasting, peer: Program, quick: bool) -> Iterator[Row]:
    rounds = 2 if quick else 3
    our_paints, their_paints = interleaved([ours.first_paint, peer.first_paint], rounds)
    paints = statistics.median(our_paints), statistics.median(their_paints)
    theirs = measured(peer, quick)
    for what, unit, mine_now, theirs_now, samples in (
        ("first useful paint", "ms", *paints, rounds),
        ("resident memory", "MB", mine.resident, theirs.resident, 1),
        ("idle, of a core", "%", mine.idle, theirs.idle, 1),
        ("key -> paint, p95", "ms", mine.key, theirs.key, mine.keys),
    ):
        yield Figure(f"{what}, beside {peer.name}", mine_now, unit, on=Limit.NONE, peer=theirs_now, samples=samples)


def figures(quick: bool) -> Iterator[Row]:
    with tempfile.TemporaryDirectory(prefix="clawtop-bench-") as place:
        state = big_state.make(Path(place), now=int(time.time() * 1000), **SMALL)
        words = clawtop("--view", "overview", "--no-gateway", "--state-dir", str(state.state_dir))
        ours = Program("clawtop", words, rb"main-\d+", CURSOR)
        mine = measured(ours, quick)
        for peer in (_htop(), _clawmonitor(state.state_dir)):
            if isinstance(peer, Skipped):
                yield peer
            else:
                yield from beside(ours, mine, peer, quick)


def _htop() -> Program | Skipped:
    if shutil.which("htop") is None:
        return Skipped("beside htop", "htop is not installed: apt install htop")
    return Program("htop", ["htop"], b"Command", rb"\x1b\[")


def _clawmonitor(state_dir: Path) -> Program | Skipped:
    program = shutil.which("clawmonitor", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")
    if program is None:
        return Skipped("beside clawmonitor", "clawmonitor is not installed: pip install -e '.[dev,bench]'")
    if why := why_not_here(VERSION):
        return Skipped("beside clawmonitor", why)
    openclaw = installed(VERSION)
    environment = openclaw.environment(state_dir.parent, state_dir)
    words = [program, "--openclaw-root", str(state_dir), "tui"]
    return Program("clawmonitor", words, re.escape(b"agent:main"), rb"\x1b\[|\r", environment)


BENCHES = (Bench("peers", "start, memory, idle and keys beside htop and clawmonitor", 120, 70, figures, long=True),)
