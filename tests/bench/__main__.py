"""Every figure that is promised, in one table: python -m tests.bench [--only NAME[,NAME]] [--quick] [--repeat N].

Exit codes: 1 - a limit on a ratio is missed; 2 - a benchmark broke; 64 - a word was not understood. Limits on times
and sizes are reported alone: they are the machine's as well.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import json
import signal
import sys
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from tests.bench import harness
from tests.bench.harness import Bench, Figure, Row, Skipped, Taken


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
        "--keep", action="store_true", help="append the run to its commit's file in tests/bench/results"
    )
    parser.add_argument("--history", action="store_true", help="draw what is kept")
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


def _quick(known: Mapping[str, Bench]) -> list[Bench]:
    return [bench for bench in known.values() if not bench.long]


def _minutes(seconds: int) -> str:
    return f"{seconds // 60}:{seconds % 60:02d}"


def _run(wanted: list[Bench], options: argparse.Namespace) -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what is being measured ends too
    say = functools.partial(print, file=sys.stderr if options.json else sys.stdout, flush=True)
    before = harness.noise()
    seconds = sum(bench.quick_seconds if options.quick else bench.seconds for bench in wanted) * options.repeat
    say(f"{harness.machine()}; commit {harness.commit()}; about {_minutes(seconds)} on a quiet machine")
    say(f"before: {before}")
    say(harness.line(harness.HEADING))
    taken: list[Taken] = []
    skipped: list[Skipped] = []
    broken: list[str] = []
    with tempfile.TemporaryDirectory(prefix="clawtop-bench-") as place:
        for bench in wanted:
            say(f"[{bench.name}]")
            rounds: list[list[Row]] = []
            for _ in range(options.repeat):
                rows, broke = harness.measured(bench, options.quick, Path(place) / "rows")
                rounds.append(rows)
                if broke is not None:
                    broken.append(bench.name)
                    say(f"BROKEN  {bench.name}: {broke}")
            for row in harness.gathered(bench.name, rounds):
                say(harness.in_words(row))
                if isinstance(row, Skipped):
                    skipped.append(row)
                else:
                    taken.append(row)
    after = harness.noise()
    say(f"after: {after}")
    missed = [one.figure for one in taken if one.figure.met is False]
    say(_summary(taken, missed, skipped, broken))
    run = {
        "commit": harness.commit(),
        "at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "machine": harness.machine(),
        "noise": [before, after],
        "quick": options.quick,
        "figures": [harness.as_json(one) for one in taken],
        "skipped": [{"what": one.what, "why": one.why} for one in skipped],
        "broken": broken,
    }
    if options.json:
        print(json.dumps(run, indent=1))
    if options.keep:
        say(f"kept in {harness.keep(run).relative_to(harness.ROOT)}")
    if broken:
        return 2
    return 1 if any(figure.on.is_ratio for figure in missed) else 0


def _summary(taken: list[Taken], missed: list[Figure], skipped: list[Skipped], broken: list[str]) -> str:
    limited = sum(one.figure.met is not None for one in taken)
    parts = [f"{limited - len(missed)} of {limited} limits met, {len(taken)} figures"]
    parts += [f"{len(skipped)} skipped"] if skipped else []
    parts += [f"broken: {', '.join(dict.fromkeys(broken))}"] if broken else []
    return "; ".join(parts)


if __name__ == "__main__":
    sys.exit(main())
