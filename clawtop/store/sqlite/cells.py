"""The cells of OpenClaw's databases that hold whole documents: an auth store's credentials and its state."""

from __future__ import annotations

from collections.abc import Mapping

from clawtop.store.sqlite.schema import DatabaseRole
from clawtop.values import dataclass


@dataclass(frozen=True, slots=True)
class Cell:
    """The place of one document: a row of a table."""

    table: str
    key_column: str
    key: str
    value_column: str
    time_column: str

    @property
    def columns(self) -> frozenset[str]:
        return frozenset({self.key_column, self.value_column, self.time_column})

    @property
    def select(self) -> str:
        """Value and time of writing."""
        return f"SELECT {self.value_column}, {self.time_column} FROM {self.table} WHERE {self.key_column}=?"  # noqa: S608


@dataclass(frozen=True, slots=True)
class Cells:
    """The two documents of a store."""

    credentials: Cell
    state: Cell


OWN_CELLS = Cells(
    Cell("auth_profile_store", "store_key", "primary", "store_json", "updated_at"),
    Cell("auth_profile_state", "state_key", "primary", "state_json", "updated_at"),
)
SHARED_CELLS = Cells(
    Cell("config_machine_state", "state_key", "authProfiles.store", "value_json", "updated_at_ms"),
    Cell("config_machine_state", "state_key", "authProfiles.state", "value_json", "updated_at_ms"),
)

AUTH_CELLS: Mapping[DatabaseRole, Cells] = {DatabaseRole.AGENT: OWN_CELLS, DatabaseRole.GLOBAL: SHARED_CELLS}
