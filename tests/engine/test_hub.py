"""The hub: leading edge, coalescing, one read at a time, degradation, and real notifications."""

from __future__ import annotations

import asyncio
import itertools
import os
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from clawtop.clock import SystemClock
from clawtop.core.model import Snapshot
from clawtop.engine.live.hub import MIN_INTERVAL, Hub, slower_poll
from clawtop.errors import ClawtopError, StateUnreadableError
from clawtop.store import watch
from tests.support.clocks import ManualClock
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


def snapshot(number: int, host: str = "reef") -> Snapshot:
    return Snapshot(number, 1_700_000_000_000 + number, host, "/state", None, None)


@dataclass
class FakeReader:
    """Answers with `content()`; counts reads and how many ran at once."""

    content: Callable[[], str] = lambda: "reef"
    directories: tuple[Path, ...] = ()
    error: ClawtopError | None = None
    gate: threading.Event | None = None
    reads: int = 0
    running: int = 0
    most_at_once: int = 0
    started: threading.Event = field(default_factory=threading.Event)

    def read(self) -> Snapshot:
        self.reads += 1
        self.running += 1
        self.most_at_once = max(self.most_at_once, self.running)
        self.started.set()
        try:
            if self.gate:
                assert self.gate.wait(10)
            if self.error:
                raise self.error
            return snapshot(self.reads, self.content())
        finally:
            self.running -= 1

    def watch_directories(self) -> tuple[Path, ...]:
        return self.directories


@dataclass
class Screen:
    """What was delivered, and a way to wait for it."""

    snapshots: list[Snapshot] = field(default_factory=list)
    errors: list[ClawtopError] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    def deliver(self, value: Snapshot) -> None:
        self.snapshots.append(value)
        self.arrived.set()

    def failed(self, error: ClawtopError) -> None:
        self.errors.append(error)
        self.arrived.set()

    async def next(self) -> None:
        async with asyncio.timeout(10):
            await self.arrived.wait()
        self.arrived.clear()


@asynccontextmanager
async def running(hub: Hub, screen: Screen) -> AsyncIterator[None]:
    task = asyncio.create_task(hub.run(screen.deliver, screen.failed))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_the_first_snapshot_comes_at_once_and_equal_ones_are_not_delivered() -> None:
    reader, screen = FakeReader(), Screen()
    hub = Hub(reader, SystemClock(), native=False)
    async with running(hub, screen):
        await screen.next()
        reads = reader.reads
        hub.poke()
        while reader.reads == reads or reader.running:
            await asyncio.sleep(0.01)
    assert [item.host for item in screen.snapshots] == ["reef"]
    assert hub.latest is screen.snapshots[0]


async def test_pokes_during_a_read_become_one_more_read() -> None:
    texts = iter(["one", "two", "three"])
    reader, screen = FakeReader(content=lambda: next(texts), gate=threading.Event()), Screen()
    assert reader.gate is not None
    hub = Hub(reader, SystemClock(), native=False)
    async with running(hub, screen):
        await asyncio.to_thread(reader.started.wait, 10)
        for _ in range(50):
            hub.poke()
        reader.gate.set()
        await screen.next()
        await screen.next()
    assert [item.host for item in screen.snapshots] == ["one", "two"]
    assert reader.most_at_once == 1
    assert reader.reads == 2


async def test_a_failed_read_is_told_and_the_next_one_tried() -> None:
    reader, screen = FakeReader(error=StateUnreadableError("no such directory")), Screen()
    hub = Hub(reader, SystemClock(), native=False)
    async with running(hub, screen):
        await screen.next()
        assert [str(error) for error in screen.errors] == ["no such directory"]
        reader.error = None
        hub.poke()
        await screen.next()
    assert len(screen.snapshots) == 1


async def test_the_first_good_read_after_a_failure_is_delivered_though_nothing_changed() -> None:
    reader, screen = FakeReader(), Screen()
    hub = Hub(reader, SystemClock(), native=False)
    async with running(hub, screen):
        await screen.next()
        reader.error = StateUnreadableError("gone")
        hub.poke()
        await screen.next()
        reader.error = None
        hub.poke()
        await screen.next()
    assert len(screen.errors) == 1
    assert [item.host for item in screen.snapshots] == ["reef", "reef"]


@pytest.mark.parametrize(("interval", "expected"), [(MIN_INTERVAL, range(11, 14)), (1.0, range(3, 5))])
async def test_a_state_that_changes_all_the_time_is_read_at_once_and_then_once_in_each_interval(
    monkeypatch: pytest.MonkeyPatch, interval: float, expected: range
) -> None:
    clock, screen = ManualClock(), Screen()
    began: list[float] = []

    def content() -> str:
        began.append(clock.monotonic())
        return f"news {len(began)}"

    async def at_once(function: Callable[..., object], *arguments: object) -> object:
        return function(*arguments)

    monkeypatch.setattr(asyncio, "to_thread", at_once)  # a read takes no time: the clock is the test's
    hub = Hub(FakeReader(content=content), clock, interval=interval, native=False)
    async with running(hub, screen):
        for _ in range(60):
            hub.poke()
            await clock.advance(0.05)
    assert len(screen.snapshots) == len(began)
    assert len(began) in expected, "in 3 s"
    assert min(later - earlier for earlier, later in itertools.pairwise(began)) > interval - 0.01


