"""Every figure that is promised, in one table: python -m tests.bench [--only NAME[,NAME]] [--quick] [--repeat N].

Exit codes: 1 - a limit on a ratio is missed; 2 - a benchmark broke; 64 - a word was not understood; 65 - nothing is
kept that --readme could quote; 130, 143 - it was cut. Limits on times and sizes are reported alone: they are the
machine's as well.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import json
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from tests.bench import harness
from tests.bench.harness import Bench, Row, Skipped, Taken


def benches() -> dict[str, Bench]:
    """All, by name."""
    modules = sorted(path.stem for path in Path(__file__).parent.glob("bench_*.py"))
    found = (importlib.import_module(f"tests.bench.{module}").BENCHES for module in modules)
    return {bench.name: bench for each in found for bench in each}


def _options(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--only", default="", metavar="NAME[,NAME]", help="these alone")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="fewer samples, and without the longest: whether all works, not how fast it is",
    )
    parser.add_argument(
        "--repeat", type=int, default=1, metavar="N", help="N rounds; the table has the one in the middle"
    )
    parser.add_argument("--json", action="store_true", help="the run as JSON")
    parser.add_argument(
        "--keep",
        action="store_true",
        help="keep the run in its commit's file in tests/bench/results, after each benchmark",
    )
    parser.add_argument("--history", action="store_true", help="draw what is kept")
    parser.add_argument(
        "--readme", action="store_true", help="quote the newest kept run of all benchmarks in README.md"
    )
    parser.add_argument("--list", action="store_true", help="name each with how long it takes")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--into", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> int:
    options = _options(words)
    if options.history:
        print("\n".join(harness.history()))
        return 0
    known = benches()
    if options.readme:
        return _quote(known)
    if options.measure:
        harness.tell(known[options.measure], options.quick, options.into)
        return 0
    if options.list:
        for bench in known.values():
            quick = f"quick {bench.quick_seconds:>3} s{', when named' if bench.long else ''}"
            print(f"{bench.name:<14} {_minutes(bench.seconds):>7}  {quick:<24}{bench.what}")
        whole, short = sum(each.seconds for each in known.values()), sum(each.quick_seconds for each in _quick(known))
        print(f"{'all':<14} {_minutes(whole):>7}  quick {short:>3} s")
        return 0
    all_of_them = [bench.name for bench in _quick(known)] if options.quick else list(known)
    wanted = [name for name in options.only.split(",") if name] or all_of_them
    unknown = [name for name in wanted if name not in known]
    if unknown:
        print(f"no such benchmark: {', '.join(unknown)}; there are: {', '.join(known)}", file=sys.stderr)
        return 64
    return _run([known[name] for name in wanted], options)


def _quote(known: Mapping[str, Bench]) -> int:
    try:
        text = harness.quoted(harness.README.read_text(), known, harness.kept_runs())
    except harness.NothingToQuoteError as error:
        print(f"README.md is unchanged: {error}", file=sys.stderr)
        return 65
    harness.README.write_text(text)
    return 0


def _quick(known: Mapping[str, Bench]) -> list[Bench]:
    return [bench for bench in known.values() if not bench.long]


def _minutes(seconds: int) -> str:
    return f"{seconds // 60}:{seconds % 60:02d}"


@dataclass
class Run:
    """What was taken so far; it is kept after each benchmark, so that one that is cut leaves the rest."""

    facts: dict[str, object]
    taken: list[Taken] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    """What is still to be taken; in the end, what a run that was cut did not come to."""

    @property
    def missed(self) -> list[Taken]:
        return [one for one in self.taken if one.figure.met is False]

    def value(self) -> dict[str, object]:
        """As it is kept."""
        return {
            **self.facts,
            "figures": [harness.as_json(one) for one in self.taken],
            "skipped": [{"what": one.what, "why": one.why} for one in self.skipped],
            "broken": self.broken,
            "left_out": self.left_out,
        }

    def summary(self) -> Iterator[str]:
        """The rows that missed their limits once more, and counts."""
        if self.missed:
            yield "missed:"
            yield from map(harness.in_words, self.missed)
        limited = sum(one.figure.met is not None for one in self.taken)
        parts = [f"{limited - len(self.missed)} of {limited} limits met, {len(self.taken)} figures"]
        parts += [f"{len(self.skipped)} skipped"] if self.skipped else []
        parts += [f"broken: {', '.join(self.broken)}"] if self.broken else []
        parts += [f"left out: {', '.join(self.left_out)}"] if self.left_out else []
        few = [] if self.facts["quick"] else [one.figure.what for one in self.taken if one.figure.of_too_few]
        parts += [f"percentiles of fewer than {harness.ENOUGH} samples: {', '.join(few)}"] if few else []
        yield "; ".join(parts)

    def exit_code(self) -> int:
        if self.broken:
            return 2
        return 1 if any(one.figure.on.is_ratio for one in self.missed) else 0


def _run(wanted: list[Bench], options: argparse.Namespace) -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what is being measured ends too
    say = functools.partial(print, file=sys.stderr if options.json else sys.stdout, flush=True)
    before = harness.noise()
    seconds = sum(bench.quick_seconds if options.quick else bench.seconds for bench in wanted) * options.repeat
    say(f"{harness.machine()}; commit {harness.commit()}; about {_minutes(seconds)} on a quiet machine")
    say(f"before: {before}")
    say(harness.line(harness.HEADING))
    facts = {"commit": harness.commit(), "at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
    run = Run({**facts, "machine": harness.machine(), "noise": [before], "quick": options.quick})
    run.left_out = [bench.name for bench in wanted]
    run.facts["benches"] = list(run.left_out)
    cut: int | None = None
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="clawtop-bench-") as place:
        for bench in wanted:
            since = time.monotonic()
            say(f"[{bench.name}]")
            cut = _take(bench, options, Path(place) / "rows", run, say)
            if cut is not None:
                say(f"cut in {bench.name}")
                break
            say(f"  {time.monotonic() - since:.0f} s of {bench.quick_seconds if options.quick else bench.seconds}")
            if options.keep:
                harness.keep(run.value())
    after = harness.noise()
    run.facts |= {"noise": [before, after], "seconds": round(time.monotonic() - began)}
    say(f"after: {after}; {_minutes(round(time.monotonic() - began))} min")
    say("\n".join(run.summary()))
    if options.json:
        print(json.dumps(run.value(), indent=1))
    if options.keep:
        say(f"kept in {harness.keep(run.value()).relative_to(harness.ROOT)}")
    return run.exit_code() if cut is None else cut


def _take(bench: Bench, options: argparse.Namespace, place: Path, run: Run, say: Callable[[str], None]) -> int | None:
    """All rounds of one benchmark, its rows said and added to the run; the exit code when it was interrupted."""
    rounds: list[list[Row]] = []
    cut: int | None = None
    try:
        for _ in range(options.repeat):
            rows, broke = harness.measured(bench, options.quick, place)
            rounds.append(rows)
            if broke is not None:
                run.broken += [bench.name] if bench.name not in run.broken else []
                say(f"BROKEN  {bench.name}: {broke}")
        run.left_out.remove(bench.name)
    except (KeyboardInterrupt, SystemExit) as end:
        rounds.append(harness.rows_in(place))
        cut = 130 if isinstance(end, KeyboardInterrupt) else 143
    for row in harness.gathered(bench.name, rounds):
        say(harness.in_words(row))
        if isinstance(row, Skipped):
            run.skipped.append(row)
        else:
            run.taken.append(row)
    return cut


if __name__ == "__main__":
    sys.exit(main())
