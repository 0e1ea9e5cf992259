"""An hour of the demo, on a clock that runs three hundred times as fast: recorded, it replays to the same screens."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC
from pathlib import Path

import pytest

from clawtop.clock import Clock
from clawtop.core.model import Event, Snapshot
from clawtop.demo.scenarios import DEFAULT_SCENARIO, SCENARIOS
from clawtop.demo.story import run_story
from clawtop.demo.world import World, build_world
from clawtop.engine.live.hub import Hub
from clawtop.engine.live.player import Player
from clawtop.store.incident import IncidentPart
from clawtop.store.locks.processes import SystemProcesses
from clawtop.store.own.recording import Recorder, load_recording
from clawtop.store.snapshot import SnapshotReader
from clawtop.view.columns import Env
from clawtop.view.facts import Facts
from clawtop.view.forecast_rows import forecast_table
from clawtop.view.incident_text import table_lines
from clawtop.view.lane_rows import lane_table
from clawtop.view.plain import plain_lines
from clawtop.view.tree_rows import tree_table
from tests.support.clocks import ManualClock

pytestmark = [pytest.mark.anyio, pytest.mark.long]
HOUR_MS = 3_600_000
RATE = 300
HOUR_LIMIT = 5_000_000
Shown = tuple[int, tuple[Event, ...], list[str]]
"""When, with which events, and what the screens were."""


class FastClock(Clock):
    """The machine's clock, `RATE` times as fast."""

    def __init__(self) -> None:
        self._began_ms = time.time_ns() // 1_000_000
        self._began = time.monotonic()

    def now_ms(self) -> int:
        return self._began_ms + round((time.monotonic() - self._began) * RATE * 1000)

    def monotonic(self) -> float:
        return self._began + (time.monotonic() - self._began) * RATE

    def pause(self, seconds: float) -> None:
        time.sleep(seconds / RATE)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / RATE)


def screens(snapshot: Snapshot, now: int) -> list[str]:
    """The overview, the tree, the lanes and the forecast as text."""
    env = Env(Facts(snapshot, now), now, UTC)
    tables = (tree_table(env), lane_table(env), forecast_table(env))
    lines = plain_lines(snapshot, now, 120, zone=UTC)
    return [*lines, *(line for table in tables for line in table_lines(table, 100))]


async def played(world: World, path: Path) -> list[Shown]:
    """Play an hour and record it; what the screens were."""
    clock = FastClock()
    reader = SnapshotReader(
        state_dir=world.state_dir,
        env={},
        home=world.state_dir.parent,
        clock=clock,
        processes=SystemProcesses(),
        port_probe=None,
        extra_parts=[IncidentPart()],
    )
    tape = Recorder(path, started_at=clock.now_ms(), clawtop_version="9.9")
    shown: list[Shown] = []

    def deliver(snapshot: Snapshot) -> None:
        tape.add(snapshot)
        shown.append((snapshot.taken_at, snapshot.events, screens(snapshot, snapshot.taken_at)))

    story = asyncio.create_task(run_story(world, clock=clock, scenario=SCENARIOS[DEFAULT_SCENARIO]))
    watching = asyncio.create_task(Hub(reader, clock).run(deliver))
    await asyncio.sleep(HOUR_MS / 1000 / RATE)
    for task in (watching, story):
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    tape.close()
    return shown


async def test_an_hour_replays_to_the_same_screens(tmp_path: Path) -> None:
    path = tmp_path / "hour.clawtop"
    shown = await played(build_world(tmp_path, seed=7, clock=FastClock()), path)
    recording = load_recording(path)
    assert recording.problem is None
    frames = [frame.snapshot for frame in recording.frames]
    assert len(frames) > 10, "something has happened"
    assert frames[-1].taken_at - frames[0].taken_at > 0.5 * HOUR_MS
    player = Player(recording, ManualClock())
    recorded = {repr(event) for event in recording.events}
    for at, events, lines in shown:
        player.seek(at)
        assert recorded.issuperset(map(repr, events))
        # what was read late, a replay tells at its own time: the events are the live ones here
        assert screens(replace(player.latest, events=events), at) == lines
    assert path.stat().st_size < HOUR_LIMIT
    assert {event.source for event in recording.events} >= {"engine", "demo", "snapshot"}
    assert_plays(player, frames)


def assert_plays(player: Player, frames: list[Snapshot]) -> None:
    """The player shows each frame at its time, with the events up to then."""
    for frame in frames[:: max(1, len(frames) // 40)]:
        player.seek(frame.taken_at)
        seen = player.latest
        assert (seen.number, seen.sessions, seen.agents) == (frame.number, frame.sessions, frame.agents)
        assert all(event.at <= frame.taken_at for event in seen.events)
