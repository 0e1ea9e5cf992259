"""The auth store's lock: waits within bounds, names its holder, breaks only what is proven dead, yields to others."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from clawtop.core.locks.staleness import NamespaceEvidence
from clawtop.core.model import Generation, LockKind, ProcessEvidence
from clawtop.errors import LockNotObtainedError, OperationFailedError
from clawtop.store.auth import lock as auth_lock
from clawtop.store.auth.lock import MAX_HOLD_S, AuthStoreLock, Hold, LockHolder
from clawtop.store.auth.machine import Machine
from clawtop.store.locks.lockfile import read_lock
from clawtop.store.locks.openclaw import publish, timestamp
from tests.support.clocks import ManualClock

NOW = 1_700_000_000_000


class Table:
    """A process table that knows the pids it was told; everybody else is dead."""

    def __init__(self, **alive: tuple[str, ...]) -> None:
        self.alive = {int(name.removeprefix("p")): argv for name, argv in alive.items()}
        self.looked = 0

    def look(self, pid: int) -> ProcessEvidence:
        self.looked += 1
        if pid in self.alive:
            return ProcessEvidence(pid, alive=True, argv=self.alive[pid], started_at=0, boot_at=0)
        return ProcessEvidence(pid, alive=False)


def machine(clock: ManualClock, table: Table, **seams: Any) -> Machine:
    return Machine(clock=clock, processes=table, jitter=lambda: 0.5, **seams)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


def held_by(directory: Path, pid: int) -> str:
    path = str(directory / "auth-profiles.json.lock")
    assert publish(path, {"pid": pid, "createdAt": timestamp(NOW - 14_000)})
    return path


@pytest.mark.parametrize(("generation", "end"), [(Generation.A, b"}"), (Generation.B, b"}\n")])
def test_the_lock_stands_while_the_work_runs_and_says_who(
    generation: Generation, end: bytes, tmp_path: Path, clock: ManualClock
) -> None:
    lock = AuthStoreLock(str(tmp_path), generation, machine(clock, Table()))

    def work(hold: Hold) -> bytes:
        hold.check()
        return Path(lock.path).read_bytes()

    content = lock.run(work, wait=1)
    assert json.loads(content) == {"pid": os.getpid(), "createdAt": "2023-11-14T22:13:20.000Z"}
    assert content.endswith(end)
    assert list(tmp_path.iterdir()) == []


def test_the_lock_is_named_after_the_real_directory(tmp_path: Path, clock: ManualClock) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    lock = AuthStoreLock(str(tmp_path / "link"), Generation.B, machine(clock, Table()))
    assert lock.path == str(tmp_path / "real" / "auth-profiles.json.lock")


def test_it_is_released_when_the_work_fails(tmp_path: Path, clock: ManualClock) -> None:
    lock = AuthStoreLock(str(tmp_path), Generation.B, machine(clock, Table()))
    with pytest.raises(ZeroDivisionError):
        lock.run(lambda _: 1 // 0, wait=1)
    assert list(tmp_path.iterdir()) == []


def test_a_live_holder_is_waited_for_and_named(tmp_path: Path, clock: ManualClock) -> None:
    table = Table(p77=("node", "/usr/bin/openclaw", "gateway"))
    path = held_by(tmp_path, 77)
    told: list[LockHolder] = []
    lock = AuthStoreLock(str(tmp_path), Generation.B, machine(clock, table), on_wait=told.append)
    with pytest.raises(LockNotObtainedError) as caught:
        lock.run(lambda _: None, wait=15)
    assert caught.value.holder == "pid 77 (node /usr/bin/openclaw gateway), for 29 s, alive"
    assert caught.value.unchanged == "nothing was written"
    assert sum(clock.paused) == pytest.approx(15, abs=0.05)
    assert len(clock.paused) < 3_000
    assert 7 <= len(told) <= 8
    assert [entry.name for entry in tmp_path.iterdir()] == [Path(path).name]


def test_without_patience_one_look_decides(tmp_path: Path, clock: ManualClock) -> None:
    held_by(tmp_path, 77)
    lock = AuthStoreLock(str(tmp_path), Generation.B, machine(clock, Table(p77=())))
    with pytest.raises(LockNotObtainedError, match="pid 77"):
        lock.run(lambda _: None, wait=0)
    assert clock.paused == []


def test_a_dead_owners_lock_is_removed_after_two_equal_looks(tmp_path: Path, clock: ManualClock) -> None:
    held_by(tmp_path, 77)
    lock = AuthStoreLock(str(tmp_path), Generation.B, machine(clock, Table()))
    broke = lock.run(lambda hold: hold.broke, wait=15)
    assert broke is not None
    assert broke.verdict.reasons == ("dead-pid",)
    assert 0.5 <= sum(clock.paused) < 1
    assert list(tmp_path.iterdir()) == []


def test_different_dead_owners_in_turn_are_not_one_lock(tmp_path: Path, clock: ManualClock) -> None:
    path = Path(held_by(tmp_path, 77))

    class Restless(Table):
        """Each look finds the lock of another process."""

        def look(self, pid: int) -> ProcessEvidence:
            found = super().look(pid)
            path.unlink()
            assert publish(str(path), {"pid": pid + 1, "createdAt": timestamp(NOW)})
            return found

    lock = AuthStoreLock(str(tmp_path), Generation.B, machine(clock, Restless()))
    with pytest.raises(LockNotObtainedError):
        lock.run(lambda _: None, wait=3)
    assert path.exists()


@pytest.mark.parametrize(
    ("obstacle", "said"),
    [("network-mount", "on a network mount"), ("other-namespace", "in another pid namespace")],
)
def test_where_pids_prove_nothing_a_dead_pid_holds(
    obstacle: str, said: str, tmp_path: Path, clock: ManualClock
) -> None:
    path = held_by(tmp_path, 77)
    seams = machine(clock, Table(), environment=NamespaceEvidence((obstacle,)))
    with pytest.raises(LockNotObtainedError, match="cannot be known here") as caught:
        AuthStoreLock(str(tmp_path), Generation.B, seams).run(lambda _: None, wait=3)
    assert said in caught.value.holder
    assert Path(path).exists()


@pytest.mark.parametrize("content", [b"", b"99999\nvm\n12345\n", b"{}", b"[1]"])
def test_a_lock_without_an_owner_is_never_removed(content: bytes, tmp_path: Path, clock: ManualClock) -> None:
    path = tmp_path / "auth-profiles.json.lock"
    path.write_bytes(content)
    with pytest.raises(LockNotObtainedError, match="a file without an owner"):
        AuthStoreLock(str(tmp_path), Generation.B, machine(clock, Table())).run(lambda _: None, wait=60)
    assert path.read_bytes() == content


def test_a_lock_taken_from_us_is_noticed_before_anything_is_written(tmp_path: Path, clock: ManualClock) -> None:
    lock = AuthStoreLock(str(tmp_path), Generation.A, machine(clock, Table()))

    def work(hold: Hold) -> None:
        Path(lock.path).unlink()
        assert publish(lock.path, {"pid": 9, "createdAt": "x"})
        hold.check()

    with pytest.raises(OperationFailedError, match="was taken from clawtop"):
        lock.run(work, wait=1)
    successor = read_lock(lock.path, LockKind.AUTH)
    assert successor is not None
    assert successor.payload == {"pid": 9, "createdAt": "x"}


def test_a_hold_that_grew_too_old_writes_nothing(tmp_path: Path, clock: ManualClock) -> None:
    lock = AuthStoreLock(str(tmp_path), Generation.A, machine(clock, Table()))

    def work(hold: Hold) -> None:
        clock.pause(MAX_HOLD_S + 0.1)
        hold.check()

    with pytest.raises(OperationFailedError, match=r"held for 5\.1 s"):
        lock.run(work, wait=1)
    assert list(tmp_path.iterdir()) == []


def test_taking_it_again_inside_is_an_error_not_a_deadlock(tmp_path: Path, clock: ManualClock) -> None:
    seams = machine(clock, Table())
    lock, again = (AuthStoreLock(str(tmp_path), Generation.B, seams) for _ in range(2))
    with pytest.raises(RuntimeError, match="already being acquired"):
        lock.run(lambda _: again.run(lambda _: None, wait=1), wait=1)
    assert list(tmp_path.iterdir()) == []
    assert lock.run(lambda _: "free", wait=1) == "free"


def test_after_a_release_we_rest_for_as_long_as_we_held(tmp_path: Path, clock: ManualClock) -> None:
    lock = AuthStoreLock(str(tmp_path), Generation.B, machine(clock, Table()))
    lock.run(lambda _: clock.pause(0.03), wait=1)
    clock.paused.clear()
    lock.run(lambda _: None, wait=1)
    assert clock.paused == [pytest.approx(0.03)]


def test_threads_of_one_process_exclude_each_other(tmp_path: Path) -> None:
    counter = tmp_path / "counter"
    counter.write_text("0")
    directory = tmp_path / "agent"
    directory.mkdir()

    def add(_: Hold) -> None:
        counter.write_text(str(int(counter.read_text()) + 1))

    def many() -> None:
        lock = AuthStoreLock(str(directory), Generation.B, Machine())
        for _ in range(25):
            lock.run(add, wait=30)

    threads = [threading.Thread(target=many) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counter.read_text() == "100"
    assert list(directory.iterdir()) == []


def test_a_lock_that_others_here_take_again_and_again_is_tried_at_the_end(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest after each of them does not add up to more than the time that was to be waited."""

    class AlwaysResting(dict[str, float]):
        def get(self, _path: object, _else: object = None) -> Any:
            return clock.monotonic() + 0.04

    monkeypatch.setattr(auth_lock, "_rest_until", AlwaysResting())
    began = clock.monotonic()
    lock = AuthStoreLock(str(tmp_path), Generation.B, machine(clock, Table()))
    assert lock.run(lambda hold: hold.waited_s, wait=1.0) == pytest.approx(1.0, abs=0.1)
    assert clock.monotonic() - began < 1.1
