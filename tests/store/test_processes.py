"""The process table: dead only with proof, unknown with a reason."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from clawtop.core.locks.staleness import verdict
from clawtop.core.model import LockFile, LockIdentity, LockKind, VerdictKind
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
