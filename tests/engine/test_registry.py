"""Prompt holders across tasks, loops and processes: one at a time, in order, and gone with their run."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import re
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from clawtop.clock import SystemClock
from clawtop.core.model import Event, EventKind, PromptHolder
from clawtop.core.session.admission import Close, Closing, ForeignHolder, OnContention, Reopen
from clawtop.engine.prompt.holder import HeldPrompt
from clawtop.engine.prompt.registry import LOOK_S, PromptRegistry
from clawtop.errors import OperationFailedError, SessionContendedError, SessionTakeoverError
from clawtop.store.disk import disk
from clawtop.store.own.admissions import read_admissions
from clawtop.store.own.holders import HolderRecords
from clawtop.store.own.wake import Word, tell
from tests.engine.other_process import other_process
from tests.support.clocks import ManualClock
from tests.support.holders import read_holders
from tests.support.registries import holder_records
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

CLOCK = SystemClock()


@pytest.fixture
async def registry(tmp_path: Path) -> AsyncIterator[PromptRegistry]:
    async with PromptRegistry(tmp_path, clock=CLOCK) as registry:
        yield registry


@pytest.fixture
def session(tmp_path: Path) -> Path:
    path = tmp_path / "sessions" / "s1.jsonl"
    path.parent.mkdir()
    path.write_text(
        '{"type":"session","version":3,"id":"s1","timestamp":"t","cwd":"/w"}\n{"type":"message","id":"m1"}\n'
    )
    return path


async def take(registry: PromptRegistry, session: Path, run_id: str = "run", **wishes: object) -> HeldPrompt:
    return await registry.acquire(session, lane="main", run_id=run_id, **wishes)  # type: ignore[arg-type]


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_second_run_waits_for_the_first(registry: PromptRegistry, session: Path) -> None:
    first = await take(registry, session, "one")
    second = asyncio.create_task(take(registry, session, "two"))
    await settle()
    assert not second.done()
    await first.release()
    async with await second as holder:
        assert holder.run_id == "two"
    assert read_admissions(session.parent.parent) == ()


async def test_waiters_are_served_in_the_order_in_which_they_came(registry: PromptRegistry, session: Path) -> None:
    order: list[str] = []

    async def turn(name: str) -> None:
        async with await take(registry, session, name):
            order.append(name)
            await asyncio.sleep(0)

    first = await take(registry, session)
    turns = []
    for name in "abcdef":
        turns.append(asyncio.create_task(turn(name)))
        await settle()
    await first.release()
    await asyncio.gather(*turns)
    assert order == list("abcdef")


async def test_raise_names_the_holder_and_changes_nothing(registry: PromptRegistry, session: Path) -> None:
    async with await take(registry, session, "one") as first:
        first.set_phase("streaming")
        with pytest.raises(SessionContendedError, match="run one on lane main") as caught:
            await take(registry, session, "two", on_contention=OnContention.RAISE)
        assert "streaming" in caught.value.holder
        (state,) = read_admissions(session.parent.parent)
        assert state.waiters == ()


async def test_a_wait_ends_at_its_deadline_with_the_holders_name(registry: PromptRegistry, session: Path) -> None:
    async with await take(registry, session, "one"):
        deadline = CLOCK.monotonic() + 0.03
        with pytest.raises(SessionContendedError, match=r"run one .* after \d+ ms"):
            await take(registry, session, "two", deadline=deadline)
        assert CLOCK.monotonic() >= deadline
        (state,) = read_admissions(session.parent.parent)
        assert state.waiters == ()


async def test_a_waiter_shows_its_deadline(registry: PromptRegistry, session: Path) -> None:
    async with await take(registry, session, "one"):
        waiting = asyncio.create_task(take(registry, session, "two", deadline=CLOCK.monotonic() + 60))
        await settle()
        (holder,) = read_holders(session.parent.parent)
        (waiter,) = holder.waiters
        assert waiter.run_id == "two"
        assert waiter.deadline is not None
        assert 50_000 < waiter.deadline - waiter.since <= 60_000
        waiting.cancel()
        await asyncio.wait({waiting})


async def test_fork_carries_the_conversation_to_a_fresh_session(registry: PromptRegistry, session: Path) -> None:
    with session.open("a") as file:
        file.write('{"type":"message","id":"half')
    before = session.read_bytes()
    async with await take(registry, session, "one"):
        fork = await take(registry, session, "two", on_contention=OnContention.FORK)
        async with fork:
            assert fork.forked_from == session.resolve()
            header, *lines = [json.loads(line) for line in fork.session_file.read_text().splitlines()]
            assert header["id"] == fork.session_file.stem != "s1"
            assert header["parentSession"] == str(session.resolve())
            assert (header["type"], header["version"], header["cwd"]) == ("session", 3, "/w")
            assert lines == [{"type": "message", "id": "m1"}]
            assert {holder.session_file for holder in read_holders(session.parent.parent)} == {
                str(session.resolve()),
                str(fork.session_file),
            }
    assert session.read_bytes() == before
    assert sorted(path.suffix for path in session.parent.iterdir()) == [".jsonl", ".jsonl"]


async def test_fork_without_contention_is_an_ordinary_acquire(registry: PromptRegistry, session: Path) -> None:
    async with await take(registry, session, on_contention=OnContention.FORK) as holder:
        assert (holder.session_file, holder.forked_from) == (session.resolve(), None)


async def test_a_fork_that_cannot_be_written_leaves_nothing(
    registry: PromptRegistry, session: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_arguments: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    async with await take(registry, session, "one"):
        monkeypatch.setattr(disk, "rename", refused)
        with pytest.raises(OperationFailedError, match="could not be copied"):
            await take(registry, session, "two", on_contention=OnContention.FORK)
    assert list(session.parent.iterdir()) == [session]


def busy_for(monkeypatch: pytest.MonkeyPatch, beside: Path, tries: int) -> list[str]:
    """Each fresh session's record is busy for so many tries; gives the fresh files that were asked for."""
    apply, asked = HolderRecords.apply, list[str]()

    def busy(records: HolderRecords, session_file: str, *more: Any) -> Any:
        if session_file == str(beside.resolve()):
            return apply(records, session_file, *more)
        asked.append(session_file)
        return None if asked.count(session_file) <= tries else apply(records, session_file, *more)

    monkeypatch.setattr(HolderRecords, "apply", busy)
    return asked


