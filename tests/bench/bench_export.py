"""The exporter on a large state (200 profiles, 2,000 sessions): a scrape, and what it costs while nothing changes.

CPU time, since a loaded machine makes wall time longer.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from clawtop.clock import SystemClock
from clawtop.export.exposition import Exporter
from tests.bench.harness import Bench, Figure, Row, cpu_of
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
    note = f"CPU, median; {len(text) / 1000:.0f} kB, {text.count(chr(10).encode())} lines"
    return Figure(
        "a scrape of 200 profiles and 2,000 sessions", statistics.median(took), "ms", 20.0, samples=SCRAPES, note=note
    )


def idle_figure(state_dir: Path, seconds: float, *, notices: bool) -> Figure:
    """`notices`: an `on_notice` command is set, so that the state is judged too."""
    words = [sys.executable, "-m", "clawtop", "export", "--listen", "127.0.0.1:0", "--state-dir", str(state_dir)]
    env = {**os.environ, **({"CLAWTOP_ON_NOTICE": "true"} if notices else {})}
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=env) as child:
        assert child.stderr is not None
        url = child.stderr.readline().rsplit(" ", 1)[1].strip()
        with urllib.request.urlopen(url, timeout=60) as answer:
            answer.read()
        time.sleep(SETTLE_S)
        before = cpu_of(child.pid)
        time.sleep(seconds)
        used = cpu_of(child.pid) - before
        child.terminate()
    what = "exporter while nothing changes, of a core" + (", with on_notice" if notices else "")
    return Figure(what, 100 * used / seconds, "%", 0.5, note=f"over {seconds:.0f} s")


def figures(quick: bool) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as root:
        made = big_state.make(Path(root))
        yield scrape_figure(made.state_dir)
        for notices in (False, True):
            yield idle_figure(made.state_dir, 5.0 if quick else 30.0, notices=notices)


BENCHES = (Bench("export", "a scrape, and the exporter while nothing changes", 92, 42, figures),)
