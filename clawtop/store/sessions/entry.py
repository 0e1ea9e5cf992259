"""What a session that clawtop creates needs in the sessions directory: the directory itself, and its list entry.

sessions.json has no lock between processes from 2026.5.18 on, so it is written only while no gateway can be running
(the caller's to know): read again, that one key added, one rename. An existing entry is never changed.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from clawtop.clock import SystemClock
from clawtop.core.model import ModelRef
from clawtop.errors import OperationFailedError, RefusedError
from clawtop.store import atomic, door
from clawtop.store.auth.json_edit import dump, parse
from clawtop.store.disk import disk
from clawtop.store.json_text import UnreadableError, read_bytes
from clawtop.store.sessions.index import MAX_SESSIONS_BYTES
from clawtop.text import safe

LOCK_WAIT_S = 20.0
LOCK_POLL_S = 0.002
REPAIRS = 3


def entry_for(session_id: str, file: Path, model: ModelRef, started_at: int, ended_at: int) -> dict[str, Any]:
    """What OpenClaw stores about a session whose only run was clawtop's. Times in ms since the epoch."""
    return {
        "sessionId": session_id,
        "updatedAt": ended_at,
        "sessionStartedAt": started_at,
        "lastInteractionAt": ended_at,
        "sessionFile": str(file),
        "status": "done",
        "startedAt": started_at,
        "endedAt": ended_at,
        "runtimeMs": ended_at - started_at,
        "abortedLastRun": False,
        "modelProvider": model.provider,
        "model": model.model,
    }


def make_sessions_dir(directory: Path) -> None:
    """Make an agent's sessions directory as OpenClaw does, if it is not there. Raises OperationFailedError."""
    try:
        disk.make_directories(directory)
    except OSError as error:
        raise no_directory(directory, error) from error


def no_directory(directory: Path, error: OSError) -> OperationFailedError:
    """The error where the directory of a session's transcript cannot be made."""
    return OperationFailedError(
        f"{safe(directory)} cannot be created: {error.strerror or error}", unchanged="nothing was sent"
    )


def add_entry(store: Path, key: str, entry: Mapping[str, Any], state_dir: Path | None = None) -> bool:
    """Add `entry` under `key` to the sessions.json at `store`; False if the key is there already.

    With `state_dir`, clawtop's processes do this one at a time, under their own lock. Other writers of the
    file may still interfere: afterwards it is read again, and the entry added again if it was lost.

    Raises:
        RefusedError: the file cannot be changed without loss, or a 2026.3 lock is beside it.
        OperationFailedError: the disk refused, or our lock stayed taken; the file is unchanged.
    """
    with contextlib.nullcontext() if state_dir is None else _one_at_a_time(state_dir):
        added = _add(store, key, entry)
        for _ in range(REPAIRS):
            if not added or key in _read(store):
                break
            _add(store, key, entry)
        return added


@contextlib.contextmanager
def _one_at_a_time(state_dir: Path) -> Iterator[None]:
    path = state_dir / "clawtop" / "sessions.lock"
    try:
        door.own_directory(path.parent)
        door.own_lock(path)
        descriptor = door.open_file(path, os.O_RDWR)
    except OSError as error:
        raise OperationFailedError(
            f"{safe(error.filename or path)}: {error.strerror}", unchanged="the session list is unchanged"
        ) from error
    try:
        _lock(descriptor, path)
        yield
    finally:
        door.close_lock(descriptor)


def _lock(descriptor: int, path: Path) -> None:
    """Take the lock, which ends with its descriptor; an entry is written in milliseconds."""
    clock = SystemClock()
    until = clock.monotonic() + LOCK_WAIT_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if clock.monotonic() >= until or error.errno not in {errno.EAGAIN, errno.EACCES}:
                raise OperationFailedError(
                    f"{safe(path)} was never free", unchanged="the session list is unchanged"
                ) from error
        else:
            return
        clock.pause(LOCK_POLL_S)


def _read(store: Path) -> Mapping[str, Any]:
    """The content of the list; empty if unknown."""
    try:
        return parse(read_bytes(store.resolve(), MAX_SESSIONS_BYTES)[0], str(store))
    except (OSError, UnreadableError, RefusedError):
        return {}


def _add(store: Path, key: str, entry: Mapping[str, Any]) -> bool:
    if Path(f"{store}.lock").exists():
        raise RefusedError(f"{safe(store)} is locked", unchanged="the session list is unchanged")
    try:
        target = store.resolve()
        try:
            content, _ = read_bytes(target, MAX_SESSIONS_BYTES)
        except FileNotFoundError:
            atomic.create(str(target), dump({key: dict(entry)}), last_check=lambda: None)
            return True
        document = parse(content, str(store))
        if key in document:
            return False
        document[key] = dict(entry)
        atomic.replace(str(target), dump(document), atomic.attributes_of(str(target)), last_check=lambda: None)
        return True
    except UnreadableError as error:
        raise OperationFailedError(
            f"{safe(store)} {error.problem.text}", unchanged="the session list is unchanged"
        ) from error
    except OSError as error:
        raise OperationFailedError(
            f"{safe(store)} cannot be written: {error.strerror or error}", unchanged="the session list is unchanged"
        ) from error
