"""Gateways that the kernel killed for lack of memory: in its log, by the count of a control group, and really."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from clawtop.core.health.judgement import Level, judge
from clawtop.core.model import Gateway, GatewayState, Generation, MemoryKill, Serving, Snapshot
from clawtop.store.gateway.memory_kills import EVERY_S, MemoryKillWatch
from clawtop.store.locks.processes import SystemProcesses
from clawtop.store.locks.procfs import kernel_log, memory_groups
from tests.support.clocks import ManualClock

BOOT = 1_690_000_000_000
DAY_MS = 86_400_000
MEMCG = "Memory cgroup out of memory: Killed process {pid} ({name}) total-vm:9088kB, anon-rss:8192kB, UID:1000"
GLOBAL = "Out of memory: Killed process {pid} ({name}) total-vm:9088kB, anon-rss:8192kB, file-rss:0kB, UID:1000"
OLDER = "Killed process {pid} ({name}), UID 1000, total-vm:9088kB, anon-rss:8192kB"


def record(at: int, text: str) -> str:
    """A record of /dev/kmsg: priority, number, microseconds since the boot."""
    return f"3,812,{(at - BOOT) * 1000},-;{text}\n SUBSYSTEM=memory\n"


def killed(at: int, pid: int, name: str = "node", text: str = MEMCG) -> str:
    return record(at, text.format(pid=pid, name=name))


def machine(proc: Path) -> SystemProcesses:
    """A machine that booted at BOOT and whose processes are all seen."""
    proc.mkdir(exist_ok=True)
    (proc / "stat").write_text(f"btime {BOOT // 1000}\n")
    return SystemProcesses(proc=proc, platform="linux", began=lambda: BOOT)


def looked(log: Path, gateway: Gateway, owner: int | None = None) -> MemoryKill | None:
    table = machine(log.parent / "proc")
    return MemoryKillWatch(table, ManualClock(), log=str(log), cgroups=log.parent).look(gateway, owner)


STARTED = BOOT + DAY_MS
DEAD = Gateway(GatewayState.DEAD, 4321, started_at=STARTED)
LIVE = replace(DEAD, state=GatewayState.LIVE)
AT = STARTED + 3_600_000


@pytest.mark.parametrize("text", [MEMCG, GLOBAL, OLDER])
def test_the_kernels_log_names_the_gateway_that_it_killed(tmp_path: Path, text: str) -> None:
    log = tmp_path / "kmsg"
    log.write_text(record(AT - 5, "oom-kill:constraint=CONSTRAINT_MEMCG,pid=4321") + killed(AT, 4321, "node", text))
    assert looked(log, DEAD) == MemoryKill(AT, 4321, "node", is_gateway=True)


@pytest.mark.parametrize(
    ("log", "gateway"),
    [
        (killed(AT, 4322), DEAD),
        (killed(STARTED - 60_000, 4321), DEAD),
        (record(AT, "usb 1-1: Killed process of no kind"), DEAD),
        ("Killed process 4321 (node)\n\xff;\n", DEAD),
        ("", DEAD),
        (killed(AT, 4321), replace(DEAD, state=GatewayState.ABSENT)),
        (killed(AT, 4321), replace(DEAD, pid=None)),
        (killed(STARTED - 60_000, 99, "node"), LIVE),
        (killed(STARTED - DAY_MS // 2, 99, "openclaw-gatewa"), LIVE),
    ],
    ids=[
        "another's",
        "before its start",
        "no kill",
        "no record",
        "empty",
        "absent",
        "no pid",
        "no gateway",
        "long ago",
    ],
)
def test_what_concerns_another_process_is_not_told(tmp_path: Path, log: str, gateway: Gateway) -> None:
    (tmp_path / "kmsg").write_text(log)
    assert looked(tmp_path / "kmsg", gateway) is None


def test_a_gateway_that_was_killed_and_started_again_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "kmsg").write_text(killed(STARTED - 60_000, 99, "openclaw-gatewa"))
    told = MemoryKill(STARTED - 60_000, 99, "openclaw-gatewa", is_gateway=True)
    assert looked(tmp_path / "kmsg", LIVE) == told
    assert looked(tmp_path / "none", LIVE) is None


@pytest.mark.parametrize("text", [MEMCG, OLDER])
def test_another_users_process_is_not_the_gateway(tmp_path: Path, text: str) -> None:
    log = tmp_path / "kmsg"
    log.write_text(killed(STARTED - 60_000, 99, "openclaw-gatewa", text) + killed(AT, 4321, "node", text))
    assert looked(log, DEAD, 1000) == MemoryKill(AT, 4321, "node", is_gateway=True)
    assert looked(log, LIVE, 1000) is not None
    assert looked(log, DEAD, 1001) is None
    assert looked(log, LIVE, 1001) is None


def test_a_pid_that_was_given_out_again_does_not_move_the_kill(tmp_path: Path) -> None:
    (tmp_path / "kmsg").write_text(killed(AT, 4321, "node") + killed(AT + DAY_MS, 4321, "chrome"))
    assert looked(tmp_path / "kmsg", DEAD) == MemoryKill(AT, 4321, "node", is_gateway=True)


@pytest.mark.parametrize("link", ["self", "self/ns/pid"], ids=["another's procfs", "a container"])
def test_the_machines_pids_say_nothing_where_others_are_seen(tmp_path: Path, link: str) -> None:
    (tmp_path / "kmsg").write_text(killed(AT, 4321))
    place = tmp_path / "proc" / link
    place.parent.mkdir(parents=True)
    if link == "self":
        place.symlink_to("1")
    else:
        place.write_text("")
    assert looked(tmp_path / "kmsg", DEAD) is None


# --- the count of its control group ------------------------------------------------------------------------------


GROUPS = {
    "memory.events": ("0::/system.slice/openclaw.service\n", "system.slice/openclaw.service"),
    "memory.oom_control": ("9:name=systemd:/\n4:memory:/docker/abc\n0::/\n", "memory/docker/abc"),
}
PID = 4321


@pytest.fixture(params=GROUPS)
def counts(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The file in which a gateway's control group counts its kills, of either version."""
    line, group = GROUPS[request.param]
    (tmp_path / f"proc/{PID}").mkdir(parents=True)
    (tmp_path / f"proc/{PID}/cgroup").write_text(line)
    (tmp_path / group).mkdir(parents=True)
    (tmp_path / group).parent.joinpath(request.param).write_text("oom_kill 700\n")
    return tmp_path / group / str(request.param)


