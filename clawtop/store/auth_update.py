"""Changing one auth store of generation A or B, under OpenClaw's own lock.

Under the lock the files are read again, only the difference is changed, and the new version replaces the old in one
step, with its owner, mode, ACLs and extended attributes. Generation A writes auth-profiles.json; generation B writes
auth-state.json and never the credentials. A store that is not there is never created, and after writing the file is
read once more, because 2026.3's lock can lose an update (formats.md 3).
"""

from __future__ import annotations

import contextlib
import errno
import os
import pwd
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from clawtop.core.auth_edit import AuthState, Edit
from clawtop.core.model import Generation, UsageStats
from clawtop.errors import OperationFailedError, RefusedError
from clawtop.store import atomic
from clawtop.store.auth_lock import AuthStoreLock, Hold, Holder, Machine
from clawtop.store.auth_state import Documents, is_empty
from clawtop.store.json_edit import dump, parse
from clawtop.store.layout import MAIN_AGENT, Layout
from clawtop.store.openclaw_lock import How
from clawtop.text import safe

Change = Edit

MAX_BYTES = 64 * 1024 * 1024
_REREADS = 3
_UNSETTLED_READS = 5
_UNSETTLED_PAUSE_S = 0.01
_DISK_HINTS = {
    errno.ENOSPC: "the disk is full; make room first",
    errno.EDQUOT: "the disk quota is used up; make room first",
    errno.EROFS: "the file system is mounted read-only",
    errno.EACCES: "this user may not write there",
    errno.EPERM: "this user may not write there",
    errno.ENOENT: "it vanished; clawtop does not create it again",
}


@dataclass(frozen=True, slots=True)
class StoreTarget:
    """The store of one agent, as discovery found it.

    Attributes:
        directory: the agent's directory, which holds auth-profiles.json.
        proven: the generation is known from the config or from the files, not assumed.
    """

    agent: str
    directory: str
    generation: Generation | None
    proven: bool = True

    @property
    def credentials_path(self) -> str:
        return str(Path(self.directory) / "auth-profiles.json")

    @property
    def state_path(self) -> str:
        """The file that a change is written to."""
        name = "auth-profiles.json" if self.generation is Generation.A else "auth-state.json"
        return str(Path(self.directory) / name)


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
    """Apply `change` to the store under its lock. In a task use `clawtop.engine.locked.update_store`.

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


def target_of(layout: Layout, agent: str) -> StoreTarget | None:
    """The store of an agent of this state directory, or None when there is no such agent."""
    paths = layout.agent(agent)
    directory = paths.agent_dir if paths is not None else layout.main_agent_dir if agent == MAIN_AGENT else None
    if directory is None:
        return None
    return StoreTarget(agent, str(directory), layout.generation, layout.writable_generation)


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
        check_writable(target, machine)

    def lock(self, on_wait: Callable[[Holder], None]) -> AuthStoreLock:
        generation = self._target.generation or Generation.B
        return AuthStoreLock(self._target.directory, generation, self._machine, on_wait=on_wait)

    def work(self, hold: Hold) -> Updated:
        """Read, change, replace; under the lock. Reads again when someone writes without the lock meanwhile."""
        check_writable(self._target, self._machine)
        self._sweep()
        for _ in range(_REREADS):
            documents, seen = self._read()
            before = documents.in_force()
            after = before.changed_by(self._change)
            if after != before:
                try:
                    self._replace(documents.changed(before, after), documents.state_path, seen, hold)
                except (_MovedOnError, FileExistsError, FileNotFoundError):
                    continue
            clock = self._machine.clock
            held = clock.monotonic() - hold.taken_at
            return Updated(
                documents.state_path,
                before,
                after,
                clock.now_ms(),
                hold.waited_s,
                held,
                hold.published.how,
                hold.broke,
            )
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
        if not updated.changed:
            return Landing.LANDED
        try:
            now = self._read()[0].in_force()
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

    def _read(self) -> tuple[Documents, _Seen]:
        """The files, parsed. 2026.3 truncates its file and then fills it: what does not parse is read again."""
        for _ in range(_UNSETTLED_READS if self._target.generation is Generation.A else 0):
            with contextlib.suppress(RefusedError):
                return read(self._target)
            self._machine.clock.pause(_UNSETTLED_PAUSE_S)
        return read(self._target)

    def _replace(self, document: dict[str, object], path: str, seen: _Seen, hold: Hold) -> None:
        def last_check() -> None:
            if _seen(path) != seen.state or _seen(seen.credentials_path) != seen.credentials:
                raise _MovedOnError
            hold.check()

        if seen.state is None:
            atomic.create(path, dump(document), last_check=last_check)
        elif self._target.generation is Generation.B and is_empty(document):
            last_check()
            Path(path).unlink()
            atomic.flush_directory(path)
        else:
            atomic.replace(path, dump(document), atomic.attributes_of(path), last_check=last_check)


class _MovedOnError(Exception):
    """A file changed between our reading and our rename."""


_Identity = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class _Seen:
    """Which files were read: device, inode, size, mtime in ns; None where there was none."""

    credentials_path: str
    credentials: _Identity | None
    state: _Identity | None


def read(target: StoreTarget) -> tuple[Documents, _Seen]:
    """The store's files, parsed for changing. Raises RefusedError (content) or OperationFailedError (gone)."""
    credentials_path = os.path.realpath(target.credentials_path)
    credentials_seen = _seen(credentials_path)
    content = _content(credentials_path) if credentials_seen else None
    if content is None:
        raise OperationFailedError(
            f"{safe(target.credentials_path)} is gone", unchanged="nothing was written, and it was not created again"
        )
    credentials = parse(content, target.credentials_path)
    if target.generation is Generation.A:
        documents = Documents(credentials, None, credentials_path, split=False)
        return documents, _Seen(credentials_path, credentials_seen, credentials_seen)
    state_path = os.path.realpath(target.state_path)
    state_seen = _seen(state_path)
    state_content = _content(state_path) if state_seen else None
    state = None if state_content is None else parse(state_content, target.state_path)
    documents = Documents(credentials, state, state_path, split=True)
    return documents, _Seen(credentials_path, credentials_seen, None if state is None else state_seen)


