"""Which databases are OpenClaw's, and what clawtop may do with each schema version.

`user_version` and the row `primary` of `schema_meta` (role, schema version, the OpenClaw version that wrote last)
identify a database; `application_id` is 0 everywhere and says nothing. Versions: C is 2026.6.5 to 2026.7.35 (1 and 1),
D is 2026.8.1 on (state 15 and agent 19; 2026.9.6: 18 and 23). What lies between C and D was never released.
"""

from __future__ import annotations

from enum import StrEnum

from clawtop.core.generations import why_too_new
from clawtop.values import dataclass


class DatabaseRole(StrEnum):
    """GLOBAL: `state/openclaw.sqlite`. AGENT: `agents/<id>/agent/openclaw-agent.sqlite`."""

    GLOBAL = "global"
    AGENT = "agent"


@dataclass(frozen=True, slots=True)
class Versions:
    """Schema versions of one role: written ones were run, unreleased ones are refused, anything else is only read."""

    written: frozenset[int]
    unreleased: range
    newest: int


VERSIONS = {
    DatabaseRole.GLOBAL: Versions(frozenset({1, 15, 18}), range(2, 15), 18),
    DatabaseRole.AGENT: Versions(frozenset({1, 19, 23}), range(2, 19), 23),
}


@dataclass(frozen=True, slots=True)
class DatabaseIdentity:
    """A database's description of itself."""

    role: DatabaseRole
    user_version: int
    app_version: str | None = None

    @property
    def why_not_read(self) -> str:
        """Why its tables are not to be read; empty where they are."""
        if self.user_version in VERSIONS[self.role].unreleased:
            return f"schema version {self.user_version} was never released by OpenClaw; nothing in it is read"
        return ""

    @property
    def why_not_writable(self) -> str:
        """Why it must not be written; empty where it may be."""
        versions = VERSIONS[self.role]
        if self.user_version in versions.written:
            return why_too_new(self.app_version)
        if self.user_version > versions.newest:
            return f"schema version {self.user_version} is newer than {versions.newest}, the newest known"
        return f"schema version {self.user_version} is read, but was never tested"
