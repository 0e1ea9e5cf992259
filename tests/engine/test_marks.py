"""Marks: they count at once, land when they can, survive their process, and are never lost in silence."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from clawtop.core.cooldown.marking import Mark
from clawtop.core.model import Event, EventKind, Generation, UsageStats
from clawtop.core.operations.edit import AuthState
from clawtop.engine.drive.marks import DISK_TRIES, FIRST_WAIT_S, Marks
from clawtop.errors import LockNotObtainedError, OperationFailedError, RefusedError
from clawtop.store.auth.json_backend import JsonPlace
from clawtop.store.auth.port import AuthPlace, Change
from clawtop.store.own.mark_spool import MarkSpool, spool_dir
from tests.support.clocks import ManualClock, settle
from tests.support.cooldowns import is_cooling
from tests.support.rules import B

pytestmark = pytest.mark.anyio

PROFILE = "coral:larry"


class Store:
    """Stands for the auth store: `land` applies a change, or raises what `trouble` holds, one after the other."""

    def __init__(self, *profiles: str) -> None:
        self.state = AuthState(profiles=frozenset(profiles or (PROFILE,)))
        self.trouble: list[Exception] = []
        self.waits: list[float] = []
        self.gate: Callable[[], Awaitable[object]] | None = None

    async def land(self, target: AuthPlace, change: Change, wait: float) -> None:
        self.waits.append(wait)
        if self.gate is not None:
            await self.gate()
        if self.trouble:
            raise self.trouble.pop(0)
        change(self.state)  # a change may be asked more than once
        self.state = change(self.state)

    def stats(self, profile: str = PROFILE) -> UsageStats:
        return self.state.stats.get(profile, UsageStats())


class Bench:
    def __init__(self, root: Path, store: Store | None = None, clock: ManualClock | None = None) -> None:
        self.store = store or Store()
        self.clock = clock or ManualClock()
        self.events: list[Event] = []
        self.gone = False
        self.root = root
        self.marks = Marks(
            clock=self.clock,
            schedule=lambda _: B,
            land=self.store.land,
            spool=MarkSpool(root),
            journal=self.events.append,
            targets=lambda agent: None if self.gone else JsonPlace(agent, str(root), Generation.B),
            note_wait_s=30.0,  # the clock of these tests moves faster than the spool's thread
        )

    def failed(self, profile: str = PROFILE, reason: str = "rate_limit", at: int | None = None) -> Mark:
        mark = Mark("main", profile, "coral", at or self.clock.now_ms(), reason, model="m", run_id="r1")
        self.marks.note(mark)
        return mark

    def succeeded(self, at: int | None = None) -> None:
        self.marks.note(Mark("main", PROFILE, "coral", at or self.clock.now_ms(), None, run_id="r1"))

    def told(self) -> list[str]:
        return [f"{event.kind}:{event.data.get('state', '')}" for event in self.events]

    def spooled(self) -> list[Path]:
        return sorted(spool_dir(self.root).glob("*.json"))


BUSY = LockNotObtainedError("taken", holder="pid 4711 (openclaw)")


async def test_noting_does_not_wait_and_counts_at_once(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.failed()
    assert bench.store.waits == []
    shown = bench.marks.overlay("main", PROFILE, UsageStats())
    assert is_cooling(shown, "coral", bench.clock.now_ms(), B, for_model="m")
    assert not is_cooling(bench.marks.overlay("main", "coral:other", UsageStats()), "coral", bench.clock.now_ms(), B)
    assert not is_cooling(bench.marks.overlay("ops", PROFILE, UsageStats()), "coral", bench.clock.now_ms(), B)
    await bench.marks.drained()
    assert bench.store.waits == [FIRST_WAIT_S]
    assert bench.told() == ["mark:landed"]


async def test_a_mark_lands_with_the_time_of_its_failure_however_late(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    at = bench.clock.now_ms()
    free = asyncio.Event()
    bench.store.gate = free.wait
    bench.failed()
    await bench.clock.advance(50)
    free.set()
    await bench.marks.drained()
    assert bench.store.stats().last_failure_at == at
    assert bench.store.stats().cooldown_until == at + 30_000
    assert bench.events[-1].duration_ms == bench.events[-1].at - at >= 50_000


async def test_a_contended_mark_is_written_down_told_once_and_removed_when_it_landed(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.store.trouble = [BUSY, BUSY]
    bench.failed()
    await settle()
    (file,) = bench.spooled()
    assert json.loads(file.read_text())["profile"] == PROFILE
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    while bench.marks.pending():
        await bench.clock.advance(1)
    assert bench.told() == ["mark:pending", "mark:landed"]
    assert "4711" in bench.events[0].text
    assert bench.spooled() == []


async def test_what_comes_while_a_batch_lands_joins_the_next_one_and_a_batch_is_one_change(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Store(PROFILE, "coral:pinchy", "coral:clawdia"))
    entered, go = asyncio.Event(), asyncio.Event()

    async def gate() -> None:
        entered.set()
        await go.wait()

    bench.store.gate = gate
    bench.failed()
    await entered.wait()
    bench.failed("coral:pinchy")
    bench.failed("coral:clawdia", "billing")
    go.set()
    await bench.marks.drained()
    assert len(bench.store.waits) == 2
    assert {name for name, stats in bench.store.state.stats.items() if stats.error_count} == bench.store.state.profiles
    assert bench.store.stats("coral:clawdia").disabled_reason == "billing"


async def test_only_the_marked_profiles_change(tmp_path: Path) -> None:
    store = Store(PROFILE, "coral:pinchy")
    other = UsageStats(last_used=5, cooldown_until=99)
    store.state = AuthState(stats={"coral:pinchy": other}, order={"coral": (PROFILE,)}, profiles=store.state.profiles)
    bench = Bench(tmp_path, store)
    bench.failed()
    await bench.marks.drained()
    assert bench.store.stats("coral:pinchy") == other
    assert bench.store.state.order == {"coral": (PROFILE,)}
    assert bench.store.state.last_good == {}


async def test_a_success_names_the_last_good_profile_and_resets_it(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.failed()
    await bench.marks.drained()
    await bench.clock.advance(1)
    bench.succeeded()
    assert bench.marks.overlay("main", PROFILE, bench.store.stats()).cooldown_until is None
    await bench.marks.drained()
    assert bench.store.stats().cooldown_until is None
    assert bench.store.stats().last_used == bench.clock.now_ms()
    assert bench.store.state.last_good == {"coral": PROFILE}


async def test_a_failure_that_a_later_success_overtook_is_dropped_with_an_event(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    now = bench.clock.now_ms()
    bench.failed(at=now)
    bench.succeeded(at=now + 1)
    await bench.marks.drained()
    assert bench.store.stats().cooldown_until is None
    assert sorted(bench.told()) == ["mark:landed", "mark:overtaken"]


@pytest.mark.parametrize("error", [RefusedError("another user's store"), RefusedError("SQLite")])
async def test_a_store_that_may_not_be_written_loses_marks_aloud(tmp_path: Path, error: Exception) -> None:
    bench = Bench(tmp_path)
    bench.store.trouble = [error]
    bench.failed()
    await bench.marks.drained()
    assert bench.told() == ["mark-lost:"]
    assert bench.marks.pending() == ()


async def test_a_profile_and_an_agent_that_are_gone_lose_their_marks_aloud(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Store("coral:someone-else"))
    bench.failed()
    await bench.marks.drained()
    bench.gone = True
    bench.failed()
    await bench.marks.drained()
    assert bench.told() == ["mark-lost:", "mark-lost:"]
    assert "profile is gone" in bench.events[0].text
    assert "store is gone" in bench.events[1].text


async def test_a_disk_that_refuses_is_tried_again_and_then_given_up_aloud(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.store.trouble = [OperationFailedError("no space left")] * DISK_TRIES
    bench.failed()
    while bench.marks.pending():
        await bench.clock.advance(1)
    assert bench.told() == ["mark:pending", "mark-lost:"]
    assert bench.spooled() == []


async def closed_after(bench: Bench, seconds: float) -> tuple[Mark, ...]:
    """What closing says when its time for landing is over."""
    closing = asyncio.create_task(bench.marks.aclose(drain_s=seconds))
    await bench.clock.advance(seconds)
    return await closing


async def test_closing_drains_for_a_bounded_time_and_spools_the_rest_for_the_next_clawtop(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.store.gate = asyncio.Event().wait
    at = bench.failed().at
    await settle()
    assert await closed_after(bench, 2) == ()
    (left,) = bench.spooled()
    renamed = left.with_name(left.name.replace(left.name.split(".")[1], "4194000-dead"))
    left.rename(renamed)
    bench.store.gate = None
    heir = Bench(tmp_path, bench.store)
    assert heir.marks.adopt() == 1
    assert heir.marks.overlay("main", PROFILE, UsageStats()).last_failure_at == at
    await heir.marks.drained()
    assert heir.store.stats().last_failure_at == at
    assert heir.spooled() == []


async def test_a_mark_that_landed_in_the_moment_of_death_is_not_counted_twice(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.failed()
    await bench.marks.drained()
    spool = MarkSpool(tmp_path)
    path = spool.put(Mark("main", PROFILE, "coral", bench.clock.now_ms(), "rate_limit", model="m"))
    path.rename(path.with_name(f"{bench.clock.now_ms()}.4194000-dead.1.json"))
    heir = Bench(tmp_path, bench.store)
    assert heir.marks.adopt() == 1
    await heir.marks.drained()
    assert heir.store.stats().error_count == 1


async def test_the_marks_of_a_clawtop_that_lives_are_left_to_it(tmp_path: Path) -> None:
    MarkSpool(tmp_path).put(Mark("main", PROFILE, "coral", 1, "rate_limit"))
    heir = Bench(tmp_path)
    assert heir.marks.adopt() == 0
    assert len(heir.spooled()) == 1


async def test_two_heirs_share_an_inheritance_without_a_mark_landing_twice(tmp_path: Path) -> None:
    store = Store()
    spool = MarkSpool(tmp_path)
    for at in (10, 20, 30):
        path = spool.put(Mark("main", PROFILE, "coral", at, "overloaded"))
        path.rename(path.with_name(f"{at}.4194000-dead.{at}.json"))
    first, second = MarkSpool(tmp_path).adopt(), MarkSpool(tmp_path).adopt()
    taken = [next(first), *second, *first]
    assert sorted(mark.at for _, mark in taken if mark is not None) == [10, 20, 30]
    assert store.state.stats == {}


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"agent": "main"}', b'{"agent":1,"profile":2,"provider":3,"at":4}']
)
async def test_a_spooled_mark_that_cannot_be_read_is_told_and_removed(tmp_path: Path, content: bytes) -> None:
    spool_dir(tmp_path).mkdir(parents=True)
    (spool_dir(tmp_path) / "5.4194000-dead.1.json").write_bytes(content)
    bench = Bench(tmp_path)
    assert bench.marks.adopt() == 1
    assert bench.told() == ["mark-lost:"]
    assert bench.spooled() == []


async def test_a_mark_that_can_neither_land_nor_be_written_down_is_returned_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path)

    def refuse(_: MarkSpool, __: Mark) -> Path:
        raise OSError("disk full")

    monkeypatch.setattr(MarkSpool, "put", refuse)
    bench.store.gate = asyncio.Event().wait
    mark = bench.failed()
    await settle()
    assert await closed_after(bench, 2) == (mark,)
    assert bench.told() == ["mark-lost:"]


async def test_marks_noted_after_closing_began_are_spooled_too(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.store.gate = asyncio.Event().wait
    bench.failed()
    await settle()
    closing = asyncio.create_task(bench.marks.aclose(drain_s=2))
    await settle()
    bench.failed("coral:pinchy")
    await bench.clock.advance(2)
    await closing
    assert len(bench.spooled()) == 2


async def test_events_name_the_profile_the_reason_and_hold_no_model_of_speech(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Store("coral:\x1b[2J"))
    bench.failed("coral:\x1b[2J")
    await bench.marks.drained()
    (event,) = bench.events
    assert (event.kind, event.reason, event.provider, event.run_id) == (EventKind.MARK, "rate_limit", "coral", "r1")
    assert "\x1b" not in event.text
    assert event.profile == "coral:\x1b[2J"


async def test_a_close_that_is_cancelled_still_writes_everything_down(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.store.gate = asyncio.Event().wait
    bench.failed()
    await settle()
    closing = asyncio.create_task(bench.marks.aclose(drain_s=60))
    await settle()
    closing.cancel()
    await asyncio.wait({closing})
    assert closing.cancelled()
    assert len(bench.spooled()) == 1


async def test_successes_of_a_profile_that_wait_together_are_one(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.store.gate = (free := asyncio.Event()).wait
    now = bench.clock.now_ms()
    bench.succeeded(at=now)
    await settle()
    for later in range(1, 50):
        bench.succeeded(at=now + later)
    assert len(bench.marks.pending()) == 2
    free.set()
    await bench.marks.drained()
    assert bench.store.stats().last_used == now + 49
