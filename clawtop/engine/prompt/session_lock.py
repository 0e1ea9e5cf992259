"""The session write lock of one run, and the fence around what happens while it is released (thread 83510).

OpenClaw's protocol (2026.5.20): a run holds `<session>.jsonl.lock` while it writes and releases it for every provider
call. When it has the lock again, the file must be unchanged; otherwise the session was taken over, and the run ends
with a typed error instead of writing into a conversation that has moved on. One `SessionLockController` serves one run
on one event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from clawtop.clock import Clock, Timer
from clawtop.core.generations import Generation, storage_of
from clawtop.core.locks.staleness import HERE, NamespaceEvidence, owner_pid
from clawtop.core.model import LockFile, LockKind, LockLimits, Verdict, VerdictKind
from clawtop.core.rules import Accepts
from clawtop.core.session.fence import FileChange, FileFingerprint, accepts_append, change
from clawtop.engine.prompt import process_title
from clawtop.errors import OperationFailedError, RefusedError, SessionTakeoverError, SessionWriteLockTimeoutError
from clawtop.store.locks.lockfile import read_lock
from clawtop.store.locks.openclaw import BreakResult, Proposal, Published, break_stale, release, timestamp
from clawtop.store.locks.owners import lock_verdict
from clawtop.store.locks.processes import ProcessTable
from clawtop.store.sessions.fingerprint import digest, fingerprint, read_range
from clawtop.text import safe

FIRST_PAUSE_S = 0.002
LONGEST_PAUSE_S = 0.05
SEEN_AGAIN_S = 0.25
"""A stale lock is removed when the same file was seen twice, this far apart."""

DIGEST_LIMIT = 1024 * 1024
"""Up to this many bytes of a session file are compared if a version accepts a change of the ctime alone."""


@dataclass
class WriteWindow:
    """The session, locked and unchanged: the moment to append.

    `accepted` is what OpenClaw appended while the lock was released, if that was not a takeover; it contains the next
    line's parent.
    """

    controller: SessionLockController
    accepted: bytes = b""
    open: bool = True


_windows: ContextVar[tuple[WriteWindow, ...]] = ContextVar("clawtop_session_writes", default=())


@dataclass(frozen=True)
class _ReleasedFile:
    """What the file looked like when the lock was released."""

    fingerprint: FileFingerprint
    digest: bytes | None


@dataclass
class _Owner:
    """Who holds the lock, for the error and for the proof that the owner is dead."""

    lock: LockFile | None = None
    since: float = 0.0
    words: str = ""


def own_start(processes: ProcessTable) -> int | None:
    """When this process began, in the kernel's ticks; it never changes."""
    return processes.look(os.getpid()).start_ticks