def watching(tmp_path: Path, clock: ManualClock) -> MemoryKillWatch:
    return MemoryKillWatch(machine(tmp_path / "proc"), clock, cgroups=tmp_path, log=str(tmp_path / "kmsg"))


def test_a_kill_that_is_counted_while_it_is_watched_is_told(counts: Path, tmp_path: Path) -> None:
    clock = ManualClock()
    watch = watching(tmp_path, clock)
    counts.write_text("low 0\noom 3\noom_kill 3\n")
    assert watch.look(LIVE) is None, "nobody knows when"
    clock.pause(EVERY_S)
    assert watch.look(LIVE) is None
    counts.write_text("low 0\noom 4\noom_kill 4\n")
    assert watch.look(LIVE) is None, "too soon to look again"
    clock.pause(EVERY_S)
    first = watch.look(LIVE)
    assert first == MemoryKill(clock.now_ms())
    clock.pause(EVERY_S)
    assert watch.look(LIVE) == first
    counts.write_text("low 0\noom 5\noom_kill 5\n")
    assert watch.look(DEAD) == MemoryKill(clock.now_ms(), None, None, is_gateway=None), "it, or what it started"


@pytest.mark.parametrize(("members", "whose"), [((PID,), True), ((PID, 99), None)], ids=["alone", "with others"])
def test_a_gateway_that_was_alone_in_its_group_is_what_was_killed(
    counts: Path, tmp_path: Path, members: tuple[int, ...], whose: bool | None
) -> None:
    watch = watching(tmp_path, ManualClock())
    counts.with_name("cgroup.procs").write_text("".join(f"{pid}\n" for pid in members))
    counts.write_text("oom_kill 3\n")
    assert watch.look(LIVE) is None
    counts.write_text("oom_kill 4\n")
    found = watch.look(DEAD)
    assert found is not None
    assert (found.pid, found.is_gateway) == (PID if whose else None, whose)


# --- whose control group it was ------------------------------------------------------------------------------------

SERVICE = "/system.slice/openclaw-gateway.service"
OTHER = "/system.slice/openclaw-gateway-second.service"


def killed_in(group: str, at: int, pid: int, name: str = "node") -> str:
    said = f"oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg={group},"
    return record(at, f"{said}task_memcg={group},task={name},pid={pid},uid=1000") + killed(at, pid, name)


@pytest.fixture
def service(tmp_path: Path) -> Path:
    """A machine whose gateway is a service of systemd's; its kernel's log."""
    (tmp_path / f"proc/{PID}").mkdir(parents=True)
    (tmp_path / f"proc/{PID}/cgroup").write_text(f"0::{SERVICE}\n")
    (tmp_path / SERVICE[1:]).mkdir(parents=True)
    return tmp_path / "kmsg"


