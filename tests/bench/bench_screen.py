"""The dashboard on a large state, through a real terminal, against a bare Textual app in the same run."""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from clawtop.store.watch import STEP_MS
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
WHOLE = rb"SESSIONS (?:\x1b\[[0-9;]*m)*\d|\d(?:\x1b\[[0-9;]*[A-Za-z]| )+(?:AGENT +)?STATUS"
"""How many sessions there are, in a frame of all the state or put into one of the accounts alone."""
PAINT, MEMORY, IDLE, CHANGE_MS, KEY_MS = 1.2, 1.4, 0.7, 120.0, 10.0
PAUSE_S = 0.35
"""Between changes: the dashboard reads four times a second at most, and the wait for that is not what is measured."""


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


def open_overview(terminal: Terminal) -> None:
    """Wait for the first paint and go to the overview."""
    terminal.wait_for_bytes(ANY_ROW, 0, 60.0)
    terminal.send("1")
    terminal.wait_for_bytes(PROFILE_ROW, 0, 60.0)


def seen_after(argv: Sequence[str], seen: Callable[[Terminal], bool], typed: str = "") -> float:
    """From starting a program, and typing, to what its terminal shows then, in ms: what a person sees, by an emulator.

    The time is that of the last byte that it took.
    """
    begun = time.monotonic()
    with open_terminal(argv, columns=COLUMNS, lines=LINES) as terminal:
        if typed:
            terminal.send(typed)
        terminal.wait_for(seen, 60.0)
        return 1000 * (terminal.read_at - begun)


def shows_accounts(terminal: Terminal) -> bool:
    """The row of a known account can be read, and how many accounts can be used."""
    return "profiles usable" in terminal.text and re.search(r"main-\d+ +[●◐○✗]", terminal.text) is not None


def shows_everything(terminal: Terminal) -> bool:
    """Sessions and locks too, and whether turns succeed."""
    return re.search(r"SESSIONS \d", terminal.text) is not None and "READING" not in terminal.text


def cursor_moved(terminal: Terminal) -> bool:
    """From the first account to the row below, as `j` does that was typed before there was anything to see."""
    rows = [line for line in terminal.lines if re.search(r"main-\d+ +[●◐○✗]", line)]
    here = any(line.startswith("▌") for line in terminal.lines)
    return here and bool(rows) and not rows[0].startswith("▌")


def paint_figures(large: Sequence[str], small: Sequence[str], rounds: int) -> Iterator[Figure]:
    sides: list[Callable[[], float]] = [
        lambda: seen_after(BARE, lambda terminal: MARK in terminal.text),
        *(partial(seen_after, argv, shows_accounts) for argv in (large, small)),
        *(partial(seen_after, argv, shows_everything) for argv in (large, small)),
        *(partial(seen_after, argv, cursor_moved, "j") for argv in (large, small)),
    ]
    bare, *ours = (statistics.median(taken) for taken in interleaved(sides, rounds))
    floor = "floor: a bare Textual app's first text"
    for number, (what, limit) in enumerate(
        (
            ("first useful paint", PAINT),
            ("first useful paint, small state", PAINT),
            ("all of the state painted", None),
            ("all of the state painted, small state", None),
            ("a key works", None),
            ("a key works, small state", None),
        )
    ):
        on = Limit.NONE if limit is None else Limit.TIMES
        yield Figure(what, ours[number], "ms", limit or 0.0, on, floor=bare, samples=rounds, note=floor)


@dataclass(frozen=True, slots=True)
class Standing:
    """What a program takes while it stands open: MB, and its share of a core in per cent."""

    resident: float
    idle: float


def standing(programs: Sequence[tuple[Sequence[str], bytes]], settle: float, seconds: float) -> list[Standing]:
    """Programs and their marks, open side by side: idle they leave the machine to each other, and share its noise."""
    with ExitStack() as stack:
        terminals = []
        for argv, mark in programs:
            opened = open_terminal(argv, columns=COLUMNS, lines=LINES, emulate=False)
            terminals.append(stack.enter_context(opened))
            terminals[-1].wait_for_bytes(mark, 0, 60.0)
        drained(terminals, settle)
        pids = [terminal.process.pid for terminal in terminals]
        memory, before = [resident_mb(pid) for pid in pids], [cpu_of(pid) for pid in pids]
        drained(terminals, seconds)
        used = [cpu_of(pid) - spent for pid, spent in zip(pids, before, strict=True)]
    return [Standing(mb, 100 * each / seconds) for mb, each in zip(memory, used, strict=True)]


def drained(terminals: Sequence[Terminal], seconds: float) -> None:
    """Read what they write for so long."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for terminal in terminals:
            terminal.read(0.05)


def standing_figures(large: Sequence[str], small: Sequence[str], settle: float, seconds: float) -> Iterator[Figure]:
    """The limit of idling is for a small state: a large one has more countdowns."""
    programs = [(BARE, MARK.encode()), (large, ANY_ROW), (small, ANY_ROW)]
    bare, many, few = standing(programs, settle, seconds)
    floor = "floor: a bare Textual app"
    yield Figure("resident memory", many.resident, "MB", MEMORY, Limit.TIMES, floor=bare.resident, note=floor)
    what, note = "idle, of a core, its clock counting", f"over {seconds:.0f} s; {floor}"
    yield Figure(f"{what}, small state", few.idle, "%", IDLE, floor=bare.idle, note=note)
    yield Figure(what, many.idle, "%", on=Limit.NONE, floor=bare.idle, note=note)


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
            count = 10 + number % 90  # two digits: a third makes room for itself, and all columns are laid out anew
            for stats in document["usageStats"].values():
                stats["errorCount"] = count
            seen = len(terminal.raw)
            begun = time.monotonic()
            replaced(auth_state, document)
            took.append(1000 * (terminal.wait_for_bytes(f"×{count}".encode(), seen, 60.0) - begun))
            terminal.drain(PAUSE_S)
    return took[1:]


def change_figure(argv: Sequence[str], state: big_state.BigState, rounds: int) -> Figure:
    took = changes(argv, state.auth_state, rounds)
    note = f"median {statistics.median(took):.0f} ms"
    what = "file replaced -> changed cell, p95"
    return Figure(what, percentile(took, 0.95), "ms", CHANGE_MS, floor=2.0 * STEP_MS, samples=len(took), note=note)


def keys(terminal: Terminal, rounds: int, pause_s: float = 0.137) -> list[float]:
    """From a key to the cursor elsewhere, in ms; the first four are not told."""
    took: list[float] = []
    for number in range(rounds + 4):
        seen = len(terminal.raw)
        begun = time.monotonic()
        terminal.send(("j", "k")[number // 4 % 2])
        took.append(1000 * (terminal.wait_for_bytes(CURSOR, seen, 60.0) - begun))
        terminal.drain(pause_s)
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
        young = big_state.make(
            Path(place) / "small", now=int(time.time() * 1000), agents=1, profiles=4, sessions=4, locks=0
        )
        small = clawtop("--view", "overview", "--state-dir", str(young.state_dir))
        yield from paint_figures(argv, small, 2 if quick else 11)
        yield from standing_figures(argv, small, 6.0 if quick else 10.0, 4.0 if quick else 30.0)
        yield change_figure(argv, state, 8 if quick else 200)
        yield key_figure(argv, state, 16 if quick else 200)


BENCHES = (Bench("screen", "first paint, memory, idle, change -> cell, key -> paint", 240, 55, figures),)
