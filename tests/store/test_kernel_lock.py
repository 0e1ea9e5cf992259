"""The kernel says who holds a gateway's lock, and forgets it with the process."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from clawtop.core.model import Gateway, GatewayState
from clawtop.store.gateway.kernel_lock import KernelLock, kernel_lock, with_kernel_lock
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
    for path in (tmp_path / "none", tmp_path, pipe, link):
        assert kernel_lock(path) is None
    assert kernel_lock(Path("/etc/hostname"), owner=54321) in {None, KernelLock("/etc/hostname", held=False)}


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
    after = with_kernel_lock(before, lock)
    assert (after.state, after.pid) == (state, pid)


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
