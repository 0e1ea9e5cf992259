"""A fleet of made-up hosts on one screen: 10, 50 and 200, each with 50 profiles and 500 sessions.

    python -m tests.bench.bench_fleet [--hosts N ...] [--seconds S]

The transport plays recorded streams: figures are the near process's. CPU time is what is limited, since a loaded
machine makes wall time longer; each fleet has a process of its own. Exits 1 when a limit is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from clawtop.clock import SystemClock
from clawtop.core.fleet.summary import HostSummary, summarise
from clawtop.core.model import Snapshot
from clawtop.fleet.fleet import MIN_INTERVAL_S, Fleet
from clawtop.fleet.protocol import HEARTBEAT_S, MAX_LINE, SummaryWriter, encode
from clawtop.fleet.transport import HostSpec, Pipe
from clawtop.store.own.deltas import Changes
from clawtop.ui.fleet import FleetApp
from clawtop.ui.ports import IncidentPorts, Options
from clawtop.ui.run import make_app, settle_memory
from tests.bench.bench_screen import PAGE_SIZE, Figure, p95
from tests.support import big_state

SIZES = (10, 50, 200)
PROFILES, SESSIONS = 50, 500
TIMES = 40


class Recorded:
    """The stream of one host, as its clawtop would send it."""

    def __init__(self, number: int, snapshot: Snapshot, summary: HostSummary) -> None:
        self.bytes = 0
        self.opened = False
        self._name = f"host-{number:03d}"
        self._snapshot = snapshot
        self._writer = SummaryWriter()
        self._changes = Changes()
        self._lines: asyncio.Queue[bytes] = asyncio.Queue()
        now = SystemClock().now_ms()
        hello = {"clawtop_stream": 1, "clawtop": "0.1.0", "host": self._name, "state_dir": "/srv/claw", "at": now}
        self.say(hello)
        self.change(summary)

    def say(self, message: dict[str, Any]) -> None:
        line = encode(message)
        self.bytes += len(line)
        self._lines.put_nowait(line.rstrip())

    def change(self, summary: HostSummary) -> None:
        """The host's summary is another one now."""
        changed = self._writer.changed(summary)
        if changed is not None:
            self.say({"summary": changed})

    async def beat(self, after: float) -> None:
        await asyncio.sleep(after)
        while True:
            self.say({"beat": SystemClock().now_ms()})
            await asyncio.sleep(HEARTBEAT_S)

    async def read_line(self, limit: int = MAX_LINE) -> bytes:
        line = await self._lines.get()
        assert len(line) <= limit
        return line

    def write(self, line: bytes) -> None:
        message = json.loads(line)
        if "ping" in message:
            self.say({"pong": message["ping"], "at": SystemClock().now_ms()})
        if message.get("open"):
            self.opened = True
            self.say({"records": self._changes.of(self._snapshot)})

    async def close(self) -> tuple[int | None, str]:
        return 0, ""


def recorded_state(root: Path) -> tuple[Snapshot, HostSummary]:
    """One host's snapshot and summary."""
    from clawtop.cli.common import open_incident_reader

    made = big_state.make(root, agents=4, profiles=PROFILES, sessions=SESSIONS, locks=20)
    args = argparse.Namespace(state_dir=str(made.state_dir), agent=None, at=None, no_gateway=True)
    snapshot = open_incident_reader(args).read()
    now = SystemClock().now_ms()
    return snapshot, summarise(snapshot, now, lambda profile: f"{hash(profile.id) & 0xFFFFFFFFFFFF:012x}")


class Measured:
    """The fleet's screen on recorded hosts."""

    def __init__(self, number: int, snapshot: Snapshot, summary: HostSummary) -> None:
        self.hosts: dict[str, Recorded] = {}
        self._state = snapshot, summary
        self.beats: list[asyncio.Task[None]] = []
        self._chance = random.Random(number)
        specs = [HostSpec(f"host-{one:03d}") for one in range(number)]
        self.fleet = Fleet(specs, self._connect, SystemClock())

    async def _connect(self, spec: HostSpec, words: Sequence[str]) -> Pipe:
        assert tuple(words) == ("stream",)
        snapshot, summary = self._state
        pipe = self.hosts[spec.name] = Recorded(len(self.hosts), snapshot, summary)
        after = self._chance.random() * HEARTBEAT_S
        self.beats.append(asyncio.get_running_loop().create_task(pipe.beat(after)))
        return pipe

    @property
    def complete(self) -> bool:
        return all(host.summary is not None for host in self.fleet.hosts)


def painted(app: FleetApp) -> tuple[object, ...]:
    """What stands in the first rows of the table."""
    table = app._screen.table
    return tuple(table._line(y, table.size.width) for y in range(1, 12))