@pytest.mark.parametrize(
    ("group", "name", "whose"),
    [
        (SERVICE, "openclaw-gatewa", True),
        (SERVICE, "node", None),
        (SERVICE, "claude", False),
        (f"{SERVICE}/payload", "claude", False),
        (OTHER, "openclaw-gatewa", "not told"),
        ("/user.slice/user-1000.slice", "openclaw-gatewa", "not told"),
    ],
)
def test_what_was_killed_before_this_gateways_start_is_told_by_its_group(
    service: Path, tmp_path: Path, group: str, name: str, whose: object
) -> None:
    service.write_text(killed_in(group, STARTED - 60_000, 99, name))
    found = watching(tmp_path, ManualClock()).look(LIVE)
    assert (found.is_gateway if found is not None else "not told") == whose


@pytest.mark.parametrize("left", [DEAD, Gateway(GatewayState.ABSENT)], ids=["killed", "stopped"])
def test_a_gateway_that_is_stopped_for_its_child_was_not_killed_itself(
    service: Path, tmp_path: Path, left: Gateway
) -> None:
    """systemd stops the whole service, and takes its control group away with its count."""
    clock = ManualClock()
    watch = watching(tmp_path, clock)
    assert watch.look(LIVE) is None
    clock.pause(EVERY_S)
    service.write_text(killed_in(SERVICE, clock.now_ms() - 900, 99, "claude"))
    found = watch.look(left)
    assert found is not None
    assert (found.pid, found.name, found.is_gateway) == (99, "claude", False)
    text = cause_text(left, found)
    assert text == (
        "the kernel killed process 99 (claude) for lack of memory; systemd may have stopped the gateway for it "
        "(OOMPolicy)"
    )


@pytest.mark.parametrize(("group", "pid"), [(OTHER, 99), ("/user.slice", None)])
def test_a_service_that_was_stopped_before_anybody_looked_is_known_by_its_name(
    service: Path, tmp_path: Path, group: str, pid: int | None
) -> None:
    clock = ManualClock()
    service.write_text(killed_in(group, clock.now_ms() - 60_000, 99, "claude"))
    found = watching(tmp_path, clock).look(Gateway(GatewayState.ABSENT))
    assert (found.pid if found is not None else None) == pid


def test_a_pid_that_was_given_out_to_another_program_is_not_the_gateways(tmp_path: Path) -> None:
    (tmp_path / "kmsg").write_text(killed(AT, PID, "chrome"))
    assert looked(tmp_path / "kmsg", DEAD) is None


@pytest.mark.parametrize(
    ("lines", "at"),
    [
        ("", AT + 3_600_000),
        (record(AT - 5_000, "PM: suspend exit"), AT + 3_600_000),
        (record(AT + 5_000, "PM: hibernation: hibernation exit"), AT),
        (record(AT - 5_000, "PM: suspend exit") + record(AT + 9_000, "PM: suspend exit"), AT + 1_800_000),
        (record(AT - 5_000, "PM: suspend entry (deep)"), AT + 3_600_000),
    ],
    ids=["before the log begins", "before", "after", "between two", "no word of the exit"],
)
def test_the_kernels_log_does_not_count_the_machines_sleep(tmp_path: Path, lines: str, at: int) -> None:
    clock = ManualClock()
    table = machine(tmp_path / "proc")
    (tmp_path / "proc/uptime").write_text(f"{clock.monotonic() + 3_600:.2f} 1.0\n")
    (tmp_path / "kmsg").write_text("".join(sorted((lines + killed(AT, PID)).splitlines(keepends=True), key=_when)))
    found = MemoryKillWatch(table, clock, log=str(tmp_path / "kmsg"), cgroups=tmp_path).look(DEAD)
    assert found is not None
    assert found.at == at


def _when(line: str) -> int:
    return int(line.split(",")[2]) if line[0] != " " else 0


@pytest.mark.parametrize(
    ("others", "name"), [((), "claude"), ((60_000,), "claude"), ((1_000,), None)], ids=["alone", "before", "meanwhile"]
)
def test_the_log_names_what_was_counted_if_it_tells_of_nothing_else(
    counts: Path, tmp_path: Path, others: tuple[int, ...], name: str | None
) -> None:
    clock = ManualClock()
    watch = watching(tmp_path, clock)
    counts.write_text("oom_kill 3\n")
    assert watch.look(LIVE) is None
    clock.pause(EVERY_S)
    counts.write_text("oom_kill 4\n")
    now = clock.now_ms()
    strange = "".join(killed(now - ago, 77, "chrome") for ago in others)
    (tmp_path / "kmsg").write_text(strange + killed(now - 500, 99, "claude"))
    found = watch.look(LIVE)
    assert found is not None
    assert (found.name, found.is_gateway) == (name, False)


