"""Soak: `python -m tests.soak` (ten minutes of real time, a simulated day of 10,000 snapshots), `--short` for CI.

Memory, descriptors, threads and tasks have to be flat: a straight line through what was sampled may not rise.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time

from tests.soak.day import live_a_day
from tests.soak.opening import open_dashboards_screens, open_fleets_screens
from tests.soak.samples import Verdict, judged, last_hour
from tests.soak.screen import watch_the_reef

LONG, SHORT = (600.0, 60.0, 10_000), (25.0, 6.0, 1_000)
"""Seconds before the screen, how many of them it is not read, snapshots of the day."""


def soak(seconds: float, stuck_s: float, snapshots: int) -> list[Verdict]:
    """Run both, print what was found, and give all verdicts."""
    began = time.monotonic()
    samples, delivered = asyncio.run(live_a_day(snapshots))
    day = [*judged(samples), last_hour(samples)]
    print(f"a simulated day, {delivered} snapshots delivered in {time.monotonic() - began:.0f} s")
    print(*(verdict.line() for verdict in day), sep="\n")
    seen, draws = watch_the_reef(seconds, stuck_s)
    screen = judged(seen, rss_kb=8192)
    print(f"the dashboard on the demo's world, {seconds:.0f} s, {stuck_s:.0f} s of them unread; draws on: {draws}")
    print(*(verdict.line() for verdict in screen), sep="\n")
    drawn = Verdict("still draws", 0, 0, 0.0 if draws else 1.0, 0.0)
    return [*day, *screen, drawn]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--short", action="store_true", help="about a minute")
    parser.add_argument("--seconds", type=float, help="of real time before the screen")
    parser.add_argument("--snapshots", type=int, help="of the simulated day")
    parser.add_argument("--screens", type=int, metavar="N", help="instead: open and close every screen N times")
    parser.add_argument("--seed", type=int, default=1, help="of what comes between (with --screens)")
    wishes = parser.parse_args()
    if wishes.screens:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # a dashboard ends when its terminal's other end is closed
        began = time.monotonic()
        for opened in (open_dashboards_screens, open_fleets_screens):
            print(asyncio.run(opened(wishes.screens, wishes.seed)).line(), flush=True)
        print(f"none failed, in {time.monotonic() - began:.0f} s")
        return 0
    seconds, stuck, snapshots = SHORT if wishes.short else LONG
    verdicts = soak(wishes.seconds or seconds, stuck, wishes.snapshots or snapshots)
    grows = [verdict.what for verdict in verdicts if not verdict.flat]
    print(f"{len(verdicts)} figures, {len(grows)} grow" + (f": {', '.join(grows)}" if grows else ""))
    return 1 if grows else 0


if __name__ == "__main__":
    sys.exit(main())
