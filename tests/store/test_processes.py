"""The process table: dead only with proof, unknown with a reason."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from clawtop.core.locks.staleness import HERE, verdict
from clawtop.core.model import LockFile, LockIdentity, LockKind, VerdictKind
from clawtop.store.locks.owners import lock_verdict
from clawtop.store.locks.processes import SystemProcesses, UncheckedProcesses

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="procfs")


def test_this_process() -> None:
    evidence = SystemProcesses().look(os.getpid())
    assert evidence.alive is True
    assert evidence.argv
    assert evidence.uid == os.getuid()
    assert evidence.started_at == pytest.approx(psutil.Process().create_time() * 1000, abs=1_500)
    assert evidence.boot_at == pytest.approx(psutil.boot_time() * 1000, abs=1_500)


@LINUX
def test_start_ticks_are_the_raw_field(tmp_path: Path) -> None:
    ticks = int(Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()[19])
    assert SystemProcesses().look(os.getpid()).start_ticks == ticks


def test_a_dead_process() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    evidence = SystemProcesses().look(child.pid)
    assert (evidence.alive, evidence.zombie) == (False, False)


def test_a_zombie_is_dead() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    try:
        evidence = SystemProcesses().look(child.pid)
        assert (evidence.alive, evidence.zombie) == (False, True)
    finally:
        child.wait()


@LINUX
@pytest.mark.parametrize("platform", ["linux", "darwin"])
@pytest.mark.parametrize("reaped", [True, False])
def test_the_end_of_a_process_that_was_alive_is_noticed_once(platform: str, reaped: bool) -> None:
    table = SystemProcesses(platform=platform)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        assert not table.any_alive()
        assert table.look(process.pid).alive
        assert table.any_alive()
        assert not table.any_ended()
        process.kill()
        if reaped or platform != "linux":
            process.wait()
        else:
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert [table.any_ended(), table.any_ended(), table.any_alive()] == [True, False, False]


def test_a_command_with_brackets_in_its_name(tmp_path: Path) -> None:
    fields = " ".join(["S", *["0"] * 18, "429440", *["0"] * 30])
    proc = fake_proc(tmp_path, f"{os.getpid()} (a) S 1 (b) ) {fields}")
    evidence = SystemProcesses(proc=proc).look(os.getpid())
    assert (evidence.alive, evidence.start_ticks) == (True, 429440)
    assert evidence.started_at == 1_000_000 + 429440 * 1000 // os.sysconf("SC_CLK_TCK")
    assert evidence.argv == ("node", "openclaw.mjs", "gateway")


@LINUX
def test_a_process_that_procfs_hides_is_unknown(tmp_path: Path) -> None:
    evidence = SystemProcesses(proc=tmp_path).look(os.getpid())
    assert (evidence.alive, evidence.why_unknown) == (None, "not-visible")


@LINUX
def test_another_users_hidden_process_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_pid: int, _signal: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", refused)
    evidence = SystemProcesses(proc=tmp_path).look(1)
    assert (evidence.alive, evidence.why_unknown) == (None, "other-user")


@pytest.mark.parametrize("pid", [0, -1, 2**31, 2**70])
def test_what_is_no_pid_is_unknown(pid: int) -> None:
    evidence = SystemProcesses().look(pid)
    assert (evidence.alive, evidence.why_unknown) == (None, "not-a-pid")


def test_without_procfs_psutil_answers() -> None:
    table = SystemProcesses(platform="darwin")
    evidence = table.look(os.getpid())
    assert evidence.alive is True
    assert evidence.start_ticks is None
    assert evidence.started_at == pytest.approx(psutil.Process().create_time() * 1000, abs=1)
    assert evidence.argv
    child = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert table.look(child.pid).zombie
    child.wait()
    assert table.look(child.pid).alive is False


def test_unchecked() -> None:
    evidence = UncheckedProcesses().look(os.getpid())
    assert (evidence.alive, evidence.why_unknown) == (None, "not-checked")


def fake_proc(root: Path, stat: str) -> Path:
    directory = root / str(os.getpid())
    directory.mkdir()
    (directory / "stat").write_text(stat)
    (directory / "cmdline").write_bytes(b"node\0openclaw.mjs\0gateway\0\0\0")
    (root / "stat").write_text("cpu 1 2 3\nbtime 1000\n")
    return root


@LINUX
@pytest.mark.parametrize("set_by_ms", [-3_600_000, 3_600_000])
def test_a_clock_that_was_set_makes_no_living_owner_younger_than_his_lock(tmp_path: Path, set_by_ms: int) -> None:
    fields = " ".join(["S", *["0"] * 18, "429440", *["0"] * 30])
    proc = fake_proc(tmp_path, f"{os.getpid()} (node) {fields}")
    began = 1_000_000
    table = SystemProcesses(proc=proc, began=lambda: began)
    started = table.look(os.getpid()).started_at
    assert started is not None
    began += set_by_ms
    now = started + 10_000 + set_by_ms
    written = started + 5_000 + min(set_by_ms, 0)  # set back: after it was; set forward: before
    payload = {"pid": os.getpid()}
    lock = LockFile("auth-profiles.json.lock", LockKind.AUTH, LockIdentity(1, 1, "x"), written, payload)
    assert verdict(lock, table.look(os.getpid()), now).kind is VerdictKind.HELD


@LINUX
@pytest.mark.parametrize("set_by_s", [0, 1, 60, 100_000])
def test_what_was_set_before_the_first_look_is_seen_by_when_the_kernel_knew_a_process(
    tmp_path: Path, set_by_s: int
) -> None:
    """The owner began, was looked up, took the lock; then the clock was set forward; then clawtop came."""
    began = 1_795_000_000_000
    fields = " ".join(["S", *["0"] * 18, "429440", *["0"] * 30])
    proc = fake_proc(tmp_path, f"{os.getpid()} (node) {fields}")
    owner_began = began + 429_440 * 1000 // os.sysconf("SC_CLK_TCK")
    os.utime(proc / str(os.getpid()), ns=(0, (owner_began + 30) * 1_000_000))
    (proc / "stat").write_text(f"btime {began // 1000 + set_by_s}\n")
    table = SystemProcesses(proc=proc, began=lambda: began + set_by_s * 1000)
    written = owner_began + 500
    lock = LockFile("x.lock", LockKind.AUTH, LockIdentity(1, 1, "x"), written, {"pid": os.getpid()})
    now = written + 1_000 + set_by_s * 1000
    assert verdict(lock, table.look(os.getpid()), now).kind is VerdictKind.HELD
    nameless = LockFile("x.lock", LockKind.AUTH, LockIdentity(1, 1, "x"), written, None, "empty")
    assert lock_verdict(nameless, table, now, HERE).kind is VerdictKind.UNKNOWN


@LINUX
def test_a_pid_that_was_reused_within_a_second_of_the_lock_is_told_by_ticks(tmp_path: Path) -> None:
    """A container that starts anew at once gives the same numbers again."""
    began = 1_795_000_000_000
    fields = " ".join(["S", *["0"] * 18, "429440", *["0"] * 30])
    proc = fake_proc(tmp_path, f"{os.getpid()} (node) {fields}")
    started = began + 429_440 * 1000 // os.sysconf("SC_CLK_TCK")
    os.utime(proc / str(os.getpid()), ns=(0, started * 1_000_000))
    (proc / "stat").write_text(f"btime {began // 1000}\n")
    table = SystemProcesses(proc=proc, began=lambda: began)
    lock = LockFile("x.lock", LockKind.AUTH, LockIdentity(1, 1, "x"), started - 840, {"pid": os.getpid()})
    found = lock_verdict(lock, table, started + 10_000, HERE)
    assert (found.kind, found.reasons) == (VerdictKind.STALE, ("started-after-lock",))


LOOK = """
import sys, time
from pathlib import Path
from clawtop.core.locks.staleness import HERE
from clawtop.core.model import LockKind
from clawtop.store.locks.lockfile import read_lock
from clawtop.store.locks.owners import lock_verdict
from clawtop.store.locks.processes import SystemProcesses
lock = read_lock(sys.argv[1], LockKind.SESSION)
assert lock is not None
print(lock_verdict(lock, SystemProcesses(), time.time_ns() // 1_000_000, HERE).kind)
"""
FROM = {
    "its own namespaces": [],
    "another pid namespace": ["unshare", "-pf", "--mount-proc"],
    "another pid namespace, /proc of the first": ["unshare", "-pf"],
    "another time namespace": ["unshare", "-T", "-f", "--boottime", "100000"],
    "another time namespace, behind": ["unshare", "-T", "-f", "--boottime", "-1"],
    "another host name": ["unshare", "-u"],
}


@LINUX
@pytest.mark.parametrize("namespace", FROM.values(), ids=FROM.keys())
@pytest.mark.parametrize("with_start", [True, False], ids=["start", "no start"])
def test_a_living_owner_is_proven_dead_from_no_namespace(
    tmp_path: Path, namespace: list[str], with_start: bool
) -> None:
    if namespace and subprocess.run([*namespace, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("namespaces may not be made here")
    with subprocess.Popen(["sleep", "60"]) as owner:
        ticks = int(Path(f"/proc/{owner.pid}/stat").read_bytes().rpartition(b")")[2].split()[19])
        stamp = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        payload = {"pid": owner.pid, "createdAt": stamp} | ({"starttime": ticks} if with_start else {})
        path = tmp_path / "x.jsonl.lock"
        path.write_text(json.dumps(payload))
        looked = subprocess.run(
            [*namespace, sys.executable, "-c", LOOK, str(path)], capture_output=True, text=True, timeout=60, check=True
        )
        owner.kill()
    assert looked.stdout.strip() in ({"held"} if "-p" not in "".join(namespace) else {"unknown"})
