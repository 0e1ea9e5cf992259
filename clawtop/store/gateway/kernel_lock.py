"""Who holds a gateway's kernel lock (2026.8 on): the one witness that stays right after crashes, clock changes and
reuse of pids.

A gateway keeps an exclusive SQLite transaction on an empty `*.lock.sqlite` for as long as it lives, which is a record
lock of the kernel: free at the moment of its death. `F_GETLK` on a descriptor opened for reading tells who holds it
without taking it. The file is never opened by SQLite here, so closing it drops none of clawtop's locks.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import struct
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from clawtop.core.model import Gateway, GatewayState, Problem
from clawtop.store import door
from clawtop.store.json_text import UnreadableError, open_problem, raise_if_blocked
from clawtop.store.place import temporary
from clawtop.store.place.databases import STATE_DATABASE
from clawtop.store.place.layout import Layout
from clawtop.values import dataclass

STATE_LOCK = "gateway.state.lock.sqlite"
_LINUX, _DARWIN = "@hhqqixxxx", "@qqihh"


@dataclass(frozen=True, slots=True)
class KernelLock:
    """A lock file: whether somebody has it, and who. `pid` is None if it is in another pid namespace."""

    path: str
    held: bool
    pid: int | None = None


@dataclass(frozen=True, slots=True)
class KernelAnswer:
    """What the kernel says about a gateway's lock. `unread`: why it could not be asked of one; another may tell."""

    lock: KernelLock | None = None
    unread: Problem | None = None


def kernel_lock(path: Path, owner: int | None = None) -> KernelLock | None:
    """The lock on the file at `path`; None if there is none. UnreadableError if it cannot be asked about that file."""
    where = str(path)
    try:
        descriptor = door.open_file(path, owner=owner)
    except (FileNotFoundError, NotADirectoryError):
        raise_if_blocked(where)
        return None
    except (OSError, ValueError) as error:
        raise UnreadableError(open_problem(where, error)) from None
    with door.closing(descriptor):
        try:
            held, pid = _asked(descriptor)
        except OSError as error:
            raise UnreadableError(open_problem(where, error)) from None
    return KernelLock(where, held, pid if pid > 0 else None)


def _asked(descriptor: int) -> tuple[bool, int]:
    if sys.platform == "darwin":
        question = struct.pack(_DARWIN, 0, 0, 0, fcntl.F_WRLCK, os.SEEK_SET)
        _, _, pid, kind, _ = struct.unpack(_DARWIN, fcntl.fcntl(descriptor, fcntl.F_GETLK, question))
    else:
        question = struct.pack(_LINUX, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind, _, _, _, pid = struct.unpack(_LINUX, fcntl.fcntl(descriptor, fcntl.F_GETLK, question))
    return kind != fcntl.F_UNLCK, pid


def gateway_kernel_lock(layout: Layout, uid: int) -> KernelAnswer:
    """The lock of this directory's gateway: a held one first. None in a copy, and if no gateway ever took one."""
    if layout.is_copy:
        return KernelAnswer()
    found: list[KernelLock] = []
    unread: Problem | None = None
    for path in _places(layout, uid):
        try:
            lock = kernel_lock(path, owner=uid)
        except UnreadableError as error:
            unread = unread or error.problem
        else:
            found += [] if lock is None else [lock]
    return KernelAnswer(next((lock for lock in found if lock.held), found[0] if found else None), unread)


def _places(layout: Layout, uid: int) -> Iterator[Path]:
    yield layout.state_dir / "tmp" / f"openclaw-{uid}" / STATE_LOCK
    database = os.fsencode(os.path.realpath(layout.state_dir / STATE_DATABASE))
    name = f"gateway-lifecycle.{hashlib.sha256(database).hexdigest()[:8]}.lock.sqlite"
    yield temporary.SYSTEM / f"openclaw-state-locks-{uid}" / name


def with_kernel_lock(gateway: Gateway, answer: KernelAnswer) -> Gateway:
    """The gateway with what the kernel says: held means alive; free means gone, if nothing else could tell. While its
    lock cannot be read, that is the reason why nothing is known.
    """
    lock, unread = answer.lock, answer.unread
    if lock is None:
        if unread is not None and gateway.state is GatewayState.UNKNOWN:
            return replace(gateway, how=f"{unread.where} {unread.text}")
        return gateway
    if lock.held and gateway.state is not GatewayState.LIVE:
        return replace(gateway, state=GatewayState.LIVE, pid=lock.pid, how="the kernel says its lock is held")
    if not lock.held and gateway.state is GatewayState.UNKNOWN:
        state = GatewayState.DEAD if gateway.pid is not None else GatewayState.ABSENT
        return replace(gateway, state=state, how="the kernel says its lock is free")
    return gateway
