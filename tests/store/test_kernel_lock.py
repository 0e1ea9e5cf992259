"""The kernel says who holds a gateway's lock, and forgets it with the process."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from clawtop.core.model import BLOCKED, Gateway, GatewayState
from clawtop.store.gateway.kernel_lock import STATE_LOCK, KernelAnswer, KernelLock, kernel_lock, with_kernel_lock
from clawtop.store.json_text import UnreadableError
from tests.support.databases import Other
from tests.support.states_made import StateDir


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    path = tmp_path / "gateway.state.lock.sqlite"
    path.touch()
    return path


def test_a_held_lock_names_its_process_and_is_free_after_its_death(lock: Path) -> None:
    assert kernel_lock(lock) == KernelLock(str(lock), held=False)
    holder = Other(lock)
    try:
        holder.run("BEGIN EXCLUSIVE")
        assert kernel_lock(lock) == KernelLock(str(lock), held=True, pid=holder.pid)
        assert kernel_lock(lock) == KernelLock(str(lock), held=True, pid=holder.pid), "looking takes nothing"
    finally:
        holder.kill()
    assert kernel_lock(lock) == KernelLock(str(lock), held=False)


def test_what_is_no_lock_says_nothing(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    link = tmp_path / "link"
    link.symlink_to("/etc/hostname")
    assert kernel_lock(tmp_path / "none") is None
    assert kernel_lock(tmp_path / "no folder" / "none") is None
    for path, code in ((tmp_path, "not-a-file"), (pipe, "not-a-file"), (link, "not-allowed"), (link / "x", BLOCKED)):
        with pytest.raises(UnreadableError) as caught:
            kernel_lock(path)
        assert (caught.value.problem.code, caught.value.problem.where) == (code, str(path))


HELD, FREE = KernelLock("/l", held=True, pid=7), KernelLock("/l", held=False)


@pytest.mark.parametrize(
    ("before", "lock", "state", "pid"),
    [
        (Gateway(GatewayState.UNKNOWN), HELD, GatewayState.LIVE, 7),
        (Gateway(GatewayState.DEAD, 5), HELD, GatewayState.LIVE, 7),
        (Gateway(GatewayState.LIVE, 5), HELD, GatewayState.LIVE, 5),
        (Gateway(GatewayState.LIVE, 5), FREE, GatewayState.LIVE, 5),
        (Gateway(GatewayState.UNKNOWN, 5), FREE, GatewayState.DEAD, 5),
        (Gateway(GatewayState.UNKNOWN), FREE, GatewayState.ABSENT, None),
        (Gateway(GatewayState.ABSENT), None, GatewayState.ABSENT, None),
    ],
)
def test_what_it_adds_to_the_other_witnesses(
    before: Gateway, lock: KernelLock | None, state: GatewayState, pid: int | None
) -> None:
    after = with_kernel_lock(before, KernelAnswer(lock))
    assert (after.state, after.pid) == (state, pid)


def in_place_of_its_folder(folder: Path) -> None:
    folder.write_text("a file")


def a_ring(folder: Path) -> None:
    folder.symlink_to(folder)


def not_mounted(folder: Path) -> None:
    folder.symlink_to(folder.with_name("volume"))


def a_pipe(folder: Path) -> None:
    lock = folder / f"openclaw-{os.getuid()}" / STATE_LOCK
    lock.parent.mkdir(parents=True)
    os.mkfifo(lock)


@pytest.mark.parametrize("put", [in_place_of_its_folder, a_ring, not_mounted, a_pipe])
def test_what_keeps_it_from_being_read_is_why_the_gateway_is_unknown(
    put: Callable[[Path], None], tmp_path: Path
) -> None:
    """The lock of a gateway's process outside of this namespace proves nothing: only the kernel could tell."""
    state = StateDir(tmp_path, version="2026.9.6")
    reader = state.reader(port_probe=None)
    before = reader.read()
    assert (before.gateway.state, before.gateway.how) == (GatewayState.UNKNOWN, "no lock; the port was not tried")
    assert [one for one in before.warnings if STATE_LOCK in one.where] == []
    put(state.path / "tmp")
    after = reader.read()
    assert after.gateway.state is GatewayState.UNKNOWN
    named = [one.where for one in after.warnings if one.where.endswith(STATE_LOCK)]
    assert len(named) == 1
    assert after.gateway.how.startswith(f"{named[0]} is ")


def test_a_gateway_whose_lock_file_is_lost_is_seen_by_its_kernel_lock(tmp_path: Path) -> None:
    state = StateDir(tmp_path, version="2026.9.6")
    place = state.path / "tmp" / f"openclaw-{os.getuid()}" / "gateway.state.lock.sqlite"
    place.parent.mkdir(parents=True)
    place.touch()
    holder = Other(place)
    try:
        holder.run("BEGIN EXCLUSIVE")
        gateway = state.reader().read().gateway
        assert (gateway.state, gateway.pid) == (GatewayState.LIVE, holder.pid)
    finally:
        holder.kill()
    assert state.reader().read().gateway.state is GatewayState.ABSENT
