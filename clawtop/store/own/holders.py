"""clawtop's registry of prompt holders on disk, shared by its processes (`<state>/clawtop/holders/`, 0700).

One readable JSON record per session that somebody holds, awaits or drains; an idle session has none. A record is
changed by one `core.session.admission.step` at a time, under a lock that lasts for that step. An entry about a process
counts only while its liveness lock is held: `processes/<member>.lock`, an OS lock that dies with the process, so that
a killed process is never a holder. Records are not flushed to disk: nothing in them outlives the processes they name.

Mutable state of this module: `_presences`, one per process and directory, guarded by `_presences_lock`.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import itertools
import os
import threading
import uuid
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path

import filelock

from clawtop.core.model import PromptHolder, Waiter
from clawtop.core.session.admission import (
    Admission,
    AdmissionEffect,
    AdmissionRequest,
    Ask,
    Claimant,
    Holding,
    Reap,
    step,
)
from clawtop.errors import RefusedError
from clawtop.store import door
from clawtop.store.disk import disk
from clawtop.store.own import holder_record
from clawtop.text import safe

SHARDS = 64
MOST_READ = 1024

_presences: dict[tuple[int, str], Presence] = {}
_presences_lock = threading.Lock()
_serial = itertools.count(1)  # next() is atomic


def holders_dir(state_dir: str | Path) -> Path:
    """Where the records of a state directory live."""
    return Path(state_dir) / "clawtop" / "holders"


def canonical(session_file: str | Path) -> str:
    """The one name of a session file: absolute, symlinks of the directory and of the file itself resolved."""
    return os.path.realpath(session_file)


def record_key(session_file: str) -> str:
    """The name of a session's record, from its canonical path."""
    return hashlib.sha256(os.fsencode(session_file)).hexdigest()[:32]


# --- liveness ----------------------------------------------------------------------------------------------------


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

    @classmethod
    def _enter(cls, directory: Path) -> Presence:
        processes = directory / "processes"
        member = f"{os.getpid()}-{uuid.uuid4().hex[:12]}"
        try:
            _refuse_another_users(directory.parent.parent)
            for path in (directory.parent, directory, processes, directory / "locks", _steps(directory)):
                door.own_directory(path)
            _bury_files(processes)
            lock = _file_lock(processes / f"{member}.lock")
            lock.acquire(timeout=1, poll_interval=0.001)
        except door.NotAllowedError as error:
            raise RefusedError(f"{safe(error.filename)} {error.strerror}", unchanged="no session was touched") from None
        except (OSError, NotImplementedError) as error:
            raise _cannot_coordinate(directory, error) from error
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
    try:
        descriptor = door.open_file(directory / "processes" / f"{member}.lock")
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
    """Remove what dead processes left: their liveness locks and wake channels."""
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


def _cannot_coordinate(directory: Path, error: OSError | NotImplementedError) -> RefusedError:
    return RefusedError(
        f"runs cannot be coordinated in {safe(directory)}: {getattr(error, 'strerror', None) or 'no OS locks'}",
        hint="the state directory must be writable, on a file system with flock",
        unchanged="no session was touched",
    )


def _steps(directory: Path) -> Path:
    """Where the locks of the steps are: two levels below the records. filelock calls mkdir for a lock's directory at
    each attempt, which locks the parent directory: next to the records it would wait for every rename of a record.
    """
    return directory / "locks" / "steps"


def _file_lock(path: Path) -> filelock.BaseFileLock:
    return filelock.FileLock(path, mode=0o600, thread_local=False, fallback_to_soft=False)


def _let_go(lock: filelock.BaseFileLock) -> None:
    """Release it: the step is done, whatever the disk says to that."""
    with contextlib.suppress(OSError):
        lock.release()
        return
    with contextlib.suppress(OSError):
        lock.release(force=True)


# --- waking ------------------------------------------------------------------------------------------------------


class Word(StrEnum):
    """What one process can tell another about a claimant."""

    WAKE = "wake"
    """Your turn may have come: try again."""
    STOP = "stop"
    """A drain wants the session: stop the run."""
    LOST = "lost"
    """The session may no longer be held: stop the run, and write nothing more."""


