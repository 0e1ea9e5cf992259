"""Clears on three hosts behind a real sshd, cut and frozen anywhere: exactly one effect, and the receipt found again.

Hit are the ssh of the one command, the connection that all commands share, and the far clawtop itself; at a random
moment, or as soon as the host's journal says that the clear has begun. What stands on the hosts' disks afterwards is
compared with what the near side was told.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from clawtop.clock import Clock, SystemClock
from clawtop.core.operations.outcome import OperationOutcome
from clawtop.errors import OperationFailedError
from clawtop.fleet.remote import ANSWER_S, FarPlan, RemoteOperations
from clawtop.fleet.transport import CommandTransport, HostSpec, Pipe, control_path
from tests.fleet.far_hosts import container_command, has_sshd, ssh_hosts
from tests.support.reaper import nothing_left
from tests.support.samples import copy, sample
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

needs_sshd = pytest.mark.skipif(not has_sshd(), reason="needs OpenSSH's server (Debian: openssh-server)")
SCENARIOS = ("healthy", "rate-limited", "pinned")
PROFILE = "fakeai:one"
PATIENCE_S = 8.0
"""So long the near side waits for an answer here, and looks for a result."""

HARMS = ("cut", "cut", "thawed", "frozen", "connection", "far frozen", "far killed")


class Impatient(Clock):
    """The near side's minute of patience is `PATIENCE_S`; what it looks at is real time all the same."""

    def __init__(self) -> None:
        self._real = SystemClock()

    def now_ms(self) -> int:
        return self._real.now_ms()

    def monotonic(self) -> float:
        return self._real.monotonic() * ANSWER_S / PATIENCE_S

    def pause(self, seconds: float) -> None:
        self._real.pause(seconds * PATIENCE_S / ANSWER_S)

    async def sleep(self, seconds: float) -> None:
        await self._real.sleep(seconds * PATIENCE_S / ANSWER_S)


class Clears:
    """Starts far commands and remembers their processes here, and the id of the clear."""

    def __init__(self, control: Path | None) -> None:
        self._real = CommandTransport(control, SystemClock())
        self.process: asyncio.subprocess.Process | None = None
        self.operation_id = ""

    async def __call__(self, spec: HostSpec, words: Sequence[str]) -> Pipe:
        pipe = await self._real(spec, words)
        if "--operation-id" in words:
            self.process = pipe._process  # type: ignore[attr-defined]
            self.operation_id = words[words.index("--operation-id") + 1]
        return pipe


@dataclass
class FarHost:
    """A host and its disk. `pids`: where its clawtop writes down which process it is."""

    spec: HostSpec
    state_dir: Path
    pids: Path
    control: Path | None
    ends: list[str] = field(default_factory=list)

    @property
    def _stats(self) -> Path:
        return self.state_dir / "agents/main/agent/auth-state.json"

    def cool(self) -> None:
        document = json.loads(self._stats.read_text())
        entry = {"cooldownUntil": 4_000_000_000_000, "cooldownReason": "rate_limit", "errorCount": 1}
        document.setdefault("usageStats", {})[PROFILE] = entry
        replacement = self._stats.with_suffix(".new")
        replacement.write_text(json.dumps(document))
        replacement.replace(self._stats)

    @property
    def cools(self) -> bool:
        return bool(json.loads(self._stats.read_text()).get("usageStats", {}).get(PROFILE, {}).get("cooldownUntil"))

    def journal(self, operation_id: str) -> list[dict[str, object]]:
        path = self.state_dir / "clawtop/journal.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return [event for event in map(json.loads, lines) if event.get("data", {}).get("id") == operation_id]

    def outcome(self, operation_id: str) -> OperationOutcome:
        """What the journal says; that an operation begins twice, or ends twice, is an error."""
        events = self.journal(operation_id)
        kinds = Counter(str(event["kind"]) for event in events)
        assert all(count == 1 for count in kinds.values()), events
        ends = [event["data"]["outcome"] for event in events if event["kind"] == "operation"]  # type: ignore[index]
        if ends:
            return OperationOutcome.DONE if ends == ["done"] else OperationOutcome.FAILED
        return OperationOutcome.BEGUN if events else OperationOutcome.UNKNOWN

    def far_pids(self) -> list[int]:
        """The clawtops that run here, the latest last."""
        pids = [int(line) for line in self.pids.read_text().split()] if self.pids.exists() else []
        return [pid for pid in pids if _is_clawtop(pid)]


def _is_clawtop(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return b"clawtop" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def _send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


async def _hit(host: FarHost, connect: Clears, harm: str) -> int:
    """Harm a clear that is under way. What was frozen for the far side, to be thawed when all is said; else 0."""
    process = connect.process
    assert process is not None
    if harm.startswith("far"):
        for pid in host.far_pids()[-1:]:
            _send(pid, signal.SIGSTOP if harm == "far frozen" else signal.SIGKILL)
            return pid if harm == "far frozen" else 0
    elif harm == "connection":
        _cut_the_connection(host)
    elif process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL if harm == "cut" else signal.SIGSTOP)
            if harm == "thawed":
                await asyncio.sleep(0.2)
                os.killpg(process.pid, signal.SIGCONT)
    return 0


def _cut_the_connection(host: FarHost) -> None:
    """Kill the ssh that all commands to the host share."""
    if host.control is None:
        return
    asked = ["ssh", "-O", "check", "-o", f"ControlPath={control_path(host.control, host.spec.name)}", host.spec.name]
    said = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=30).stderr
    if "pid=" in said:
        _send(int(said.partition("pid=")[2].partition(")")[0]), signal.SIGKILL)


