"""Where an auth store's two documents are in OpenClaw's databases, and their content."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace

from clawtop.core.model import Problem
from clawtop.core.operations.edit import AuthState
from clawtop.errors import OperationFailedError
from clawtop.store.auth.json_edit import parse as parse_exactly
from clawtop.store.auth.state import Documents
from clawtop.store.json_text import UnreadableError
from clawtop.store.sqlite.cells import Cell, Cells
from clawtop.store.sqlite.database import Database
from clawtop.text import safe
from clawtop.values import dataclass

NO_CREDENTIALS = '{"version":1,"profiles":{}}'
"""What OpenClaw itself writes for an agent with its own order or statistics but no profile."""


@dataclass(frozen=True, slots=True)
class RowStore:
    """Two documents in one database. Reading raises UnreadableError unless stated otherwise."""

    database: Database
    cells: Cells
    needs_credentials: bool = False
    """The state counts only if there is a credentials row, even an empty one: for an agent's own, from 2026.8 on."""

    @property
    def file(self) -> str:
        return str(self.database.path)

    def content(self, cell: Cell) -> bytes | None:
        """The exact bytes of a cell; None if there is no row."""
        if not cell.columns <= self.database.columns(cell.table):
            raise UnreadableError(Problem("missing-columns", self.file, f"has no table {cell.table} as it is known"))
        return first_bytes(self.database.rows(cell.select, (cell.key,)))

    def documents(self, credentials: bytes | None, state: bytes | None) -> Documents:
        """Both documents, parsed for changing. Raises RefusedError."""
        return Documents(
            {} if credentials is None else parse_exactly(credentials, f"{self.file}:{self.cells.credentials.key}"),
            None if state is None else parse_exactly(state, f"{self.file}:{self.cells.state.key}"),
            self.file,
            split=True,
        )

    def in_force(self) -> AuthState:
        try:
            return self.state_of(self.content(self.cells.credentials), self.content(self.cells.state))
        except UnreadableError as error:
            raise OperationFailedError(
                f"{safe(self.file)} {error.problem.text}", unchanged="nothing was written"
            ) from None

    def state_of(self, credentials: bytes | None, state: bytes | None) -> AuthState:
        """The values in two documents. Statistics may be for profiles stored elsewhere."""
        if self.needs_credentials and credentials is None:
            state = None
        found = self.documents(credentials, state).in_force()
        return replace(found, profiles=found.profiles | found.stats.keys())

    def is_there(self) -> bool:
        return self.database.is_there

    def revision(self) -> Hashable:
        """The state row's content and its time: other rows of the same database are written all the time."""
        try:
            cell = self.cells.state
            rows = (
                self.database.rows(cell.select, (cell.key,))
                if cell.columns <= self.database.columns(cell.table)
                else []
            )
        except UnreadableError:
            return None
        return rows[0] if rows else ()


def first_bytes(rows: Sequence[Sequence[object]]) -> bytes | None:
    """The exact bytes of the first cell of the first row; None if there is no row."""
    if not rows:
        return None
    value = rows[0][0]
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogateescape")