class WakeChannel:
    """A named pipe beside the liveness lock, for words to the claimants of this process."""

    def __init__(self, presence: Presence) -> None:
        """Raises RefusedError if there is no space for it."""
        self.name = f"{presence.member}.{next(_serial)}.wake"
        self._path = presence.directory / "processes" / self.name
        try:
            disk.mkfifo(self._path, 0o600)
            # Opened for writing too, so that a pipe without writers does not stay at end of file.
            self.descriptor = door.open_pipe(self._path, os.O_RDWR)
        except OSError as error:
            raise _cannot_coordinate(presence.directory, error) from error

    def heard(self) -> tuple[tuple[Word, str], ...]:
        """The messages since the last call, each with the token of the claimant it is for."""
        try:
            said = os.read(self.descriptor, 65536).decode("ascii", "replace")
        except BlockingIOError:
            return ()
        pairs = (line.partition(" ") for line in said.splitlines())
        return tuple((Word(word), token) for word, _, token in pairs if word in _WORDS)

    def close(self) -> None:
        os.close(self.descriptor)
        disk.unlink_if_there(self._path)


_WORDS = frozenset(Word)


def tell(directory: Path, who: Claimant, word: Word = Word.WAKE) -> None:
    """Send a message to a claimant in another process. It may get lost: waiters also check by themselves."""
    if not who.wake or "/" in who.wake:
        return
    with contextlib.suppress(OSError):
        descriptor = door.open_pipe(directory / "processes" / who.wake, os.O_WRONLY)
        try:
            disk.write(descriptor, f"{word} {who.token}\n".encode("ascii", "replace"))
        finally:
            os.close(descriptor)


# --- records -----------------------------------------------------------------------------------------------------


class HolderRecords:
    """Applies admission steps to records. One instance belongs to one thread; any number may exist."""

    def __init__(self, presence: Presence) -> None:
        self.presence = presence
        self.directory = presence.directory
        self._locks: dict[str, filelock.BaseFileLock] = {}
        self._read: dict[str, tuple[bytes, Admission]] = {}
        self._places: dict[str, tuple[str, str]] = {}

    def apply(self, session_file: str, request: AdmissionRequest, now: int) -> tuple[AdmissionEffect, ...] | None:
        """One step on the record of a canonical `session_file`, or None while another process is changing it. Dead
        processes are removed first. Never waits.

        Raises:
            RefusedError: the record cannot be understood and its author may be alive; or other processes could not
            tell that this one is alive.
        """
        if isinstance(request, Ask):
            self.presence.assert_visible()
        key, path = self._place(session_file)
        with self._exclusive(key) as entered:
            if not entered:
                return None
            before = self._load(session_file)
            dead = frozenset(member for member in before.members if not self.presence.alive(member))
            state, effects = step(before, Reap(dead), now) if dead else (before, ())
            state, more = step(state, request, now)
            if state != before:
                holder_record.save(path, state, self.presence.member)
            if state.idle:
                self._read.pop(key, None)
            self._remember(session_file, state)
            return effects + more

    def holder(self, session_file: str) -> Holding | None:
        """Who holds a canonical session file, if alive. An unreadable record counts as nobody."""
        try:
            holding = self._parsed(session_file).holder
        except (OSError, ValueError):
            return None
        return holding if holding is not None and self.presence.alive(holding.who.member) else None

    def _place(self, session_file: str) -> tuple[str, str]:
        """The key of a session's record, and its path."""
        known = self._places.get(session_file)
        if known is None:
            if len(self._places) >= MOST_READ:
                self._places.clear()
            key = record_key(session_file)
            known = self._places[session_file] = key, str(self.directory / f"{key}.json")
        return known

    def _parsed(self, session_file: str) -> Admission:
        """The current record; unchanged bytes are not parsed again. Raises like `holder_record.load`."""
        key, path = self._place(session_file)
        content = holder_record.content(path)
        known = self._read.get(key)
        if known is None or known[0] != content:
            if len(self._read) >= MOST_READ:
                self._read.clear()
            known = self._read[key] = (content, holder_record.parsed(content))
        return known[1]

    def _remember(self, session_file: str, state: Admission) -> None:
        if state.holder is not None and state.holder.who.member == self.presence.member:
            self.presence.held.add(session_file)
        else:
            self.presence.held.discard(session_file)

    @contextlib.contextmanager
    def _exclusive(self, key: str) -> Iterator[bool]:
        name = f"{int(key[:8], 16) % SHARDS:02d}.lock"
        lock = self._locks.get(name)
        if lock is None:
            lock = self._locks[name] = _file_lock(_steps(self.directory) / name)
        try:
            if lock.is_locked:  # the disk refused to release it, twice
                lock.release(force=True)
            lock.acquire(blocking=False)
        except filelock.Timeout:
            yield False
            return
        try:
            yield True
        finally:
            _let_go(lock)

    def _load(self, session_file: str) -> Admission:
        try:
            return self._parsed(session_file)
        except FileNotFoundError:
            return Admission(session_file)
        except (OSError, ValueError) as error:
            living = [member for member in _members(self.directory) if self.presence.alive(member)]
            if living != [self.presence.member] or session_file in self.presence.held:
                path = Path(self._place(session_file)[1])
                raise RefusedError(
                    f"the holder record {path.name} cannot be read",
                    hint=f"once no clawtop is running, remove {safe(path)}",
                    unchanged="the session was not touched",
                ) from error
            return Admission(session_file)


