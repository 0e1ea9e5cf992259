"""Which of OpenClaw's databases hold the auth store, and so the generation of a state directory."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from clawtop.core.generations import is_version
from clawtop.core.javascript import whole
from clawtop.store.json_text import UnreadableError, parse
from clawtop.store.sqlite.pool import Databases
from clawtop.store.sqlite.schema import DatabaseRole

STATE_DATABASE = Path("state") / "openclaw.sqlite"
AGENT_DATABASE = "openclaw-agent.sqlite"
SHARED_AGENT_VERSION = 19
SHARED_STATE_VERSION = 15
"""Schema versions from which the auth store is shared by all agents (2026.8.1)."""


def has_shared_store(state_dir: Path, databases: Databases) -> bool:
    """D: `config_machine_state` has `auth.sharedStore` = {"location":"state-db"}, or the schema is that of 2026.8."""
    path = state_dir / STATE_DATABASE
    if not os.path.exists(path):  # noqa: PTH110 - that one raises where a directory is closed
        return False
    database = databases.of(path, DatabaseRole.GLOBAL)
    try:
        if database.identity().user_version >= SHARED_STATE_VERSION:
            return True
        if "value_json" not in database.columns("config_machine_state"):
            return False
        rows = database.rows("SELECT value_json FROM config_machine_state WHERE state_key='auth.sharedStore'")
        value = parse(str(rows[0][0]).encode(), str(path)) if rows else None
    except UnreadableError:
        return False
    return isinstance(value, dict) and value.get("location") == "state-db"


def agent_schema(agent_dir: Path, databases: Databases) -> int | None:
    """The schema version of an agent's database; None if there is none, or it cannot be read."""
    path = agent_dir / AGENT_DATABASE
    if not os.path.exists(path):  # noqa: PTH110 - that one raises where a directory is closed
        return None
    try:
        return whole(databases.of(path, DatabaseRole.AGENT).identity().user_version)
    except UnreadableError:
        return None


def has_auth_profiles(agent_dir: Path, databases: Databases) -> bool:
    """C: `auth_profile_store` has a row. Generation B already creates the table, so the table alone says nothing."""
    if agent_schema(agent_dir, databases) is None:
        return False
    database = databases.of(agent_dir / AGENT_DATABASE, DatabaseRole.AGENT)
    try:
        if "store_key" not in database.columns("auth_profile_store"):
            return False
        return bool(database.rows("SELECT 1 FROM auth_profile_store WHERE store_key='primary'"))
    except UnreadableError:
        return False


def written_by(state_dir: Path, agent_dirs: Sequence[Path], databases: Databases) -> str | None:
    """The version of OpenClaw that last wrote one of the databases, as recorded there."""
    for path, role in _places(state_dir, agent_dirs):
        if os.path.exists(path):  # noqa: PTH110
            try:
                found = databases.of(path, role).identity().app_version
            except UnreadableError:
                continue
            if is_version(found):
                return found
    return None


def why_unread(state_dir: Path, agent_dirs: Sequence[Path], databases: Databases) -> str:
    """Why the first of the databases that are there cannot be read; empty where all can."""
    for path, role in _places(state_dir, agent_dirs):
        if os.path.exists(path):  # noqa: PTH110
            try:
                databases.of(path, role).identity()
            except UnreadableError as error:
                if error.problem.code not in _SAYS_NOTHING:
                    return f"{path} {error.problem.text}"
    return ""


_SAYS_NOTHING = frozenset({"empty", "foreign-database", "not-a-database", "not-a-file"})
"""A database that was never OpenClaw's contains nothing of interest."""


def _places(state_dir: Path, agent_dirs: Sequence[Path]) -> list[tuple[Path, DatabaseRole]]:
    agents = ((place / AGENT_DATABASE, DatabaseRole.AGENT) for place in agent_dirs)
    return [(state_dir / STATE_DATABASE, DatabaseRole.GLOBAL), *agents]
