"""What all benchmarks share: figures and their limits, samples, the one table, and the results that are kept.

A benchmark is a module `bench_NAME` here with its `BENCHES`. Limits on times and sizes depend on the machine and
are only reported; a limit on a ratio to a peer measured in the same run is what a run can fail on.
"""

from __future__ import annotations

import contextlib
import enum
import json
import os
import platform
import re
import resource
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
RESULTS = Path(__file__).parent / "results"
README = ROOT / "README.md"
PAGE_SIZE = os.sysconf("SC_PAGE_SIZE")
TICKS = os.sysconf("SC_CLK_TCK")
ENOUGH = 200
"""Samples that a percentile needs."""


# --- figures -----------------------------------------------------------------------------------------------------


class Limit(enum.Enum):
    """What a limit is set on."""

    NONE = "none"
    AT_MOST = "at most"
    AT_LEAST = "at least"
    TIMES = "times the peer, at most"
    FASTER = "times faster than the peer, at least"
    MORE = "times what the peer does, at least"

    @property
    def is_ratio(self) -> bool:
        """Whether the machine cancels out."""
        return self in {Limit.TIMES, Limit.FASTER, Limit.MORE}


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure. `peer` is another program doing the same, `floor` what nobody undercuts; all in `unit`."""

    what: str
    ours: float
    unit: str
    limit: float = 0.0
    on: Limit = Limit.AT_MOST
    peer: float | None = None
    floor: float | None = None
    samples: int = 1
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """Ours to the peer's - to the floor where there is no peer -, the way round that the limit has it."""
        base = self.peer if self.peer is not None else self.floor
        if base is None or not base or not self.ours:
            return None
        return base / self.ours if self.on is Limit.FASTER else self.ours / base

    @property
    def met(self) -> bool | None:
        """Whether the limit holds; None where there is none, or nothing to compare with."""
        value = self.ratio if self.on.is_ratio else self.ours
        if self.on is Limit.NONE or value is None:
            return None
        return value <= self.limit if self.on in {Limit.AT_MOST, Limit.TIMES} else value >= self.limit

    @property
    def of_too_few(self) -> bool:
        """Whether it names a percentile that so few samples do not have."""
        return self.samples < ENOUGH and re.search(r"\bp\d\d\b", self.what) is not None


@dataclass(frozen=True, slots=True)
class Skipped:
    """A figure that could not be taken here, and why."""

    what: str
    why: str


Row = Figure | Skipped


@dataclass(frozen=True, slots=True)
class Bench:
    """A subject. `seconds` and `quick_seconds`: how long it takes on two quiet cores; `figures(quick)` measures.

    `long`: too long for a quick run of all; it is taken there only when it is named.
    """

    name: str
    what: str
    seconds: int
    quick_seconds: int
    figures: Callable[[bool], Iterator[Row]]
    long: bool = False


# --- samples -----------------------------------------------------------------------------------------------------


def percentile(values: Iterable[float], share: float) -> float:
    """The value that this share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def cpu_of(pid: int) -> float:
    """Seconds of processor time that a running process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident_mb(pid: int) -> float:
    """Resident memory of a running process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_SIZE / 1e6


def cpu_ms(command: Sequence[str], env: Mapping[str, str] | None = None) -> float:
    """Processor time of one run of a program, in ms."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False, cwd=ROOT, env=env
    )
    assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stderr[-2_000:]}"
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1000 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def interleaved(sides: Sequence[Callable[[], float]], rounds: int) -> list[list[float]]:
    """So many values of each side, taken in turn, after one of each that warms up and does not count."""
    taken: list[list[float]] = [[] for _ in sides]
    for number in range(rounds + 1):
        for side, values in zip(sides, taken, strict=True):
            value = side()
            if number:
                values.append(value)
    return taken


def noise() -> str:
    """How quiet the machine is: its load, and what a fixed loop takes, best to worst."""
    cpu, wall = [], []
    for _ in range(40):
        began, since = time.process_time(), time.perf_counter()
        sum(range(200_000))
        cpu.append((time.process_time() - began) * 1000)
        wall.append((time.perf_counter() - since) * 1000)
    load = " ".join(f"{value:.2f}" for value in os.getloadavg())
    return (
        f"load {load}; a fixed loop: {min(cpu):.1f}-{max(cpu):.1f} ms of CPU, "
        f"{statistics.median(wall) / statistics.median(cpu):.2f}x that by the wall"
    )


def machine() -> str:
    """What the figures were taken on."""
    cores = len(os.sched_getaffinity(0))
    return f"{cores} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"


# --- one subject in a process of its own -------------------------------------------------------------------------


