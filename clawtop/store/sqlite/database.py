"""One of OpenClaw's databases, kept open for reading while a gateway writes to it.

It is opened so that nothing appears or changes on the disk: read-only, with the shared memory file read-only too
(`readonly_shm`); a cleanly closed database, which has no write-ahead log, as immutable for as long as it stays so; and
if a log exists without its shared memory (a copy, a read-only mount), or was only begun, a private copy of both is
read. No transaction stays open between two statements, so a reader never holds up a checkpoint.
docs/hardening.md says what SQLite itself does when it opens a database.

Nothing else here opens the files: closing any descriptor of a database drops the locks that this
process's SQLite has on it. A private copy is made only where no connection to the original exists.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import tempfile
import threading
from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote_from_bytes
from weakref import WeakMethod, WeakSet

from clawtop.clock import Clock
from clawtop.core.model import BLOCKED, Problem
from clawtop.store import door
from clawtop.store.json_text import MEGABYTE, UnreadableError
from clawtop.store.sqlite.schema import DatabaseIdentity, DatabaseRole
from clawtop.store.ways import NotAllowedError, check_makers
from clawtop.text import shown

SqlRow = tuple[Any, ...]

READ_BUSY_S = 0.25
"""How long a read waits for a lock: in WAL only recovery after a crash ever makes it wait."""

READ_SECONDS = 5.0
"""A statement that takes longer is aborted and reported."""

WAL_HEADER_BYTES = 32
WAL_BEGINS = (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83")
"""A log that is no longer than its header was begun by a writer that was killed, and one that begins otherwise was
overwritten: both count as empty, and SQLite without write access tries for ten seconds to rebuild their index.
"""
COMPANIONS = ("-wal", "-shm", "-journal")
"""SQLite opens these beside a database without looking at what they are: it would wait for a pipe."""

MAX_VALUE_BYTES = 64 * MEGABYTE
MAX_COPIED_BYTES = 1024 * MEGABYTE
_STEPS = 20_000
"""Virtual machine steps between clock checks."""

EMPTY = "empty"
"""Code of the problem of a database without tables."""

MAKING_MS = 5_000
"""A program that makes a database has given it tables by then (2026.9.6: within 0.3 s, at an agent's first turn)."""


class Stat(NamedTuple):
    """A file as far as `stat` can tell."""

    dev: int
    ino: int
    size: int
    mtime_ns: int


class DatabaseFiles(NamedTuple):
    """A database's files: None if there is none."""

    main: Stat | None
    wal: Stat | None
    shm: Stat | None

    @property
    def places(self) -> tuple[tuple[int, int] | None, ...]:
        """The files' identities, whatever they contain."""
        return _place(self.main), _place(self.wal)


def _place(facts: Stat | None) -> tuple[int, int] | None:
    return None if facts is None else (facts.dev, facts.ino)


def _is_no_file(path: str) -> bool:
    """Whether something else than a regular file is there."""
    try:
        return not stat.S_ISREG(os.lstat(path).st_mode)
    except OSError:
        return False


def _stat(path: str) -> Stat | None:
    try:
        facts = os.stat(path)  # noqa: PTH116 - twenty times a second
    except (OSError, ValueError):
        return None
    return Stat(facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns)


_registry = threading.Lock()
_guards: dict[str, threading.RLock] = {}  # real path -> held for each statement and each write; under _registry
_known: defaultdict[str, WeakSet[Database]] = defaultdict(WeakSet)  # real path -> who reads it; each under its guard


def _guard_of(real: str) -> threading.RLock:
    with _registry:
        return _guards.setdefault(real, threading.RLock())


@contextmanager
def no_readers(real: str) -> Iterator[None]:
    """A context in which this process has no connection to the database at the real path `real`; readers wait. SQLite
    shares its state of a file among all connections of a process: beside a reader that has the shared memory
    read-only, no connection of the same process could write.
    """
    with _guard_of(real):
        for database in tuple(_known[real]):
            database.close()
        yield


class Database:
    """One database. Safe to use from several threads, one statement at a time.

    Every method that reads raises UnreadableError with the reason in words. `problem` is the last one.
    """

    def __init__(self, path: Path, role: DatabaseRole, clock: Clock) -> None:
        self.path = path
        self.role = role
        self._name = str(path)
        self._clock = clock
        self._real = ""
        """Where a link leads; SQLite opens the log and the shared memory beside that."""
        self._is_link = False
        self._guard = self._guard_there()
        self._connection: sqlite3.Connection | None = None
        self._follows_log = False
        """Whether the connection sees what others write; else the files' stamps tell."""
        self._counts_itself = False
        """No writer lives, so each look rebuilds the log's index and counts as a change: stamps tell that one has come.

        Stamps do not tell when it commits: what it writes is in the log before it counts.
        """
        self._opened: DatabaseFiles | None = None
        self._times_opened = 0
        """Part of the version: every connection counts what others commit from the same number on."""
        self._identity: DatabaseIdentity | None = None
        self._columns: dict[str, frozenset[str]] = {}
        self._deadline = 0.0

    # --- state -------------------------------------------------------------------------------------------------------

    @property
    def is_there(self) -> bool:
        """Whether anything is there, or something is in its way."""
        return os.path.lexists(self._name) or door.in_the_way(self._name) is not None

    def is_being_made(self, error: UnreadableError) -> bool:
        """Whether `error` says that it is empty because its program has just begun to make it."""
        written = [item.mtime_ns // 1_000_000 for item in self._files()[:2] if item is not None]
        return error.problem.code == EMPTY and bool(written) and abs(self._clock.now_ms() - max(written)) <= MAKING_MS

    @property
    def linked_directory(self) -> Path | None:
        """Where the log grows if the database is a link, as of the last look; None if it is no link."""
        with self._guard:
            return Path(self._real).parent if self._is_link else None

    def version(self) -> Hashable:
        """Changes with every commit by anybody, and when the file is replaced. Cheap: two stats and one pragma."""
        with self._alone():
            if self._connection is not None and self._follows_log and not self._counts_itself:
                places = _place(_stat(self._name)), _place(_stat(f"{self._real}-wal"))
                if self._opened is not None and places == self._opened.places:
                    with suppress(sqlite3.Error):
                        return (places, self._times_opened, self._data_version(self._connection))
            files = self._files()
            if self._connection is None or not self._is_current(files):
                return files
            return files if self._follows_log and not self._counts_itself else files[:2]

    def identity(self) -> DatabaseIdentity:
        """The database's own description; checked before anything else is read."""
        with self._alone():
            self._ready()
            assert self._identity is not None  # noqa: S101 - what being ready means
            return self._identity

    def columns(self, table: str) -> frozenset[str]:
        """The columns of a table; none if there is no such table."""
        with self._alone():
            self._ready()
            known = self._columns.get(table)
            if known is None:
                rows = self._rows("SELECT name FROM pragma_table_info(?)", (table,))
                known = self._columns[table] = frozenset(str(row[0]) for row in rows)
            return known

    def rows(self, statement: str, parameters: Sequence[Any] = ()) -> list[SqlRow]:
        """All rows of one SELECT."""
        with self._alone():
            self._ready()
            try:
                rows = self._rows(statement, parameters)
            except UnreadableError:
                if self._follows_log or self._files() == self._opened:
                    raise
            else:
                if self._follows_log or self._files() == self._opened:
                    return rows
            # The immutable or copied database changed while it was read.
            self._ready()
            return self._rows(statement, parameters)

    def close(self) -> None:
        """Close every connection."""
        with self._guard:
            connection, self._connection = self._connection, None
            self._identity = None
            self._columns.clear()
            if connection is not None:
                with suppress(sqlite3.Error):
                    connection.close()

    def __del__(self) -> None:
        """SQLite connections are kept alive by their statements: without closing they stay open for long.

        Without the guard: nothing else has this object any more.
        """
        connection = getattr(self, "_connection", None)
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    # --- which files -------------------------------------------------------------------------------------------------

    def _files(self) -> DatabaseFiles:
        """The files as they are now."""
        return DatabaseFiles(_stat(self._name), _stat(f"{self._real}-wal"), _stat(f"{self._real}-shm"))

    def _guard_there(self) -> threading.RLock:
        """The guard of where the path leads now."""
        self._real, self._is_link = os.path.realpath(self._name), os.path.islink(self._name)  # noqa: PTH114 - as there
        _known[self._real].add(self)
        return _guard_of(self._real)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """A context in which nobody else uses this database. A link that leads elsewhere by now is followed first."""
        while True:
            guard = self._guard
            with guard:
                if guard is self._guard and self._leads_elsewhere():
                    self.close()
                    _known[self._real].discard(self)
                    self._guard = self._guard_there()
                if guard is self._guard:
                    yield
                    return

    def _leads_elsewhere(self) -> bool:
        opened = self._opened.main if self._opened is not None else None
        return _place(_stat(self._name)) != _place(opened) and os.path.realpath(self._name) != self._real

    # --- opening -----------------------------------------------------------------------------------------------------

    def _is_current(self, files: DatabaseFiles) -> bool:
        if self._opened is None:
            return False
        if self._counts_itself:
            return files[:2] == self._opened[:2]
        return files.places == self._opened.places if self._follows_log else files == self._opened

    def _ready(self) -> None:
        files = self._files()
        if self._connection is not None and self._is_current(files):
            return
        self.close()
        self._check_file(files)
        self._opened = files
        self._times_opened += 1
        try:
            self._connection = self._connected(files)
            self._identity = self._identified()
        except sqlite3.Error as error:
            self.close()
            raise UnreadableError(self._problem(error)) from None
        except UnreadableError:
            self.close()
            raise
        except OSError as error:
            self.close()
            reason = error.strerror or type(error).__name__
            raise UnreadableError(Problem("unreadable", self._name, f"cannot be copied ({reason})")) from None

    def _check_file(self, files: DatabaseFiles) -> None:
        if files.main is None:
            raise UnreadableError(_absence(self._name))
        try:
            facts, link = os.stat(self._name), os.lstat(self._name)  # noqa: PTH116 - as above
        except OSError as error:
            raise UnreadableError(Problem("unreadable", self._name, f"cannot be read ({error.strerror})")) from None
        if not stat.S_ISREG(facts.st_mode):
            raise UnreadableError(Problem("not-a-file", self._name, "is not a regular file"))
        if stat.S_ISLNK(link.st_mode) and link.st_uid not in {0, os.geteuid(), facts.st_uid}:
            raise UnreadableError(
                Problem("foreign-link", self._name, "is a symbolic link by one user to another user's file")
            )
        try:
            check_makers(self._name, facts)
        except NotAllowedError as error:
            raise UnreadableError(Problem("foreign-link", self._name, error.strerror or "")) from None
        for companion in (f"{self._real}{suffix}" for suffix in COMPANIONS):
            if _is_no_file(companion):
                raise UnreadableError(Problem("not-a-file", companion, "is not a regular file"))
        if facts.st_size == 0 and not (files.wal is not None and files.wal.size):
            raise UnreadableError(Problem(EMPTY, self._name, "is empty: it has no content at all"))

    def _connected(self, files: DatabaseFiles) -> sqlite3.Connection:
        self._follows_log = self._counts_itself = False
        if files.wal is None or (files.wal.size == 0 and files.shm is None):
            return self._open(self._real, "mode=ro&immutable=1")
        if files.shm is not None and (files.wal.size == 0 or self._has_log(files.wal)):
            try:
                connection = self._open(self._real, "mode=ro&readonly_shm=1")
            except sqlite3.OperationalError as error:
                if _code(error) != sqlite3.SQLITE_CANTOPEN:
                    raise
            else:
                self._follows_log = True
                before = self._data_version(connection)
                connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall()
                self._counts_itself = self._data_version(connection) != before and self._files() == files
                return connection
        return self._copied(files)

    def _has_log(self, log: Stat) -> bool:
        """Whether SQLite reads the log as one. Looking at it drops no lock: they are on the other two files."""
        beginning = door.read_head(f"{self._real}-wal", len(WAL_BEGINS[0]))
        return log.size > WAL_HEADER_BYTES and (not beginning or beginning in WAL_BEGINS)

    @staticmethod
    def _data_version(connection: sqlite3.Connection) -> int:
        ((found,),) = connection.execute("PRAGMA data_version").fetchall()
        return int(found)

    def _open(self, path: str, how: str) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"file:{quote_from_bytes(os.fsencode(path))}?{how}",
            uri=True,
            timeout=READ_BUSY_S,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=64,
        )
        try:
            connection.text_factory = exact_text
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES)
            overdue = WeakMethod(self._is_overdue)  # else the connection and this object keep each other open
            connection.set_progress_handler(lambda: (asked := overdue()) is not None and asked(), _STEPS)
            self._deadline = self._clock.monotonic() + READ_SECONDS
            connection.execute("PRAGMA query_only=1")
            connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall()
        except BaseException:
            connection.close()
            raise
        return connection

    def _copied(self, files: DatabaseFiles) -> sqlite3.Connection:
        """A connection to a private copy, of which no name is left behind."""
        total = sum(item.size for item in (files.main, files.wal) if item is not None)
        if total > MAX_COPIED_BYTES:
            raise UnreadableError(
                Problem("too-large", self._name, "can only be read from a private copy, and is too large for one")
            )
        directory = tempfile.mkdtemp(prefix="clawtop-")
        try:
            copy = f"{directory}/copy.sqlite"
            shutil.copyfile(self._real, copy)
            with suppress(FileNotFoundError):
                shutil.copyfile(f"{self._real}-wal", f"{copy}-wal")
            return self._open(copy, "mode=rw")
        finally:
            shutil.rmtree(directory, ignore_errors=True)

    def _identified(self) -> DatabaseIdentity:
        ((user_version,),) = self._rows("PRAGMA user_version")
        if not self._rows("SELECT 1 FROM sqlite_master WHERE type='table' AND name='schema_meta'"):
            if not self._rows("SELECT 1 FROM sqlite_master LIMIT 1"):
                raise UnreadableError(Problem(EMPTY, self._name, "is empty: it has no tables yet"))
            raise UnreadableError(Problem("foreign-database", self._name, "is a database, but not OpenClaw's"))
        known = {str(row[0]) for row in self._rows("SELECT name FROM pragma_table_info('schema_meta')")}
        wanted = [name if name in known else "NULL" for name in ("role", "app_version")]
        rows = (
            self._rows(f"SELECT meta_key, {', '.join(wanted)} FROM schema_meta LIMIT 100")  # noqa: S608 - names above
            if {"role", "meta_key"} <= known
            else []
        )
        said = {row[0]: tuple(item if isinstance(item, str) else None for item in row[1:]) for row in rows}
        if "primary" not in said:
            raise UnreadableError(Problem("foreign-database", self._name, "is a database, but not OpenClaw's"))
        role, app_version = said["primary"]
        if app_version is None:
            # 2026.6 and 2026.7 note their version with what they migrated at their start, in its first line.
            app_version = (said.get("startup-migrations", (None,) * 2)[1] or "").partition("\n")[0] or None
        if role != self.role.value:
            what = f"is OpenClaw's, but of another kind ({shown(role or 'none', 20)} instead of {self.role.value})"
            raise UnreadableError(Problem("foreign-database", self._name, what))
        found = DatabaseIdentity(self.role, user_version if isinstance(user_version, int) else 0, app_version)
        if found.why_not_read:
            raise UnreadableError(Problem("unreleased-schema", self._name, found.why_not_read))
        return found

    # --- statements --------------------------------------------------------------------------------------------------

    def _rows(self, statement: str, parameters: Sequence[Any] = ()) -> list[SqlRow]:
        assert self._connection is not None  # noqa: S101 - callers are ready
        self._deadline = self._clock.monotonic() + READ_SECONDS
        try:
            return self._connection.execute(statement, parameters).fetchall()
        except UnicodeEncodeError:
            return []  # a row refers to another by invalid Unicode: no such row exists
        except sqlite3.Error as error:
            raise UnreadableError(self._problem(error)) from None

    def _is_overdue(self) -> bool:
        return self._clock.monotonic() > self._deadline

    def _problem(self, error: sqlite3.Error) -> Problem:
        code, words = _WORDS.get(_code(error) & 0xFF, ("unreadable", ""))
        return Problem(code, self._name, words or f"cannot be read ({shown(str(error), 120)})")


