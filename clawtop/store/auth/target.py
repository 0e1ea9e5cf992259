"""One agent's auth store as a write target: where it is, whether clawtop may write it, and its current content."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from clawtop.core.generations import Storage, storage_of
from clawtop.core.model import Generation
from clawtop.errors import OperationFailedError, RefusedError
from clawtop.store import door
from clawtop.store.auth.json_edit import parse
from clawtop.store.auth.machine import Machine
from clawtop.store.auth.state import Documents
from clawtop.store.owners import check_owner
from clawtop.text import safe
from clawtop.values import dataclass

MAX_BYTES = 64 * 1024 * 1024
_DISK_HINTS = {
    errno.ENOSPC: "the disk is full; make room first",
    errno.EDQUOT: "the disk quota is used up; make room first",
    errno.EROFS: "the file system is mounted read-only",
    errno.EACCES: "this user has no permission to write there",
    errno.EPERM: "this user has no permission to write there",
    errno.ENOENT: "it has disappeared; clawtop does not create it again",
}


FileIdentity = tuple[int, int, int, int]
"""Device, inode, size, mtime in ns: a file with the same identity has not been written in between."""


@dataclass(frozen=True, slots=True)
class StoreTarget:
    """The store of one agent, as discovery found it.

    Attributes:
        directory: the agent's directory, which holds auth-profiles.json.
        shared_with: directories of other agents whose store is this one, through links; each has its own lock.
        proven: the generation is known from the config or from the files, not assumed.
    """

    agent: str
    directory: str
    generation: Generation | None
    proven: bool = True
    shared_with: tuple[str, ...] = ()

    @property
    def storage(self) -> Storage:
        return storage_of(self.generation)

    @property
    def credentials_path(self) -> str:
        return f"{self.directory}/auth-profiles.json"

    @property
    def state_path(self) -> str:
        """The file that a change is written to."""
        return f"{self.directory}/{'auth-state' if self.storage.has_state_file else 'auth-profiles'}.json"


@dataclass(frozen=True, slots=True)
class ParsedStore:
    """The parsed files, and which files they were: None where there was none. Paths are real, no symlinks."""

    documents: Documents
    credentials_path: str
    credentials: FileIdentity
    state: FileIdentity | None

    @property
    def moved_on(self) -> bool:
        """Whether one of the files has been written since."""
        state_path = self.documents.state_path
        return identity(state_path) != self.state or identity(self.credentials_path) != self.credentials


def read(target: StoreTarget) -> ParsedStore:
    """The store's files, parsed for changing. Raises RefusedError (content) or OperationFailedError (gone)."""
    credentials_path = os.path.realpath(target.credentials_path)
    found = _load(credentials_path)
    if found is None:
        raise OperationFailedError(
            f"{safe(target.credentials_path)} is gone", unchanged="nothing was written, and it was not created again"
        )
    content, seen = found
    credentials = parse(content, target.credentials_path)
    if not target.storage.has_state_file:
        documents = Documents(credentials, None, credentials_path, split=False)
        return ParsedStore(documents, credentials_path, seen, seen)
    state_path = os.path.realpath(target.state_path)
    loaded = _load(state_path)
    if loaded is None:
        return ParsedStore(Documents(credentials, None, state_path, split=True), credentials_path, seen, None)
    documents = Documents(credentials, parse(loaded[0], target.state_path), state_path, split=True)
    return ParsedStore(documents, credentials_path, seen, loaded[1])


def identity(path: str) -> FileIdentity | None:
    """Which file is at `path`, symlinks followed; None if there is none."""
    try:
        return identity_of(os.stat(path))  # noqa: PTH116 - under the lock every microsecond is somebody's wait
    except FileNotFoundError:
        return None


def check_writable(target: StoreTarget, machine: Machine) -> None:
    """Raise RefusedError with the reason if clawtop may not write this store. Changes nothing."""
    if target.storage.auth_in_database or not target.storage.auth_writable or not target.proven:
        raise RefusedError(_why_not(target), unchanged="nothing was written", hint=_generation_hint(target))
    for path, needed in _files(target):
        try:
            facts = Path(path).stat()
        except FileNotFoundError:
            if needed or Path(path).is_symlink():
                raise RefusedError(
                    f"{safe(path)} does not exist", unchanged="nothing was written, and clawtop does not create it"
                ) from None
            continue
        except OSError as error:
            raise RefusedError(
                f"{safe(path)} cannot be checked: {error.strerror}", unchanged="nothing was written"
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
    """(path, whether it must exist), each once."""
    required = ((target.directory, True), (target.credentials_path, True))
    return (*required, (target.state_path, False)) if target.storage.has_state_file else required


def _why_not(target: StoreTarget) -> str:
    if target.storage.auth_in_database:
        return f"generation {target.generation} keeps auth profiles in SQLite, which clawtop does not write"
    return f"which OpenClaw generation wrote {safe(target.directory)} is not known"


def _generation_hint(target: StoreTarget) -> str:
    if target.storage.auth_in_database:
        return "use OpenClaw's own commands"
    return "OpenClaw records its version in openclaw.json (meta.lastTouchedVersion) when it starts"


def identity_of(facts: os.stat_result) -> FileIdentity:
    """Which file this metadata belongs to."""
    return (facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns)


def _load(path: str) -> tuple[bytes, FileIdentity] | None:
    """A file's content with its identity, or None if there is no file."""
    try:
        content, facts = door.read(path, MAX_BYTES)
    except FileNotFoundError:
        return None
    return content, identity_of(facts)
