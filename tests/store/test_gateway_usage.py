"""What the gateway's process takes, and since when it gives no answer: on real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from clawtop.core.model import Gateway, GatewayState, ProcessCondition, ProcessUsage, Serving
from clawtop.store.gateway.liveness import SilenceWatch
from clawtop.store.gateway.usage import EVERY_SECONDS, UsageWatch
from clawtop.store.locks.processes import SystemProcesses, UncheckedProcesses
from clawtop.store.locks.procfs import RSS_PAGES
from tests.support.clocks import ManualClock

BURNS = (
    "import time\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass\nprint(flush=True)\ninput()"
)
RESTS = "print(flush=True)\ninput()"


@contextmanager
def process(code: str, *words: str) -> Iterator[int]:
    """A process that has run `code` up to its line of output."""
    with subprocess.Popen(
        [sys.executable, "-c", code, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as running:
        assert running.stdout is not None
        running.stdout.readline()
        yield running.pid
        running.kill()


def test_a_share_of_a_core_needs_two_looks() -> None:
    clock = ManualClock()
    watch = UsageWatch(SystemProcesses(), clock)
    code = f"print(flush=True)\ninput()\n{BURNS}"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        running.stdout.readline()
        first = watch.look(running.pid)
        running.stdin.write(b"\n")
        running.stdin.flush()
        running.stdout.readline()
        assert watch.look(running.pid) is first, "too soon to look again"
        clock.pause(EVERY_SECONDS)
        second = watch.look(running.pid)
        running.kill()
    assert first is not None
    assert second is not None
    assert first.cpu is None
    assert first.memory > 1 << 20
    assert second.cpu is not None
    assert second.cpu >= 0.3 / EVERY_SECONDS * 0.9


def test_what_changed_little_is_the_same_object() -> None:
    clock = ManualClock()
    watch = UsageWatch(SystemProcesses(), clock)
    with process(RESTS) as pid:
        looks = []
        for _ in range(3):
            looks.append(watch.look(pid))
            clock.pause(EVERY_SECONDS)
    assert looks[1] is looks[2]


def test_a_process_that_is_gone_or_not_asked_about_tells_nothing() -> None:
    clock = ManualClock()
    with process(RESTS) as pid:
        pass
    assert UsageWatch(SystemProcesses(), clock).look(pid) is None
    assert UsageWatch(UncheckedProcesses(), clock).look(os.getpid()) is None


@pytest.mark.skipif(sys.platform != "linux", reason="control groups are Linux")
def test_the_nearest_limit_of_memory_counts(tmp_path: Path) -> None:
    proc, groups = tmp_path / "proc", tmp_path / "cgroup"
    for name, words in {
        "schedstat": "9 0 1",
        "stat": f"7 (open claw) S {' '.join(['0'] * 50)}",
        "status": "VmSwap:\t2048 kB\n",
    }.items():
        (proc / "7").mkdir(parents=True, exist_ok=True)
        (proc / "7" / name).write_text(words)
    (proc / "7" / "cgroup").write_text("0::/system.slice/openclaw.service\n")
    (groups / "system.slice" / "openclaw.service").mkdir(parents=True)
    (groups / "system.slice" / "openclaw.service" / "memory.max").write_text("max\n")
    (groups / "system.slice" / "memory.max").write_text(f"{2 << 30}\n")
    watch = UsageWatch(SystemProcesses(proc=proc), ManualClock(), cgroups=groups)
    assert watch.look(7) == ProcessUsage(0, 2 << 20, None, 2 << 30)
    watch = UsageWatch(SystemProcesses(proc=proc), ManualClock(), cgroups=groups)
    assert watch.look(7, ("node", "--max-old-space-size=512")) == ProcessUsage(0, 2 << 20, None, 512 << 20)


def fake_process(proc: Path, state: str, waited_ns: int, memory: int = 0) -> None:
    numbers = ["0"] * 50
    numbers[RSS_PAGES - 1] = str(memory // os.sysconf("SC_PAGE_SIZE"))
    files = {"stat": f"7 (open claw) {state} {' '.join(numbers)}", "status": "", "schedstat": f"9 {waited_ns} 1\n"}
    (proc / "7").mkdir(parents=True, exist_ok=True)
    for name, words in {**files, "cgroup": "0::/system.slice/openclaw.service\n"}.items():
        (proc / "7" / name).write_text(words)


@pytest.mark.skipif(sys.platform != "linux", reason="procfs is Linux")
@pytest.mark.parametrize(
    ("state", "condition"),
    [
        ("S", ProcessCondition.RUNS),
        ("R", ProcessCondition.RUNS),
        ("T", ProcessCondition.PAUSED),
        ("t", ProcessCondition.PAUSED),
        ("D", ProcessCondition.DISK),
    ],
)
def test_the_kernel_tells_whether_it_may_run(tmp_path: Path, state: str, condition: ProcessCondition) -> None:
    fake_process(tmp_path, state, 0)
    found = UsageWatch(SystemProcesses(proc=tmp_path), ManualClock(), cgroups=tmp_path / "none").look(7)
    assert found is not None
    assert found.condition is condition


@pytest.mark.skipif(sys.platform != "linux", reason="control groups are Linux")
def test_a_process_of_a_frozen_control_group_is_paused(tmp_path: Path) -> None:
    proc, groups = tmp_path / "proc", tmp_path / "cgroup"
    fake_process(proc, "S", 0)
    (groups / "system.slice" / "openclaw.service").mkdir(parents=True)
    told = groups / "system.slice" / "openclaw.service" / "cgroup.events"
    conditions = []
    for frozen in (1, 0):
        told.write_text(f"populated 1\nfrozen {frozen}\n")
        found = UsageWatch(SystemProcesses(proc=proc), ManualClock(), cgroups=groups).look(7)
        assert found is not None
        conditions.append(found.condition)
    assert conditions == [ProcessCondition.PAUSED, ProcessCondition.RUNS]


@pytest.mark.skipif(sys.platform != "linux", reason="schedstat is Linux")
def test_a_process_that_gets_no_core_is_seen_to_wait_for_one(tmp_path: Path) -> None:
    clock = ManualClock()
    watch = UsageWatch(SystemProcesses(proc=tmp_path), clock, cgroups=tmp_path / "none")
    fake_process(tmp_path, "R", 5_000_000_000)
    first = watch.look(7)
    fake_process(tmp_path, "R", 6_000_000_000)
    clock.pause(EVERY_SECONDS)
    second = watch.look(7)
    assert first is not None
    assert second is not None
    assert (first.waiting, second.waiting) == (None, 1 / EVERY_SECONDS)


MB = 1 << 20


@pytest.mark.skipif(sys.platform != "linux", reason="procfs is Linux")
@pytest.mark.parametrize(
    ("argv", "told"),
    [
        ((), [500, 500, 500, 512]),
        (("--max-old-space-size=4096",), [500, 500, 500, 512]),
        (("--max-old-space-size=600",), [500, 500, 509, 509]),
    ],
    ids=["no limit", "far from its limit", "near its limit"],
)
def test_a_large_gateways_memory_is_told_anew_once_it_changed_by_a_part_of_it(
    tmp_path: Path, argv: tuple[str, ...], told: list[int]
) -> None:
    clock = ManualClock()
    watch = UsageWatch(SystemProcesses(proc=tmp_path), clock, cgroups=tmp_path / "none")
    fake_process(tmp_path, "S", 0, 500 * MB)
    watch.look(7, argv)
    found = []
    for memory in (500, 503, 509, 512):
        clock.pause(EVERY_SECONDS)
        fake_process(tmp_path, "S", 0, memory * MB)
        usage = watch.look(7, argv)
        assert usage is not None
        found.append(usage.memory // MB)
    assert found == told


def test_a_stopped_process_is_paused_until_it_goes_on() -> None:
    clock = ManualClock()
    watch = UsageWatch(SystemProcesses(), clock)
    with subprocess.Popen([sys.executable, "-c", RESTS], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        running.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, running.pid, os.WSTOPPED | os.WNOWAIT)
        stopped = watch.look(running.pid)
        running.send_signal(signal.SIGCONT)
        assert running.stdout is not None
        running.stdout.readline()
        clock.pause(EVERY_SECONDS)
        gone_on = watch.look(running.pid)
        running.kill()
    assert stopped is not None
    assert gone_on is not None
    assert [one.condition for one in (stopped, gone_on)] == [ProcessCondition.PAUSED, ProcessCondition.RUNS]


def test_silence_lasts_from_its_first_moment_to_the_next_answer() -> None:
    silence, gateway = SilenceWatch(), Gateway(GatewayState.LIVE, 7, 18789)
    told = [silence.told(gateway, *one) for one in ((Serving.SILENT, 10), (Serving.SILENT, 20))]
    assert told == [replace(gateway, serving=Serving.SILENT, silent_since=10)] * 2
    assert silence.told(gateway, Serving.ANSWERS, 30).silent_since is None
    later = silence.told(gateway, Serving.SILENT, 40)
    assert (later.silent_since, later.has_answered) == (40, True)
    other = silence.told(replace(gateway, started_at=45), Serving.SILENT, 50)
    assert (other.silent_since, other.has_answered) == (50, False)


def test_the_silence_of_a_paused_process_counts_anew_when_it_goes_on() -> None:
    silence, gateway = SilenceWatch(), Gateway(GatewayState.LIVE, 7, 18789, usage=ProcessUsage(1))
    paused = replace(gateway, usage=ProcessUsage(1, condition=ProcessCondition.PAUSED))
    steps = ((gateway, 10), (paused, 20), (paused, 30), (gateway, 40), (gateway, 50))
    assert [silence.told(one, Serving.SILENT, at).silent_since for one, at in steps] == [10, 10, 10, 40, 40]