def check_writable(target: StoreTarget, machine: Machine) -> None:
    """Raise RefusedError with the reason when this store may not be written by us. Touches nothing."""
    if target.generation not in {Generation.A, Generation.B} or not target.proven:
        raise RefusedError(_why_not(target), unchanged="nothing was written", hint=_generation_hint(target))
    for path, needed in _files(target):
        try:
            facts = Path(path).stat()
        except FileNotFoundError:
            if needed or Path(path).is_symlink():
                raise RefusedError(
                    f"{safe(path)} is not there", unchanged="nothing was written, and clawtop does not create it"
                ) from None
            continue
        except OSError as error:
            raise RefusedError(
                f"{safe(path)} cannot be looked at: {error.strerror}", unchanged="nothing was written"
            ) from None
        if path != target.directory and not stat.S_ISREG(facts.st_mode):
            raise RefusedError(f"{safe(path)} is not a regular file", unchanged="nothing was written")
        for place in {path, os.path.dirname(os.path.realpath(path))}:  # noqa: PTH120 - exact text
            check_owner(place, machine.euid())


@contextlib.contextmanager
def translated(target: StoreTarget) -> Iterator[None]:
    """A context in which an OSError becomes an OperationFailedError that names the file and what was not done."""
    try:
        yield
    except OSError as error:
        where = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else target.state_path
        raise OperationFailedError(
            f"{safe(where)}: {error.strerror or type(error).__name__}",
            unchanged=f"{safe(target.state_path)} was not changed",
            hint=_DISK_HINTS.get(error.errno or 0, ""),
        ) from error


def _files(target: StoreTarget) -> tuple[tuple[str, bool], ...]:
    """(path, whether it has to exist), each once."""
    required = ((target.directory, True), (target.credentials_path, True))
    return required if target.generation is Generation.A else (*required, (target.state_path, False))


def check_owner(path: str, euid: int) -> None:
    """Raise RefusedError, naming the user to become, when `path` belongs to somebody else."""
    owner = Path(path).stat().st_uid
    if owner != euid:
        name = user_name(owner)
        raise RefusedError(
            f"{safe(path)} belongs to {name}, and clawtop runs as {user_name(euid)}",
            unchanged="nothing was written",
            hint=f"run clawtop as {name}: a file that another user writes would change hands",
        )


def user_name(uid: int) -> str:
    """Who that is, for people."""
    try:
        return safe(pwd.getpwuid(uid).pw_name)
    except KeyError:
        return f"uid {uid}"


def _why_not(target: StoreTarget) -> str:
    if target.generation in {Generation.C, Generation.D}:
        return f"generation {target.generation} keeps auth profiles in SQLite, which clawtop does not write"
    return f"which OpenClaw generation wrote {safe(target.directory)} is not known"


def _generation_hint(target: StoreTarget) -> str:
    if target.generation in {Generation.C, Generation.D}:
        return "use OpenClaw's own commands"
    return "OpenClaw notes its version in openclaw.json (meta.lastTouchedVersion) when it starts"


def _seen(path: str) -> _Identity | None:
    try:
        facts = Path(path).stat()
    except FileNotFoundError:
        return None
    return (facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns)


def _content(path: str) -> bytes | None:
    """The bytes of a regular file, or None when it is gone by now."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), path)
    return content
