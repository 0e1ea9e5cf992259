"""What a snapshot and the screen say of who is in a session: our engines' runs, OpenClaw's, drains, and who waits."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from clawtop.cli.common import open_incident_reader
from clawtop.cli.dashboard import job_ports
from clawtop.clock import SystemClock
from clawtop.core.model import Gateway, GatewayState, PromptHolder, Snapshot, plain_text
from clawtop.core.session.drain import DrainListener, DrainRequest, DrainWishes
from clawtop.core.session.openclaw_runs import own_takeover_risk
from clawtop.demo.lock_process import LockProcess
from clawtop.demo.world import CAST, World, build_world
from clawtop.engine.prompt.registry import PromptRegistry
from clawtop.view.columns import Env
from clawtop.view.detail import detail_lines
from clawtop.view.facts import Facts
from clawtop.view.line import text_of
from clawtop.view.rows import session_table
from clawtop.view.tree_rows import tree_table
from tests.support.worlds import INCIDENT

pytestmark = pytest.mark.anyio
LIGHTHOUSE = CAST[0]
LONG = DrainWishes(deadline_s=60.0, still_s=60.0)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return build_world(tmp_path, seed=3, clock=SystemClock())


def options(world: World) -> argparse.Namespace:
    return argparse.Namespace(state_dir=str(world.state_dir), agent=None, at=None, no_gateway=False)


def holder_of(world: World, snapshot: Snapshot) -> PromptHolder | None:
    file = str(world.transcript(LIGHTHOUSE))
    return next((holder for holder in snapshot.holders if holder.session_file == file), None)


async def seen(world: World, *, waiters: int = 0) -> tuple[Snapshot, PromptHolder]:
    """The snapshot in which the lighthouse's session has somebody, with so many waiters."""
    reader = open_incident_reader(options(world))
    async with asyncio.timeout(20):
        while True:
            snapshot = reader.read()
            holder = holder_of(world, snapshot)
            if holder is not None and len(holder.waiters) == waiters:
                return snapshot, holder
            await asyncio.sleep(0)


@asynccontextmanager
async def draining(world: World) -> AsyncIterator[str]:
    """A drain of the lighthouse's session that goes on; its id."""
    drain = job_ports(options(world)).drains.prepare(DrainRequest(LIGHTHOUSE.key, "main", LONG), DrainListener())
    task = asyncio.create_task(drain.drain())
    try:
        yield drain.drain_id
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_a_drain_stands_where_a_holder_would_with_those_who_wait_for_it(world: World) -> None:
    async with draining(world) as drain_id, PromptRegistry(world.state_dir, clock=SystemClock()) as registry:
        await seen(world)
        file = world.transcript(LIGHTHOUSE)
        waiting = asyncio.create_task(registry.acquire(file, lane="channel", run_id="in-line"))
        snapshot, holder = await seen(world, waiters=1)
        assert (holder.phase, holder.run_id, holder.source) == ("draining", drain_id, "clawtop")
        assert holder.waiters[0].run_id == "in-line"
        now = holder.waiters[0].since + 3_000
        env = Env(Facts(snapshot, now), now)
        row = next(row for row in session_table(env).rows if row.item.key == LIGHTHOUSE.key)
        cells = {column.id: text_of(column.render(row.item, env)) for column in session_table(env).columns}
        assert cells["holder"] == f"{holder.pid} drain"
        assert (cells["waiters"], cells["trouble"], cells["source"]) == ("1", "1 waiting", "clawtop")
        detail = "\n".join(text_of(line) for line in detail_lines(row.target, env, 100))
        assert f"run        {drain_id}" in detail
        assert "channel run in-line" in detail
        labels = " ".join(plain_text(row.item.node.label) for row in tree_table(env).rows)
        assert f"held by run {drain_id} (no lane, draining), 1 waiting: channel" in labels
        waiting.cancel()
        with suppress(asyncio.CancelledError):
            await waiting
    assert holder_of(world, open_incident_reader(options(world)).read()) is None


async def test_a_run_that_is_drained_is_still_the_holder(world: World) -> None:
    async with PromptRegistry(world.state_dir, clock=SystemClock()) as registry:
        held = await registry.acquire(world.transcript(LIGHTHOUSE), lane="cron", run_id="first")
        async with draining(world):
            _, holder = await seen(world)
            assert (holder.run_id, holder.phase) == ("first", "locking")
        await held.release()


async def test_a_run_of_openclaw_is_not_hidden_by_a_drain(world: World) -> None:
    """A gateway cannot be kept out: its run is what stands there."""
    async with LockProcess("session", world.transcript(LIGHTHOUSE)) as other, draining(world):
        _, holder = await seen(world)
        assert (holder.source, holder.pid, holder.run_id) == ("lock", other.pid, None)
        assert holder.takeover_risk == "its lock is free during the model call"


@pytest.mark.parametrize(
    ("state", "phase", "risky"),
    [
        (GatewayState.LIVE, "streaming", True),
        (GatewayState.UNKNOWN, "prompting", True),
        (GatewayState.ABSENT, "streaming", False),
        (GatewayState.DEAD, "streaming", False),
        (GatewayState.LIVE, "appending", False),
    ],
)
def test_a_gateway_may_take_over_a_run_of_ours_while_its_lock_is_free(
    state: GatewayState, phase: str, risky: bool
) -> None:
    mine = PromptHolder("/x", None, None, "cron", "r", None, phase, 1, 2, "clawtop")
    risk = own_takeover_risk(mine, replace(INCIDENT, gateway=Gateway(state)))
    assert risk == ("a gateway does not know about it: a turn of its own here takes it over" if risky else None)