async def test_paused_delivers_nothing_until_resumed() -> None:
    texts = iter(["one", "two", "three"])
    reader, screen = FakeReader(content=lambda: next(texts)), Screen()
    hub = Hub(reader, SystemClock(), native=False)
    async with running(hub, screen):
        await screen.next()
        hub.pause()
        hub.poke()
        await asyncio.sleep(0.4)
        assert len(screen.snapshots) == 1
        hub.resume()
        await screen.next()
    assert len(screen.snapshots) == 2


async def test_a_renamed_file_arrives_by_notification(tmp_path: Path) -> None:
    target = tmp_path / "auth-state.json"
    target.write_text("one")
    reader, screen = FakeReader(content=target.read_text, directories=(tmp_path,)), Screen()
    hub = Hub(reader, SystemClock(), poll_seconds=3600)
    async with running(hub, screen):
        await screen.next()
        await _until_watched(hub, tmp_path, screen)
        screen.arrived.clear()
        fresh = tmp_path / "auth-state.json.1.tmp"
        fresh.write_text("two")
        fresh.rename(target)
        await screen.next()
    assert screen.snapshots[-1].host == "two"


async def _until_watched(hub: Hub, directory: Path, screen: Screen) -> None:
    """Create locks until one is counted: the watcher is then known to be running."""
    for attempt in range(200):
        (directory / f"{attempt}.jsonl.lock").write_text("{}")
        await asyncio.sleep(0.05)
        if screen.snapshots[-1].lock_traffic:
            return
    pytest.fail("the watcher saw nothing")


async def test_a_lock_that_came_and_went_is_counted(tmp_path: Path) -> None:
    reader, screen = FakeReader(directories=(tmp_path,)), Screen()
    hub = Hub(reader, SystemClock(), poll_seconds=3600)
    async with running(hub, screen):
        await screen.next()
        await _until_watched(hub, tmp_path, screen)
    assert all(path.endswith(".lock") and count == 1 for path, count in screen.snapshots[-1].lock_traffic.items())


async def test_without_notifications_it_polls_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_args: object, **_options: object) -> AsyncIterator[list[watch.Changed]]:
        raise watch.WatchFailedError("native file notifications failed (OS file watch limit reached)")
        yield []

    monkeypatch.setattr(watch, "changes", broken)
    target = tmp_path / "sessions.json"
    target.write_text("one")
    reader, screen = FakeReader(content=target.read_text, directories=(tmp_path,)), Screen()
    hub = Hub(reader, SystemClock(), poll_seconds=0.05)
    async with running(hub, screen):
        while not screen.snapshots or not screen.snapshots[-1].warnings:
            await screen.next()
        assert screen.snapshots[-1].warnings[0].code == "watch-degraded"
        assert "polling every 0.05 s" in screen.snapshots[-1].warnings[0].text
        target.write_text("two, and longer")
        while screen.snapshots[-1].host != "two, and longer":
            await screen.next()


async def test_a_name_that_is_not_utf8_degrades_instead_of_crashing(tmp_path: Path) -> None:
    os.close(os.open(os.fsencode(tmp_path) + b"/bad\xff.lock", os.O_CREAT | os.O_WRONLY, 0o600))
    target = tmp_path / "sessions.json"
    target.write_text("one")
    reader, screen = FakeReader(content=target.read_text, directories=(tmp_path,)), Screen()
    hub = Hub(reader, SystemClock(), poll_seconds=0.05)
    async with running(hub, screen):
        await screen.next()
        target.write_text("two, and longer")
        while screen.snapshots[-1].host != "two, and longer":
            await screen.next()


async def test_what_changes_between_the_first_read_and_the_first_look_at_the_directories_is_seen(
    tmp_path: Path,
) -> None:
    target = tmp_path / "auth-state.json"
    target.write_text("one")

    def content() -> str:
        text = target.read_text()
        target.write_text("two, and longer")
        return text

    screen = Screen()
    hub = Hub(FakeReader(content=content, directories=(tmp_path,)), SystemClock(), poll_seconds=0.05, native=False)
    async with running(hub, screen):
        while not screen.snapshots or screen.snapshots[-1].host != "two, and longer":
            await screen.next()


@pytest.mark.parametrize(
    ("usual", "spent", "pause"), [(2.0, 0.0001, 2.0), (2.0, 0.002, 4.0), (2.0, 1.0, 5.0), (3600.0, 1.0, 3600.0)]
)
def test_the_poll_costs_little_beside_a_working_watcher(usual: float, spent: float, pause: float) -> None:
    assert slower_poll(usual, spent) == pause