def test_a_gateway_that_dies_otherwise_was_not_killed_for_memory(counts: Path, tmp_path: Path) -> None:
    watch = watching(tmp_path, ManualClock())
    counts.write_text("oom_kill 3\n")
    assert watch.look(LIVE) is None
    assert watch.look(DEAD) is None


# --- a real kill -------------------------------------------------------------------------------------------------

EATS = """
import sys
print(flush=True)
sys.stdin.readline()
held = []
for _ in range(64):
    held.append(bytearray(b"x") * (16 << 20))
"""


@pytest.fixture
def small_group() -> Iterator[Path]:
    """A control group of 48 MB below this process's own; the test is skipped where none can be made."""
    made = None
    for group in memory_groups(Path("/proc/self"), Path("/sys/fs/cgroup")):
        path = group / f"clawtop-test-{os.getpid()}"
        limits = [name for name in ("memory.max", "memory.limit_in_bytes") if (group / name).exists()]
        with suppress(OSError):
            if limits or (group / "memory.stat").exists():
                path.mkdir()
                made = path
                limit = next(name for name in ("memory.max", "memory.limit_in_bytes") if (path / name).exists())
                (path / limit).write_text(str(48 << 20))
                break
    if made is None:
        pytest.skip("no control group can be made here")
    yield made
    made.rmdir()


def test_a_process_that_really_runs_out_of_memory_is_told(small_group: Path) -> None:
    clock = ManualClock()
    with subprocess.Popen([sys.executable, "-c", EATS], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as eater:
        assert eater.stdin is not None
        assert eater.stdout is not None
        eater.stdout.readline()
        (small_group / "cgroup.procs").write_text(str(eater.pid))
        table = SystemProcesses()
        own = Gateway(GatewayState.LIVE, eater.pid, started_at=table.look(eater.pid).started_at)
        watch = MemoryKillWatch(table, clock)
        assert watch.look(own) is None
        eater.stdin.write(b"\n")
        eater.stdin.flush()
        assert eater.wait(60) == -signal.SIGKILL
    found = watch.look(replace(own, state=GatewayState.DEAD))
    assert found is not None
    assert (found.pid, found.is_gateway) == (own.pid, True)


def test_a_log_that_may_not_be_read_says_nothing(tmp_path: Path) -> None:
    assert kernel_log(str(tmp_path), 10) == b""
    assert kernel_log(str(tmp_path / "none"), 10) == b""
    (tmp_path / "log").write_bytes(b"a\nb\n")
    assert kernel_log(str(tmp_path / "log"), 10) == b"a\nb\n"


def cause_text(gateway: Gateway, kill: MemoryKill) -> str:
    seen = replace(gateway, memory_kill=kill, serving=Serving.ANSWERS)
    health = judge(Snapshot(1, kill.at + 1, "h", "/d", Generation.B, "2026.5.20", gateway=seen), kill.at + 1)
    return next(cause.text for cause in health.causes if cause.code == "out-of-memory")


# --- the judgement -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gateway", "kill", "ago", "expected"),
    [
        (DEAD, MemoryKill(0, 4321, "node", is_gateway=True), DAY_MS, Level.SILENT),
        (LIVE, MemoryKill(0, 99, "openclaw", is_gateway=True), 60_000, Level.ATTENTION),
        (LIVE, MemoryKill(0, 99, "claude"), 60_000, Level.ATTENTION),
        (LIVE, MemoryKill(0), 60_000, Level.ATTENTION),
        (LIVE, MemoryKill(0, 99, "claude"), 601_000, None),
        (LIVE, None, 0, None),
    ],
)
def test_out_of_memory_is_a_cause(gateway: Gateway, kill: MemoryKill | None, ago: int, expected: Level | None) -> None:
    now = AT + DAY_MS
    kill = replace(kill, at=now - ago) if kill is not None else None
    seen = replace(gateway, memory_kill=kill, serving=Serving.ANSWERS)
    health = judge(Snapshot(1, now, "h", "/d", Generation.B, "2026.5.20", gateway=seen), now)
    found = next((cause for cause in health.causes if cause.code == "out-of-memory"), None)
    assert (found.level if found is not None else None) is expected
    if found is not None:
        assert "for lack of memory" in found.text
        may_be_anothers = kill is not None and kill.is_gateway and gateway is LIVE
        assert ("may have been this one" in found.text) is may_be_anothers
        assert ("killed the gateway" in found.text) is (gateway is DEAD)
        assert found.since == now - ago
