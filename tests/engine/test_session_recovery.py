"""`recover`: waits for a holder, drains what nobody holds, copies what stays held; nothing is ever sent again."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from clawtop.cli.common import open_incident_reader
from clawtop.cli.drain import target_of
from clawtop.clock import SystemClock
from clawtop.core.session.recovery import RecoveryMove, SessionRecovery
from clawtop.engine.drain.recovery import Telling, assess, recover
from clawtop.engine.drive.driver import Driver
from clawtop.engine.prompt.holder import HeldPrompt
from clawtop.store.locks.processes import SystemProcesses
from clawtop.store.own.admissions import read_admissions
from tests.engine.test_drainer import KEY, store, transcript

pytestmark = pytest.mark.anyio
HOUR_MS = 3_600_000


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A generation B directory with one session and no gateway."""
    state = tmp_path / "state"
    (state / "agents/main/agent").mkdir(parents=True)
    (state / "agents/main/sessions").mkdir()
    (state / "openclaw.json").write_text('{"meta":{"lastTouchedVersion":"2026.5.20"},"gateway":{"port":9}}')
    (state / "agents/main/agent/auth-profiles.json").write_text('{"version":1,"profiles":{}}')
    store(state, status="done")
    transcript(state).write_text('{"type":"session","version":3,"id":"s1"}\n{"type":"message","id":"m1"}\n')
    return state


def driver(state: Path) -> Driver:
    return Driver(state, environ={}, home=state.parent)


def leave_running(state: Path) -> None:
    """The session list says that a run goes on, as a gateway that died leaves it."""
    began = SystemClock().now_ms() - HOUR_MS
    store(state, status="running", startedAt=began, updatedAt=began)


@asynccontextmanager
async def held_for_hours(state: Path) -> AsyncIterator[tuple[Driver, HeldPrompt]]:
    """Another clawtop has the prompt, and has had it for too long."""
    async with driver(state) as other:
        holder = await other.resources.registry.acquire(
            transcript(state), session_key=KEY, agent="main", lane="main", run_id="stuck"
        )
        for path in (state / "clawtop" / "holders").glob("*.json"):
            record = json.loads(path.read_text())
            record["holder"]["granted_at"] -= 2 * HOUR_MS
            path.write_text(json.dumps(record))
        yield other, holder
        await holder.release()


async def recovered(state: Path, wait_s: float = 0.3) -> tuple[SessionRecovery, list[str]]:
    reader = open_incident_reader(argparse.Namespace(state_dir=str(state), agent=None, at=None))
    told: list[str] = []
    async with driver(state) as engine:
        done = await recover(
            engine,
            reader,
            target_of(reader, KEY, "main"),
            clock=SystemClock(),
            processes=SystemProcesses(),
            telling=Telling(lambda e: told.append(e.text), lambda s: told.append(s.text), lambda _w, _l: None),
            wait_s=wait_s,
        )
    return done, told


async def test_a_session_at_rest_is_left_alone(state: Path) -> None:
    before = sorted((str(path), path.lstat().st_mtime_ns) for path in state.rglob("*"))
    done, told = await recovered(state)
    assert done.move is RecoveryMove.NOTHING
    assert "not stuck" in done.why
    assert told == []
    assert sorted((str(path), path.lstat().st_mtime_ns) for path in state.rglob("*")) == before


async def test_what_a_dead_gateway_left_running_is_drained_and_proven_free(state: Path) -> None:
    leave_running(state)
    before = transcript(state).read_bytes()
    done, told = await recovered(state)
    assert done.free
    assert done.fresh is None
    assert done.words
    assert any("with its transcript unchanged" in text for text in told)
    assert transcript(state).read_bytes() == before, "nothing was sent again"


async def test_a_holder_that_stays_keeps_its_session_and_the_conversation_goes_on_in_a_copy(state: Path) -> None:
    leave_running(state)
    async with held_for_hours(state) as (other, _):
        reader = open_incident_reader(argparse.Namespace(state_dir=str(state), agent=None, at=None))
        report = assess(reader.read(), target_of(reader, KEY, "main"))
        assert report is not None
        assert report.abortable
        done, _ = await recovered(state)
        assert done.move is RecoveryMove.FORK
        assert done.fresh is not None
        assert "m1" in Path(done.fresh).read_text()
        assert await other.resources.registry.holder_of(transcript(state)) is not None, "the holder keeps what it has"


async def test_a_holder_that_lets_go_in_time_leaves_the_session_itself(state: Path) -> None:
    leave_running(state)
    async with held_for_hours(state) as (_, holder):
        recovering = asyncio.create_task(recovered(state, wait_s=20.0))
        while not any(each.waiters for each in read_admissions(state)):
            assert not recovering.done(), recovering.result()
            await asyncio.sleep(0.01)
        await holder.release()
        done, _ = await recovering
    assert done.fresh is None
    assert done.free
