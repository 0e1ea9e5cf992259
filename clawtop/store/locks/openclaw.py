"""OpenClaw's lock files: publish, prove, release, break (docs/formats.md 3 and 4).

A lock is published together with its content, in one step: the content is written and flushed under a temporary name
and then linked to the lock's name. So a crash at any time leaves either no lock or one that every OpenClaw version can
judge, never an empty lock, which 2026.5.18 and later would not remove. Without hard links the lock is created
exclusively and written at once, and `Published.how` says so.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from clawtop import stopping
from clawtop.core.model import LockFile, Verdict, VerdictKind
from clawtop.store import atomic, door
from clawtop.store.disk import disk
from clawtop.store.locks.lockfile import UNTRACED, read_lock
from clawtop.values import dataclass

FIRST_RETRY_S = 0.02
LONGEST_RETRY_S = 1.0
"""Pauses between attempts to release a lock that the disk refused to remove."""


class How(StrEnum):
    """How a lock was created: receipts name it."""

    LINK = "created with its content in one step"
    EXCLUSIVE = "created exclusively, then written: this file system has no hard links"


@dataclass(frozen=True, slots=True)
class Published:
    """A lock held by this process: its identity at creation."""

    path: str
    dev: int
    ino: int
    content: bytes
    how: How
    mtime_ns: int


class BreakOutcome(StrEnum):
    """REMOVED: the stale lock was removed. GONE: it no longer existed. CHANGED: another lock is there now.
    NOT_PROVEN: nothing proves its owner dead. DISPLACED: another lock replaced it at the last moment, and a third one
    appeared before that could be put back; its owner works without its lock.
    """

    REMOVED = "removed"
    GONE = "gone"
    CHANGED = "changed"
    NOT_PROVEN = "not proven"
    DISPLACED = "displaced"


@dataclass(frozen=True, slots=True)
class BreakResult:
    """What `break_stale` did; `verdict` is the one it was based on, if it got that far."""

    outcome: BreakOutcome
    verdict: Verdict | None = None


class Proposal:
    """A lock that is ready to be published: its content waits under a temporary name.

    Prepared before the wait for the lock begins, so that the flush to disk never counts as time under the lock.
    """

    def __init__(self, path: str, payload: Mapping[str, Any], *, newline: bool = True, durable: bool = True) -> None:
        """Write the content of the future lock beside `path`. OSError if the directory refuses it.

        `durable` flushes it to the disk. Session locks need no flush: after a power failure every OpenClaw version
        removes an empty or garbled one by itself (docs/formats.md 4), and a run takes and releases several a second.
        """
        self.path = path
        self.content = lock_content(payload, newline=newline)
        self._temporary: str | None = atomic.write_sibling(path, self.content, 0o666, durable=durable)
        try:
            facts = Path(self._temporary).stat()
        except BaseException:
            self.withdraw()
            raise
        self._identity = (facts.st_dev, facts.st_ino)
        self._mtime_ns = facts.st_mtime_ns

    def publish(self, *, keep: bool = False) -> Published | None:
        """Publish the lock now; None if there is one already.

        Success uses the proposal up, unless `keep` leaves it to be published again after the release; then
        `withdraw` has to follow some time.
        """
        if self._temporary is None:
            raise ValueError("this lock was published or withdrawn")
        attempt = object()
        stopping.holding(attempt)
        try:
            how = self._taken(self._temporary)
            if how is None:
                return None
            published = Published(self.path, *self._identity, self.content, how, self._mtime_ns)
            stopping.holding(published)
        finally:
            stopping.let_go(attempt)
        if not keep:
            self.withdraw()
        return published

    def withdraw(self) -> None:
        """Remove the temporary file. Does nothing the second time."""
        if self._temporary is not None:
            atomic.remove(self._temporary)
            self._temporary = None

    def _taken(self, temporary: str) -> How | None:
        try:
            disk.link(temporary, self.path)
        except OSError as error:
            return self._how_else(temporary, error)
        return How.LINK

    def _how_else(self, temporary: str, error: OSError) -> How | None:
        """How the lock was acquired although the link failed; None if another process has it."""
        if Path(temporary).stat().st_nlink == 2:
            return How.LINK  # NFS lost the answer, but the link was made
        if isinstance(error, FileExistsError):
            return None
        if not atomic.link_is_impossible(error):
            raise error
        try:
            atomic.write_new(self.path, self.content, 0o666)
        except FileExistsError:
            return None
        facts = Path(self.path).stat()
        self._identity = (facts.st_dev, facts.st_ino)
        self._mtime_ns = facts.st_mtime_ns
        return How.EXCLUSIVE


def lock_content(payload: Mapping[str, Any], *, newline: bool = True) -> bytes:
    """The bytes of a lock, of plain values, as OpenClaw writes them: JSON indented by two spaces; 2026.3 ends without a
    newline.
    """
    members = ",\n".join(f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in payload.items())
    end = "\n" if newline else ""
    return f"{{\n{members}\n}}{end}".encode()


def timestamp(now: int) -> str:
    """`createdAt` as `Date.toISOString` writes it, from ms since the epoch."""
    seconds, milliseconds = divmod(now, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC).isoformat()[:19]}.{milliseconds:03}Z"


def still_ours(published: Published) -> bool:
    """Whether the lock on disk is exactly the file that this process published, content included. OSError if that
    cannot be determined now.
    """
    try:
        facts = os.lstat(published.path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    if (facts.st_dev, facts.st_ino) != (published.dev, published.ino):
        return False
    try:
        descriptor = door.open_file(published.path, os.O_RDONLY | UNTRACED)
    except FileNotFoundError:
        return False
    except OSError:
        # Out of descriptors, for example. A reused inode belongs to a lock written later, never at the same time.
        return (facts.st_size, facts.st_mtime_ns) == (len(published.content), published.mtime_ns)
    try:
        return os.read(descriptor, len(published.content) + 1) == published.content
    finally:
        os.close(descriptor)


def last_read(published: Published) -> int | None:
    """When another program last read this lock while it existed, in ns since the epoch, by the file's access time:
    OpenClaw reads a lock that it waits for at each try. None if that is not known.
    """
    try:
        return os.lstat(published.path).st_atime_ns if UNTRACED else None
    except OSError:
        return None


def release(published: Published) -> bool:
    """Remove the lock if it is still held; False if it was not, and then nothing is touched.

    Never fails: if the disk refuses, it is retried in the background until it succeeds.
    """
    try:
        removed = _removed(published)
    except OSError:
        _unreleased.add(published)
        return True
    stopping.let_go(published)
    return removed


def _removed(published: Published) -> bool:
    if not still_ours(published):
        return False
    with contextlib.suppress(FileNotFoundError):
        disk.unlink(published.path)
        return True
    return False


class _Unreleased:
    """Locks that this process could not release because of the disk: their owner is alive, so nobody else may remove
    them.

    Mutable state: `_locks` and `_thread`, under `_guard`.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._locks: list[Published] = []
        self._thread: threading.Thread | None = None

    def add(self, published: Published) -> None:
        """Retry soon, and repeatedly. Never fails."""
        with self._guard:
            self._locks.append(published)
            if self._thread is None:
                thread = threading.Thread(target=self._work, name="clawtop lock release", daemon=True)
                with contextlib.suppress(RuntimeError):  # no thread can be started; the next release tries these too
                    thread.start()
                    self._thread = thread

    def _work(self) -> None:
        pause = FIRST_RETRY_S
        while True:
            self._wait(pause)
            pause = min(pause * 2, LONGEST_RETRY_S)
            with self._guard:
                self._locks = [lock for lock in self._locks if not self._is_gone(lock)]
                if not self._locks:
                    self._thread = None
                    return

    @staticmethod
    def _wait(seconds: float) -> None:
        threading.Event().wait(seconds)

    @staticmethod
    def _is_gone(published: Published) -> bool:
        try:
            _removed(published)
        except OSError:
            return False
        stopping.let_go(published)
        return True

    def settled(self, wait_s: float = 0.0) -> bool:
        """Whether everything was released, after waiting at most this long."""
        thread = self._thread
        if thread is not None:
            thread.join(wait_s)
        return self._thread is None