def _members(directory: Path) -> Iterator[str]:
    return (path.name.removesuffix(".lock") for path in (directory / "processes").glob("*.lock"))


# --- reading, for everybody --------------------------------------------------------------------------------------


def read_admissions(state_dir: str | Path, alive: Callable[[Path, str], bool] = is_alive) -> tuple[Admission, ...]:
    """Every session with a living holder, waiter or closing. Creates nothing; damaged records are left out."""
    directory = holders_dir(state_dir)
    try:
        there = door.has_own(directory.parent, directory)
        paths = sorted(path for path in directory.iterdir() if path.suffix == ".json") if there else []
    except OSError:
        return ()
    living = dict[str, bool]()
    found = (_living_part(directory, path, alive, living) for path in paths)
    return tuple(state for state in found if state is not None)


def read_admission(directory: Path, session_file: str) -> Admission | None:
    """The same for one canonical session file in a holders directory; None if nobody holds or awaits it."""
    return _living_part(directory, directory / f"{record_key(session_file)}.json", is_alive, {})


def read_holder(directory: Path, session_file: str) -> PromptHolder | None:
    """Who holds a canonical session file, in any process."""
    state = read_admission(directory, session_file)
    return None if state is None or state.holder is None else prompt_holder(state)


def _living_part(
    directory: Path, path: Path, alive: Callable[[Path, str], bool], living: dict[str, bool]
) -> Admission | None:
    try:
        state = holder_record.load(path)
    except (OSError, ValueError):
        return None
    for member in state.members - living.keys():
        living[member] = alive(directory, member)
    dead = frozenset(member for member in state.members if not living[member])
    state, _ = step(state, Reap(dead), 0) if dead else (state, ())
    return None if state.idle else state


def profiles_in_flight(directory: Path) -> dict[str, int]:
    """How many turns of other processes use each auth profile now. Creates nothing; the caller's own do not count."""
    own = _presences.get((os.getpid(), str(directory)))
    ours = {f"{record_key(path)}.json" for path in tuple(own.held)} if own is not None else set[str]()
    found: dict[str, int] = {}
    living = dict[str, bool]()
    try:
        names = [name for name in os.listdir(directory) if name.endswith(".json") and name not in ours]  # noqa: PTH208
    except OSError:
        return found
    for name in names:
        state = _living_part(directory, directory / name, is_alive, living)
        holding = state.holder if state is not None else None
        if holding is not None and holding.profile is not None:
            found[holding.profile] = found.get(holding.profile, 0) + 1
    return found


def draining_holder(state: Admission) -> PromptHolder | None:
    """The drain that keeps a free session closed, as a holder, with the runs that wait for it to end."""
    closing = state.closing
    if closing is None or state.holder is not None:
        return None
    return PromptHolder(
        session_file=state.session_file,
        session_key=None,
        agent=None,
        lane=None,
        run_id=closing.drain_id,
        profile=None,
        phase="draining",
        since=closing.since,
        pid=closing.pid,
        source="clawtop",
        waiters=_waiters(state),
    )


def prompt_holder(state: Admission) -> PromptHolder:
    """The holder of a held session as the snapshot shows it. ValueError if nobody holds it."""
    holding = state.holder
    if holding is None:
        raise ValueError("this session has no holder")
    return PromptHolder(
        session_file=state.session_file,
        session_key=holding.who.session_key,
        agent=holding.who.agent,
        lane=holding.who.lane,
        run_id=holding.who.run_id,
        profile=holding.profile,
        phase=holding.phase,
        since=holding.granted_at,
        pid=holding.who.pid,
        source="clawtop",
        waiters=_waiters(state),
    )


def _waiters(state: Admission) -> tuple[Waiter, ...]:
    return tuple(
        Waiter(waiter.ticket, waiter.pid, waiter.lane, waiter.run_id, waiter.since, waiter.deadline)
        for waiter in state.waiters
    )