def measured(bench: Bench, quick: bool, into: Path) -> tuple[list[Row], str | None]:
    """Its rows, and what broke it. A process of its own: what it imports and warms is not the next one's.

    One that is interrupted leaves what it took: `rows_in` reads it.
    """
    words = [sys.executable, "-m", "tests.bench", "--measure", bench.name, "--into", str(into)]
    into.write_text("")
    limit = 180 + 4 * (bench.quick_seconds if quick else bench.seconds)
    child = subprocess.Popen(
        [*words, *(["--quick"] if quick else [])],
        cwd=ROOT,
        env={**os.environ, "TERM": "xterm-256color"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    broke = None
    try:
        said, _ = child.communicate(timeout=limit)
        if child.returncode:
            broke = (said.strip().splitlines() or ["no word"])[-1]
    except subprocess.TimeoutExpired:
        broke = f"not done after {limit} s"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    return rows_in(into), broke


def rows_in(told: Path) -> list[Row]:
    """The rows that were told so far."""
    return [_row(json.loads(line)) for line in told.read_text().splitlines()] if told.exists() else []


def tell(bench: Bench, quick: bool, into: Path) -> None:
    """Measure here, a line for each row."""
    with into.open("a") as file:
        for row in bench.figures(quick):
            value = asdict(row)
            if isinstance(row, Figure):
                value["on"] = row.on.name
            file.write(json.dumps(value) + "\n")
            file.flush()


def _row(value: dict[str, Any]) -> Row:
    return Skipped(**value) if "why" in value else Figure(**{**value, "on": Limit[value["on"]]})


# --- several rounds ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Taken:
    """A figure of all rounds: the one in the middle, and the span of ours."""

    bench: str
    figure: Figure
    least: float
    most: float
    rounds: int


def gathered(bench: str, rounds: Sequence[Sequence[Row]]) -> list[Taken | Skipped]:
    """Each figure once, in the order in which they were taken first."""
    found: dict[str, list[Figure]] = {}
    skipped: dict[str, Skipped] = {}
    for rows in rounds:
        for row in rows:
            if isinstance(row, Figure):
                found.setdefault(row.what, []).append(row)
            else:
                skipped[row.what] = row
    taken: list[Taken | Skipped] = []
    for each in found.values():
        ordered = sorted(each, key=lambda one: one.ratio if one.on.is_ratio and one.ratio else one.ours)
        values = [one.ours for one in each]
        taken.append(Taken(bench, ordered[len(ordered) // 2], min(values), max(values), len(values)))
    return [*taken, *skipped.values()]


# --- the table ---------------------------------------------------------------------------------------------------

_WIDTHS = (50, 12, 12, 12, 8, 10, 7)
HEADING = ("what", "ours", "peer", "floor", "ratio", "limit", "")


def line(cells: Sequence[str]) -> str:
    """Cells below their headings."""
    first, *rest = zip(cells, _WIDTHS, strict=True)
    return f"{first[0]:<{first[1]}}" + "".join(f"{text:>{width}}" for text, width in rest)


def in_words(taken: Taken | Skipped) -> str:
    """A line of the table."""
    if isinstance(taken, Skipped):
        return f"{taken.what:<{_WIDTHS[0]}}  skipped: {taken.why}"
    one = taken.figure
    cells = (
        one.what,
        _with_unit(one.ours, one.unit),
        _with_unit(one.peer, one.unit),
        _with_unit(one.floor, one.unit),
        f"{one.ratio:.2f}x" if one.ratio is not None else "-",
        _bound(one.on, one.limit),
        {True: "met", False: "MISSED", None: "-"}[one.met],
    )
    notes = [one.note] if one.note else []
    if one.samples > 1:
        notes.append(f"{one.samples} samples")
    if taken.rounds > 1:
        notes.append(f"{_short(taken.least)} - {_short(taken.most)} in {taken.rounds} rounds")
    return line(cells) + ("   " + "; ".join(notes) if notes else "")


_SIGNS = {Limit.AT_MOST: "<=", Limit.TIMES: "<=", Limit.AT_LEAST: ">=", Limit.FASTER: ">=", Limit.MORE: ">="}


def _bound(on: Limit, limit: float) -> str:
    return f"{_SIGNS[on]} {_short(limit)}{'x' if on.is_ratio else ''}" if on in _SIGNS else "-"


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _with_unit(value: float | None, unit: str) -> str:
    return "-" if value is None else f"{_short(value)} {unit}".rstrip()


# --- what is kept ------------------------------------------------------------------------------------------------


def as_json(taken: Taken) -> dict[str, Any]:
    """A figure as it is kept and as --json gives it."""
    one = taken.figure
    return {
        "bench": taken.bench,
        **asdict(one),
        "on": one.on.value,
        "ratio": one.ratio,
        "met": one.met,
        "least": taken.least,
        "most": taken.most,
        "rounds": taken.rounds,
    }


def commit() -> str:
    """The commit that is measured, with + where the checkout has changes."""
    command = ["git", "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=20, check=False)
    return done.stdout.strip() or "unknown"


def keep(run: Mapping[str, Any], directory: Path = RESULTS) -> Path:
    """Put a run into its commit's file, in the place of what was kept of the same run before."""
    directory.mkdir(exist_ok=True)
    path = directory / f"{run['commit'].replace('+', '-changed')}.json"
    runs = json.loads(path.read_text()) if path.exists() else []
    runs = [*(each for each in runs if each["at"] != run["at"]), run]
    whole = path.with_suffix(".new")
    whole.write_text("[\n" + ",\n".join(json.dumps(each) for each in runs) + "\n]\n")
    whole.replace(path)
    return path


_BARS = "▁▂▃▄▅▆▇█"


def kept_runs(directory: Path = RESULTS) -> list[dict[str, Any]]:
    """What was kept, oldest first; quick runs do not count."""
    kept = (run for path in directory.glob("*.json") for run in json.loads(path.read_text()))
    return sorted((run for run in kept if not run.get("quick")), key=lambda run: run["at"])


def history(directory: Path = RESULTS) -> Iterator[str]:
    """A line for each figure that was kept: its way over the runs, oldest first."""
    runs = kept_runs(directory)
    if not runs:
        yield f"nothing is kept in {directory.relative_to(ROOT)} yet: python -m tests.bench --keep"
        return
    yield f"{len(runs)} runs of {len({run['commit'] for run in runs})} commits, {runs[0]['at']} to {runs[-1]['at']}"
    ways: dict[str, list[dict[str, Any]]] = {}
    for run in runs:
        for one in run["figures"]:
            ways.setdefault(f"{one['bench']}: {one['what']}", []).append(one)
    for name, each in ways.items():
        values = [float(one["ours"]) for one in each]
        least, most = min(values), max(values)
        steps = [round((value - least) / (most - least) * 7) if most > least else 0 for value in values]
        drawn = "".join(_BARS[step] for step in steps)
        first, last = (_with_unit(values[at], each[at]["unit"]) for at in (0, -1))
        yield f"{name:<64} {drawn}  {first} -> {last}"


# --- what README quotes ------------------------------------------------------------------------------------------

FIRST_MARK, LAST_MARK = "<!-- figures of python -m tests.bench -->\n", "<!-- end of the figures -->\n"


class NothingToQuoteError(Exception):
    """No kept run of all benchmarks, or no place for its table; says which."""


def quoted(text: str, names: Iterable[str], runs: Sequence[Mapping[str, Any]]) -> str:
    """README's text with the table of the newest run of all benchmarks. Raises NothingToQuoteError."""
    before, mark, rest = text.partition(FIRST_MARK)
    _, end, after = rest.partition(LAST_MARK)
    if not mark or not end:
        raise NothingToQuoteError(f"there is no {FIRST_MARK.strip()} with a {LAST_MARK.strip()} after it")
    whole = whole_runs(runs, names)
    if not whole:
        raise NothingToQuoteError("no run of all benchmarks is kept: python -m tests.bench --keep")
    return before + mark + "\n".join(_quote(whole[-1])) + "\n" + end + after


def whole_runs(runs: Iterable[Mapping[str, Any]], names: Iterable[str]) -> list[Mapping[str, Any]]:
    """Those that came to all the benchmarks of these names."""
    wanted = set(names)
    return [run for run in runs if wanted <= set(run.get("benches", ())) and not run["left_out"]]


def _quote(run: Mapping[str, Any]) -> Iterator[str]:
    """The machine, how many limits are met, and the figures that have limits: the missed ones before the others."""
    limited = [one for one in run["figures"] if one["met"] is not None]
    missed, met = ([one for one in limited if one["met"] is is_met] for is_met in (False, True))
    yield f"{run['machine']}; commit {run['commit']}, {run['at'][:10]}; before it: {run['noise'][0]}."
    if run["broken"]:
        yield f"Broke, so that figures are missing: {', '.join(run['broken'])}."
    yield f"{len(met)} of {len(limited)} limits are met{'; missed:' if missed else '.'}"
    if missed:
        yield from _rows(missed)
    if met:
        yield from ("", "<details><summary>Met</summary>", *_rows(met), "", "</details>")


def _rows(figures: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield ""
    yield "| | clawtop | beside it | at best | limit |"
    yield "|---|---|---|---|---|"
    for one in figures:
        on = Limit(one["on"])
        ours, peer, floor = (_with_unit(one[name], one["unit"]) for name in ("ours", "peer", "floor"))
        ours += f", {one['ratio']:.2f}x" if on.is_ratio else ""
        yield f"| {one['what']} | {ours} | {peer} | {floor} | {_bound(on, one['limit'])} |"
