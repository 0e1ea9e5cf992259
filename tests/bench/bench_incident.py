"""The incident view on a large state, a long log, and an hour of the demo."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clawtop.core.incident.blocking import blocking_tree
from clawtop.store.incident import IncidentPart
from clawtop.store.locks.processes import SystemProcesses
from clawtop.store.own.recording import load_recording
from clawtop.store.snapshot import SnapshotReader
from tests.bench.harness import Bench, Figure, Row, cpu_of
from tests.support import big_state
from tests.support.clocks import ManualClock
from tests.support.terminals import clawtop

LOG_LINES = 1_000_000
_READ_LOG = """\
import sys, time
from pathlib import Path
from clawtop.store.gateway.log import LogTail
from clawtop.store.gateway.log_lines import Names

def kilobytes(name):
    return int(Path("/proc/self/status").read_text().partition(name + ":")[2].split()[0])

before = kilobytes("VmRSS")
Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
tail, began = LogTail(), time.perf_counter()
tail.read(Path(sys.argv[1]), Names())
print(time.perf_counter() - began, (kilobytes("VmHWM") - before) / 1024, len(tail.events))
"""


def tree(root: Path) -> Iterator[Row]:
    """2,000 sessions, 500 locks, 200 profiles."""
    state = big_state.make(root)
    reader = SnapshotReader(
        state_dir=state.state_dir,
        env={},
        home=root,
        clock=ManualClock(big_state.NOW),
        processes=SystemProcesses(),
        port_probe=None,
        extra_parts=[IncidentPart()],
    )
    snapshot = reader.read()
    times = []
    for _ in range(21):
        began = time.perf_counter()
        nodes = blocking_tree(snapshot, big_state.NOW, snapshot.events)
        times.append((time.perf_counter() - began) * 1000)
    size = f"{len(snapshot.sessions)} sessions, {len(snapshot.locks)} locks, {len(nodes)} chains"
    yield Figure("blocking tree, the best", min(times), "ms", 20, samples=21, note=size)


def log(root: Path) -> Iterator[Row]:
    """A million lines, of which only the end is read."""
    path = root / "openclaw.log"
    line = json.dumps(
        {
            "0": json.dumps({"subsystem": "diagnostic"}),
            "1": "lane task done: lane=session:agent:main:main durationMs=412 active=0 queued=0",
            "_meta": {"runtime": "node", "hostname": "reef", "logLevelName": "DEBUG"},
            "time": "2026-11-20T22:34:27.123+00:00",
        }
    )
    block = (line + "\n") * 10_000
    with path.open("w") as file:
        for _ in range(LOG_LINES // 10_000):
            file.write(block)
    done = subprocess.run([sys.executable, "-c", _READ_LOG, str(path)], capture_output=True, text=True, check=True)
    seconds, megabytes, events = map(float, done.stdout.split())
    size = f"{path.stat().st_size / 1e6:.0f} MB, {events:.0f} events kept"
    yield Figure("a million log lines, opened", seconds, "s", 2, note=size)
    yield Figure("memory for a million log lines", megabytes, "MB", 64)


@contextmanager
def demo(root: Path, seconds: int) -> Iterator[Path]:
    """The demo's state directory while it plays; it is made below `root`."""
    playing = subprocess.Popen(
        clawtop("demo", "--headless", str(seconds)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "TMPDIR": str(root)},
    )
    try:
        while not (made := [path.parents[1] for path in root.glob("clawtop-demo-*/.openclaw/clawtop/*")]):
            assert playing.poll() is None, "the demo has ended"
            time.sleep(0.05)
        yield made[0]
    finally:
        playing.terminate()
        playing.wait()


def recording(root: Path, seconds: int) -> Iterator[Row]:
    """`clawtop record` beside the demo: its processor time once it runs, and its file."""
    out = root / "tape.clawtop"
    with demo(root, seconds + 30) as state:
        recorder = subprocess.Popen(
            clawtop("--state-dir", str(state), "record", "--out", str(out)), stderr=subprocess.DEVNULL
        )
        time.sleep(3)
        began, spent, size = time.monotonic(), cpu_of(recorder.pid), out.stat().st_size
        time.sleep(seconds)
        passed, spent = time.monotonic() - began, cpu_of(recorder.pid) - spent
        recorder.send_signal(signal.SIGINT)
        recorder.wait()
    grown = (out.stat().st_size - size) / passed * 3600 / 1e6
    frames = load_recording(out).frames
    note = f"{passed:.0f} s of the demo, {len(frames)} frames"
    yield Figure("recording, of a core", spent / passed * 100, "%", 1, note=note)
    yield Figure("recording, size of an hour", grown, "MB", 5, note="extrapolated")


def figures(quick: bool) -> Iterator[Row]:
    with tempfile.TemporaryDirectory(prefix="clawtop-bench-") as root:
        place = Path(root)
        yield from tree(place)
        yield from log(place)
        yield from recording(place, 6 if quick else 30)


BENCHES = (Bench("incident", "the blocking tree, a long log, recording", 50, 20, figures),)
