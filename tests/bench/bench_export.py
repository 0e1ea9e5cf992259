"""The exporter on a large state (200 profiles, 2,000 sessions): a scrape, and what it costs while nothing changes.

    python -m tests.bench.bench_export [--seconds S]

CPU time, since a loaded machine makes wall time longer. Exits 1 when a limit is missed.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from clawtop.clock import SystemClock
from clawtop.export.exposition import Exporter
from tests.bench.bench_screen import Figure, cpu_seconds
from tests.support import big_state

SCRAPES = 40
SETTLE_S = 12.0
"""What is read in the beginning - details of many sessions - is not what it costs to stay."""


def scrape_figure(state_dir: Path) -> Figure:
    from clawtop.cli.common import open_incident_reader

    reader = open_incident_reader(argparse.Namespace(state_dir=str(state_dir), agent=None, at=None, no_gateway=True))
    exporter = Exporter(SystemClock())
    exporter.take(reader.read())
    took = []
    for _ in range(SCRAPES):
        began = time.process_time()
        text = exporter.text()
        took.append((time.process_time() - began) * 1000)
    note = f"CPU, median of {SCRAPES}; {len(text) / 1000:.0f} kB, {text.count(chr(10).encode())} lines"
    return Figure("a scrape", statistics.median(took), 20.0, "ms", note)


def idle_figure(state_dir: Path, seconds: float) -> Figure:
    words = [sys.executable, "-m", "clawtop", "export", "--listen", "127.0.0.1:0", "--state-dir", str(state_dir)]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as child:
        assert child.stderr is not None
        url = child.stderr.readline().rsplit(" ", 1)[1].strip()
        with urllib.request.urlopen(url, timeout=60) as answer:
            answer.read()
        time.sleep(SETTLE_S)
        before = cpu_seconds(child.pid)
        time.sleep(seconds)
        used = cpu_seconds(child.pid) - before
        child.terminate()
    return Figure("exporter, nothing changes", 100 * used / seconds, 0.5, "%", f"of a core, over {seconds:.0f} s")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.bench_export")
    parser.add_argument("--seconds", type=float, default=30.0)
    wishes = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        made = big_state.make(Path(root))
        found = [scrape_figure(made.state_dir), idle_figure(made.state_dir, wishes.seconds)]
    print(*found, sep="\n")
    return 0 if all(figure.met for figure in found) else 1


if __name__ == "__main__":
    sys.exit(main())
