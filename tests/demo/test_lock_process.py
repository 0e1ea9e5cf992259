"""Stand-ins for other processes: they hold a lock, give it back, or die with it, and never stay."""

from __future__ import annotations

import asyncio
import gc
import json
import warnings
from pathlib import Path

import pytest

from clawtop.demo.lock_process import LockProcess

pytestmark = pytest.mark.anyio


def lock_of(directory: Path) -> Path:
    return directory / "auth-profiles.json.lock"


async def test_a_process_holds_its_lock_and_gives_it_back(tmp_path: Path) -> None:
    async with LockProcess("auth", tmp_path) as other:
        assert json.loads(lock_of(tmp_path).read_text())["pid"] == other.pid
    assert list(tmp_path.iterdir()) == []


async def test_it_runs_this_clawtop_whatever_lies_in_the_current_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other_package = tmp_path / "here" / "clawtop"
    other_package.mkdir(parents=True)
    (other_package / "__init__.py").write_text("raise SystemExit('the wrong package')")
    monkeypatch.chdir(other_package.parent)
    held = tmp_path / "held"
    held.mkdir()
    async with LockProcess("auth", held) as other:
        assert json.loads(lock_of(held).read_text())["pid"] == other.pid


async def test_a_killed_process_leaves_its_lock(tmp_path: Path) -> None:
    async with LockProcess("auth", tmp_path) as other:
        await other.kill()
    assert lock_of(tmp_path).exists()


@pytest.mark.parametrize("rounds", [1, 2, 3, 10, 40])
async def test_a_process_that_is_cancelled_while_it_starts_is_gone(tmp_path: Path, rounds: int) -> None:
    other = LockProcess("auth", tmp_path)
    starting = asyncio.create_task(other.__aenter__())
    for _ in range(rounds):
        await asyncio.sleep(0)
    starting.cancel()
    await asyncio.wait({starting})
    assert starting.cancelled()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        del other, starting
        gc.collect()


async def test_what_cannot_be_held_is_an_error_not_a_wait(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="not taken"):
        async with LockProcess("auth", tmp_path / "absent"):
            pass
