"""The auth store's lock: waits within bounds, names its holder, breaks only what is proven dead, yields to others."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from clawtop.core.locks.sharing import SEEN
from clawtop.core.locks.staleness import NamespaceEvidence
from clawtop.core.model import Generation, LockKind, ProcessEvidence
from clawtop.errors import LockNotObtainedError, OperationFailedError
from clawtop.store import door
from clawtop.store.auth import lock as auth_lock
from clawtop.store.auth.lock import MAX_HOLD_S, AuthStoreLock, Hold, LockHolder
from clawtop.store.auth.machine import Machine
from clawtop.store.locks.lockfile import UNTRACED, read_lock
from clawtop.store.locks.openclaw import timestamp
from clawtop.text import safe
from tests.support.clocks import ManualClock
from tests.support.lock_files import publish
from tests.support.waiting import until

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


@pytest.mark.parametrize(
    ("table", "advice"), [(Table(p77=()), "wait longer with --wait"), (Table(), "try again with --wait 1 or more")]
)
def test_without_patience_one_look_decides(table: Table, advice: str, tmp_path: Path, clock: ManualClock) -> None:
    held_by(tmp_path, 77)
    lock = AuthStoreLock(str(tmp_path), Generation.B, machine(clock, table))
    with pytest.raises(LockNotObtainedError, match="pid 77") as caught:
        lock.run(lambda _: None, wait=0)
    assert advice in caught.value.hint
    assert clock.paused == []
    if "--wait 1" in advice:
        assert lock.run(lambda _: "done", wait=1) == "done"


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


@pytest.mark.parametrize("thing", ["a ring of links", "a pipe", "a folder\x1b[2J"])
def test_what_is_no_lock_is_named_with_its_place(thing: str, tmp_path: Path, clock: ManualClock) -> None:
    place = tmp_path / thing
    place.mkdir()
    path = place / "auth-profiles.json.lock"
    if thing == "a ring of links":
        path.with_name("other").symlink_to(path)
        path.symlink_to("other")
    elif thing == "a pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    with pytest.raises(LockNotObtainedError) as caught:
        AuthStoreLock(str(place), Generation.B, machine(clock, Table())).run(lambda _: None, wait=1)
    assert caught.value.hint.startswith(f"check {safe(path)} and its owner first")
    assert "\x1b" not in caught.value.hint
    assert os.path.lexists(path)


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


def test_without_a_line_we_rest_for_as_long_as_we_held(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_flock_here(_descriptor: int, _operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", no_flock_here)
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

    class AlwaysResting(dict[str, auth_lock._Use]):
        def get(self, _path: object, _else: object = None) -> Any:
            return auth_lock._Use(rest_until=clock.monotonic() + 0.04)

    monkeypatch.setattr(auth_lock, "_uses", AlwaysResting())
    began = clock.monotonic()
    lock = AuthStoreLock(str(tmp_path), Generation.B, machine(clock, Table()))
    assert lock.run(lambda hold: hold.waited_s, wait=1.0) == pytest.approx(1.0, abs=0.1)
    assert clock.monotonic() - began < 1.1


class Line:
    """Waits for one lock by several of clawtop's writers, a step at a time, on one clock that stands."""

    def __init__(self, directory: Path, clock: ManualClock) -> None:
        self.directory, self.clock = directory, clock
        self.lock = AuthStoreLock(str(directory), Generation.B, machine(clock, Table(p77=("node",))))
        self.done: list[str] = []

    def wait(self, name: str) -> auth_lock.LockWait[None]:
        def work(_: Hold) -> None:
            self.done.append(name)

        return auth_lock.LockWait(self.lock, work, wait=600)

    async def served(self, wait: auth_lock.LockWait[None]) -> None:
        """Until this one has had the lock."""

        def done() -> bool:
            self.clock.pause(0.001)
            return isinstance(wait.once(), auth_lock.Done)

        await until(done)
        wait.give_up()


@pytest.fixture
def line(tmp_path: Path, clock: ManualClock) -> Line:
    return Line(tmp_path, clock)


def stand_in_line(count: int, directory: Path) -> bool:
    """Whether so many wait for the flock on `directory`."""
    mark = f":{directory.stat().st_ino} "
    return sum("->" in row and mark in row for row in Path("/proc/locks").read_text().splitlines()) == count


