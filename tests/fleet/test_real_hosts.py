"""A fleet of real processes: containers by a stand-in, hosts by a real sshd, connections that are cut and frozen."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from clawtop.clock import SystemClock
from clawtop.core.fleet.hosts import HostLink
from clawtop.core.fleet.shared import shared_accounts
from clawtop.core.model import Snapshot
from clawtop.errors import ClawtopError
from clawtop.fleet.fleet import Fleet
from clawtop.fleet.near import RemoteSource
from clawtop.fleet.transport import CommandTransport, HostSpec, Pipe, host_spec
from tests.fleet.far_hosts import container_command, has_sshd, ssh_hosts
from tests.support.samples import copy, sample
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

needs_sshd = pytest.mark.skipif(not has_sshd(), reason="needs OpenSSH's server (Debian: openssh-server)")
SCENARIOS = ("healthy", "rate-limited", "pinned")


@pytest.fixture
def states(tmp_path: Path) -> dict[str, Path]:
    return {name: copy(sample("2026.5.20", name), tmp_path / "states").state_dir for name in SCENARIOS}


def _status(*words: str, path: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **({"PATH": f"{path}:{os.environ['PATH']}"} if path else {})}
    return subprocess.run(
        [sys.executable, "-m", "clawtop", "fleet", "status", "--json", "--check", "--wait", "60", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=environment,
    )


def _hosts(*names: str) -> list[str]:
    return [word for name in names for word in ("--host", name)]


def _stored_secrets(states: dict[str, Path]) -> set[str]:
    found = set()
    for state in states.values():
        for store in state.glob("agents/*/agent/auth-profiles.json"):
            profiles = json.loads(store.read_text())["profiles"]
            found |= {str(profile["key"]) for profile in profiles.values() if profile.get("key")}
    return found


def test_containers_are_read_side_by_side_and_one_that_is_missing_is_named(
    tmp_path: Path, states: dict[str, Path]
) -> None:
    transport = container_command(tmp_path, states)
    done = _status(*_hosts(*SCENARIOS, "gone"), "--transport", transport)
    told = json.loads(done.stdout)
    links = {host["name"]: (host["link"], host["why"]) for host in told["hosts"]}
    assert links["gone"] == ("unreachable", "no clawtop answered: Error: No such container: gone")
    assert {links[name][0] for name in SCENARIOS} == {"live"}
    assert done.returncode == told["level"]
    assert {tuple(account["hosts"]) for account in told["shared_accounts"]}, "the samples share their credentials"
    assert not any(secret in done.stdout for secret in _stored_secrets(states))


def test_the_stream_ends_with_its_reader(states: dict[str, Path]) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "clawtop", "stream", "--state-dir", str(states["healthy"])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        handshake = json.loads(child.stdout.readline())
        assert handshake["clawtop_stream"] == 2
        child.stdin.close()
        assert child.wait(timeout=60) == 0


def test_a_host_without_a_state_directory_says_so(tmp_path: Path) -> None:
    done = _status("--host", "empty", "--transport", container_command(tmp_path, {"empty": tmp_path / "none"}))
    assert "no state directory" in json.loads(done.stdout)["hosts"][0]["why"]
    assert done.returncode == 3


def test_a_hosts_file_is_read_and_a_missing_one_named(tmp_path: Path, states: dict[str, Path]) -> None:
    words = container_command(tmp_path, states)
    (tmp_path / "hosts").write_text(f"# ours\nhealthy {words}\n\npinned {words}  # by its transport\n")
    told = json.loads(_status("--hosts", str(tmp_path / "hosts")).stdout)
    assert {host["name"] for host in told["hosts"]} == {"healthy", "pinned"}
    missing = _status("--hosts", str(tmp_path / "none"))
    assert missing.returncode == 3
    assert "hosts file" in missing.stderr


@needs_sshd
def test_hosts_behind_a_real_sshd(tmp_path: Path, states: dict[str, Path]) -> None:
    with ssh_hosts(tmp_path / "ssh", states) as path:
        done = _status(*_hosts(*SCENARIOS, "no.such.host.invalid"), path=str(path))
    told = json.loads(done.stdout)
    by_name = {host["name"]: host for host in told["hosts"]}
    assert {by_name[name]["link"] for name in SCENARIOS} == {"live"}
    assert "resolve" in by_name["no.such.host.invalid"]["why"]
    assert by_name["healthy"]["state_dir"] == str(states["healthy"])


class Cutting:
    """Starts far commands and remembers the processes, so that a test can cut or freeze them."""

    def __init__(self, path: Path | None) -> None:
        self._real = CommandTransport(None, SystemClock())
        self._path = path
        self.processes: list[asyncio.subprocess.Process] = []

    async def __call__(self, spec: HostSpec, words: Sequence[str]) -> Pipe:
        if self._path is not None:
            os.environ["PATH"] = f"{self._path}:{os.environ['PATH']}"
        pipe = await self._real(spec, words)
        self.processes.append(pipe._process)  # type: ignore[attr-defined]
        return pipe


async def test_an_opened_host_follows_its_state_and_comes_back_after_a_cut(
    tmp_path: Path, states: dict[str, Path]
) -> None:
    words = container_command(tmp_path, states)
    connect = Cutting(None)
    fleet = Fleet([host_spec(name, words) for name in SCENARIOS], connect, SystemClock(), chance=lambda: 0.0)
    got: list[Snapshot] = []
    errors: list[ClawtopError] = []
    async with asyncio.timeout(100):
        running = asyncio.create_task(fleet.run(lambda _hosts: None))
        await until(lambda: all(host.summary is not None for host in fleet.hosts))
        assert shared_accounts(fleet.hosts)
        shown = asyncio.create_task(RemoteSource(fleet.near["pinned"]).run(got.append, errors.append))
        await until(lambda: bool(got))
        assert got[0].state_dir == str(states["pinned"])
        (states["pinned"] / "openclaw.json").touch()
        state = states["pinned"] / "agents" / "main" / "agent" / "auth-state.json"
        document = json.loads(state.read_text()) if state.exists() else {"version": 1}
        document["order"] = {"fakeai": ["fakeai:three", "fakeai:one"]}
        replacement = state.with_suffix(".new")
        replacement.write_text(json.dumps(document))
        replacement.replace(state)

        def moved() -> bool:
            main = next(agent for agent in got[-1].agents if agent.id == "main")
            return main.store is not None and main.store.order.get("fakeai") == ("fakeai:three", "fakeai:one")

        await until(moved)
        before = len(connect.processes)
        for process in connect.processes:
            os.killpg(process.pid, signal.SIGKILL)
        await until(lambda: len(connect.processes) > before and bool(errors))
        count = len(got)
        await until(lambda: len(got) > count and fleet.near["pinned"].host.link is HostLink.LIVE)
        for task in (shown, running):
            task.cancel()
        await asyncio.gather(shown, running, return_exceptions=True)
