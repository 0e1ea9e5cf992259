"""Looking at OpenClaw's databases from outside: which of them hold an auth store.

The files are looked at as bytes, never opened by SQLite: opening one whose write-ahead log is there would create or
change files beside it.
"""

from __future__ import annotations

import re
from pathlib import Path

from clawtop.store.json_text import MEGABYTE, read_head

STATE_DATABASE = Path("state") / "openclaw.sqlite"
AGENT_DATABASE = "openclaw-agent.sqlite"
_MAX_BYTES = 32 * MEGABYTE
_MAGIC = b"SQLite format 3\0"
# Columns of one row stand side by side in a record, so a key next to its JSON is a row, and not a table's name.
_SHARED_STORE_ROW = re.compile(rb'auth\.sharedStore\{"location":\s*"state-db"')
_AUTH_PROFILES_ROW = re.compile(rb'primary\{"version":\s*\d+,\s*"profiles":\s*\{')


def has_shared_store(state_dir: Path) -> bool:
    """D: `config_machine_state` has `auth.sharedStore` = {"location":"state-db"}."""
    return _holds(state_dir / STATE_DATABASE, _SHARED_STORE_ROW)


def has_auth_profiles(agent_dir: Path) -> bool:
    """C: `auth_profile_store` has a row. Generation B already creates the table, so the table alone says nothing."""
    return _holds(agent_dir / AGENT_DATABASE, _AUTH_PROFILES_ROW)


def _holds(database: Path, row: re.Pattern[bytes]) -> bool:
    content = read_head(database, _MAX_BYTES)
    if not content.startswith(_MAGIC):
        return False
    log = read_head(database.with_name(database.name + "-wal"), _MAX_BYTES)
    return row.search(content) is not None or row.search(log) is not None
