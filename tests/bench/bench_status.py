"""`clawtop status --json` beside `openclaw models status --json` (2026.5.20) on the same directory, in one run.

Run it: python -m tests.bench.bench_status. It fails below the target. The directory is the large one: 8 agents, 200
profiles, 2,000 sessions, 500 locks.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.interop.openclaw_install import installed
from tests.support.big_state import make

TARGET_RATIO = 8.0
ROUNDS = 7


def seconds(command: Sequence[str], env: Mapping[str, str]) -> float:
    """Wall time of one run."""
    started = time.perf_counter()
    subprocess.run(command, env=dict(env), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


def main() -> int:
    openclaw = installed()
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        state = make(home)
        theirs = openclaw.command("models", "status", "--json")
        their_env = openclaw.environment(home, state.state_dir)
        ours = [sys.executable, "-m", "clawtop", "status", "--json", "--state-dir", str(state.state_dir)]
        their_times, our_times = [], []
        for number in range(ROUNDS + 1):
            pair = seconds(theirs, their_env), seconds(ours, os.environ)
            if number:  # the first pair warms caches
                their_times.append(pair[0])
                our_times.append(pair[1])
    their_median, our_median = statistics.median(their_times), statistics.median(our_times)
    ratio = their_median / our_median
    verdict = "ok" if ratio >= TARGET_RATIO else "BELOW TARGET"
    print(f"openclaw models status --json  {their_median * 1000:7.0f} ms (median of {ROUNDS})")
    print(f"clawtop status --json          {our_median * 1000:7.0f} ms")
    print(f"ratio                          {ratio:7.1f} x  (target >= {TARGET_RATIO:g}) {verdict}")
    return 0 if ratio >= TARGET_RATIO else 1


if __name__ == "__main__":
    sys.exit(main())
