"""Unfinished imports into OpenClaw's databases: data that is still in JSON files and not in use.

Generation C starts without its credentials and sends turns with an empty key; D refuses to start, or imports its
sessions by itself and then refuses (2026.9.6). Leftovers of a finished import are listed separately: nothing reads
them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from clawtop.core.model import EMPTY_KEY, NOT_IMPORTED, Problem
from clawtop.patterns import regex
from clawtop.store.json_text import UnreadableError, parse, read_bytes
from clawtop.store.place.databases import AGENT_DATABASE, STATE_DATABASE
from clawtop.store.place.generation import MAX_AUTH_BYTES, PROFILES_FILE
from clawtop.store.place.layout import AgentPaths, Layout
from clawtop.store.sqlite.database import Database
from clawtop.store.sqlite.pool import Databases
from clawtop.store.sqlite.schema import DatabaseRole
from clawtop.text import safe

DOCTOR = "run openclaw doctor --fix"
_NAMED = 6
_LEFTOVERS = regex(r".+\.sqlite-import\.\d+\.bak|.+\.migrated-.+|.+\.imported-\d+|.+\.migrated", re.DOTALL)


def migration_problems(layout: Layout, databases: Databases) -> tuple[Problem, ...]:
    """Every agent whose credentials or sessions were not imported."""
    return tuple(_problems(layout, databases))


def _problems(layout: Layout, databases: Databases) -> Iterator[Problem]:
    seen: set[Path] = set()
    shared = not layout.storage.session_files
    imported = shared and _has_row(
        databases.of(layout.state_dir / STATE_DATABASE, DatabaseRole.GLOBAL),
        "config_machine_state",
        "SELECT 1 FROM config_machine_state WHERE state_key='authProfiles.store'",
    )
    for agent in layout.agents:
        if agent.agent_dir in seen:
            continue
        seen.add(agent.agent_dir)
        own = databases.of(agent.agent_dir / AGENT_DATABASE, DatabaseRole.AGENT)
        has_own = _has_row(own, "auth_profile_store", "SELECT 1 FROM auth_profile_store WHERE store_key='primary'")
        yield from _credentials(agent, shared=shared, imported=imported or has_own)
        if shared:
            yield from _sessions(agent, own)


def _credentials(agent: AgentPaths, *, shared: bool, imported: bool) -> Iterator[Problem]:
    path = agent.agent_dir / PROFILES_FILE
    ids = _legacy_ids(path)
    if not ids:
        return
    names = ", ".join(safe(name, 40) for name in ids[:_NAMED]) + (", ..." if len(ids) > _NAMED else "")
    what = f"{len(ids)} profiles ({names}) were never imported"
    if imported:
        text = f"is beside a filled database and is not read; {DOCTOR}" + (
            ", without it the gateway refuses to start" if shared else ""
        )
        yield Problem("leftover-credentials", str(path), text)
    elif shared:
        yield Problem(NOT_IMPORTED, str(path), f"{what} and are not in use: the gateway refuses to start; {DOCTOR}")
    else:
        yield Problem(EMPTY_KEY, str(path), f"{what}: turns are sent with an EMPTY key and nothing is marked; {DOCTOR}")


def _sessions(agent: AgentPaths, database: Database) -> Iterator[Problem]:
    if not agent.sessions_store.exists():
        return
    if _has_row(database, "session_nodes", "SELECT 1 FROM session_nodes LIMIT 1"):
        text = "is beside a database that holds the sessions; nothing reads it, and locks beside it have no effect"
        yield Problem("leftover-sessions", str(agent.sessions_store), text)
    else:
        text = f"was never imported: the gateway refuses to start, or imports it when it does; {DOCTOR}"
        yield Problem("sessions-not-imported", str(agent.sessions_store), text)


def leftovers(layout: Layout) -> tuple[Problem, ...]:
    """What finished imports left behind, by directory."""
    found: list[Problem] = []
    for directory in _import_places(layout):
        try:
            names = [entry.name for entry in directory.iterdir() if _LEFTOVERS.fullmatch(entry.name)]
        except OSError:
            continue
        if names:
            text = f"holds files of a finished import ({len(names)}); nothing reads them"
            found.append(Problem("import-leftovers", str(directory), text))
    return tuple(found)


def _import_places(layout: Layout) -> Iterator[Path]:
    for agent in layout.agents:
        yield agent.agent_dir
        yield agent.agent_dir.parent / "session-sqlite-import-archive"
    yield layout.state_dir / "tasks"


def _legacy_ids(path: Path) -> tuple[str, ...]:
    """The profiles of a JSON store; none if there is no such file, or it cannot be read."""
    try:
        content, _ = read_bytes(path, MAX_AUTH_BYTES)
        value = parse(content, str(path))
    except (FileNotFoundError, UnreadableError):
        return ()
    profiles = value.get("profiles") if isinstance(value, dict) else None
    return tuple(profiles) if isinstance(profiles, dict) else ()


def _has_row(database: Database, table: str, statement: str) -> bool:
    try:
        return database.is_there and bool(database.columns(table)) and bool(database.rows(statement))
    except UnreadableError:
        return True  # unreadable stores are reported elsewhere
