"""One short write to one of OpenClaw's databases while a gateway has it open.

`BEGIN IMMEDIATE` takes the only write lock there is, for milliseconds: a gateway of 2026.6 waits for it with all its
work. So the time inside is measured and bounded: a change that is not ready to be committed by then is rolled back. A
database is never created, its journal mode and its files are never touched, and what was replaced or is of an unknown
schema is refused.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote_from_bytes

from clawtop import stopping
from clawtop.clock import Clock
from clawtop.errors import OperationFailedError, RefusedError
from clawtop.store.json_text import UnreadableError
from clawtop.store.owners import check_owner
from clawtop.store.sqlite.database import MAX_VALUE_BYTES, Database, exact_text, no_readers
from clawtop.text import safe, shown

NOTHING = "nothing was written"
LONGEST_INSIDE_S = 0.05
"""From `BEGIN IMMEDIATE` until everything is ready to be committed; anything slower is aborted."""

_STEPS = 1_000
"""Virtual machine steps between clock checks."""

STEP_S = 0.05
"""How long one attempt waits for the write lock. In between, this process's readers and the loop continue."""


class BusyError(Exception):
    """Another process is writing; SQLite does not say which."""


class SlowError(Exception):
    """It would have blocked other writers for too long; it was rolled back."""


class ReplacedError(Exception):
    """The file has been replaced."""


def check_writable(database: Database, state_dir: Path, euid: int) -> None:
    """Raise RefusedError with the reason if clawtop may not write a database. Changes nothing."""
    path = str(database.path)
    try:
        link = os.lstat(path)
        real = os.path.realpath(path)
        facts = os.lstat(real)
    except OSError:
        raise RefusedError(
            f"{safe(path)} does not exist",
            unchanged=f"{NOTHING}, and clawtop does not create it",
            hint="OpenClaw creates it: an agent's with its first turn, the shared one when its gateway starts",
        ) from None
    inside = Path(real).is_relative_to(os.path.realpath(state_dir))
    if stat.S_ISLNK(link.st_mode) and not inside:
        raise RefusedError(f"{safe(path)} is a link out of the state directory, to {safe(real)}", unchanged=NOTHING)
    if not stat.S_ISREG(facts.st_mode):
        raise RefusedError(f"{safe(path)} is not a regular file", unchanged=NOTHING)
    for place in (real, os.path.dirname(real), f"{real}-wal", f"{real}-shm"):  # noqa: PTH120 - exact text
        with contextlib.suppress(FileNotFoundError):
            check_owner(place, euid)
    try:
        why_not = database.identity().why_not_writable
    except UnreadableError as error:
        raise RefusedError(f"{safe(path)} {error.problem.text}", unchanged=NOTHING) from None
    if why_not:
        raise RefusedError(
            f"{safe(path)}: {why_not}", unchanged=NOTHING, hint="use OpenClaw's own commands, or a newer clawtop"
        )


@dataclass(slots=True)
class Transaction:
    """What happens between `BEGIN IMMEDIATE` and its end.

    Attributes:
        held_s: how long no one else could write, `COMMIT` included; known once it has ended.
    """

    connection: sqlite3.Connection
    held_s: float = 0.0


@contextlib.contextmanager
def transaction(database: Database, clock: Clock) -> Iterator[Transaction]:
    """A transaction, committed at the end and rolled back on an exception. Inside it only statements: all computation
    comes before.

    Raises:
        BusyError: somebody else is writing. ReplacedError: the file is not the one that was checked.
        SlowError: it took longer than `LONGEST_INSIDE_S`; nothing was changed.
        OperationFailedError: the disk refused, or the file is gone; nothing was changed.
    """
    path = os.path.realpath(database.path)
    with no_readers(path), _unstopped():
        connection = _opened(path)
        try:
            before = _identity(path)
            _execute(connection, "BEGIN IMMEDIATE", path)
            began = clock.monotonic()

            def is_overdue() -> bool:
                return clock.monotonic() - began > LONGEST_INSIDE_S

            try:
                if _identity(path) != before or before is None:
                    raise ReplacedError
                connection.set_progress_handler(is_overdue, _STEPS)
                made = Transaction(connection)
                try:
                    yield made
                except sqlite3.OperationalError as error:
                    if _code(error) == sqlite3.SQLITE_INTERRUPT:
                        raise SlowError from None
                    raise
                connection.set_progress_handler(None, 0)
                if is_overdue():
                    raise SlowError
                _execute(connection, "COMMIT", path)
                made.held_s = clock.monotonic() - began
            except BaseException:
                connection.set_progress_handler(None, 0)
                with contextlib.suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                raise
        finally:
            with contextlib.suppress(sqlite3.Error):
                connection.close()


@contextlib.contextmanager
def _unstopped() -> Iterator[None]:
    mine = object()
    stopping.holding(mine)
    try:
        yield
    finally:
        stopping.let_go(mine)


def _opened(path: str) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(
            f"file:{quote_from_bytes(os.fsencode(path))}?mode=rw", uri=True, timeout=STEP_S, isolation_level=None
        )
    except sqlite3.Error as error:
        raise _failed(path, error) from None
    connection.text_factory = exact_text
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES)
    for pragma in ("synchronous=NORMAL", "wal_autocheckpoint=0", "trusted_schema=0"):
        _execute(connection, f"PRAGMA {pragma}", path)
    return connection


def _execute(connection: sqlite3.Connection, statement: str, path: str) -> None:
    try:
        connection.execute(statement)
    except sqlite3.Error as error:
        code = _code(error)
        if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            raise BusyError from None
        raise _failed(path, error) from None


def _code(error: sqlite3.Error) -> int:
    """SQLite's primary result code; 0 if there is none."""
    return (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF


def _failed(path: str, error: sqlite3.Error) -> OperationFailedError:
    code = _code(error)
    hint = {
        sqlite3.SQLITE_FULL: "the disk is full; make room first",
        sqlite3.SQLITE_READONLY: "the file system or the file is read-only",
        sqlite3.SQLITE_CANTOPEN: "it vanished, or this user has no permission to write there",
    }.get(code, "")
    return OperationFailedError(
        f"{safe(path)}: {shown(str(error), 160)}", unchanged=f"{safe(path)} was not changed", hint=hint
    )


def _identity(path: str) -> tuple[int, int] | None:
    try:
        facts = os.lstat(path)
    except OSError:
        return None
    return (facts.st_dev, facts.st_ino)
