"""Recording beside the screen: on and off, bounded, private, and never in the screen's way."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from clawtop.core.model import Event, EventKind, Snapshot
from clawtop.engine.live.feed import Feed
from clawtop.engine.live.tape import BACKLOG, Tape
from clawtop.errors import ClawtopError, OperationFailedError
from clawtop.store.own.recording import Recorder, load_recording
from tests.support.clocks import ManualClock
from tests.support.waiting import until
from tests.support.worlds import INCIDENT, NOW

pytestmark = pytest.mark.anyio


@pytest.fixture
def here(tmp_path: Path) -> Snapshot:
    return replace(INCIDENT, state_dir=str(tmp_path))


def later(snapshot: Snapshot, number: int) -> Snapshot:
    event = Event(NOW + number, EventKind.NOTICE, "engine", f"event {number}")
    return replace(snapshot, number=number, taken_at=NOW + number, host=f"host-{number}", events=(event,))


@asynccontextmanager
async def running(tape: Tape, errors: list[ClawtopError] | None = None) -> AsyncIterator[None]:
    task = asyncio.create_task(tape.run((errors if errors is not None else []).append))
    await asyncio.sleep(0)
    try:
        yield
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


def hosts(path: str) -> list[str]:
    recording = load_recording(Path(path))
    assert recording.problem is None
    return [frame.snapshot.host for frame in recording.frames]


async def test_it_begins_with_what_is_on_the_screen_and_ends_when_told(here: Snapshot) -> None:
    tape = Tape(ManualClock(NOW), "9.9")
    async with running(tape):
        tape.take(here)
        path = tape.start()
        assert tape.recording == path
        tape.take(later(here, 8))
        assert tape.stop() == path
        assert tape.recording is None
        tape.take(later(here, 9))
    assert hosts(path) == ["reef-01", "host-8"]
    assert load_recording(Path(path)).events[0].text == "event 8"


async def test_two_recordings_in_a_row_do_not_mix(here: Snapshot) -> None:
    clock = ManualClock(NOW)
    tape = Tape(clock, "9.9")
    async with running(tape):
        tape.take(here)
        first = tape.start()
        tape.stop()
        await clock.advance(1)
        tape.take(later(here, 8))
        second = tape.start()
        tape.take(later(here, 9))
    assert first != second
    assert hosts(first) == ["reef-01"]
    assert hosts(second) == ["host-8", "host-9"]


async def test_what_is_under_way_is_written_when_the_screen_goes(here: Snapshot) -> None:
    tape = Tape(ManualClock(NOW), "9.9")
    async with running(tape):
        tape.take(here)
        path = tape.start()
    assert hosts(path) == ["reef-01"]


async def test_one_that_never_ran_is_written_when_it_is_closed(here: Snapshot) -> None:
    tape = Tape(ManualClock(NOW), "9.9")
    tape.take(here)
    path = tape.start()
    tape.close()
    tape.close()
    assert tape.recording is None
    assert hosts(path) == ["reef-01"]


async def test_of_a_backlog_the_oldest_go(here: Snapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    tape = Tape(ManualClock(NOW), "9.9")
    tape.take(here)
    path = tape.start()
    for number in range(8, 8 + BACKLOG * 2):
        tape.take(later(here, number))
    async with running(tape):
        tape.stop()
    kept = hosts(path)
    assert len(kept) == BACKLOG
    assert kept[-1] == f"host-{7 + BACKLOG * 2}"


async def test_files_are_private(here: Snapshot, tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        tape = Tape(ManualClock(NOW), "9.9")
        tape.take(here)
        path = Path(tape.start())
    finally:
        os.umask(old)
    async with running(tape):
        tape.stop()
    assert path.stat().st_mode & 0o777 == 0o600
    for directory in (tmp_path / "clawtop", tmp_path / "clawtop" / "recordings"):
        assert directory.stat().st_mode & 0o777 == 0o700


async def test_without_a_state_there_is_nothing_to_record() -> None:
    with pytest.raises(OperationFailedError, match="nothing to record yet"):
        Tape(ManualClock(NOW), "9.9").start()


async def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "clawtop").write_text("a file")
    tape = Tape(ManualClock(NOW), "9.9")
    tape.take(replace(INCIDENT, state_dir=str(tmp_path)))
    with pytest.raises(OperationFailedError, match="clawtop"):
        tape.start()
    assert tape.recording is None


async def test_a_disk_that_fills_up_ends_the_recording_and_nothing_else(
    here: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors: list[ClawtopError] = []
    tape = Tape(ManualClock(NOW), "9.9")
    tape.take(here)
    tape.start()

    def full(self: Recorder, _value: Snapshot) -> None:
        self.close()
        raise OperationFailedError("cannot record: No space left on device", unchanged="nothing more is recorded")

    monkeypatch.setattr(Recorder, "add", full)
    async with running(tape, errors):
        await until(lambda: errors)
        assert tape.recording is None
        tape.take(later(here, 8))
    assert "No space left" in str(errors[0])


class Told:
    """A source that delivers what it holds and then waits."""

    def __init__(self, *snapshots: Snapshot) -> None:
        self._snapshots = snapshots
        self.pokes = 0

    async def run(self, deliver: object, failed: object) -> None:
        for snapshot in self._snapshots:
            deliver(snapshot)  # type: ignore[operator]
        await asyncio.Event().wait()

    def poke(self) -> None:
        self.pokes += 1


async def test_a_feed_delivers_and_records_alike(here: Snapshot) -> None:
    tape = Tape(ManualClock(NOW), "9.9")
    source = Told(here)
    feed = Feed(source, tape)
    shown: list[Snapshot] = []
    task = asyncio.create_task(feed.run(shown.append, lambda error: pytest.fail(str(error))))
    await until(lambda: shown)
    path = tape.start()
    feed.poke()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert shown == [here]
    assert source.pokes == 1
    assert hosts(path) == ["reef-01"]
