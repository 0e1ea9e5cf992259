"""Locked work from tasks: nothing is lost, and a cancelled task leaves no lock and no temporary file."""

from __future__ import annotations

import asyncio
import json
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from clawtop.core.model import Generation, UsageStats
from clawtop.engine.operations.locked import settled, update_store
from clawtop.errors import LockNotObtainedError
from clawtop.store.auth.json_backend import JsonPlace
from clawtop.store.auth.lock import AuthStoreLock
from clawtop.store.auth.machine import Machine
from clawtop.store.auth.port import Updated
from clawtop.store.locks.openclaw import release
from tests.support.auth_changes import profile_change
from tests.support.lock_files import publish

pytestmark = pytest.mark.anyio


def store(directory: Path) -> JsonPlace:
    profiles = {"fakeai:one": {"type": "api_key", "provider": "fakeai", "key": "k"}}
    (directory / "auth-profiles.json").write_text(json.dumps({"version": 1, "profiles": profiles}))
    (directory / "auth-state.json").write_text('{"version": 1, "usageStats": {"fakeai:one": {"errorCount": 0}}}')
    return JsonPlace("main", str(directory), Generation.B)


def names(directory: Path) -> list[str]:
    return sorted(entry.name for entry in directory.iterdir())


def counted(stats: UsageStats) -> UsageStats:
    return replace(stats, error_count=(stats.error_count or 0) + 1)


async def test_tasks_of_one_loop_lose_no_update(tmp_path: Path) -> None:
    target = store(tmp_path)
    machine = Machine()
    async with asyncio.TaskGroup() as group:
        for _ in range(40):
            group.create_task(
                update_store(target, profile_change("fakeai:one", counted, last_good="fakeai"), machine, wait=30)
            )
    state = json.loads((tmp_path / "auth-state.json").read_bytes())
    assert state["usageStats"]["fakeai:one"]["errorCount"] == 40
    assert state["lastGood"] == {"fakeai": "fakeai:one"}
    assert names(tmp_path) == ["auth-profiles.json", "auth-state.json"]


async def test_a_wait_that_is_cancelled_leaves_nothing_behind(tmp_path: Path) -> None:
    place = store(tmp_path)
    theirs = publish(str(tmp_path / "auth-profiles.json.lock"), {"pid": 1, "createdAt": "2026-01-01T00:00:00.000Z"})
    assert theirs is not None
    waiting = asyncio.Event()
    change = profile_change("fakeai:one", counted)
    task = asyncio.create_task(update_store(place, change, Machine(), wait=60, on_wait=lambda _: waiting.set()))
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert names(tmp_path) == ["auth-profiles.json", "auth-profiles.json.lock", "auth-state.json"]
    assert release(theirs)


async def test_work_that_is_cancelled_ends_whole_and_gives_the_lock_back(tmp_path: Path) -> None:
    place = store(tmp_path)
    began, may_end = threading.Event(), threading.Event()
    done: list[Updated] = []

    def written(updated: Updated) -> None:
        began.set()
        may_end.wait()
        done.append(updated)

    change = profile_change("fakeai:one", counted)
    task = asyncio.create_task(update_store(place, change, Machine(), wait=5, on_written=written))
    await asyncio.to_thread(began.wait)
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [updated.after.stats["fakeai:one"].error_count for updated in done] == [1]
    assert names(tmp_path) == ["auth-profiles.json", "auth-state.json"]


async def test_the_loop_runs_on_while_the_work_blocks(tmp_path: Path) -> None:
    began, may_end = threading.Event(), threading.Event()

    def written(_: Updated) -> None:
        began.set()
        may_end.wait()

    async with asyncio.TaskGroup() as group:
        change = profile_change("fakeai:one", counted)
        group.create_task(update_store(store(tmp_path), change, Machine(), wait=5, on_written=written))
        await asyncio.to_thread(began.wait)
        may_end.set()


async def test_a_task_that_takes_it_twice_is_told(tmp_path: Path) -> None:
    place, change = store(tmp_path), profile_change("fakeai:one", counted)
    with (
        AuthStoreLock(str(tmp_path), Generation.B, Machine()).entered(),
        pytest.raises(RuntimeError, match="already being acquired"),
    ):
        await update_store(place, change, Machine(), wait=1)
    assert names(tmp_path) == ["auth-profiles.json", "auth-state.json"]


async def test_the_time_being_up_is_an_error_that_names_the_holder(tmp_path: Path) -> None:
    place, change = store(tmp_path), profile_change("fakeai:one", counted)
    assert publish(str(tmp_path / "auth-profiles.json.lock"), {"pid": 1, "createdAt": "2026-01-01T00:00:00.000Z"})
    with pytest.raises(LockNotObtainedError, match="pid 1 "):
        await update_store(place, change, Machine(), wait=0.05)


async def test_settled_hands_on_results_and_errors() -> None:
    async def fail() -> None:
        raise ValueError("as it was")

    assert await settled(asyncio.sleep(0, "value")) == "value"
    with pytest.raises(ValueError, match="as it was"):
        await settled(fail())
