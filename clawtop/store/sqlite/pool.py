"""The databases of one state directory, each opened once. SQLite itself is loaded with the first one."""

from __future__ import annotations

import threading
from collections.abc import Hashable
from pathlib import Path
from typing import TYPE_CHECKING

from clawtop.clock import Clock
from clawtop.store.sqlite.schema import DatabaseRole

if TYPE_CHECKING:
    from clawtop.store.sqlite.database import Database


class Databases:
    """The open databases of one state directory, each once."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._guard = threading.Lock()
        self._open: dict[tuple[str, DatabaseRole], Database] = {}

    def of(self, path: Path, role: DatabaseRole) -> Database:
        """The database at `path`; it need not exist."""
        with self._guard:
            known = self._open.get((str(path), role))
            if known is None:
                from clawtop.store.sqlite.database import Database

                known = self._open[(str(path), role)] = Database(path, role, self.clock)
            return known

    @property
    def in_use(self) -> bool:
        """Whether any was asked for."""
        with self._guard:
            return bool(self._open)

    def versions(self) -> tuple[Hashable, ...]:
        """The versions of all that were asked for: different after any commit in one of them."""
        with self._guard:
            known = tuple(self._open.values())
        return tuple(database.version() for database in known)

    def linked_directories(self) -> tuple[Path, ...]:
        """Directories outside the known places where databases are that were asked for: those that are links."""
        with self._guard:
            known = tuple(self._open.values())
        return tuple(place for database in known if (place := database.linked_directory) is not None)

    def close(self) -> None:
        """Close all of them."""
        with self._guard:
            known = tuple(self._open.values())
            self._open.clear()
        for database in known:
            database.close()
