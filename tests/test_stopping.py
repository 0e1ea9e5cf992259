"""A stop by the terminal waits until this process holds none of OpenClaw's locks."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from clawtop import stopping
from clawtop.clock import SystemClock
from clawtop.store.disk import disk
from clawtop.store.locks.openclaw import all_released, release
from clawtop.store.sqlite.database import Database
from clawtop.store.sqlite.schema import DatabaseRole
from clawtop.store.sqlite.writing import transaction
from tests.support.lock_files import publish

HOLDS = """
import sys
from clawtop.cli.process import end_on_signals, unwind_on_signals
from clawtop.store.locks.openclaw import release
from tests.support.lock_files import publish
end_on_signals()
unwind_on_signals()
lock = publish(sys.argv[1], {"pid": 1})
print("has it", flush=True)
sys.stdin.readline()
release(lock)
print("released", flush=True)
sys.stdin.readline()
"""


@pytest.mark.slow
def test_a_stopped_verb_holds_no_lock(tmp_path: Path) -> None:
    lock = tmp_path / "auth-profiles.json.lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(lock)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,  # a job of a shell: where nobody would continue it, the kernel does not stop it
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "has it\n"
        process.send_signal(signal.SIGTSTP)
        assert process.stderr.readline() == "clawtop: stopping once its lock is released\n"
        assert lock.exists()
        process.stdin.write("\n")
        process.stdin.flush()
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        assert not lock.exists()
        process.send_signal(signal.SIGCONT)
        assert process.stdout.readline() == "released\n"
        process.send_signal(signal.SIGTSTP)  # and again, without a lock
        assert os.WIFSTOPPED(os.waitpid(process.pid, os.WUNTRACED)[1])
        process.send_signal(signal.SIGCONT)
        process.stdin.close()
    assert process.returncode == 0


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The signals that this process sends itself."""
    numbers: list[int] = []
    monkeypatch.setattr(os, "kill", lambda _pid, number: numbers.append(number))
    monkeypatch.setattr(stopping, "_state", stopping._Stop())  # what other tests left locked is not this process's here
    yield numbers
    assert not stopping._state.held


def test_the_stop_comes_with_the_last_release(tmp_path: Path, sent: list[int]) -> None:
    first, second = (publish(str(tmp_path / name), {"pid": 1}) for name in ("a.lock", "b.lock"))
    assert first is not None
    assert second is not None
    assert publish(first.path, {"pid": 2}) is None  # what was not taken holds nothing, and frees nothing
    assert not stopping.stop(pytest.fail)
    release(first)
    assert sent == []
    release(second)
    assert sent == [signal.SIGTSTP]
    stopped: list[str] = []
    assert stopping.stop(lambda: stopped.append("now"))
    assert stopped == ["now"]


def test_a_lock_that_the_disk_keeps_is_held_until_it_is_gone(
    tmp_path: Path, sent: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = publish(str(tmp_path / "a.lock"), {"pid": 1})
    assert lock is not None
    refuses = threading.Event()
    refuses.set()
    unlink = disk.unlink

    def unlinked(path: str) -> None:
        if refuses.is_set():
            raise OSError(5, "refused")
        unlink(path)

    monkeypatch.setattr(disk, "unlink", unlinked)
    release(lock)
    assert not stopping.stop(pytest.fail)
    refuses.clear()
    assert all_released(30)
    assert sent == [signal.SIGTSTP]


def test_a_transaction_counts_as_a_lock(tmp_path: Path, sent: list[int]) -> None:
    path = tmp_path / "x.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (a)")
    with transaction(Database(path, DatabaseRole.AGENT, SystemClock()), SystemClock()):
        assert not stopping.stop(pytest.fail)
        assert sent == []
    assert sent == [signal.SIGTSTP]


def test_whoever_wants_a_lock_while_this_process_stops_waits(sent: list[int]) -> None:
    had: list[str] = []

    def taker() -> None:
        stopping.holding("late")
        had.append("late")
        stopping.let_go("late")

    thread = threading.Thread(target=taker)

    def now() -> None:
        thread.start()
        while not stopping._state.held:  # it has said so, and waits
            os.sched_yield()
        assert had == []

    assert stopping.stop(now)
    thread.join()
    assert had == ["late"]
    assert sent == []
