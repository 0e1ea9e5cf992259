"""What a real gateway feels of clawtop: /healthz while clawtop watches (2026.9.6), and during a clear (2026.6.11); and
what watching a live gateway costs clawtop.
"""

from __future__ import annotations

import re
import statistics
import subprocess
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.bench_screen import COLUMNS, LINES
from tests.bench.harness import Bench, Figure, Limit, Row, Skipped, cpu_of, percentile
from tests.interop.fake_provider import FakeProvider
from tests.interop.gateways import GatewayLab, gateway_lab
from tests.interop.openclaw_install import installed, why_not_here
from tests.interop.test_databases import COOLING, DatabaseLab
from tests.interop.test_gateway import free_port
from tests.support.terminals import clawtop, open_terminal

WATCHED, CLEARED = "2026.9.6", "2026.6.11"
NOISE, FREEZE_MS = 1.25, 60.0
EVERY_S = 0.01
IDLE_PERCENT = 1.0
SETTLES_S = 15.0


class Health:
    """Asks /healthz again and again; how long each answer took, in ms."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}/healthz"

    def ask(self, times: int) -> list[float]:
        """So many answers, a hundredth of a second between them."""
        took = []
        for _ in range(times):
            began = time.monotonic()
            with urllib.request.urlopen(self._url, timeout=60) as answer:
                answer.read()
            took.append(1000 * (time.monotonic() - began))
            time.sleep(EVERY_S)
        return took

    @contextmanager
    def asking(self) -> Iterator[list[float]]:
        """Answers that come meanwhile."""
        took: list[float] = []
        over = threading.Event()

        def run() -> None:
            while not over.is_set():
                took.extend(self.ask(1))

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield took
        finally:
            over.set()
            thread.join()


def watched(lab: GatewayLab, rounds: int, times: int) -> Figure:
    """In turn: nobody watches, the dashboard watches."""
    health = Health(lab.port)
    health.ask(times)
    alone: list[float] = []
    beside: list[float] = []
    words = clawtop("--view", "overview", "--state-dir", str(lab.directory))
    for _ in range(rounds):
        alone += health.ask(times)
        with open_terminal(words, columns=COLUMNS, lines=LINES, environment=lab.env, emulate=False) as terminal:
            terminal.wait_for_bytes(re.escape(WATCHED).encode(), 0, 60.0)
            reading = threading.Thread(target=terminal.drain, args=(times * 0.05,))
            terminal.drain(3.0)
            reading.start()
            beside += health.ask(times)
            reading.join()
    return Figure(
        f"/healthz of {WATCHED} while clawtop watches, p99",
        percentile(beside, 0.99),
        "ms",
        NOISE,
        Limit.TIMES,
        peer=percentile(alone, 0.99),
        samples=len(beside),
        note=f"peer: nobody watches; medians {statistics.median(beside):.1f} and {statistics.median(alone):.1f} ms",
    )


def idle(lab: GatewayLab, seconds: float) -> Figure:
    """The CPU of a dashboard that shows a live gateway at which nothing happens."""
    words = clawtop("--view", "overview", "--state-dir", str(lab.directory))
    with open_terminal(words, columns=COLUMNS, lines=LINES, environment=lab.env, emulate=False) as terminal:
        terminal.wait_for_bytes(re.escape(lab.openclaw.version).encode(), 0, 60.0)
        terminal.drain(SETTLES_S)
        before, began = cpu_of(terminal.process.pid), time.monotonic()
        terminal.drain(seconds)
        used, took = cpu_of(terminal.process.pid) - before, time.monotonic() - began
    what = f"idle beside a live gateway of {lab.openclaw.version}, of a core"
    return Figure(what, 100 * used / took, "%", IDLE_PERCENT, note=f"over {took:.0f} s, by CPU time")


def cleared(lab: DatabaseLab, rounds: int) -> Iterator[Row]:
    """The longest answer of the gateway during a clear, beside its longest while a Node program of the same length
    writes the same row once; and for how long the clear held the row. In turn, so that all share the machine's load.
    """
    health = Health(lab.port)
    health.ask(100)
    control = lab.openclaw.script("database-writer.mjs", str(lab.database), *lab.cell, "fakeai:three", "1")
    theirs: list[float] = []
    ours: list[float] = []
    held: list[float] = []
    for _ in range(rounds):
        with health.asking() as took:
            receipt = lab.clawtop("clear", COOLING[0], "--yes", "--verify", "0")["receipt"]
        ours.append(max(took))
        held.append(receipt["lock"]["held_ms"])
        lab.clawtop("undo", "--yes")
        with health.asking() as took:
            subprocess.run(control, env=lab.env, check=True, stdout=subprocess.DEVNULL)
        theirs.append(max(took))
    alone = statistics.median(theirs)
    note = "of each clear the longest, the median of them; peer: a Node program writes the row; limit: 60 ms more"
    what = f"longest answer of {CLEARED} during a clear"
    yield Figure(what, statistics.median(ours), "ms", FREEZE_MS + alone, peer=alone, samples=rounds, note=note)
    most = f"the longest {max(held):.0f} ms; a gateway of {CLEARED} that writes meanwhile stands still for as long"
    yield Figure(
        f"how long a clear holds the row beside {CLEARED}",
        statistics.median(held),
        "ms",
        FREEZE_MS,
        samples=rounds,
        note=most,
    )


def figures(quick: bool) -> Iterator[Row]:
    for version, what in ((WATCHED, "a watched gateway"), (CLEARED, "a clear beside a gateway")):
        why = why_not_here(version)
        if why:
            yield Skipped(what, why)
            continue
        # Node still writes what it compiled while it ends; what broke before must not be hidden by that.
        with tempfile.TemporaryDirectory(prefix="clawtop-bench-", ignore_cleanup_errors=True) as place:
            if version == WATCHED:
                with gateway_lab(installed(version), Path(place)) as lab:
                    yield watched(lab, 1 if quick else 3, 100 if quick else 300)
                    yield idle(lab, 20.0 if quick else 50.0)
            else:
                with imported_lab(version, Path(place)) as imported:
                    yield from cleared(imported, 3 if quick else 12)


@contextmanager
def imported_lab(version: str, home: Path) -> Iterator[DatabaseLab]:
    """A gateway with accounts that cool, in its own databases."""
    with FakeProvider() as provider:
        lab = DatabaseLab(installed(version), home, provider, free_port())
        try:
            lab.prepare(COOLING)
            lab.import_store()
            lab.start()
            yield lab
        finally:
            lab.stop()


BENCHES = (
    Bench("gateway", "what a real gateway feels of being watched, and of a clear", 190, 120, figures, long=True),
)