def test_the_poll_sees_new_changed_and_removed_files(tmp_path: Path) -> None:
    poll = watch.Poll()
    assert poll.changed([tmp_path]), "nobody knows what moved before"
    assert not poll.changed([tmp_path])
    file = tmp_path / "auth-state.json"
    file.write_text("1")
    assert poll.changed([tmp_path])
    assert not poll.changed([tmp_path])
    file.write_text("12")
    assert poll.changed([tmp_path])
    file.unlink()
    assert poll.changed([tmp_path])
    assert not poll.changed([tmp_path, tmp_path / "missing"]) or not poll.changed([tmp_path, tmp_path / "missing"])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sessions.json", True),
        ("a.jsonl.lock", True),
        ("journal.jsonl", True),
        ("a.jsonl", False),
        ("a.trajectory.jsonl", False),
        ("auth-state.json.0b.tmp", False),
        (".fs-safe-replace.1.x.tmp", False),
    ],
)
def test_growing_transcripts_and_temporaries_are_not_news(name: str, expected: bool) -> None:
    assert watch.interesting(name) is expected


async def test_a_read_that_does_not_answer_is_told_and_delivered_when_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clawtop.engine.live.hub.READ_DEADLINE", 0.02)
    reader = FakeReader(gate=threading.Event())
    told: list[ClawtopError] = []
    came = asyncio.Event()
    hub = Hub(reader, SystemClock(), native=False)
    task = asyncio.create_task(hub.run(lambda _snapshot: came.set(), told.append))
    while len(told) < 2:
        await asyncio.sleep(0)
    assert "no answer for" in told[0].title
    assert reader.reads == 1
    assert not came.is_set()
    assert reader.gate is not None
    reader.gate.set()
    await asyncio.wait_for(came.wait(), 10)
    task.cancel()


async def test_what_nobody_expected_of_a_reader_is_told_and_the_next_read_delivered() -> None:
    class Breaking(FakeReader):
        def read(self) -> Snapshot:
            if self.reads == 0:
                self.reads += 1
                raise ZeroDivisionError("planted")
            return super().read()

    told: list[ClawtopError] = []
    came = asyncio.Event()
    hub = Hub(Breaking(), SystemClock(), native=False)
    task = asyncio.create_task(hub.run(lambda _snapshot: came.set(), told.append))
    await until(lambda: told)
    assert "ZeroDivisionError" in told[0].title
    hub.poke()
    await asyncio.wait_for(came.wait(), 10)
    task.cancel()


@dataclass
class GlancingReader(FakeReader):
    """Counts glances; `news` says what the next ones find."""

    glances: int = 0
    news: list[bool] = field(default_factory=list)

    @property
    def may_change_unseen(self) -> bool:
        return True

    def has_changed(self) -> bool:
        self.glances += 1
        return self.news.pop(0) if self.news else False


async def glanced(reader: GlancingReader, count: int) -> None:
    while reader.glances < count:
        await asyncio.sleep(0.001)


async def test_what_changes_unseen_is_glanced_at_every_second_and_more_often_after_news() -> None:
    clock = ManualClock()
    reader = GlancingReader()
    hub = Hub(reader, clock, native=False)
    task = asyncio.create_task(hub.run(lambda _snapshot: None))
    await clock.advance(0.5)
    assert reader.glances == 0
    reader.news = [False, True]
    await clock.advance(0.5)
    await glanced(reader, 1)
    before = reader.reads
    await clock.advance(1.0)
    await glanced(reader, 2)
    for number in range(20):
        await clock.advance(0.05)
        await glanced(reader, 3 + number)
    assert reader.reads > before, "news is read"
    seen = reader.glances
    await clock.advance(0.5)
    assert reader.glances <= seen + 1, "after a second without news it is every second again"
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_nothing_is_glanced_at_while_a_read_is_due() -> None:
    clock = ManualClock()
    reader = GlancingReader()
    hub = Hub(reader, clock, native=False)
    hub.pause()
    hub.poke()
    task = asyncio.create_task(hub.run(lambda _snapshot: None))
    await clock.advance(3.0)
    assert reader.glances == 0
    hub.resume()
    while not reader.reads:
        await asyncio.sleep(0.001)
    await clock.advance(1.0)
    await glanced(reader, 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_what_is_still_counted_is_read_on_without_a_change() -> None:
    left = [3, 2, 1, 0]

    class Counting(FakeReader):
        def read(self) -> Snapshot:
            return replace(super().read(), counting=left.pop(0) if left else 0)

    reader = Counting()
    screen = Screen()
    hub = Hub(reader, SystemClock(), native=False, poll_seconds=60.0)
    task = asyncio.create_task(hub.run(screen.deliver, screen.failed))
    while left:
        await asyncio.sleep(0.005)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert reader.reads >= 4
