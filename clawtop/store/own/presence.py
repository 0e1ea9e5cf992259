"""Which of clawtop's processes work in a holders directory (`<state>/clawtop/holders/`, 0700), and whether they are
alive.

Each has a liveness lock there, `processes/<member>.lock`: an OS lock that dies with the process, so that a killed
process is never a holder.

Mutable state of this module: `_presences`, one per process and directory, guarded by `_presences_lock`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import filelock

from clawtop.errors import RefusedError
from clawtop.store import door
from clawtop.store.disk import disk
from clawtop.store.ways import NotAllowedError
from clawtop.text import safe

_presences: dict[tuple[int, str], Presence] = {}
_presences_lock = threading.Lock()


def holders_dir(state_dir: str | Path) -> Path:
    """Where the records of a state directory live."""
    return Path(state_dir) / "clawtop" / "holders"


class Presence:
    """This process in one holders directory: its name, and the OS lock that proves that it is alive."""

    def __init__(self, directory: Path, member: str, lock: filelock.BaseFileLock) -> None:
        self.directory = directory
        self.member = member
        self.held: set[str] = set()  # canonical paths; each is added and removed under its record's lock
        self._lock = lock
        self._ino = os.stat(lock.lock_file).st_ino  # noqa: PTH116 - compared at every grant

    @classmethod
    def of(cls, directory: Path) -> Presence:
        """The presence of this process, made on first use and kept until the process ends.

        Raises:
            RefusedError: the state directory is another user's or not writable, or its file system has no OS locks.
        """
        key = (os.getpid(), str(directory))
        with _presences_lock:
            if key not in _presences:
                _presences[key] = cls._enter(directory)
            return _presences[key]

    @staticmethod
    def made(directory: Path) -> Presence | None:
        """The presence of this process, where it has one already."""
        return _presences.get((os.getpid(), str(directory)))

    @classmethod
    def _enter(cls, directory: Path) -> Presence:
        processes = directory / "processes"
        member = f"{os.getpid()}-{uuid.uuid4().hex[:12]}"
        try:
            _refuse_another_users(directory.parent.parent)
            for path in (directory.parent, directory, processes, directory / "locks", steps_dir(directory)):
                door.own_directory(path)
            _bury_files(processes)
            lock = file_lock(processes / f"{member}.lock")
            lock.acquire(timeout=1, poll_interval=0.001)
        except NotAllowedError as error:
            raise RefusedError(f"{safe(error.filename)} {error.strerror}", unchanged="no session was touched") from None
        except (OSError, NotImplementedError) as error:
            raise cannot_coordinate(directory, error) from error
        return cls(directory, member, lock)

    def assert_visible(self) -> None:
        """RefusedError if this process's liveness lock was removed: other processes would consider it dead."""
        with contextlib.suppress(OSError):
            if os.stat(self._lock.lock_file).st_ino == self._ino:  # noqa: PTH116 - as above
                return
        raise RefusedError(
            f"{safe(self._lock.lock_file)} was removed while this clawtop was running",
            hint="restart clawtop",
            unchanged="no session was taken",
        )

    def alive(self, member: str) -> bool:
        """Whether a process of this directory is alive. The current one always is."""
        return member == self.member or is_alive(self.directory, member)


def is_alive(directory: Path, member: str) -> bool:
    """Whether the process that calls itself `member` holds its liveness lock. Creates nothing, keeps nothing."""
    if not member or "/" in member:
        return False
    processes = directory / "processes"
    try:
        if not door.has_own(directory.parent, directory, processes):
            return False
        descriptor = door.open_file(processes / f"{member}.lock")
    except FileNotFoundError:
        return False
    except OSError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)


def _bury_files(processes: Path) -> None:
    """Remove the liveness locks and wake channels of dead processes."""
    living = dict[str, bool]()
    for path in sorted(processes.iterdir()):
        member = path.name.split(".")[0]
        if member not in living:
            living[member] = is_alive(processes.parent, member)
        if not living[member]:
            with contextlib.suppress(OSError):
                disk.unlink(path)
    for path in processes.parent.glob("*.json.*.tmp"):
        if not is_alive(processes.parent, path.name.split(".")[2]):
            disk.unlink_if_there(path)


def _refuse_another_users(path: Path) -> None:
    owner = path.stat().st_uid
    if owner != os.geteuid():
        raise RefusedError(
            f"{safe(path)} belongs to another user (uid {owner})",
            hint="run clawtop as the user that OpenClaw runs as",
            unchanged="no session was touched",
        )


def cannot_coordinate(directory: Path, error: OSError | NotImplementedError) -> RefusedError:
    return RefusedError(
        f"runs cannot be coordinated in {safe(directory)}: {getattr(error, 'strerror', None) or 'no OS locks'}",
        hint="the state directory must be writable, on a file system with flock",
        unchanged="no session was touched",
    )


def steps_dir(directory: Path) -> Path:
    """Where the locks of the steps are: not among the records, whose directory is listed for every turn."""
    return directory / "locks" / "steps"


def file_lock(path: Path) -> filelock.BaseFileLock:
    return filelock.FileLock(path, mode=0o600, thread_local=False, fallback_to_soft=False)


def members(directory: Path) -> Iterator[str]:
    """The processes that have a liveness lock, alive or dead."""
    return (path.name.removesuffix(".lock") for path in (directory / "processes").glob("*.lock"))
