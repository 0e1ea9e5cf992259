"""Generations C and D: recognised by what their databases hold, and named; their contents are not read yet.

The files are looked at as bytes, never opened by SQLite: opening one whose write-ahead log is there would create or
change files beside it.
"""

from __future__ import annotations

from pathlib import Path

from clawtop.core.model import AuthStore, Generation, Problem
from clawtop.store.json_text import MEGABYTE, read_head, stamp_of

STATE_DATABASE = Path("state") / "openclaw.sqlite"
AGENT_DATABASE = "openclaw-agent.sqlite"
_MAX_BYTES = 32 * MEGABYTE
_MAGIC = b"SQLite format 3\0"
_STORED_PROFILES = b'"profiles":{'
_TABLE = b"auth_profile_store"


def has_shared_store(state_dir: Path) -> bool:
    """D: `config_machine_state` has `auth.sharedStore` = {"location":"state-db"}."""
    return _holds(state_dir / STATE_DATABASE, b"auth.sharedStore", b'"state-db"')


def has_auth_profiles(agent_dir: Path) -> bool:
    """C: `auth_profile_store` has a row. Generation B already creates the table, so the table alone says nothing."""
    return _holds(agent_dir / AGENT_DATABASE, _TABLE, _STORED_PROFILES)


def _holds(database: Path, *needles: bytes) -> bool:
    content = read_head(database, _MAX_BYTES) + read_head(database.with_name(database.name + "-wal"), _MAX_BYTES)
    return content.startswith(_MAGIC) and all(needle in content for needle in needles)


def unread_store(agent: str, state_dir: Path, agent_dir: Path, generation: Generation) -> AuthStore:
    """The store of a generation whose contents are not read yet: its place, and that."""
    database = state_dir / STATE_DATABASE if generation is Generation.D else agent_dir / AGENT_DATABASE
    return AuthStore(
        agent=agent,
        path=str(database),
        problem=Problem("generation-not-read", str(database), "contents of this generation are not read yet"),
        fingerprint=repr(stamp_of(database)),
    )
