"""The processes below a gateway that work on runs, on real processes; and how such a run is stopped."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from clawtop.clock import SystemClock
from clawtop.core.model import BackendProcess, ConfigSummary, Gateway, GatewayState
from clawtop.core.session.remedies import OwnProcess
from clawtop.engine.drain import processes as stopping
from clawtop.engine.drain.processes import stop_stack
from clawtop.store.gateway.backends import BackendWatch
from clawtop.store.gateway.usage import EVERY_SECONDS
from clawtop.store.locks.descendants import descendants
from clawtop.store.locks.processes import SystemProcesses, UncheckedProcesses
from clawtop.store.locks.stack import stack_below
from clawtop.store.runtimes import backends
from tests.support.clocks import ManualClock

BACKENDS = ConfigSummary(backends={"my-cli": "hang", "claude-cli": "claude", "acp": ""})
HANGS = "#!/bin/bash\necho $$ >> {pids}\n{body}\n"
OBEDIENT = "exec sleep 600"
STUBBORN = "trap '' TERM\nbash -c \"trap '' TERM; echo \\$\\$ >> {pids}; while :; do sleep 600; done\" &\nwait\nwait"
LEAVES_A_CHILD = "bash -c \"trap '' TERM; echo \\$\\$ >> {pids}; while :; do sleep 600; done\" &\nwait"
LEAVES_AN_HEIR = "trap 'sleep 600 & echo $! >> {pids}; exit' TERM\nwhile :; do sleep 600 & wait; done"
GATEWAY = """
import json, os, subprocess, sys
for line in sys.stdin:
    ask = json.loads(line)
    subprocess.Popen(ask["argv"], env={**os.environ, **ask["env"]}, start_new_session=True)
"""


@dataclass
class FakeGateway:
    """A process that starts others below itself, and is not below this one."""

    home: Path
    pid: int
    to: int
    started: list[int] = field(default_factory=list)

    def start(self, name: str, body: str, *words: str, lines: int = 1, **env: str) -> int:
        """Start a program of this name; returns its pid once `lines` processes of it say that they run."""
        program, pids = self.home / name, self.home / f"{name}.{len(self.started)}.pids"
        program.write_text(HANGS.format(pids=pids, body=body.format(pids=pids)))
        program.chmod(0o755)
        os.write(self.to, json.dumps({"argv": [str(program), *words], "env": env}).encode() + b"\n")
        while not pids.exists() or pids.read_text().count("\n") < lines:
            time.sleep(0.01)
        found = [int(word) for word in pids.read_text().split()]
        self.started += found
        return found[0]

    def look(self, watch: BackendWatch, config: ConfigSummary = BACKENDS) -> tuple[BackendProcess, ...] | None:
        return watch.look(Gateway(GatewayState.LIVE, self.pid), config, self.home, os.getuid())


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[FakeGateway]:
    """It is started by a process that ends, so that it is no child of this one."""
    read, write = os.pipe()
    starter = f"""