class SessionLockController:
    """Holds, releases and retakes one session's write lock: `open` takes it; close it in any case.

    Attributes:
        session_file: the real directory and the name that was given, as OpenClaw forms the lock's path.
        taken_over: the session was changed by another, or its lock lost: this run writes nothing more.
    """

    def __init__(
        self,
        session_file: Path,
        *,
        generation: Generation | None,
        limits: LockLimits,
        clock: Clock,
        processes: ProcessTable,
        environment: NamespaceEvidence = HERE,
        start_ticks: int | None = None,
        on_break: Callable[[LockFile, BreakResult], None] | None = None,
    ) -> None:
        """Take nothing yet.

        Args:
            limits: how long to wait for the lock and how long one hold may last (`core.locks.limits`).
            environment: why pids may prove nothing here; a lock is then never removed.
            start_ticks: what `own_start` said, where it was asked before; None: it is asked.
            on_break: called with each stale lock that was to be removed, and the outcome.

        Raises:
            RefusedError: the generation has no session files.
        """
        storage = storage_of(generation)
        if storage.fence is None:
            raise RefusedError("this generation keeps its sessions in SQLite", unchanged="no session was touched")
        self.session_file = Path(os.path.realpath(session_file.parent)) / session_file.name
        self.taken_over = False
        self._storage = storage
        self._limits = limits
        self._clock = clock
        self._processes = processes
        self._environment = environment
        self._accepts = storage.fence
        self._on_break = on_break
        self._held: Published | None = None
        self._fence: _ReleasedFile | None = None
        self._watchdog: Timer | None = None
        self._turn = asyncio.Lock()
        self._closed = False
        self._start_ticks = own_start(processes) if start_ticks is None else start_ticks
        self._titled = False

    async def open(self) -> Self:
        """Take the session's lock.

        Raises:
            SessionWriteLockTimeoutError: the lock stayed with its owner for the whole acquire timeout.
            OperationFailedError: the disk refused the lock: no directory, no room, no permission.
        """
        if self._storage.session_locks.knows_argv:
            self._titled = True
            process_title.look_like_openclaw()
        try:
            self._hold(await self._acquire())
        except BaseException:
            self.close()
            raise
        return self

    @property
    def lock_path(self) -> str:
        return f"{self.session_file}.lock"

    @property
    def holds(self) -> bool:
        """Whether this run has the lock right now."""
        return self._held is not None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- release and retake --------------------------------------------------------------------------------------

    async def release_for_prompt(self) -> None:
        """Remember the file's fingerprint and give the lock back. Does nothing while it is not held.

        If OpenClaw keeps the lock for the whole attempt and notes in it how long, so does clawtop; a write by another
        despite the lock is still a takeover.
        """
        if self._held is not None:
            self._fence = self._mark()
            if not self._storage.lock_names_hold:
                self._let_go()

    @contextlib.asynccontextmanager
    async def write(self) -> AsyncIterator[WriteWindow]:
        """Retake the lock, check that the file was not changed in between, and release it afterwards.

        Inside an open window of the same context it is that window. Before the first `release_for_prompt` the lock is
        held anyway and nothing is compared. Own writes move the fence, also when the body raises.

        Raises:
            SessionTakeoverError: the file changed while the lock was released, or the lock was lost during the write.
            SessionWriteLockTimeoutError: the lock was not available; the run counts as taken over.
        """
        outer = next((window for window in _windows.get() if window.controller is self and window.open), None)
        if outer is not None:
            yield outer
            return
        async with self._turn:
            window, retaken = await self._entered()
            reset = _windows.set((*_windows.get(), window))
            try:
                yield window
            except BaseException:
                self._left(window, retaken)
                raise
            else:
                if not self._left(window, retaken):
                    self.taken_over = True
                    raise SessionTakeoverError(
                        f"the session's lock was lost during a write: {safe(self.session_file)}",
                        hint="a write lasted longer than the lock's max hold, or the lock was removed",
                    )
            finally:
                _windows.reset(reset)

    async def cleanup(self) -> bool:
        """Take the lock for a last write if it is free and the session was not taken over.

        Never waits for the lock and never raises because of it: False means that nothing more may be written.
        """
        if self.taken_over or self._closed:
            return False
        if self._held is None:
            published = None
            with contextlib.suppress(OperationFailedError):
                published = self._attempt()
            if published is None:
                self.taken_over = True
                return False
            self._hold(published)
        if self._accepted() is None:
            self.taken_over = True
            self._let_go()
            return False
        self._fence = None
        return True

    def close(self) -> None:
        """Give everything back. Never blocks, never raises; does nothing the second time."""
        if self._closed:
            return
        self._closed = True
        self._let_go()
        if self._titled:
            process_title.restore_title()

    # --- the fence -----------------------------------------------------------------------------------------------

    async def _entered(self) -> tuple[WriteWindow, bool]:
        if self._closed:
            raise RuntimeError("this session lock was closed")
        if self.taken_over:
            raise self._takeover()
        retaken = self._held is None
        if retaken:
            try:
                self._hold(await self._acquire())
            except SessionWriteLockTimeoutError:
                self.taken_over = True
                raise
        accepted = self._accepted()
        if accepted is None:
            self.taken_over = True
            if retaken:
                self._let_go()
            raise self._takeover()
        return WriteWindow(self, accepted), retaken

    def _left(self, window: WriteWindow, retaken: bool) -> bool:
        """Move the fence past what was written; False if the lock was lost."""
        window.open = False
        if self._held is None:
            return self._closed
        if self._fence is not None:
            self._fence = self._mark()
        return self._let_go() if retaken else True

    def _accepted(self) -> bytes | None:
        """What was appended since the fence and is not a takeover (usually nothing); None: it is a takeover."""
        if self._fence is None:
            return b""
        before, now = self._fence, self._mark()
        match change(before.fingerprint, now.fingerprint):
            case FileChange.NONE:
                return b""
            case FileChange.GROWN if self._accepts is Accepts.ASSISTANT_APPENDS:
                appended = read_range(self.session_file, before.fingerprint.size, now.fingerprint.size)
                if appended is not None and accepts_append(appended):
                    self._fence = now
                    return appended
            case FileChange.TOUCHED if self._accepts is Accepts.SAME_BYTES and before.digest is not None:
                if before.digest == now.digest:
                    self._fence = now
                    return b""
        return None

    def _mark(self) -> _ReleasedFile:
        seen = fingerprint(self.session_file)
        wanted = self._accepts is Accepts.SAME_BYTES and seen.exists and seen.size <= DIGEST_LIMIT
        return _ReleasedFile(seen, digest(self.session_file, seen.size) if wanted else None)

    def _takeover(self) -> SessionTakeoverError:
        return SessionTakeoverError(
            f"session file changed while the prompt lock was released: {safe(self.session_file)}",
            hint="another program is writing to this session; drive it when that run has ended, or fork it",
            unchanged="nothing was written after the change",
        )

    # --- the lock ------------------------------------------------------------------------------------------------

    async def _acquire(self) -> Published:
        deadline = self._clock.monotonic() + self._limits.acquire_ms / 1000
        proposal, owner, pause = self._proposal(), _Owner(), FIRST_PAUSE_S
        try:
            while (published := proposal.publish()) is None:
                if self._look(owner):
                    continue
                left = deadline - self._clock.monotonic()
                if left <= 0:
                    raise self._timeout(owner)
                await self._clock.sleep(min(pause, left))
                pause = min(pause * 2, LONGEST_PAUSE_S)
            return published
        except OSError as error:
            raise self._unwritable(error) from error
        finally:
            proposal.withdraw()

    def _attempt(self) -> Published | None:
        proposal = self._proposal()
        try:
            return proposal.publish()
        except OSError as error:
            raise self._unwritable(error) from error
        finally:
            proposal.withdraw()

    def _proposal(self) -> Proposal:
        payload: dict[str, object] = {"pid": os.getpid(), "createdAt": timestamp(self._clock.now_ms())}
        if self._start_ticks is not None:
            payload["starttime"] = self._start_ticks
        if self._storage.lock_names_hold:
            payload["maxHoldMs"] = self._limits.max_hold_ms
        try:
            return Proposal(self.lock_path, payload, newline=self._storage.lock_newline, durable=False)
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> OperationFailedError:
        return OperationFailedError(
            f"the session's lock cannot be written ({error.strerror}): {safe(self.lock_path)}",
            unchanged="nothing was written",
        )

    def _look(self, owner: _Owner) -> bool:
        """Find out who has the lock; True if a lock that is proven stale, and was seen before, may be gone now."""
        seen = read_lock(self.lock_path, LockKind.SESSION)
        if seen is None:
            return False
        pid = owner_pid(seen)
        owner.words = f"pid={pid}" if pid is not None else (seen.content_problem or "no pid")
        now = self._clock.monotonic()
        if owner.lock is None or owner.lock.identity != seen.identity:
            owner.lock, owner.since = seen, now
            return False
        if now - owner.since < SEEN_AGAIN_S or self._judge(seen).kind is not VerdictKind.STALE:
            return False
        result = break_stale(self.lock_path, seen, self._judge)
        if self._on_break is not None:
            self._on_break(seen, result)
        owner.lock = None
        return True

    def _judge(self, lock: LockFile) -> Verdict:
        return lock_verdict(lock, self._processes, self._clock.now_ms(), self._environment)

    def _timeout(self, owner: _Owner) -> SessionWriteLockTimeoutError:
        words = f"{owner.words} " if owner.words else ""
        return SessionWriteLockTimeoutError(
            f"session file locked (timeout {self._limits.acquire_ms}ms): {words}{safe(self.lock_path)}",
            hint="clawtop shows the owner and whether it lives; a stale lock can be removed with `clawtop unlock`",
            unchanged="nothing was written",
        )

    def _hold(self, published: Published) -> None:
        self._held = published
        seconds = self._limits.max_hold_ms / 1000
        self._watchdog = self._clock.call_later(seconds, self._overheld)

    def _let_go(self) -> bool:
        """Remove the lock; False if it was lost."""
        if self._watchdog is not None:
            self._watchdog.cancel()
            self._watchdog = None
        published, self._held = self._held, None
        if published is None:
            return True
        with contextlib.suppress(OSError):
            return release(published)
        return False

    def _overheld(self) -> None:
        """The hold outlasted its maximum: give the lock back, so that others can continue. A write in progress will
        fail.
        """
        if self._held is not None:
            self._fence = self._mark()
            self._let_go()
