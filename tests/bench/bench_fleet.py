"""A fleet of made-up hosts on one screen: 10, 50 and 200, each with 50 profiles and 500 sessions.

The transport plays recorded streams: figures are the near process's. CPU time is what is limited, since a loaded
machine makes wall time longer; each fleet has a process of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
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
from tests.bench.harness import Bench, Figure, Row, percentile, resident_mb
from tests.support import big_state

SIZES = (10, 50, 200)
PROFILES, SESSIONS = 50, 500
PATIENCE_S = 20.0
"""What does not come to the screen in this time does not come at all."""


class Recorded:
    """The stream of one host, as its clawtop would send it."""

    def __init__(self, number: int, snapshot: Snapshot, summary: HostSummary) -> None:
        self.bytes = 0
        self.opened = False
        self.longest = MAX_LINE
        self._name = f"host-{number:03d}"
        self._snapshot = snapshot
        self._writer = SummaryWriter()
        self._changes = Changes()
        self._lines: asyncio.Queue[bytes] = asyncio.Queue()
        now = SystemClock().now_ms()
        hello = {"clawtop_stream": 2, "clawtop": "0.1.0", "host": self._name, "state_dir": "/srv/claw", "at": now}
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

    async def read_line(self) -> bytes:
        line = await self._lines.get()
        assert len(line) <= self.longest
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


def painted(app: FleetApp, text: str) -> bool:
    """Whether a text stands on the screen: in a line that was rendered, not in one that will be."""
    return any(text in piece[0] for line in app._screen.table._drawn.values() for piece in line)


async def measure(number: int, quick: bool, root: Path, tell: Callable[[Figure], None]) -> None:
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
        hosts = f"{number} hosts: "
        tell(
            Figure(
                hosts + "first full screen", first, "s", 3.0, note=f"CPU; {time.monotonic() - began:.2f} s by the wall"
            )
        )
        settle_memory()
        await asyncio.sleep(4.0)  # the pings after the greeting
        seconds = 4.0 if quick else 10.0
        sent, cpu, since = _bytes(measured), time.process_time(), time.monotonic()
        await asyncio.sleep(seconds)
        took = time.monotonic() - since
        tell(Figure(hosts + "idle, of a core", 100 * (time.process_time() - cpu) / took, "%", 5.0))
        tell(Figure(hosts + "idle stream of all", (_bytes(measured) - sent) / took / 1000, "kB/s", 2.0))
        share, times = (0.95, 200) if number == SIZES[-1] else (0.5, 40)
        tell(await _changes(measured, app, hosts, share, 10 if quick else times))
        tell(await _keys(pilot, hosts, 20 if quick else 200))
    apps.clear()
    tell(await _opened(fleet, hosts))
    running.cancel()
    for beat in measured.beats:
        beat.cancel()
    await asyncio.gather(running, *measured.beats, return_exceptions=True)


def _bytes(measured: Measured) -> int:
    return sum(host.bytes for host in measured.hosts.values())


async def _changes(measured: Measured, app: FleetApp, hosts: str, share: float, times: int) -> Figure:
    """From a host's new line to its cell, the value that this share does not exceed; one change at a time."""
    _, summary = measured._state
    cpu, wall = [], []
    names = sorted(measured.hosts)
    for turn in range(times):
        await asyncio.sleep(MIN_INTERVAL_S)
        why = f"made up, {turn}."
        began, since = time.process_time(), time.monotonic()
        changed = replace(summary, level=2, why=why, oldest_since=1_000_000 - turn)  # the worst: it comes first
        measured.hosts[names[turn % len(names)]].change(changed)
        while not painted(app, why):
            assert time.monotonic() - since < PATIENCE_S, f"{why!r} does not come to the screen"
            await asyncio.sleep(0.002)
        cpu.append((time.process_time() - began) * 1000)
        wall.append((time.monotonic() - since) * 1000)
    note = f"by the wall; median {statistics.median(wall):.0f} ms; CPU {statistics.median(cpu):.0f} ms"
    what = hosts + "a change on one -> its cell, " + ("median" if share == 0.5 else f"p{100 * share:.0f}")
    return Figure(what, percentile(wall, share), "ms", 300.0, samples=times, note=note)


async def _keys(pilot: Any, hosts: str, times: int) -> Figure:
    """A key to the lines that it changes, in CPU time. After the changes: rows keep their order after a key."""
    cpu = []
    for turn in range(times):
        await asyncio.sleep(0.02)
        began = time.process_time()
        await pilot.press("down" if turn % 20 < 10 else "up")
        cpu.append((time.process_time() - began) * 1000)
    note = f"CPU; median {statistics.median(cpu):.1f} ms"
    return Figure(hosts + "key -> paint, p95", percentile(cpu, 0.95), "ms", 20.0, samples=times, note=note)


async def _opened(fleet: Fleet, hosts: str) -> Figure:
    """Resident memory with one host's dashboard in the fleet's place."""
    opened = fleet.open("host-000")
    options = replace(Options(), incident=IncidentPorts(opens="overview"))
    app = make_app(opened.source, opened.clock, options, execute=opened.execute)
    async with app.run_test(size=(160, 48)) as pilot:
        since = time.monotonic()
        while app.snapshot is None or len(app.snapshot.sessions) < SESSIONS:
            assert time.monotonic() - since < PATIENCE_S, "the opened host does not come to the screen"
            await pilot.pause(0.02)
        await pilot.pause(2.0)
        settle_memory()
    note = "with the harness of the test"
    return Figure(hosts + "resident with one opened", resident_mb(os.getpid()), "MB", 250.0, note=note)


def figures(number: int, quick: bool) -> Iterator[Row]:
    told: list[Row] = []
    with tempfile.TemporaryDirectory() as root:
        try:
            asyncio.run(measure(number, quick, Path(root), told.append))
        except Exception:
            yield from told  # what was taken before it broke
            raise
    yield from told


BENCHES = tuple(
    Bench(
        f"fleet-{number}",
        f"{number} hosts on one screen",
        80 if number == SIZES[-1] else 38,
        20,
        functools.partial(figures, number),
        number > SIZES[0],
    )
    for number in SIZES
)
