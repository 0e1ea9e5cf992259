"""Changing one auth store of generation A or B, under OpenClaw's own lock.

Under the lock the files are read again, only the difference is changed, and the new version replaces the old in one
step, with its owner, mode, ACLs and extended attributes. Generation A writes auth-profiles.json; generation B writes
auth-state.json and never the credentials. A store that is not there is never created, and after writing the file is
read once more, because 2026.3's lock can lose an update (formats.md 3).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from clawtop.core.model import Generation, UsageStats
from clawtop.core.operations.edit import AuthState, Edit
from clawtop.errors import OperationFailedError, RefusedError
from clawtop.store import atomic
from clawtop.store.auth.json_edit import dump
from clawtop.store.auth.lock import AuthStoreLock, Hold, Holder, Machine
from clawtop.store.auth.state import is_empty
from clawtop.store.auth.target import (
    Identity,
    Reading,
    StoreTarget,
    check_writable,
    identity,
    identity_of,
    read,
    translated,
)
from clawtop.store.locks.openclaw import How
from clawtop.text import safe

Change = Edit

_REREADS = 3
_UNSETTLED_READS = 5
_UNSETTLED_PAUSE_S = 0.01


class Landing(StrEnum):
    """LANDED: the change is there, or something newer. LOST: what stood there before is back. GONE: no file is."""

    LANDED = "landed"
    LOST = "lost"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Updated:
    """What an update did.

    Attributes:
        path: the file that was written (symlinks followed).
        before, after: what was in force, and is now. Equal: nothing was written.
        at: when, ms since the epoch.
        waited_s, held_s: for the lock, and with it.
        lock_how: how the lock was made.
        broke: a stale lock that had to be removed first, with its proof.
        landing: what the file said when it was read once more after the release.
        tries: 2 where the first version was lost and written again.
    """

    path: str
    before: AuthState
    after: AuthState
    at: int
    waited_s: float
    held_s: float
    lock_how: How
    broke: Holder | None
    landing: Landing = Landing.LANDED
    tries: int = 1

    @property
    def changed(self) -> bool:
        return self.before != self.after


def update(
    target: StoreTarget,
    change: Change,
    machine: Machine,
    *,
    wait: float,
    on_wait: Callable[[Holder], None] = lambda _: None,
) -> Updated:
    """Apply `change` to the store under its lock. In a task use `clawtop.engine.operations.locked.update_store`.

    Raises:
        RefusedError: not a store that may be written: its generation, its owner, its content.
        LockNotObtainedError: its lock stayed taken for `wait` seconds.
        OperationFailedError: the disk refused, or the store vanished; nothing was changed.
    """
    with translated(target):
        rewrite = Rewrite(target, change, machine)
        lock = rewrite.lock(on_wait)
        updated = lock.run(rewrite.work, wait=wait)
        landing = rewrite.look_back(updated)
        if landing is Landing.LOST:
            updated = replace(lock.run(rewrite.work, wait=wait), tries=2)
            landing = rewrite.look_back(updated)
    return replace(updated, landing=landing)


def profile_change(
    profile_id: str, change: Callable[[UsageStats], UsageStats], *, last_good: str | None = None
) -> Change:
    """The `Change` that applies `change` to one profile's statistics, and names it as `last_good` of that provider.

    A profile that the store does not have is left alone, as OpenClaw does.
    """

    def apply(state: AuthState) -> AuthState:
        if profile_id not in state.profiles:
            return state
        before = state.stats.get(profile_id, UsageStats())
        after = change(before)
        stats = state.stats if after == before else {**state.stats, profile_id: after}
        good = state.last_good if last_good is None else {**state.last_good, last_good: profile_id}
        return replace(state, stats=stats, last_good=good)

    return apply


class Rewrite:
    """One change of one store: what is checked before the lock, done under it, and looked at afterwards."""

    def __init__(self, target: StoreTarget, change: Change, machine: Machine) -> None:
        """Raises RefusedError before anything is touched when the store may not be written."""
        self._target = target
        self._change = change
        self._machine = machine
        self._written: Identity | None = None
        check_writable(target, machine)

    def lock(self, on_wait: Callable[[Holder], None]) -> AuthStoreLock:
        generation = self._target.generation or Generation.B
        return AuthStoreLock(self._target.directory, generation, self._machine, on_wait=on_wait)

    def work(self, hold: Hold) -> Updated:
        """Read, change, replace; under the lock. Reads again when someone writes without the lock meanwhile."""
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
            at, how = clock.now_ms(), hold.published.how
            return Updated(path, before, after, at, hold.waited_s, held, how, hold.broke)
        raise OperationFailedError(
            f"{safe(self._target.state_path)} keeps changing although its lock is ours",
            unchanged="nothing was written",
            hint="something writes it without the lock; find and stop it",
        )

    def _sweep(self) -> None:
        """Remove what a clawtop that was killed in the middle left behind; on A such a file may hold credentials."""
        if self._machine.environment.obstacles:
            return
        for path, pid in atomic.leftovers(self._target.directory):
            if self._machine.processes.look(pid).alive is False:
                atomic.remove(path)

    def look_back(self, updated: Updated) -> Landing:
        """Read the file once more, without the lock: is the change there, or something newer than both versions?"""
        if not updated.changed or identity(updated.path) == self._written:
            return Landing.LANDED
        try:
            now = self._read().documents.in_force()
        except OperationFailedError:
            return Landing.GONE
        pairs = (
            (updated.before.stats, updated.after.stats, now.stats),
            (updated.before.order, updated.after.order, now.order),
            (updated.before.last_good, updated.after.last_good, now.last_good),
        )
        lost = any(
            before.get(key) != after.get(key) and current.get(key) == before.get(key)
            for before, after, current in pairs
            for key in {**before, **after}
        )
        return Landing.LOST if lost else Landing.LANDED

    def _read(self) -> Reading:
        """The files, parsed. 2026.3 truncates its file and then fills it: what does not parse is read again."""
        for _ in range(_UNSETTLED_READS if self._target.generation is Generation.A else 0):
            with contextlib.suppress(RefusedError):
                return read(self._target)
            self._machine.clock.pause(_UNSETTLED_PAUSE_S)
        return read(self._target)

    def _replace(self, document: dict[str, object], reading: Reading, hold: Hold) -> Identity | None:
        path = reading.documents.state_path

        def last_check() -> None:
            if reading.moved_on:
                raise _MovedOnError
            hold.check()

        if reading.state is None:
            return identity_of(atomic.create(path, dump(document), last_check=last_check))
        if self._target.generation is Generation.B and is_empty(document):
            last_check()
            Path(path).unlink()
            atomic.flush_directory(path)
            return None
        return identity_of(atomic.replace(path, dump(document), atomic.attributes_of(path), last_check=last_check))


class _MovedOnError(Exception):
    """A file changed between our reading and our rename."""
