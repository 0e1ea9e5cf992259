"""A day of a gateway's life in minutes: the hub on a clock that is moved, over a state that changes at every look."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import tempfile
from pathlib import Path

from clawtop.clock import Clock
from clawtop.core.model import Snapshot
from clawtop.demo.world import World, build_world
from clawtop.engine.live.hub import Hub
from clawtop.store.config_part import config_part
from clawtop.store.incident import IncidentPart
from clawtop.store.locks.processes import SystemProcesses
from clawtop.store.snapshot import SnapshotReader
from tests.soak.samples import Sample, sample
from tests.support.clocks import ManualClock

DAY_S = 86_400.0
SAMPLES = 50
ROTATES, COMES_AND_GOES = 97, 41
"""Every so many snapshots the gateway's log is a new file, and an agent's directory comes or goes."""

ANSWER_S = 60.0


async def live_a_day(snapshots: int) -> tuple[list[Sample], int]:
    """Samples of this process over so many snapshots, and how many were delivered."""
    with tempfile.TemporaryDirectory() as root:
        clock = ManualClock()
        world = build_world(Path(root), seed=5, clock=clock)
        log = Path(root) / "gateway.log"
        hub = Hub(_reader(world, Path(root), clock), clock, native=False)
        news, delivered = asyncio.Event(), 0

        def deliver(_snapshot: Snapshot) -> None:
            nonlocal delivered
            delivered += 1
            news.set()

        running = asyncio.create_task(hub.run(deliver))
        samples = []
        for number in range(snapshots):
            _change(world, log, number, clock.now_ms())
            news.clear()
            hub.poke()
            async with asyncio.timeout(ANSWER_S):
                await clock.advance(DAY_S / snapshots)
                while not news.is_set():
                    await asyncio.sleep(0.001)
                    await clock.advance(0.3)
            if number % max(1, snapshots // SAMPLES) == 0:
                samples.append(sample(os.getpid(), len(asyncio.all_tasks())))
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
    return samples, delivered


def _reader(world: World, home: Path, clock: Clock) -> SnapshotReader:
    return SnapshotReader(
        state_dir=world.state_dir,
        env={"OPENCLAW_LOG_FILE": str(home / "gateway.log")},
        home=home,
        clock=clock,
        processes=SystemProcesses(),
        port_probe=None,
        extra_parts=(config_part, IncidentPart()),
    )


def _change(world: World, log: Path, number: int, now: int) -> None:
    """What a gateway does between two looks."""
    path = world.agent_dir() / "auth-state.json"
    state = json.loads(path.read_bytes())
    for profile in state["usageStats"].values():
        profile["lastUsed"] = now - number % 7
    new = path.with_suffix(".new")
    new.touch(mode=0o600)
    new.write_text(json.dumps(state))
    new.rename(path)
    with log.open("a") as file:
        file.write(json.dumps({"time": now, "level": "info", "message": f"line {number} " + "x" * 400}) + "\n")
    if number % ROTATES == 0:
        log.rename(log.with_suffix(".1"))
    agent = world.state_dir / "agents" / "guest" / "sessions"
    if number % COMES_AND_GOES == 0:
        if agent.exists():
            shutil.rmtree(agent.parent)
        else:
            agent.mkdir(parents=True)
            (agent / "sessions.json").write_text("{}")
