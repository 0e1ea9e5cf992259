"""The process around a verb: signals at any moment, closed and full streams, few descriptors, few threads."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from clawtop.cli.process import FEW_DESCRIPTORS, TOO_LITTLE_EXIT
from tests.support.samples import copy, sample
from tests.support.terminals import ENTER_ALTERNATE, LEAVE_ALTERNATE, clawtop, open_terminal, plain_environment

PROFILE = "fakeai:one"
SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    return copy(sample("2026.5.20", "rate-limited"), tmp_path).state_dir


def cooled(state_dir: Path) -> bool:
    state = json.loads((state_dir / "agents" / "main" / "agent" / "auth-state.json").read_text())
    return "cooldownUntil" in state["usageStats"][PROFILE]


def shell(command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", f'"$@" {command}', "-", *arguments],
        env=plain_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


# --- streams -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("json_flag", [(), ("--json",)], ids=["text", "json"])
@pytest.mark.parametrize("streams", [">/dev/full", ">&-", "<&- >&-", ">&- 2>&-", "<&- >&- 2>&-", "| true"])
def test_a_change_that_was_made_is_not_called_a_failure(
    state_dir: Path, streams: str, json_flag: tuple[str, ...]
) -> None:
    assert cooled(state_dir)
    done = shell(
        f"{streams}; exit ${{PIPESTATUS[0]}}",
        *clawtop("clear", PROFILE, "--yes", *json_flag, "--state-dir", str(state_dir)),
    )
    assert done.returncode == 0
    assert not cooled(state_dir)
    assert "Traceback" not in done.stderr
    if streams == ">/dev/full":
        assert done.stderr.startswith("clawtop: done, but the report of it could not be written")


def test_what_only_tells_and_cannot_be_written_fails(state_dir: Path) -> None:
    done = shell(">/dev/full", *clawtop("status", "--json", "--state-dir", str(state_dir)))
    assert done.returncode == 74
    assert done.stderr == "clawtop: the output could not be written: No space left on device\n"
    done = shell("| true; exit ${PIPESTATUS[0]}", *clawtop("status", "--json", "--state-dir", str(state_dir)))
    assert (done.returncode, done.stderr) == (0, "")


# --- limits ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("descriptors", [5, 6, 12, FEW_DESCRIPTORS - 1])
@pytest.mark.parametrize("verb", [(), ("status",)], ids=["dashboard", "status"])
def test_few_descriptors_are_said(state_dir: Path, descriptors: int, verb: tuple[str, ...]) -> None:
    done = subprocess.run(
        clawtop(*verb, "--state-dir", str(state_dir)),
        env=plain_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors)),
    )
    assert done.returncode == TOO_LITTLE_EXIT
    assert "ulimit -n" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_low_limit_is_raised_where_that_is_allowed(state_dir: Path) -> None:
    done = subprocess.run(
        clawtop("status", "--state-dir", str(state_dir)),
        env=plain_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (8, 4096)),
    )
    assert done.returncode in {0, 1, 2}


def test_threads_that_cannot_be_started_are_said(state_dir: Path) -> None:
    code = (
        "import sys, threading\n"
        'def refuse(self): raise RuntimeError("can\'t start new thread")\n'
        "threading.Thread.start = refuse\n"
        "sys.argv[0] = 'clawtop'\n"
        "from clawtop.__main__ import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "clear", PROFILE, "--yes", "--state-dir", str(state_dir)],
        env=plain_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 70
    assert "no thread could be started (ulimit -u)" in done.stderr
    assert "Traceback" not in done.stderr
    assert cooled(state_dir)


# --- signals -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
@pytest.mark.parametrize("after_ms", [0, 20, 40, 60, 80, 100, 150, 250, 400])
def test_a_signal_in_the_first_moments_ends_it_and_gives_the_terminal_back(
    state_dir: Path, number: signal.Signals, after_ms: int
) -> None:
    with open_terminal(clawtop("--state-dir", str(state_dir))) as terminal:
        before = terminal.mode()
        time.sleep(after_ms / 1000)  # the moment is what is tested; any moment has to do
        os.kill(terminal.process.pid, number)
        code = terminal.exit_code()
        raw = bytes(terminal.raw)
        if b"Traceback" in raw:  # Python itself was still starting
            assert number == signal.SIGINT
            assert ENTER_ALTERNATE not in raw
            assert b"<frozen" in raw
            return
        assert code in {128 + number, -number}
        assert raw.rfind(LEAVE_ALTERNATE) >= raw.rfind(ENTER_ALTERNATE)
        assert terminal.mode() == before


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_a_signal_gives_the_stores_lock_back(state_dir: Path, number: signal.Signals) -> None:
    """Told while it waits for a lock that somebody holds: it goes, and leaves nothing."""
    lock = state_dir / "agents" / "main" / "agent" / "auth-profiles.json.lock"
    holder = subprocess.Popen(["sleep", "60"])
    lock.write_text(json.dumps({"pid": holder.pid, "createdAt": "2026-11-20T00:00:00.000Z"}))
    try:
        process = subprocess.Popen(
            clawtop("clear", PROFILE, "--yes", "--wait", "50", "--state-dir", str(state_dir)),
            env=plain_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        assert "waiting for the lock" in process.stderr.readline()
        process.send_signal(number)
        _, said = process.communicate(timeout=20)
        assert process.returncode == 128 + number
        assert "Traceback" not in said
        assert [path.name for path in lock.parent.iterdir() if path.name.endswith(".tmp")] == []
    finally:
        holder.kill()
        holder.wait()
