"""Generations C and D: auth stores in OpenClaw's databases.

An agent's own documents are two rows of its database, in both generations. What agents inherit are the main agent's
rows (C), or two rows of the state directory's database (D). A row that is missing is an empty document. An agent's
entry wins as a whole over the inherited one: profiles and statistics by id, orders and the last good profile by
provider. When an inherited profile fails, its statistics are written to the shared row on D, and nowhere on C.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Mapping
from dataclasses import field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clawtop.clock import Clock
from clawtop.core.generations import AuthFormat
from clawtop.core.model import SHARED, Problem
from clawtop.errors import RefusedError
from clawtop.store.auth.entries import own_auth, repeated_keys
from clawtop.store.auth.machine import Machine
from clawtop.store.auth.migration import migration_problems
from clawtop.store.auth.port import AuthPlace, Change, OnWait, OnWritten, OwnAuth
from clawtop.store.auth.sqlite_rows import RowStore
from clawtop.store.json_text import UnreadableError, parse
from clawtop.store.place.databases import AGENT_DATABASE, STATE_DATABASE
from clawtop.store.place.layout import AgentPaths, Layout
from clawtop.store.sqlite.cells import OWN_CELLS, SHARED_CELLS, Cell
from clawtop.store.sqlite.database import EMPTY
from clawtop.store.sqlite.pool import Databases
from clawtop.store.sqlite.schema import DatabaseRole
from clawtop.store.sqlite.writing import check_writable
from clawtop.text import safe
from clawtop.values import dataclass

if TYPE_CHECKING:
    from clawtop.store.auth.sqlite_update import SqliteUpdate

DIGEST_CHARS = 32


@dataclass(frozen=True, slots=True)
class SqlitePlace(RowStore):
    """The documents of one owner (`clawtop.store.auth.port.AuthPlace`)."""

    owner: str = ""
    state_dir: Path = Path()
    takes_orders: bool = True
    proven: bool = True
    publishes: bool = field(default=True)

    def stamps(self) -> Hashable:
        return self.database.version()

    def read(self, clock: Clock) -> OwnAuth:  # noqa: ARG002 - as every place
        """The content of the rows. Without a database the store is empty: the first use of an agent creates it."""
        stamps = self.stamps()
        warnings: list[Problem] = []
        why_not = "" if self.proven else "its generation is a guess"
        documents: tuple[Mapping[str, Any], Mapping[str, Any]] = ({}, {})
        digest = hashlib.sha256()
        if self._is_lost():
            lost = Problem("missing", self.file, "is not there, though agents have their databases")
            return OwnAuth(self.owner, self.file, self.file, problem=lost, stamps=stamps)
        try:
            if self.is_there():
                schema = self.database.identity().why_not_writable
                stamps = self.stamps()
                documents = (
                    self._document(self.cells.credentials, warnings, digest.update),
                    self._document(self.cells.state, warnings, digest.update),
                )
                if self.needs_credentials and documents[1] and self.content(self.cells.credentials) is None:
                    text = "OpenClaw does not read it: there is no credentials row beside it"
                    warnings.append(Problem("unread-state", f"{self.file}:{self.cells.state.table}", text))
                    documents = ({}, {})
                if schema:
                    warnings.append(Problem("schema-not-known", self.file, f"{schema}: read, never written"))
                    why_not = schema
        except UnreadableError as error:
            if not (error.problem.code == EMPTY and self.needs_credentials):
                return OwnAuth(self.owner, self.file, self.file, problem=error.problem, stamps=stamps)
            # OpenClaw will create it (2026.9.6 does with an agent's first turn): until then the shared entries count.
            if not self.database.is_being_made(error):
                warnings.append(error.problem)
        found = own_auth(self.owner, self.file, self.file, documents, warnings=warnings, stamps=stamps)
        return replace(
            found, takes_orders=self.takes_orders, why_not_writable=why_not, digest=digest.hexdigest()[:DIGEST_CHARS]
        )

    def _document(self, cell: Cell, warnings: list[Problem], digested: Callable[[bytes], None]) -> Mapping[str, Any]:
        """The object in a cell; {} if there is no row. `digested` is told its bytes."""
        where = f"{self.file}:{cell.table}.{cell.key}"
        content = self.content(cell)
        digested(b"-" if content is None else b"+%d:%b" % (len(content), content))
        if content is None:
            return {}
        repeated: list[str] = []
        value = parse(content, where, pairs=partial(repeated_keys, repeated))
        if not isinstance(value, dict):
            raise UnreadableError(Problem("wrong-type", where, "is not an object"))
        if repeated:
            warnings.append(Problem("duplicate-keys", where, f"has {len(repeated)} keys twice; the last one counts"))
        return value

    def _is_lost(self) -> bool:
        """Whether the database that agents share is missing."""
        if self.owner != SHARED or self.is_there():
            return False
        return any(self.state_dir.glob(f"agents/*/agent/{AGENT_DATABASE}"))

    # --- writing -------------------------------------------------------------------------------------------------

    def check_writable(self, machine: Machine) -> None:
        if not self.proven:
            raise RefusedError(
                f"which OpenClaw generation wrote {safe(self.state_dir)} is not known", unchanged="nothing was written"
            )
        check_writable(self.database, self.state_dir, machine.euid())

    def change(self, change: Change, machine: Machine, on_wait: OnWait, on_written: OnWritten) -> SqliteUpdate:  # noqa: ARG002
        self.check_writable(machine)
        from clawtop.store.auth.sqlite_update import SqliteUpdate  # who only reads needs none of it

        return SqliteUpdate(self, change, machine, on_written)


class SqliteAuth:
    """The auth storage of a state directory of generation C or D."""

    def __init__(self, layout: Layout, databases: Databases) -> None:
        self._layout = layout
        self._databases = databases
        self._shared = layout.storage.auth is AuthFormat.STATE_DATABASE

    def places_of(self, agent: AgentPaths) -> tuple[AuthPlace, ...]:
        own = self._own(agent.id, agent.agent_dir)
        if self._shared:
            return (own, self._shared_place())
        main = self._layout.main_agent_dir
        return (own,) if agent.agent_dir == main else (own, self._own(self._layout.main_agent_id, main))

    def place(self, owner: str) -> AuthPlace | None:
        if owner == SHARED:
            return self._shared_place() if self._shared else None
        paths = self._layout.agent(owner)
        if paths is not None:
            return self._own(owner, paths.agent_dir)
        is_main = owner == self._layout.main_agent_id and not self._shared
        return self._own(owner, self._layout.main_agent_dir) if is_main else None

    def warnings(self) -> tuple[Problem, ...]:
        return migration_problems(self._layout, self._databases)

    def _own(self, owner: str, directory: Path) -> SqlitePlace:
        database = self._databases.of(directory / AGENT_DATABASE, DatabaseRole.AGENT)
        return SqlitePlace(
            database,
            OWN_CELLS,
            needs_credentials=self._shared,
            owner=owner,
            state_dir=self._layout.state_dir,
            proven=self._layout.writable_generation,
        )

    def _shared_place(self) -> SqlitePlace:
        database = self._databases.of(self._layout.state_dir / STATE_DATABASE, DatabaseRole.GLOBAL)
        return SqlitePlace(
            database,
            SHARED_CELLS,
            owner=SHARED,
            state_dir=self._layout.state_dir,
            takes_orders=False,
            proven=self._layout.writable_generation,
        )
