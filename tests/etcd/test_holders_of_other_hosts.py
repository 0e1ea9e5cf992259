"""Holders on other hosts, by a real etcd: they stand in snapshots, and a drain sees and stops them."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from clawtop.clock import SystemClock
from clawtop.core.model import PromptHolder
from clawtop.core.session.admission import OnContention
from clawtop.core.session.drain import DrainStage, DrainWishes
from clawtop.engine.drain.drainer import Drainer, new_drain_id
from clawtop.engine.drain.scene import DrainTarget
from clawtop.engine.etcd.choice import shared_records
from clawtop.engine.etcd.client import Etcd
from clawtop.engine.etcd.names import shared_name
from clawtop.engine.etcd.records import EtcdRecords
from clawtop.engine.prompt.choice import RegistryChoice, endpoints_of, registry_choice
from clawtop.engine.prompt.registry import PromptRegistry
from clawtop.errors import RefusedError
from clawtop.store.locks.processes import SystemProcesses
from clawtop.store.snapshot import SnapshotReader
from tests.etcd.server import ETCD, EtcdServer
from tests.support.samples import copy, sample

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(ETCD is None, reason="needs etcd (Debian: etcd-server)"),
]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EtcdServer]:
    made = EtcdServer(tmp_path / "etcd")
    made.start()
    yield made
    made.stop()


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return copy(sample("2026.5.20", "healthy"), tmp_path / "states").state_dir


def first_session(state: Path) -> tuple[str, Path]:
    rows = json.loads((state / "agents/main/sessions/sessions.json").read_text())
    key, row = next(iter(rows.items()))
    return key, state / "agents/main/sessions" / f"{row['sessionId']}.jsonl"


def choice_of(server: EtcdServer, state: Path) -> RegistryChoice:
    return registry_choice(server.url, [f"{state}=claw"])


def other_host(server: EtcdServer, state: Path, tmp_path: Path) -> PromptRegistry:
    """The registry of an engine on another host, which mounts the directory at the same place."""
    endpoints, prefix = endpoints_of(server.url)
    records = EtcdRecords(
        Etcd(endpoints, SystemClock()),
        prefix,
        SystemClock(),
        name_of=lambda path: shared_name(path, {str(state): "claw"}, "other"),
        host="otherhost",
    )
    return PromptRegistry(tmp_path / "other", clock=SystemClock(), records=records)


def clawtop(server: EtcdServer, state: Path, *words: str) -> subprocess.CompletedProcess[str]:
    config = state.parent / "config.toml"
    config.write_text(f'registry = "{server.url}"\nregistry_mounts = ["{state}=claw"]\n')
    return subprocess.run(
        [sys.executable, "-m", "clawtop", *words, "--state-dir", str(state)],
        env={**os.environ, "CLAWTOP_CONFIG": str(config)},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


def shown_holders(server: EtcdServer, state: Path) -> list[dict[str, object]]:
    told = json.loads(clawtop(server, state, "status", "--json", "--no-gateway").stdout)
    found: list[dict[str, object]] = told["holders"]
    return found


async def test_a_holder_of_another_host_stands_in_the_snapshot(server: EtcdServer, state: Path, tmp_path: Path) -> None:
    _, file = first_session(state)
    async with other_host(server, state, tmp_path) as registry:
        assert await asyncio.to_thread(shown_holders, server, state) == []
        async with await registry.acquire(file, lane="channel", run_id="run-far", on_contention=OnContention.RAISE):
            (holder,) = await asyncio.to_thread(shown_holders, server, state)
        assert (holder["run_id"], holder["lane"], holder["pid"]) == ("run-far", "channel", None)
        assert holder["session_file"] == str(file)
        assert await asyncio.to_thread(shown_holders, server, state) == []


async def test_a_registry_that_does_not_answer_is_a_warning_and_everything_else_is_told(
    server: EtcdServer, state: Path
) -> None:
    server.freeze()
    done = await asyncio.to_thread(clawtop, server, state, "status", "--json", "--no-gateway")
    server.thaw()
    told = json.loads(done.stdout)
    assert "registry-unreachable" in {warning["code"] for warning in told["warnings"]}
    assert told["sessions"]


def _drainer(server: EtcdServer, state: Path, wishes: DrainWishes) -> Drainer:
    reader = SnapshotReader(
        state_dir=state,
        env={},
        home=state.parent,
        clock=SystemClock(),
        processes=SystemProcesses(),
        port_probe=lambda _port: False,
    )
    key, file = first_session(state)
    return Drainer(
        reader,
        DrainTarget("main", key, file),
        wishes,
        drain_id=new_drain_id(),
        clock=SystemClock(),
        processes=SystemProcesses(),
        shared=shared_records(choice_of(server, state), SystemClock()),
    )


async def test_a_drain_asks_a_run_on_another_host_to_stop(server: EtcdServer, state: Path, tmp_path: Path) -> None:
    _, file = first_session(state)
    async with other_host(server, state, tmp_path) as registry, asyncio.timeout(100):
        holding, ended = asyncio.Event(), asyncio.Event()

        async def run() -> None:
            async with await registry.acquire(file, lane="channel", run_id="run-far", on_contention=OnContention.RAISE):
                holding.set()
                try:
                    await asyncio.Event().wait()
                finally:
                    ended.set()

        running = asyncio.create_task(run())
        await holding.wait()
        wishes = DrainWishes(deadline_s=60.0, still_s=0.2, stop_after_s=0.0)
        drainer = _drainer(server, state, wishes)
        preview = await asyncio.to_thread(drainer.preview)
        assert any("run-far" in line for line in preview.lines[False])
        outcome = await drainer.drain()
        assert outcome.released
        assert ended.is_set()
        assert DrainStage.STOP in {step.stage for step in outcome.steps}
        await asyncio.gather(running, return_exceptions=True)


async def test_a_session_that_is_drained_is_closed_on_all_hosts(
    server: EtcdServer, state: Path, tmp_path: Path
) -> None:
    _, file = first_session(state)
    async with other_host(server, state, tmp_path) as registry, asyncio.timeout(100):
        holder = await registry.acquire(file, lane="main", run_id="run-far", on_contention=OnContention.RAISE)
        draining = asyncio.create_task(_drainer(server, state, DrainWishes(60.0, 0.2, 50.0)).drain())
        closed: PromptHolder | None = None
        while closed is None:
            admission = await registry._records.admission_of(str(file.resolve()))
            if admission is not None and admission.closing is not None:
                break
            await asyncio.sleep(0.02)
        await holder.release()
        outcome = await draining
        assert outcome.released
        await (await registry.acquire(file, lane="main", run_id="after", on_contention=OnContention.RAISE)).release()


async def test_a_drain_without_its_registry_says_why_and_does_nothing(server: EtcdServer, state: Path) -> None:
    server.stop()
    with pytest.raises(RefusedError, match="registry cannot be reached"):
        await _drainer(server, state, DrainWishes(5.0, 0.2)).drain()


def test_a_registry_that_is_none_is_refused_with_its_form(server: EtcdServer, state: Path) -> None:
    server.url = "files://x"
    done = clawtop(server, state, "drain", "agent:main:main", "--dry-run")
    assert done.returncode == 64
    assert "etcd://HOST:2379" in done.stderr
