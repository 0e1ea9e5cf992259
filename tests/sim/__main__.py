"""Simulate the whole engine: many seeds (`--seeds N`, from `--seed S` on), or one with its course (`--seed S` alone).

A seed replays exactly. One that breaks a promise is shrunk to the acts that it takes, and its course is printed.
SIGINT or SIGTERM ends a run with the counts of what it played so far.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from tests.sim.whole.history import Act, Outcome, drawn, play, shrunk
from tests.sim.whole.many import ENOUGH, Report, simulate

TOLD_EVERY_S = 60.0


def show(seed: int, acts: tuple[Act, ...], outcome: Outcome) -> None:
    """Print one history."""
    print(f"seed {seed}: {outcome.broken or 'every promise kept'} ({len(acts)} acts, {outcome.steps} steps)")
    print(*(f"  {line}" for line in outcome.trace), sep="\n")


def progress() -> Callable[[Report, Outcome], None]:
    """Tell on standard error how far it is, now and then, and at once what breaks a promise."""
    last = 0.0

    def told(report: Report, outcome: Outcome) -> None:
        nonlocal last
        if outcome.broken:
            print(f"seed {outcome.seed}: {outcome.broken}", file=sys.stderr, flush=True)
        if report.seconds - last >= TOLD_EVERY_S:
            last = report.seconds
            done = f"{report.seeds} histories, {report.turns:,} turns in {last:.0f} s; broken: {len(report.broken)}"
            print(done, file=sys.stderr, flush=True)

    return told


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, help="how many (default: 20000)")
    parser.add_argument("--seed", type=int, help="the first; without --seeds: play this one alone and print its course")
    parser.add_argument("--seconds", type=float, help="begin no more seeds after so long")
    parser.add_argument("--jobs", type=int, help="processes (default: one for each core)")
    wishes = parser.parse_args()
    if wishes.seed is not None and wishes.seeds is None:
        outcome = play(wishes.seed, traced=True)
        show(wishes.seed, drawn(wishes.seed), outcome)
        if outcome.broken:
            print("shrunk:")
            show(wishes.seed, *shrunk(wishes.seed))
        return 1 if outcome.broken else 0
    report = simulate(
        wishes.seed or 0, wishes.seeds or 20_000, seconds=wishes.seconds, jobs=wishes.jobs, told=progress()
    )
    for outcome in report.broken[:20]:
        print(f"seed {outcome.seed}: {outcome.broken}")
    for outcome in report.broken[:1]:
        show(outcome.seed, *shrunk(outcome.seed))
    print(*report.lines(), sep="\n")
    return 1 if report.broken or (report.seeds >= ENOUGH and report.unfelt) else 0


if __name__ == "__main__":
    sys.exit(main())