@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="only Linux tells who waits for a flock")
@pytest.mark.anyio
async def test_the_line_is_served_in_order(line: Line, tmp_path: Path) -> None:
    with door.closing(door.open_directory(tmp_path)) as somebody:
        fcntl.flock(somebody, fcntl.LOCK_EX)
        waits = {name: line.wait(name) for name in "abc"}
        for before, wait in enumerate(waits.values()):
            assert isinstance(wait.once(), float)
            await until(partial(stand_in_line, before + 1, tmp_path))
        assert line.done == []
    for name in "abc":
        await until(partial(stand_in_line, "cba".index(name), tmp_path))
        assert all(isinstance(wait.once(), float) for other, wait in waits.items() if other > name)
        await line.served(waits[name])
    assert line.done == ["a", "b", "c"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.anyio
async def test_who_stands_in_line_leaves_a_free_lock_to_the_first(line: Line, tmp_path: Path) -> None:
    path = Path(held_by(tmp_path, 77))
    first, second = line.wait("first"), line.wait("second")
    assert isinstance(first.once(), float)
    path.unlink()
    assert isinstance(second.once(), float)
    await line.served(first)
    await line.served(second)
    assert line.done == ["first", "second"]


def test_a_first_one_that_does_nothing_is_passed_by(line: Line, tmp_path: Path) -> None:
    """It may be a process that is stopped: its flock stays, and the lock is free."""
    with door.closing(door.open_directory(tmp_path)) as stopped:
        fcntl.flock(stopped, fcntl.LOCK_EX)
        began = line.clock.monotonic()
        line.lock.run(lambda _: line.done.append("past"), wait=60)
    assert line.done == ["past"]
    assert line.clock.monotonic() - began == pytest.approx(auth_lock.PASS_BY_S, abs=0.01)


def test_a_change_counts_as_made_although_its_place_in_line_closes_with_an_error(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some network mounts report at the closing what they could not do before; the kernel has released it by then."""
    close = os.close

    def refused(descriptor: int) -> None:
        of_the_line = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        close(descriptor)
        if of_the_line:
            raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "close", refused)
    line.lock.run(lambda _: line.done.append("made"), wait=60)
    assert line.done == ["made"]


def waiting_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "clawtop line"}


@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="only Linux tells who waits for a flock")
@pytest.mark.anyio
async def test_a_first_one_that_does_nothing_costs_one_wait_and_one_thread(line: Line, tmp_path: Path) -> None:
    before = waiting_threads()
    with door.closing(door.open_directory(tmp_path)) as stopped:
        fcntl.flock(stopped, fcntl.LOCK_EX)
        began = line.clock.monotonic()
        for _turn in range(20):
            line.lock.run(lambda _: line.done.append("past"), wait=60)
        assert len(line.done) == 20
        assert line.clock.monotonic() - began == pytest.approx(auth_lock.PASS_BY_S, abs=0.1)
        assert len(waiting_threads() - before) == 1  # one of an earlier test may end meanwhile
    await until(lambda: waiting_threads() <= before)  # the first one goes on, and nobody keeps its place
    began = line.clock.monotonic()
    line.lock.run(lambda _: line.done.append("last"), wait=60)
    assert line.clock.monotonic() - began < auth_lock.PASS_BY_S / 2


@pytest.mark.anyio
async def test_a_first_one_that_gives_up_or_ends_lets_the_next_one_be_first(line: Line, tmp_path: Path) -> None:
    path = Path(held_by(tmp_path, 77))
    first, second, third = (line.wait(name) for name in ("first", "second", "third"))
    for wait in (first, second, third):
        assert isinstance(wait.once(), float)
    second.give_up()  # out of turn
    first.give_up()
    path.unlink()
    await line.served(third)
    assert line.done == ["third"]


def test_one_hold_beside_openclaws_waits_for_nothing_but_the_lock(line: Line, tmp_path: Path) -> None:
    path = Path(held_by(tmp_path, 77))
    wait = line.wait("ours")
    pause = wait.once()
    assert isinstance(pause, float)
    assert pause < 0.001
    path.unlink()
    assert isinstance(wait.once(), auth_lock.Done)


def refused(line: Line, path: Path) -> None:
    """Another program is seen to hold the lock."""
    line.clock.pause(0.001)
    wait = line.wait("seen")
    assert publish(str(path), {"pid": 77, "createdAt": timestamp(NOW)})
    assert isinstance(wait.once(), float)
    path.unlink()
    wait.give_up()


def in_cycle(line: Line, into: float) -> None:
    """Move the clock to the next such point of a cycle."""
    line.clock.pause((into - line.clock.monotonic()) % SEEN.cycle_s)


def seconds_left_free(line: Line) -> float:
    """Take the lock; for how long it was left to others first."""
    line.clock.paused.clear()
    line.lock.run(lambda _: None, wait=60)
    return sum(pause for pause in line.clock.paused if pause > 0.001)


def test_after_openclaw_was_seen_at_the_lock_it_is_left_for_the_rest_of_each_cycle(line: Line) -> None:
    path = Path(line.lock.path)
    in_cycle(line, 0.01)
    line.lock.run(lambda _: None, wait=1)
    refused(line, path)
    in_cycle(line, 0.2)
    assert seconds_left_free(line) == pytest.approx(0.12, abs=0.001)
    assert line.clock.monotonic() % SEEN.cycle_s < 0.001
    assert seconds_left_free(line) == 0
    in_cycle(line, 0.19)
    line.clock.pause(SEEN.cycle_s)
    assert seconds_left_free(line) == 0, "one hold after a while keeps nobody out"
    line.clock.pause(3.0)
    line.lock.run(lambda _: None, wait=1)
    in_cycle(line, 0.2)
    assert seconds_left_free(line) == 0, "nobody was seen lately"


@pytest.mark.skipif(not UNTRACED, reason="this system cannot read a file without a trace")
def test_who_reads_our_lock_is_waiting_for_it(line: Line, tmp_path: Path) -> None:
    """OpenClaw leaves no other trace while it is refused. Our own looks leave none."""
    path = Path(line.lock.path)

    def looked_at_by_us(hold: Hold) -> None:
        hold.check()
        assert read_lock(path, LockKind.AUTH) is not None

    def looked_at_by_another(_: Hold) -> None:
        path.read_bytes()
        os.utime(path, ns=(path.stat().st_atime_ns + 5_000_000, path.stat().st_mtime_ns))  # as any file system keeps it

    for work, left_free in ((looked_at_by_us, 0.0), (looked_at_by_another, 0.12)):
        in_cycle(line, 0.0)
        line.lock.run(work, wait=1)
        in_cycle(line, 0.2)
        assert seconds_left_free(line) == pytest.approx(left_free, abs=0.001)