async def _one_clear(host: FarHost, chance: random.Random, harm: str) -> None:
    host.cool()
    connect = Clears(host.control)
    loop = asyncio.get_running_loop()
    began = loop.time()
    plan = await RemoteOperations(host.spec, connect, SystemClock(), who="test").plan(
        ["clear", PROFILE, "--verify", "0"]
    )
    took = loop.time() - began
    executing = asyncio.create_task(RemoteOperations(host.spec, connect, Impatient(), who="test").execute(plan))
    await until(lambda: bool(connect.operation_id))
    if chance.random() < 0.5:
        await until(lambda: bool(host.journal(connect.operation_id)) or executing.done())
        await asyncio.sleep(chance.choice((0.0, 0.002, 0.01, 0.05)))
    else:
        await asyncio.sleep(chance.uniform(0.0, 1.2) * took)
    frozen = await _hit(host, connect, harm)
    told = await _told(executing)
    if frozen:
        _send(frozen, signal.SIGCONT)
    await until(lambda: not host.far_pids())
    host.ends.append(told)
    _compare(host, connect.operation_id, told, plan, harm)


async def _told(executing: asyncio.Task[object]) -> str:
    try:
        receipt = await executing
    except OperationFailedError as error:
        assert error.unchanged, error  # noqa: PT017 - what is known of the change is always said
        return error.unchanged
    return "found again" if getattr(receipt, "found", False) else "answered"


def _compare(host: FarHost, operation_id: str, told: str, plan: FarPlan, harm: str) -> None:
    """What was told is what became of it; only a clear that was killed may have begun without an end.

    A container's command is one process with the clawtop in it: what cuts the one kills the other.
    """
    what = f"{harm}: told {told!r}, journal {host.journal(operation_id)}, plan {plan.fingerprint}"
    outcome = host.outcome(operation_id)
    if told in {"answered", "found again"}:
        assert outcome is OperationOutcome.DONE, what
    if told == "nothing was changed":
        assert outcome in {OperationOutcome.FAILED, OperationOutcome.UNKNOWN}, what
    if outcome is OperationOutcome.DONE:
        assert not host.cools, what
    elif outcome is OperationOutcome.BEGUN:
        assert harm == "far killed" or (harm == "cut" and host.control is None), what
    else:
        assert host.cools, what


async def _clears(host: FarHost, rounds: int, seed: int) -> list[str]:
    chance = random.Random(seed)
    for _ in range(rounds):
        await _one_clear(host, chance, chance.choice(HARMS))
    return host.ends


@contextlib.contextmanager
def _three_hosts(tmp_path: Path) -> Iterator[list[FarHost]]:
    """Behind a real sshd; with the control sockets that clawtop has for its ssh."""
    states = {name: copy(sample("2026.5.20", name), tmp_path / "states").state_dir for name in SCENARIOS}
    control = Path(tempfile.mkdtemp(prefix="cs", dir="/tmp"))
    before = os.environ["PATH"]
    with nothing_left(tmp_path), ssh_hosts(tmp_path / "ssh", states, pids=tmp_path) as path:
        os.environ["PATH"] = f"{path}:{before}"
        hosts = [FarHost(HostSpec(name), states[name], tmp_path / f"{name}.pids", control) for name in SCENARIOS]
        try:
            yield hosts
        finally:
            for host in hosts:
                _cut_the_connection(host)
            os.environ["PATH"] = before
            shutil.rmtree(control)


async def _all_clears(hosts: Sequence[FarHost], rounds: int, seed: int) -> Counter[str]:
    """`rounds` over all hosts, side by side."""
    shares = [rounds // len(hosts) + (number < rounds % len(hosts)) for number in range(len(hosts))]
    async with asyncio.TaskGroup() as tasks:
        for number, (host, share) in enumerate(zip(hosts, shares, strict=True)):
            tasks.create_task(_clears(host, share, seed + number))
    return Counter(end for host in hosts for end in host.ends)


@pytest.mark.long
async def test_a_clear_that_is_cut_in_the_middle_has_one_effect(tmp_path: Path) -> None:
    state_dir = copy(sample("2026.5.20", "healthy"), tmp_path / "states").state_dir
    words = container_command(tmp_path, {"healthy": state_dir}, pids=tmp_path).replace("{host}", "healthy").split()
    host = FarHost(HostSpec("healthy", tuple(words)), state_dir, tmp_path / "healthy.pids", None)
    with nothing_left(tmp_path):
        for number, harm in enumerate(("cut", "thawed", "far killed", "cut")):
            await _one_clear(host, random.Random(number), harm)
    assert len(host.ends) == 4


@pytest.mark.long
@needs_sshd
async def test_nine_cuts_over_a_real_sshd(tmp_path: Path) -> None:
    with _three_hosts(tmp_path) as hosts:
        ends = await _all_clears(hosts, 9, seed=11)
    assert ends.total() == 9


@pytest.mark.long
@pytest.mark.timeout(1800)
@needs_sshd
async def test_two_hundred_cuts_over_a_real_sshd(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with _three_hosts(tmp_path) as hosts:
        ends = await _all_clears(hosts, 200, seed=2)
    with capsys.disabled():
        print(dict(ends))
    assert ends.total() == 200
    assert ends["answered"]
    assert ends["found again"]