_WORDS: dict[int, tuple[str, str]] = {
    sqlite3.SQLITE_BUSY: ("database-busy", "is locked by a writer; read again later"),
    sqlite3.SQLITE_LOCKED: ("database-busy", "is locked by a writer; read again later"),
    sqlite3.SQLITE_PROTOCOL: ("database-busy", "is locked by a writer; read again later"),
    sqlite3.SQLITE_NOTADB: ("not-a-database", "is not a database"),
    sqlite3.SQLITE_CORRUPT: ("corrupt", "is damaged: run openclaw doctor, and keep a copy of the file"),
    sqlite3.SQLITE_INTERRUPT: ("too-slow", f"did not answer within {READ_SECONDS:.0f} s"),
    sqlite3.SQLITE_PERM: ("no-permission", "cannot be read by this user"),
    sqlite3.SQLITE_CANTOPEN: ("unreadable", "cannot be opened by this user"),
    sqlite3.SQLITE_READONLY: ("database-busy", "is waiting for its gateway to recover it"),
    sqlite3.SQLITE_IOERR: ("unreadable", "cannot be read: the disk failed, or is a network mount"),
    sqlite3.SQLITE_TOOBIG: ("too-large", f"holds a value of more than {MAX_VALUE_BYTES // MEGABYTE} MB"),
}


def _code(error: sqlite3.Error) -> int:
    """SQLite's extended result code; 1 if there is none."""
    return getattr(error, "sqlite_errorcode", None) or sqlite3.SQLITE_ERROR


def exact_text(value: bytes) -> str:
    """The exact content of a cell: invalid UTF-8 becomes lone surrogates."""
    return value.decode("utf-8", "surrogateescape")


def _absence(name: str) -> Problem:
    try:
        os.lstat(name)
    except PermissionError:
        return Problem("no-permission", name, "cannot be read by this user")
    except OSError:
        words = door.in_the_way(name)
        return Problem("missing", name, "does not exist") if words is None else Problem(BLOCKED, name, words)
    return Problem("unreadable", name, "is a dangling symbolic link")