async def test_a_fresh_session_whose_record_is_busy_is_waited_for_although_the_wait_for_the_old_one_is_over(
    registry: PromptRegistry, session: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with await take(registry, session, "one"):
        asked = busy_for(monkeypatch, session, 3)
        over = CLOCK.monotonic() - 1
        async with await take(registry, session, "two", on_contention=OnContention.FORK, deadline=over) as fork:
            assert set(asked) == {str(fork.session_file)}
    assert len(list(session.parent.iterdir())) == 2


async def test_a_fresh_session_that_cannot_be_taken_leaves_no_copy(
    registry: PromptRegistry, session: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clawtop.engine.prompt.registry.FRESH_S", 0.0)
    async with await take(registry, session, "one"):
        busy_for(monkeypatch, session, 1_000_000)
        over = CLOCK.monotonic() - 1
        with pytest.raises(SessionContendedError):
            await take(registry, session, "two", on_contention=OnContention.FORK, deadline=over)
        monkeypatch.undo()
    assert list(session.parent.iterdir()) == [session]


class BoomError(Exception):
    pass


@pytest.mark.parametrize(
    ("error", "how"),
    [(BoomError(), "error"), (SessionTakeoverError("changed"), "takeover"), (asyncio.CancelledError(), "cancelled")],
)
async def test_every_way_out_releases(tmp_path: Path, session: Path, error: BaseException, how: str) -> None:
    events: list[Event] = []
    async with PromptRegistry(tmp_path, clock=CLOCK, journal=events.append) as registry:
        with pytest.raises(type(error)):
            async with await take(registry, session):
                raise error
        assert read_admissions(tmp_path) == ()
    assert [event.kind for event in events] == [EventKind.ACQUIRE, EventKind.RELEASE]
    assert events[-1].text.endswith(how)


async def test_a_cancelled_waiter_leaves_the_queue(registry: PromptRegistry, session: Path) -> None:
    first = await take(registry, session)
    waiting = [asyncio.create_task(take(registry, session, name)) for name in "abc"]
    await settle()
    waiting[0].cancel()
    await asyncio.wait({waiting[0]})
    await first.release()
    async with await waiting[1] as second:
        assert second.run_id == "b"
    await (await waiting[2]).release()


async def test_cancelling_right_after_the_wake_up_passes_the_turn_on(registry: PromptRegistry, session: Path) -> None:
    first = await take(registry, session)
    waiting = [asyncio.create_task(take(registry, session, name)) for name in "ab"]
    await settle()
    await first.release()
    waiting[0].cancel()
    await asyncio.wait({waiting[0]})
    async with asyncio.timeout(5):
        await (await waiting[1]).release()


async def test_phase_and_profile_are_seen_by_others_and_end_with_the_hold(
    registry: PromptRegistry, session: Path
) -> None:
    holder = await take(registry, session, profile="anthropic:two")
    holder.set_phase("streaming")
    (seen,) = read_holders(session.parent.parent)
    assert (seen.phase, seen.profile) == ("streaming", "anthropic:two")
    await holder.release()
    holder.set_phase("appending")
    await holder.release()
    assert read_holders(session.parent.parent) == ()


async def test_two_loops_of_one_process_exclude_each_other(registry: PromptRegistry, session: Path) -> None:
    """The other loop runs in a thread of its own, with a registry of its own."""
    outcome: list[str] = []

    async def elsewhere() -> None:
        async with PromptRegistry(session.parent.parent, clock=CLOCK) as other:
            try:
                await take(other, session, "two", on_contention=OnContention.RAISE)
            except SessionContendedError:
                outcome.append("contended")
            async with await take(other, session, "two"):
                outcome.append("acquired")

    first = await take(registry, session, "one")
    thread = threading.Thread(target=asyncio.run, args=(elsewhere(),))
    thread.start()
    await until(lambda: read_holders(session.parent.parent)[0].waiters)
    await first.release()
    await asyncio.to_thread(thread.join)
    assert outcome == ["contended", "acquired"]


async def test_a_busy_record_does_not_hold_up_the_loop(
    registry: PromptRegistry, session: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While another process changes the record, phases are written later and a release is finished behind the run."""
    holder = await take(registry, session)
    apply, busy = holder_records(registry).apply, [3]

    def sometimes(*arguments: object) -> object:
        if busy[0]:
            busy[0] -= 1
            return None
        return apply(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(holder_records(registry), "apply", sometimes)
    for phase in ("prompting", "streaming"):
        holder.set_phase(phase)
    while (seen := read_holders(session.parent.parent)[0]).phase == "locking":
        await asyncio.sleep(0.001)
    assert seen.phase == "streaming"
    busy[0] = 3
    await holder.release()
    assert read_holders(session.parent.parent) == ()


async def test_a_cancelled_release_still_releases(
    registry: PromptRegistry, session: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    holder = await take(registry, session)
    apply, busy = holder_records(registry).apply, [True]
    monkeypatch.setattr(holder_records(registry), "apply", lambda *arguments: None if busy[0] else apply(*arguments))
    releasing = asyncio.create_task(holder.release())
    await settle()
    releasing.cancel()
    await asyncio.wait({releasing})
    busy[0] = False
    await registry.aclose()
    assert read_holders(session.parent.parent) == ()


async def test_an_openclaw_run_counts_as_a_holder(registry: PromptRegistry, session: Path) -> None:
    run = [ForeignHolder("the gateway's run, pid 7", "status", pid=7)]

    def foreign(path: Path) -> ForeignHolder | None:
        assert path == session.resolve()
        return run[0] if run else None

    with pytest.raises(SessionContendedError, match="known from status"):
        await take(registry, session, on_contention=OnContention.RAISE, foreign=foreign)
    assert read_admissions(session.parent.parent) == ()
    with pytest.raises(SessionContendedError, match="the gateway's run"):
        await take(registry, session, deadline=CLOCK.monotonic() + 0.02, foreign=foreign)
    async with await take(registry, session, on_contention=OnContention.FORK, foreign=foreign) as fork:
        assert fork.forked_from == session.resolve()
    waiting = asyncio.create_task(take(registry, session, foreign=foreign))
    await settle()
    run.clear()
    await (await waiting).release()


async def test_a_drained_session_is_closed_to_new_runs(registry: PromptRegistry, session: Path) -> None:
    records = holder_records(registry)
    closing = Closing("d1", records.presence.member, 7, CLOCK.now_ms(), CLOCK.now_ms() + 600_000)
    records.apply(str(session.resolve()), Close(closing), CLOCK.now_ms())
    with pytest.raises(SessionContendedError, match="drain d1"):
        await take(registry, session, on_contention=OnContention.RAISE)
    waiting = asyncio.create_task(take(registry, session))
    await settle()
    assert not waiting.done()
    records.apply(str(session.resolve()), Reopen("d1"), CLOCK.now_ms())
    await (await waiting).release()


async def seen_holder(state_dir: Path) -> PromptHolder:
    """The only holder on disk, as soon as there is one that somebody waits for."""
    while True:
        holders = read_holders(state_dir)
        if holders and holders[0].waiters:
            return holders[0]
        await asyncio.sleep(0.001)


async def test_processes_exclude_each_other_and_wake_each_other(registry: PromptRegistry, session: Path) -> None:
    delays: list[float] = []
    async with other_process(session.parent.parent) as other:
        for _ in range(5):
            first = await take(registry, session, "one")
            assert (await other.ask(f"acquire {session} raise")).startswith("contended run one on lane main")
            await other.tell(f"acquire {session} wait")
            holder = await seen_holder(session.parent.parent)
            assert holder.waiters[0].pid == other.pid
            await first.release()
            released = CLOCK.monotonic()
            word, at = (await other.answer()).split()
            assert word == "acquired"
            delays.append(float(at) - released)
            mine = asyncio.create_task(take(registry, session, "three"))
            await seen_holder(session.parent.parent)
            assert await other.ask("release") == "released"
            await (await mine).release()
    assert min(delays) < LOOK_S / 4, "woken by a word, not by looking now and then"


async def test_a_killed_holder_is_no_holder(registry: PromptRegistry, session: Path) -> None:
    async with other_process(session.parent.parent) as other:
        assert (await other.ask(f"acquire {session} wait")).startswith("acquired")
        mine = asyncio.create_task(take(registry, session))
        holder = await seen_holder(session.parent.parent)
        assert holder.pid == other.pid
        await other.kill()
        async with asyncio.timeout(5):
            await (await mine).release()


async def test_a_killed_waiter_does_not_hold_up_the_queue(registry: PromptRegistry, session: Path) -> None:
    first = await take(registry, session, "one")
    async with other_process(session.parent.parent) as other:
        await other.tell(f"acquire {session} wait")
        await seen_holder(session.parent.parent)
        mine = asyncio.create_task(take(registry, session, "two"))
        await settle()
        await other.kill()
    await first.release()
    async with asyncio.timeout(5):
        await (await mine).release()


async def test_a_run_that_is_asked_to_stop_is_cancelled(registry: PromptRegistry, session: Path) -> None:
    async def run() -> None:
        async with await take(registry, session):
            await asyncio.sleep(60)

    running = asyncio.create_task(run())
    while not (states := read_admissions(session.parent.parent)):
        await asyncio.sleep(0.001)
    holding = states[0].holder
    assert holding is not None
    tell(holder_records(registry).directory, holding.who, Word.WAKE)
    await asyncio.sleep(0.01)
    assert not running.done(), "a wake-up that comes late is not an order to stop"
    tell(holder_records(registry).directory, holding.who, Word.STOP)
    async with asyncio.timeout(5):
        await asyncio.wait({running})
    assert running.cancelled()
    assert read_admissions(session.parent.parent) == ()
    tell(holder_records(registry).directory, holding.who, Word.STOP)


async def test_a_run_is_asked_to_stop_once(registry: PromptRegistry, session: Path) -> None:
    task = asyncio.current_task()
    assert task is not None
    async with await take(registry, session) as holder:
        holder.ask_to_stop()
        holder.ask_to_stop()
        assert holder.stop_asked
        assert task.cancelling() == 1
        task.uncancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0)
    holder.ask_to_stop()
    assert task.cancelling() == 0


async def test_a_release_that_the_disk_refuses_does_not_spin(
    tmp_path: Path, session: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ManualClock()
    tries = 0
    async with PromptRegistry(tmp_path, clock=clock) as registry:
        holder = await take(registry, session)

        def refuses(*_request: object) -> None:
            nonlocal tries
            tries += 1
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as full:
            full.setattr(HolderRecords, "apply", refuses)
            leaving = asyncio.create_task(holder.release())
            await clock.advance(10.0)
        assert 50 < tries < 300
        await clock.advance(1.0)
        await leaving
        assert read_holders(tmp_path) == ()


@pytest.mark.parametrize(
    ("written", "confirmed", "title", "unchanged"),
    [
        ("", False, "its lease expired$", "none of the reply was written"),
        ("1a", False, "its lease expired; line 1a of .* was written, perhaps without holding the session", ""),
        ("1a", True, "its lease expired; line 1a of .* was written before that", ""),
    ],
)
async def test_a_run_that_loses_its_session_says_what_it_wrote(
    registry: PromptRegistry, tmp_path: Path, written: str, *, confirmed: bool, title: str, unchanged: str
) -> None:
    async def run() -> None:
        session = tmp_path / "s.jsonl"
        async with await registry.acquire(session, lane="main", run_id="r", on_contention=OnContention.RAISE) as holder:
            holder.written, holder.confirmed = written, confirmed
            holder.lose()
            await asyncio.Event().wait()

    with pytest.raises(SessionTakeoverError) as caught:
        await asyncio.create_task(run())
    assert re.search(title, caught.value.title)
    assert caught.value.unchanged == unchanged
