"""The credential of one profile, read from its owning store at the moment of a call and kept nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clawtop.clock import SystemClock
from clawtop.core.model import Profile
from clawtop.store.json_text import MEGABYTE, UnreadableError, parse, read_bytes
from clawtop.store.place.databases import AGENT_DATABASE, STATE_DATABASE
from clawtop.store.provider.secrets import CallCredential, SecretSources, SecretUnavailableError, credential_of
from clawtop.store.sqlite.schema import DatabaseRole
from clawtop.text import safe

MAX_BYTES = 16 * MEGABYTE
_DATABASES = {AGENT_DATABASE: DatabaseRole.AGENT, STATE_DATABASE.name: DatabaseRole.GLOBAL}


def load_credential(profile: Profile, sources: SecretSources, now_ms: int) -> CallCredential:
    """The credential of `profile`, from the store that `profile.path` names: auth-profiles.json, or a database.

    Raises:
        SecretUnavailableError: it is gone, unreadable, unresolved or expired; `expired` marks the last.
    """
    what = f"profile {safe(profile.id, 80)}"
    try:
        document = _document(profile.path)
    except (FileNotFoundError, UnreadableError):
        raise SecretUnavailableError(f"the store of {what} cannot be read: {safe(profile.path)}") from None
    profiles = document.get("profiles") if isinstance(document, Mapping) else None
    raw = profiles.get(profile.id) if isinstance(profiles, Mapping) else None
    if not isinstance(raw, Mapping):
        raise SecretUnavailableError(f"{what} is no longer in {safe(profile.path)}")
    return credential_of(raw, sources, now_ms, what=what)


def _document(path: str) -> Any:
    role = _DATABASES.get(Path(path).name)
    if role is None:
        content, _ = read_bytes(path, MAX_BYTES)
        return parse(content, path)
    from clawtop.store.sqlite.cells import AUTH_CELLS  # SQLite takes a while to load
    from clawtop.store.sqlite.database import Database

    database = Database(Path(path), role, SystemClock())
    try:
        database.identity()
        cell = AUTH_CELLS[role].credentials
        rows = database.rows(cell.select, (cell.key,))
    finally:
        database.close()
    if not rows:
        raise FileNotFoundError(path)
    value = rows[0][0]
    return parse(value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogateescape"), path)
