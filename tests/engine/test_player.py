"""A replay: the same snapshots at their times, and every control."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from clawtop.core.model import Event, EventKind, Gateway, GatewayState, Snapshot
from clawtop.engine.live.player import SPEEDS, Player, PlayerClock
from clawtop.store.own.recording import RecordedState, Recording
from tests.support.clocks import ManualClock

pytestmark = pytest.mark.anyio

START = 1_795_214_000_000


def frame(seconds: int, host: str, state: GatewayState = GatewayState.LIVE) -> RecordedState:
    at = START + seconds * 1000
    return RecordedState(at, Snapshot(seconds, at, host, "/s", None, None, gateway=Gateway(state)))


def event(seconds: float, kind: EventKind = EventKind.MARK) -> Event:
    return Event(START + int(seconds * 1000), kind, "journal", f"{kind} at {seconds}")


RECORDING = Recording(
    START,
    (frame(0, "one"), frame(10, "two", GatewayState.DEAD), frame(40, "three")),
    (event(4), event(6, EventKind.LANE), event(25, EventKind.ROTATE)),
)


@asynccontextmanager
async def playing(recording: Recording = RECORDING) -> AsyncIterator[tuple[Player, list[Snapshot]]]:
    """A player driven by real waits; tests steer it by its controls, not by time."""
    player = Player(recording, ManualClock())
    player.pause()
    seen: list[Snapshot] = []
    arrived = asyncio.Event()

    def deliver(snapshot: Snapshot) -> None:
        seen.append(snapshot)
        arrived.set()

    task = asyncio.create_task(player.run(deliver))
    async with asyncio.timeout(10):
        await arrived.wait()
    try:
        yield player, seen
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def settled(seen: list[Snapshot], host: str) -> Snapshot:
    async with asyncio.timeout(10):
        while seen[-1].host != host:
            await asyncio.sleep(0)
    return seen[-1]


async def test_it_opens_on_the_first_snapshot_without_later_events() -> None:
    async with playing() as (_, seen):
        assert (seen[-1].host, seen[-1].events) == ("one", ())


async def test_seek_shows_the_state_and_the_events_up_to_then() -> None:
    async with playing() as (player, seen):
        player.seek(START + 30_000)
        shown = await settled(seen, "two")
        kinds = [item.kind for item in shown.events]
        assert kinds == [EventKind.MARK, EventKind.LANE, EventKind.GATEWAY, EventKind.ROTATE]
        assert player.now_ms() == START + 30_000
        player.seek(START - 5)
        assert player.now_ms() == player.start
        player.seek(START * 2)
        assert player.now_ms() == player.end == START + 40_000


async def test_stepping_goes_by_snapshots_both_ways_and_stops_at_the_ends() -> None:
    async with playing() as (player, seen):
        player.step(1)
        await settled(seen, "two")
        player.step(5)
        await settled(seen, "three")
        player.step(-1)
        await settled(seen, "two")
        assert not player.playing


async def test_next_event_skips_the_background_and_then_ends() -> None:
    async with playing() as (player, _):
        kinds = []
        while (found := player.next_event()) is not None:
            kinds.append(found.kind)
        assert kinds == [EventKind.MARK, EventKind.GATEWAY, EventKind.ROTATE, EventKind.GATEWAY]
        player.seek(START)
        found = player.next_event()
        assert found is not None
        assert player.now_ms() == found.at


async def test_time_runs_at_the_chosen_speed_and_stops_at_the_end() -> None:
    wall = ManualClock()
    player = Player(RECORDING, wall)
    await wall.advance(2)
    assert player.now_ms() == START + 2_000
    player.faster(2)
    assert player.speed == 4.0
    await wall.advance(2)
    assert player.now_ms() == START + 10_000
    player.pause()
    await wall.advance(60)
    assert player.now_ms() == START + 10_000
    player.resume()
    await wall.advance(60)
    assert player.now_ms() == player.end
    assert not player.playing
    player.resume()
    assert player.now_ms() == START
    player.faster(-99)
    assert player.speed == SPEEDS[0]
    assert PlayerClock(player, wall).now_ms() == player.now_ms()


async def test_it_plays_by_itself_to_the_end() -> None:
    wall = ManualClock()
    player = Player(RECORDING, wall)
    seen: list[Snapshot] = []
    task = asyncio.create_task(player.run(seen.append))
    await wall.advance(600)
    assert seen[-1].host == "three"
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert [item.number for item in seen] == sorted(item.number for item in seen)


async def test_going_back_by_events_skips_the_background_too() -> None:
    async with playing() as (player, _):
        player.seek(START + 30_000)
        told = []
        while (found := player.event_before()) is not None and player.now_ms() > START:
            told.append((found.kind, player.now_ms() - START))
        assert told == [(EventKind.ROTATE, 25_000), (EventKind.GATEWAY, 10_000), (EventKind.MARK, 4_000)]
        assert not player.playing