async def measure(number: int, seconds: float, root: Path, tell: Callable[[Figure], None]) -> None:
    """Tell every figure of a fleet of so many hosts."""
    measured = Measured(number, *recorded_state(root))
    fleet = measured.fleet
    apps: list[FleetApp] = []
    began_cpu, began = time.process_time(), time.monotonic()
    app = FleetApp(SystemClock(), Options(), theme="lobster", hosts=lambda: fleet.hosts, retry=fleet.retry_now)

    def deliver(_hosts: object) -> None:
        for one in apps:
            one.call_later(one.redraw)

    running = asyncio.create_task(fleet.run(deliver))
    async with app.run_test(size=(160, 48)) as pilot:
        apps.append(app)
        while not (measured.complete and len(app._screen.table._rows) == number):
            await pilot.pause(0.02)
        await pilot.pause()
        first = time.process_time() - began_cpu
        tell(Figure("first full screen, CPU", first, 3.0, "s", f"{time.monotonic() - began:.2f} s by the wall"))
        settle_memory()
        await asyncio.sleep(4.0)  # the pings after the greeting
        sent, cpu, since = _bytes(measured), time.process_time(), time.monotonic()
        await asyncio.sleep(seconds)
        took = time.monotonic() - since
        tell(Figure("idle CPU of a core", 100 * (time.process_time() - cpu) / took, 5.0, "%"))
        tell(Figure("idle stream, all hosts", (_bytes(measured) - sent) / took / 1000, 2.0, "kB/s"))
        tell(await _changes(measured, app, pilot))
        tell(await _keys(app, pilot))
    apps.clear()
    tell(await _opened(fleet))
    running.cancel()
    for beat in measured.beats:
        beat.cancel()
    await asyncio.gather(running, *measured.beats, return_exceptions=True)


def _bytes(measured: Measured) -> int:
    return sum(host.bytes for host in measured.hosts.values())


async def _changes(measured: Measured, app: FleetApp, pilot: Any) -> Figure:
    """From a host's new line to its cell, in CPU time; one change is waited for at a time."""
    _, summary = measured._state
    cpu, wall = [], []
    names = sorted(measured.hosts)
    for turn in range(TIMES):
        await asyncio.sleep(MIN_INTERVAL_S * 1.2)
        name = names[turn % len(names)]
        before, began, since = painted(app), time.process_time(), time.monotonic()
        why = f"made up, {turn}"
        measured.hosts[name].change(replace(summary, level=2, why=why, oldest_since=1_000_000 - turn))
        while painted(app) == before and time.monotonic() - since < 2.0:  # further down: not in the first rows
            await asyncio.sleep(0.002)
        await pilot.pause()
        cpu.append((time.process_time() - began) * 1000)
        wall.append((time.monotonic() - since) * 1000)
    note = f"CPU; by the wall p95 {p95(wall):.0f} ms, median {statistics.median(wall):.0f} ms"
    return Figure("a change to its cell, p95", p95(cpu), 300.0, "ms", note)


async def _keys(app: FleetApp, pilot: Any) -> Figure:
    """A key to the lines that it changes, in CPU time."""
    cpu = []
    for turn in range(TIMES):
        await asyncio.sleep(0.03)
        began = time.process_time()
        await pilot.press("down" if turn % 20 < 10 else "up")
        cpu.append((time.process_time() - began) * 1000)
    return Figure("a key to its paint, p95", p95(cpu), 20.0, "ms", f"CPU; median {statistics.median(cpu):.1f} ms")


async def _opened(fleet: Fleet) -> Figure:
    """Resident memory with one host's dashboard in the fleet's place."""
    opened = fleet.open("host-000")
    options = replace(Options(), incident=IncidentPorts(opens="overview"))
    app = make_app(opened.source, opened.clock, options, execute=opened.execute)
    async with app.run_test(size=(160, 48)) as pilot:
        while app.snapshot is None or len(app.snapshot.sessions) < SESSIONS:
            await pilot.pause(0.02)
        await pilot.pause(2.0)
        settle_memory()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    return Figure("resident, one host opened", pages * PAGE_SIZE / 1e6, 250.0, "MB", "with the harness of the test")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.bench_fleet")
    parser.add_argument("--hosts", type=int, nargs="*", default=SIZES)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    wishes = parser.parse_args()
    if wishes.one is not None:
        met: list[bool] = []

        def tell(figure: Figure) -> None:
            print(f"  {figure}", flush=True)
            met.append(figure.met)

        with tempfile.TemporaryDirectory() as root:
            asyncio.run(measure(wishes.one, wishes.seconds, Path(root), tell))
        return 0 if all(met) else 1
    below = 0
    for number in wishes.hosts:
        print(f"{number} hosts, {PROFILES} profiles and {SESSIONS} sessions each", flush=True)
        words = [
            sys.executable,
            "-m",
            "tests.bench.bench_fleet",
            "--one",
            str(number),
            "--seconds",
            str(wishes.seconds),
        ]
        below += subprocess.run(words, check=False, env={**os.environ, "TERM": "xterm-256color"}).returncode != 0
    return 1 if below else 0


if __name__ == "__main__":
    sys.exit(main())