_unreleased = _Unreleased()


def all_released(wait_s: float = 0.0) -> bool:
    """Whether this process has released every lock it meant to, after waiting at most `wait_s` seconds."""
    return _unreleased.settled(wait_s)


def break_stale(path: str, seen: LockFile, prove: Callable[[LockFile], Verdict]) -> BreakResult:
    """Remove the lock at `path` if it is still the one that was `seen`, and `prove` says that its owner is dead.

    The lock is renamed aside first and looked at again. If another lock had taken the name between the proof and the
    rename, it is put back by a link, which never overwrites a newer one. A window remains: for microseconds between
    rename and link the name is free, and a process that takes it then holds it alongside the displaced owner
    (DISPLACED). A process killed in that window leaves the displaced lock under a temporary name.
    """
    now = read_lock(path, seen.kind, agent=seen.agent, session_id=seen.session_id)
    if now is None:
        return BreakResult(BreakOutcome.GONE)
    if now.identity != seen.identity:
        return BreakResult(BreakOutcome.CHANGED)
    verdict = prove(now)
    if verdict.kind is not VerdictKind.STALE:
        return BreakResult(BreakOutcome.NOT_PROVEN, verdict)
    aside = atomic.sibling(path)
    try:
        disk.rename(path, aside)
    except FileNotFoundError:
        return BreakResult(BreakOutcome.GONE, verdict)
    moved = read_lock(aside, seen.kind)
    if moved is None:
        return BreakResult(BreakOutcome.GONE, verdict)
    if moved.identity == seen.identity:
        atomic.remove(aside)
        return BreakResult(BreakOutcome.REMOVED, verdict)
    return BreakResult(_put_back(path, aside), verdict)


def _put_back(path: str, aside: str) -> BreakOutcome:
    try:
        disk.link(aside, path)
    except FileExistsError:
        atomic.remove(aside)
        return BreakOutcome.DISPLACED
    except OSError:
        # No hard links here: a rename keeps the lock's inode. Checking first narrows the window but does not close it.
        if Path(path).exists():
            atomic.remove(aside)
            return BreakOutcome.DISPLACED
        disk.rename(aside, path)
        return BreakOutcome.CHANGED
    atomic.remove(aside)
    return BreakOutcome.CHANGED
