"""Cancelled at any step, a turn leaves no holder, no waiter, no lock, no temporary file and no changed title."""

from __future__ import annotations

import asyncio
import contextlib
import random
from pathlib import Path

import pytest
import setproctitle

from clawtop.clock import SystemClock
from clawtop.core.model import Generation, LockLimits
from clawtop.core.session.admission import OnContention
from clawtop.engine.prompt.lane_scheduler import LaneScheduler
from clawtop.engine.prompt.process_title import TITLE
from clawtop.engine.prompt.registry import PromptRegistry
from clawtop.engine.prompt.session_lock import SessionLockController
from clawtop.errors import CoordinationError
from clawtop.store.locks.processes import SystemProcesses
from clawtop.store.own.admissions import read_admissions

pytestmark = pytest.mark.anyio

CLOCK, PROCESSES = SystemClock(), SystemProcesses()
LIMITS = LockLimits(acquire_ms=5_000, stale_ms=1_800_000, max_hold_ms=300_000)


class Stage:
    """One directory, one session, and turns in it."""

    def __init__(self, root: Path, registry: PromptRegistry) -> None:
        self.root = root
        self.registry = registry
        self.lanes = LaneScheduler(clock=CLOCK, limits={"main": 8})
        self.inside = dict[str, int]()

    async def turn(self, name: str, session: Path, wish: OnContention = OnContention.WAIT) -> None:
        async with self.lanes.slot(f"session:{name}", "main"):
            holder = await self.registry.acquire(session, lane="main", run_id=name, on_contention=wish)
            async with holder:
                key = holder.record
                self.inside[key] = self.inside.get(key, 0) + 1
                try:
                    assert self.inside[key] == 1
                    await self._prompt(holder.session_file)
                finally:
                    self.inside[key] -= 1

    async def _prompt(self, session: Path) -> None:
        controller = await SessionLockController(
            session, generation=Generation.B, limits=LIMITS, clock=CLOCK, processes=PROCESSES
        ).open()
        async with controller:
            await controller.release_for_prompt()
            await asyncio.sleep(0)
            async with controller.write():
                await asyncio.sleep(0)

    def assert_nothing_is_left(self) -> None:
        assert read_admissions(self.root) == ()
        assert [path.name for path in (self.root / "sessions").iterdir() if path.suffix != ".jsonl"] == []
        assert setproctitle.getproctitle() != TITLE
        assert all(not state.active and not state.queue for state in map(self.lanes.state, ("main", "session:t")))


@pytest.fixture
def session(tmp_path: Path) -> Path:
    path = tmp_path / "sessions" / "s1.jsonl"
    path.parent.mkdir()
    path.write_text('{"type":"session","id":"s1"}\n')
    return path


async def steps(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def cancelled_after(task: asyncio.Task[None], count: int) -> bool:
    """Cancel the task after that many turns of the loop; False when it was done before."""
    await steps(count)
    if task.done():
        await task
        return False
    task.cancel()
    await asyncio.wait({task})
    return True


async def test_a_turn_that_is_cancelled_at_any_step(tmp_path: Path, session: Path) -> None:
    async with PromptRegistry(tmp_path, clock=CLOCK) as registry:
        stage, count = Stage(tmp_path, registry), 0
        while await cancelled_after(asyncio.create_task(stage.turn("t", session)), count):
            stage.assert_nothing_is_left()
            count += 1
        assert count >= 3, "it starts, prompts and writes: three steps in which it can be interrupted"
        stage.assert_nothing_is_left()


async def test_a_waiting_turn_that_is_cancelled_at_any_step(tmp_path: Path, session: Path) -> None:
    """Cancelled before, during and after the moment in which its turn comes; the next in line gets it then."""
    async with PromptRegistry(tmp_path, clock=CLOCK) as registry:
        stage = Stage(tmp_path, registry)
        for count in range(30):
            first = await registry.acquire(session, lane="main", run_id="first")
            waiting = asyncio.create_task(stage.turn("t", session))
            behind = asyncio.create_task(stage.turn("behind", session))
            await steps(5)
            release = asyncio.create_task(first.release())
            await cancelled_after(waiting, count)
            await release
            async with asyncio.timeout(5):
                await behind
            stage.assert_nothing_is_left()


async def test_hundreds_of_turns_that_are_cancelled_at_random(tmp_path: Path, session: Path) -> None:
    chance = random.Random(57281)
    others = [session.with_name(f"o{number}.jsonl") for number in range(3)]
    for other in others:
        other.write_text('{"type":"session","id":"o"}\n')
    async with PromptRegistry(tmp_path, clock=CLOCK) as registry:
        stage = Stage(tmp_path, registry)

        async def life(number: int) -> None:
            wish = chance.choice([OnContention.WAIT, OnContention.WAIT, OnContention.RAISE, OnContention.FORK])
            turn = asyncio.create_task(stage.turn(f"t{number}", chance.choice([session, *others]), wish))
            await asyncio.wait({turn}, timeout=chance.random() * 0.2)
            turn.cancel()
            with contextlib.suppress(asyncio.CancelledError, CoordinationError):
                await turn

        async with asyncio.timeout(60):
            await asyncio.gather(*(life(number) for number in range(300)))
        await registry.aclose()
        stage.assert_nothing_is_left()
        assert set(stage.inside.values()) == {0}
