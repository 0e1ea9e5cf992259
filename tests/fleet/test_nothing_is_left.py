"""Tests that stop processes leave none behind, also when they are killed themselves."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VICTIM = """
import os, signal, subprocess, sys, time
from pathlib import Path
from tests.support.reaper import nothing_left
with nothing_left(Path(sys.argv[1])):
    sleeper = subprocess.Popen(["sleep", "600"], env={"A_TEST": sys.argv[1]}, start_new_session=True)
    os.kill(sleeper.pid, signal.SIGSTOP)
    print(sleeper.pid, flush=True)
    sys.stdin.read()
"""


def _left(directory: Path, *, killed: bool) -> bool:
    """Whether the process that a test stopped is there a while after the test's end."""
    test = subprocess.Popen(
        [sys.executable, "-c", VICTIM, str(directory)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert test.stdin is not None
    assert test.stdout is not None
    stopped = os.pidfd_open(int(test.stdout.readline()))
    if killed:
        test.send_signal(signal.SIGKILL)
    test.communicate(timeout=60)
    try:
        ended, _, _ = select.select([stopped], [], [], 60)
        return not ended
    finally:
        os.close(stopped)


def test_a_stopped_process_ends_with_its_test(tmp_path: Path) -> None:
    assert not _left(tmp_path, killed=False)


def test_a_stopped_process_ends_with_a_test_that_is_killed(tmp_path: Path) -> None:
    assert not _left(tmp_path, killed=True)
