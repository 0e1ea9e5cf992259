"""Changing the state document of one place in a database.

The new content is computed before the transaction and written only if the documents are unchanged within it, so that
the write lock is held for a few short statements however large the documents are. Only the difference is changed:
unknown keys stay, and every number keeps its digits.
"""

from __future__ import annotations

import sqlite3

from clawtop.core.operations.edit import AuthState
from clawtop.errors import LockNotObtainedError, OperationFailedError
from clawtop.store.auth.json_edit import dump_compact
from clawtop.store.auth.machine import Machine
from clawtop.store.auth.port import Change, Landing, OnWritten, Updated, lost_or_landed
from clawtop.store.auth.sqlite_rows import NO_CREDENTIALS, RowStore, first_bytes
from clawtop.store.auth.state import is_empty
from clawtop.store.json_text import UnreadableError
from clawtop.store.sqlite.cells import Cell
from clawtop.store.sqlite.writing import LONGEST_INSIDE_S, BusyError, ReplacedError, SlowError, transaction
from clawtop.text import safe, shown
from clawtop.values import dataclass

LONGEST_WAIT_S = 2.0
"""How long a change waits for another writer. OpenClaw's own writes take milliseconds; longer is stuck."""

PAUSE_S = 0.01
_TRIES = 20
_LEAST_SLOW = 3
"""On a busy machine a write is slow now and then; on a failing disk every time."""

HOW = "one transaction"
HOW_SLOW = f"one transaction, longer than the {LONGEST_INSIDE_S * 1000:.0f} ms allowed: its commit was slow"


@dataclass(frozen=True, slots=True)
class _Found:
    """The current documents: their exact bytes, and when the state was written."""

    credentials: bytes | None
    state: bytes | None
    written_at: int


class SqliteUpdate:
    """One change of one place (`clawtop.store.auth.port.PlaceUpdate`)."""

    def __init__(self, place: RowStore, change: Change, machine: Machine, on_written: OnWritten) -> None:
        self._place = place
        self._change = change
        self._clock = machine.clock
        self._on_written = on_written
        self._began = self._deadline = 0.0
        self._tries = self._slow = 0

    def begin(self, wait: float) -> None:
        self._began = self._clock.monotonic()
        self._deadline = self._began + min(wait, LONGEST_WAIT_S)
        self._tries = self._slow = 0

    def once(self) -> Updated | float:
        try:
            found = self._look()
            before = self._place.state_of(found.credentials, found.state)
            after = before.changed_by(self._change)
            if after == before:
                return self._updated(before, after, 0.0)
            return self._write(found, before, after)
        except BusyError:
            return self._busy()
        except SlowError:
            return self._too_slow()
        except ReplacedError:
            raise OperationFailedError(
                f"{safe(self._place.file)} has just been replaced", unchanged="nothing was written"
            ) from None

    def end(self) -> None:
        """Nothing is prepared."""

    def look_back(self, updated: Updated) -> Landing:
        if not updated.changed:
            return Landing.LANDED
        try:
            return lost_or_landed(updated, self._place.in_force())
        except OperationFailedError:
            return Landing.LANDED if self._place.is_there() else Landing.GONE

    def _look(self) -> _Found:
        """The documents as a reader sees them, outside any transaction."""
        database, cells = self._place.database, self._place.cells
        try:
            rows = [database.rows(cell.select, (cell.key,)) for cell in (cells.credentials, cells.state)]
        except UnreadableError as error:
            if error.problem.code == "database-busy":
                raise BusyError from None
            raise OperationFailedError(
                f"{safe(self._place.file)} {error.problem.text}", unchanged="nothing was written"
            ) from None
        return _found(rows[0], rows[1])

    def _write(self, found: _Found, before: AuthState, after: AuthState) -> Updated | float:
        document = self._place.documents(found.credentials, found.state).changed(before, after)
        content = None if is_empty(document) else dump_compact(document).decode()
        cells = self._place.cells
        both = (cells.credentials, cells.state)
        needs_row = content is not None and self._place.needs_credentials and found.credentials is None
        now = max(self._clock.now_ms(), found.written_at)
        try:
            with transaction(self._place.database, self._clock) as inside:
                rows = [inside.connection.execute(cell.select, (cell.key,)).fetchall() for cell in both]
                if _found(*rows) != found:
                    return self._again()
                _store(inside.connection, cells.state, content, now)
                if needs_row:
                    _store(inside.connection, cells.credentials, NO_CREDENTIALS, now)
        except sqlite3.Error as error:
            raise OperationFailedError(
                f"{safe(self._place.file)}: {shown(str(error), 160)}", unchanged="nothing was written"
            ) from None
        updated = self._updated(before, after, inside.held_s)
        self._on_written(updated)
        return updated

    def _updated(self, before: AuthState, after: AuthState, held: float) -> Updated:
        waited = self._clock.monotonic() - self._began - held
        how = HOW if held <= LONGEST_INSIDE_S else HOW_SLOW
        return Updated(self._place.file, before, after, self._clock.now_ms(), waited, held, how, None)

    def _again(self) -> float:
        """The documents were changed between reading and the transaction."""
        self._tries += 1
        if self._tries >= _TRIES:
            raise OperationFailedError(
                f"{safe(self._place.file)} keeps changing", unchanged="nothing was written", hint="try again"
            )
        return 0.0

    def _too_slow(self) -> float:
        """It was rolled back, so that a gateway waiting for the write lock is not delayed further."""
        self._slow += 1
        if self._slow < _LEAST_SLOW or self._clock.monotonic() < self._deadline:
            return PAUSE_S
        raise OperationFailedError(
            f"{safe(self._place.file)}: the write was not ready within {LONGEST_INSIDE_S * 1000:.0f} ms, "
            f"{self._slow} times, and was rolled back each time",
            unchanged="nothing was written",
            hint="the disk or the machine is too busy; a gateway of 2026.6 blocks while another process writes",
        )

    def _busy(self) -> float:
        if self._clock.monotonic() < self._deadline:
            return PAUSE_S
        waited = self._clock.monotonic() - self._began
        holder = "another writer; SQLite does not say which"
        raise LockNotObtainedError(
            f"{safe(self._place.file)} was not free within {waited:.1f} s: it is held by {holder}",
            holder=holder,
            hint="try again; a gateway, an openclaw command or a backup is writing",
            unchanged="nothing was written",
        )


def _found(credentials: list[tuple[object, ...]], state: list[tuple[object, ...]]) -> _Found:
    at = state[0][1] if state else 0
    return _Found(first_bytes(credentials), first_bytes(state), at if isinstance(at, int) else 0)


def _store(connection: sqlite3.Connection, cell: Cell, value: str | None, now: int) -> None:
    """Set a cell; without a value its row is deleted, as OpenClaw deletes empty ones."""
    if value is None:
        connection.execute(f"DELETE FROM {cell.table} WHERE {cell.key_column}=?", (cell.key,))  # noqa: S608 - constants
        return
    connection.execute(
        f"INSERT INTO {cell.table}({cell.key_column},{cell.value_column},{cell.time_column}) VALUES(?,?,?)"
        f" ON CONFLICT({cell.key_column}) DO UPDATE SET {cell.value_column}=excluded.{cell.value_column},"
        f"{cell.time_column}=excluded.{cell.time_column}",
        (cell.key, value, now),
    )