import subprocess, sys
quiet = {{"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}}
print(subprocess.Popen([sys.executable, "-c", {GATEWAY!r}], stdin={read}, **quiet).pid)
"""
    made = subprocess.run(
        [sys.executable, "-c", starter], pass_fds=(read,), capture_output=True, text=True, check=True, timeout=60
    )
    os.close(read)
    fake = FakeGateway(tmp_path, int(made.stdout), write)
    try:
        yield fake
    finally:
        left = [one.pid for one in psutil.Process(fake.pid).children(recursive=True)]
        for pid in (*left, *fake.started, fake.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        os.close(write)


def watcher() -> BackendWatch:
    return BackendWatch(SystemProcesses(), ManualClock())


def test_a_backend_is_known_by_what_the_gateway_gave_it_or_by_its_command(gateway: FakeGateway) -> None:
    named = gateway.start("tool", OBEDIENT, OPENCLAW_MCP_SESSION_KEY="agent:main:main")
    own = gateway.start("hang", "while :; do sleep 600; done", "--json")
    turn = gateway.start("claude", "while :; do sleep 600; done", "-p", "--input-format", "stream-json")
    gateway.start("other", OBEDIENT)
    (gateway.home / "claude").unlink()
    gateway.start("claude", "while :; do sleep 600; done", "auth", "status")
    found = gateway.look(watcher())
    assert found is not None
    assert {(one.pid, one.backend, one.key, one.stays) for one in found} == {
        (named, "sleep", "agent:main:main", False),
        (own, "my-cli", None, False),
        (turn, "claude-cli", None, True),
    }
    table = SystemProcesses()
    assert all(one.started_at == table.look(one.pid).started_at for one in found)


def test_its_memory_is_that_of_its_whole_stack(gateway: FakeGateway) -> None:
    top = gateway.start("hang", LEAVES_A_CHILD, lines=2)
    (one,) = gateway.look(watcher()) or ()
    stack = [process for process in descendants(gateway.pid, Path("/proc")) if process.pid in {*gateway.started}]
    assert one.pid == top
    assert {process.pid for process in stack} == {*gateway.started}
    assert one.memory >= sum(process.memory for process in stack)


def test_an_acp_agent_is_tied_to_its_session_by_its_lease(gateway: FakeGateway) -> None:
    (gateway.home / "acpx").mkdir()
    lease = {"leaseId": "lease-1", "sessionKey": "agent:main:acp:1", "rootPid": 1, "state": "open"}
    (gateway.home / "acpx/process-leases.json").write_text(json.dumps({"version": 1, "leases": [lease, 7, {}]}))
    pid = gateway.start("wrapper", "while :; do sleep 600; done", "--openclaw-acpx-lease-id", "lease-1")
    (one,) = gateway.look(watcher()) or ()
    assert (one.pid, one.backend, one.key, one.stays) == (pid, "acp", "agent:main:acp:1", True)


def test_what_the_gateway_itself_was_started_with_names_no_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setenv("OPENCLAW_MCP_SESSION_KEY", "agent:main:main")
    gateway: FakeGateway = request.getfixturevalue("gateway")
    gateway.start("other", OBEDIENT)
    assert gateway.look(watcher()) == ()
    pid = gateway.start("tool", OBEDIENT, OPENCLAW_MCP_SESSION_KEY="agent:main:cron:1")
    assert [(one.pid, one.key) for one in gateway.look(watcher()) or ()] == [(pid, "agent:main:cron:1")]


def test_it_looks_every_two_seconds_and_not_where_no_backend_is_configured(gateway: FakeGateway) -> None:
    clock = ManualClock()
    watch = BackendWatch(SystemProcesses(), clock)
    assert gateway.look(watch, ConfigSummary()) == ()
    assert gateway.look(watch) == ()
    gateway.start("hang", OBEDIENT)
    gateway.start("hang", "while :; do sleep 600; done")
    assert gateway.look(watch) == ()
    clock.pause(EVERY_SECONDS)
    first = gateway.look(watch)
    assert first is not None
    assert len(first) == 1
    clock.pause(EVERY_SECONDS)
    assert gateway.look(watch) == first


def test_what_cannot_be_seen_is_not_known(gateway: FakeGateway) -> None:
    assert gateway.look(BackendWatch(UncheckedProcesses(), ManualClock())) is None
    gone = Gateway(GatewayState.LIVE, 2**22 + 1)
    assert watcher().look(gone, BACKENDS, gateway.home, os.getuid()) is None
    if os.getuid() != 0:
        assert watcher().look(Gateway(GatewayState.LIVE, gateway.pid), BACKENDS, gateway.home, os.getuid() + 1) is None


# --- stopping ----------------------------------------------------------------------------------------------------


def stop(gateway: FakeGateway, pid: int, since: int | None) -> str:
    return asyncio.run(stop_stack(OwnProcess(pid, since), gateway.pid, SystemClock()))


def since(pid: int) -> int | None:
    return SystemProcesses().look(pid).started_at


def lives(pid: int) -> bool:
    return SystemProcesses().look(pid).alive is not False


@pytest.mark.parametrize(
    ("body", "count", "by"),
    [(OBEDIENT, 1, "SIGTERM"), (STUBBORN, 2, "SIGKILL"), (LEAVES_A_CHILD, 2, "SIGKILL")],
    ids=["obedient", "stubborn", "its child outlives it"],
)
def test_the_whole_stack_of_a_hung_run_is_stopped(
    gateway: FakeGateway, body: str, count: int, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stopping, "TERM_SECONDS", 30.0 if by == "SIGTERM" else 0.2)
    monkeypatch.setattr(stopping, "KILL_SECONDS", 30.0)
    pid = gateway.start("hang", body, lines=count)
    outcome = stop(gateway, pid, since(pid))
    assert outcome == f"process {pid} and its children are gone ({by})"
    assert not any(lives(one) for one in gateway.started)
    assert lives(gateway.pid)


def test_what_is_born_while_the_stack_is_killed_is_killed_too(monkeypatch: pytest.MonkeyPatch) -> None:
    kills: list[int] = []

    class Stack:
        def signal(self, number: int) -> None:
            kills.extend([number] if number == signal.SIGKILL else [])

        def living(self) -> tuple[int, ...]:
            return () if len(kills) > 1 else (7,)

    monkeypatch.setattr(stopping, "TERM_SECONDS", 0.0)
    monkeypatch.setattr(stopping, "KILL_SECONDS", 30.0)
    monkeypatch.setattr(stopping, "stack_below", lambda *_asked: Stack())
    outcome = asyncio.run(stop_stack(OwnProcess(7, 1), 1, SystemClock()))
    assert outcome == "process 7 and its children are gone (SIGKILL)"


def test_nothing_but_the_process_that_was_seen_is_touched(gateway: FakeGateway) -> None:
    pid = gateway.start("hang", OBEDIENT)
    began = since(pid)
    assert began is not None
    with subprocess.Popen(["sleep", "600"]) as stranger:
        for target, at in ((pid, began - 60_000), (pid, None), (gateway.pid, since(gateway.pid)), (os.getpid(), began)):
            assert "not touched" in stop(gateway, target, at)
        assert "not touched" in stop(gateway, stranger.pid, since(stranger.pid))
        assert stranger.poll() is None
        stranger.kill()
    assert lives(pid)


def test_what_a_run_starts_as_it_dies_is_stopped_although_nobody_waits_for_the_run(gateway: FakeGateway) -> None:
    pid = gateway.start("hang", LEAVES_AN_HEIR)
    stack = stack_below(gateway.pid, pid, since(pid))
    assert stack is not None
    stack.signal(signal.SIGTERM)
    while psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    (heir,) = map(int, (gateway.home / "hang.0.pids").read_text().split()[1:])
    gateway.started.append(heir)
    assert heir in stack.living()
    stack.signal(signal.SIGKILL)
    while stack.living():
        time.sleep(0.01)
    assert not lives(heir)


def test_a_stack_that_clawtop_itself_is_in_is_not_touched() -> None:
    inner = f"""
import os
from clawtop.store.locks.processes import SystemProcesses
from clawtop.store.locks.stack import stack_below
top = os.getppid()
print(stack_below({os.getpid()}, top, SystemProcesses().look(top).started_at))
"""
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}], check=True)"
    ran = subprocess.run([sys.executable, "-c", outer], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.split() == ["None"]


# --- what a configuration names ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        ({}, {}),
        ({"agents": {"defaults": {"model": "fakeai/m"}}}, {}),
        ({"agents": {"defaults": {"model": {"primary": "a/b", "fallbacks": ["claude-cli/sonnet"]}}}}, "claude"),
        ({"agents": {"defaults": {"models": {"a/b": {"agentRuntime": {"id": "claude-cli"}}}}}}, "claude"),
        ({"models": {"providers": {"anthropic": {"agentRuntime": {"id": "claude-cli"}}}}}, "claude"),
        ({"agents": {"defaults": {"cliBackends": {"claude-cli": {"command": "/opt/x/claude-next"}}}}}, "claude-next"),
        ({"agents": {"list": [{"id": "a", "model": "google-gemini-cli/pro"}]}}, {"google-gemini-cli": "gemini"}),
        ({"agents": {"defaults": {"cliBackends": {"mine": {}}}}}, {"mine": "mine"}),
        ({"acp": {"backend": "acpx"}}, {"acp": ""}),
        ({"acp": {"enabled": False}}, {}),
        ({"agents": [7], "models": "claude-cli"}, {"claude-cli": "claude"}),
    ],
)
def test_a_configuration_names_its_runtimes_in_many_ways(raw: dict[str, object], found: dict[str, str] | str) -> None:
    assert backends(raw) == ({"claude-cli": found} if isinstance(found, str) else found)
