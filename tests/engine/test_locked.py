"""Locked work from tasks: nothing is lost, and a cancelled task leaves no lock and no temporary file."""

from __future__ import annotations

import asyncio
import json
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from clawtop.core.model import Generation, UsageStats
from clawtop.engine.operations.locked import run_locked, settled, update_profile
from clawtop.errors import LockNotObtainedError
from clawtop.store.auth.lock import AuthStoreLock, Hold, Holder, Machine
from clawtop.store.auth.target import StoreTarget
from clawtop.store.locks.openclaw import publish, release

pytestmark = pytest.mark.anyio


def store(directory: Path) -> StoreTarget:
    profiles = {"fakeai:one": {"type": "api_key", "provider": "fakeai", "key": "k"}}
    (directory / "auth-profiles.json").write_text(json.dumps({"version": 1, "profiles": profiles}))
    (directory / "auth-state.json").write_text('{"version": 1, "usageStats": {"fakeai:one": {"errorCount": 0}}}')
    return StoreTarget("main", str(directory), Generation.B)


def counted(stats: UsageStats) -> UsageStats:
    return replace(stats, error_count=(stats.error_count or 0) + 1)


async def test_tasks_of_one_loop_lose_no_update(tmp_path: Path) -> None:
    target = store(tmp_path)
    machine = Machine()
    async with asyncio.TaskGroup() as group:
        for _ in range(40):
            group.create_task(update_profile(target, "fakeai:one", counted, machine, wait=30, last_good="fakeai"))
    state = json.loads((tmp_path / "auth-state.json").read_bytes())
    assert state["usageStats"]["fakeai:one"]["errorCount"] == 40
    assert state["lastGood"] == {"fakeai": "fakeai:one"}
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["auth-profiles.json", "auth-state.json"]


async def test_a_wait_that_is_cancelled_leaves_nothing_behind(tmp_path: Path) -> None:
    path = str(tmp_path / "auth-profiles.json.lock")
    theirs = publish(path, {"pid": 1, "createdAt": "2026-01-01T00:00:00.000Z"})
    assert theirs is not None
    waiting = asyncio.Event()
    loop = asyncio.get_running_loop()

    def tell(_: Holder) -> None:
        loop.call_soon_threadsafe(waiting.set)

    lock = AuthStoreLock(str(tmp_path), Generation.B, Machine(), on_wait=tell)
    task = asyncio.create_task(run_locked(lock, lambda _: None, wait=60))
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [entry.name for entry in tmp_path.iterdir()] == ["auth-profiles.json.lock"]
    assert release(theirs)


async def test_work_that_is_cancelled_ends_whole_and_gives_the_lock_back(tmp_path: Path) -> None:
    began, may_end = threading.Event(), threading.Event()
    done: list[str] = []

    def work(hold: Hold) -> None:
        began.set()
        may_end.wait()
        hold.check()
        done.append("whole")

    lock = AuthStoreLock(str(tmp_path), Generation.B, Machine())
    task = asyncio.create_task(run_locked(lock, work, wait=5))
    await asyncio.to_thread(began.wait)
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done == ["whole"]
    assert list(tmp_path.iterdir()) == []


async def test_the_loop_runs_on_while_the_work_blocks(tmp_path: Path) -> None:
    began, may_end = threading.Event(), threading.Event()
    lock = AuthStoreLock(str(tmp_path), Generation.B, Machine())

    def work(_: Hold) -> None:
        began.set()
        may_end.wait()

    async with asyncio.TaskGroup() as group:
        group.create_task(run_locked(lock, work, wait=5))
        await asyncio.to_thread(began.wait)
        may_end.set()


async def test_a_task_that_takes_it_twice_is_told(tmp_path: Path) -> None:
    machine = Machine()
    lock, again = (AuthStoreLock(str(tmp_path), Generation.B, machine) for _ in range(2))
    with pytest.raises(RuntimeError, match="already being taken"):
        await run_locked(lock, lambda _: again.run(lambda _: None, wait=1), wait=1)
    assert list(tmp_path.iterdir()) == []


async def test_the_time_being_up_is_an_error_that_names_the_holder(tmp_path: Path) -> None:
    assert publish(str(tmp_path / "auth-profiles.json.lock"), {"pid": 1, "createdAt": "2026-01-01T00:00:00.000Z"})
    with pytest.raises(LockNotObtainedError, match="pid 1 "):
        await run_locked(AuthStoreLock(str(tmp_path), Generation.B, Machine()), lambda _: None, wait=0.05)


async def test_settled_hands_on_results_and_errors() -> None:
    async def fail() -> None:
        raise ValueError("as it was")

    assert await settled(asyncio.sleep(0, "value")) == "value"
    with pytest.raises(ValueError, match="as it was"):
        await settled(fail())
