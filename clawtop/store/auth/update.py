"""Changing one auth store of generation A or B, under OpenClaw's own lock.

Under the lock the files are read again, only the difference is changed, and the new version replaces the old in one
step, with its owner, mode, ACLs and extended attributes. Generation A writes auth-profiles.json; generation B writes
auth-state.json and never the credentials. A missing store is never created, and after writing the file is read again,
because 2026.3's lock can lose an update (docs/formats.md 3).
"""

from __future__ import annotations

import contextlib
from dataclasses import replace

from clawtop.core.model import VerdictKind
from clawtop.errors import OperationFailedError, RefusedError
from clawtop.store import atomic
from clawtop.store.auth.json_edit import dump
from clawtop.store.auth.lock import AuthStoreLock, Done, Hold, LockWait
from clawtop.store.auth.machine import Machine
from clawtop.store.auth.port import Change, Landing, OnWait, OnWritten, Updated, lost_or_landed
from clawtop.store.auth.state import is_empty
from clawtop.store.auth.target import (
    FileIdentity,
    ParsedStore,
    StoreTarget,
    check_writable,
    identity,
    identity_of,
    read,
    translated,
)
from clawtop.store.disk import disk
from clawtop.text import safe

_REREADS = 3
_ELSEWHERE_PAUSE_S = 0.05
_UNSETTLED_READS = 5
_UNSETTLED_PAUSE_S = 0.01


class Rewrite:
    """One change of one store: what is checked before the lock, done under it, and verified afterwards."""

    def __init__(self, target: StoreTarget, change: Change, machine: Machine) -> None:
        """Raises RefusedError before anything is touched when the store may not be written."""
        self._target = target
        self._change = change
        self._machine = machine
        self._written: FileIdentity | None = None
        check_writable(target, machine)

    def lock(self, on_wait: OnWait) -> AuthStoreLock:
        return AuthStoreLock(self._target.directory, self._target.generation, self._machine, on_wait=on_wait)

    def work(self, hold: Hold) -> Updated:
        """Read, change, replace; under the lock. Reads again if someone writes without the lock in between."""
        self._sweep()
        for _ in range(_REREADS):
            reading = self._read()
            before = reading.documents.in_force()
            after = before.changed_by(self._change)
            if after != before:
                try:
                    self._written = self._replace(reading.documents.changed(before, after), reading, hold)
                except (_MovedOnError, FileExistsError, FileNotFoundError):
                    continue
            path = reading.documents.state_path
            clock = self._machine.clock
            held = clock.monotonic() - hold.taken_at
            at, how = clock.now_ms(), hold.published.how.value
            broke = hold.broke.text if hold.broke else None
            return Updated(path, before, after, at, hold.waited_s, held, how, broke)
        raise OperationFailedError(
            f"{safe(self._target.state_path)} keeps changing although clawtop holds its lock",
            unchanged="nothing was written",
            hint="something writes it without the lock; find it and stop it",
        )

    def _sweep(self) -> None:
        """Remove what a killed clawtop left behind; on A such a file may contain credentials."""
        if self._machine.environment.obstacles:
            return
        for path, pid in atomic.leftovers(self._target.directory):
            if self._machine.processes.look(pid).alive is False:
                atomic.remove(path)

    def look_back(self, updated: Updated) -> Landing:
        """Read the file again, without the lock: whether the change is there, or something newer than both versions."""
        try:
            if not updated.changed or identity(updated.path) == self._written:
                return Landing.LANDED
            now = self._read().documents.in_force()
        except OperationFailedError:
            return Landing.GONE
        except OSError:
            return Landing.LANDED  # it was written, even if that cannot be checked now
        return lost_or_landed(updated, now)

    def _read(self) -> ParsedStore:
        """The files, parsed. 2026.3 truncates its file and then fills it: a file that does not parse is read again."""
        for _ in range(_UNSETTLED_READS if self._target.storage.written_in_place else 0):
            with contextlib.suppress(RefusedError):
                return read(self._target)
            self._machine.clock.pause(_UNSETTLED_PAUSE_S)
        return read(self._target)

    def _replace(self, document: dict[str, object], reading: ParsedStore, hold: Hold) -> FileIdentity | None:
        path = reading.documents.state_path

        def last_check() -> None:
            if reading.moved_on:
                raise _MovedOnError
            hold.check()

        if reading.state is None:
            return identity_of(atomic.create(path, dump(document), last_check=last_check))
        if self._target.storage.has_state_file and is_empty(document):
            last_check()
            disk.unlink(path)
            atomic.flush_directory(path)
            return None
        return identity_of(atomic.replace(path, dump(document), atomic.attributes_of(path), last_check=last_check))


class JsonUpdate:
    """One change of one store as `clawtop.store.auth.port.PlaceUpdate`: the lock is tried for a step at a time."""

    def __init__(
        self, target: StoreTarget, change: Change, machine: Machine, on_wait: OnWait, on_written: OnWritten
    ) -> None:
        """Raises RefusedError before anything is touched when the store may not be written."""
        with translated(target):
            self._rewrite = Rewrite(target, change, machine)
        self._target = target
        self._machine = machine
        self._lock = self._rewrite.lock(on_wait)
        self._others = tuple(AuthStoreLock(directory, target.generation, machine) for directory in target.shared_with)
        self._deadline = 0.0
        self._danger: str | None = None
        self._on_written = on_written
        self._stack = contextlib.ExitStack()
        self._attempt: LockWait[Updated] | None = None

    def begin(self, wait: float) -> None:
        self._stack.enter_context(self._lock.entered())
        self._attempt = LockWait(self._lock, self._work, wait)
        self._deadline = self._machine.clock.monotonic() + wait

    def once(self) -> Updated | float:
        assert self._attempt is not None  # noqa: S101 - begin comes first
        with translated(self._target):
            pause = self._held_elsewhere()
            if pause is not None:
                return pause
            result = self._attempt.once()
        return result.value if isinstance(result, Done) else result

    def _held_elsewhere(self) -> float | None:
        """How long to pause while another agent's run has the same store locked by its own path; None: do not wait any
        longer.

        OpenClaw locks a store that agents share behind links by each agent's own path, so no one lock covers it. An
        agent that is not done in time is reported and not waited for: its run would not wait for this one either.
        """
        held = next((found for lock in self._others if (found := lock.look()) is not None), None)
        if held is None or held.verdict.kind is VerdictKind.STALE:
            return None
        if self._machine.clock.monotonic() < self._deadline:
            return _ELSEWHERE_PAUSE_S
        self._danger = (
            f"{safe(held.lock.path)}, another lock of the same store, is held by {held.text}, which may undo this"
        )
        return None

    def end(self) -> None:
        attempt, self._attempt = self._attempt, None
        try:
            if attempt is not None:
                attempt.give_up()
        finally:
            self._stack.close()

    def look_back(self, updated: Updated) -> Landing:
        with translated(self._target):
            return self._rewrite.look_back(updated)

    def _work(self, hold: Hold) -> Updated:
        updated = replace(self._rewrite.work(hold), danger=self._danger)
        self._on_written(updated)
        return updated


class _MovedOnError(Exception):
    """A file changed between reading and renaming."""
