"""The sessions directory's share of a session that clawtop creates: the directory itself, and the list's entry.

sessions.json has no lock between processes from 2026.5.18 on, so it is written only while no gateway can be running
(the caller's to know): read again, that one key added, one rename. An entry that is there is never touched.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clawtop.core.model import ModelRef
from clawtop.errors import OperationFailedError, RefusedError
from clawtop.store import atomic
from clawtop.store.auth.json_edit import dump, parse
from clawtop.store.json_text import read_bytes
from clawtop.store.sessions.index import MAX_SESSIONS_BYTES
from clawtop.text import safe


def entry_for(session_id: str, file: Path, model: ModelRef, started_at: int, ended_at: int) -> dict[str, Any]:
    """What OpenClaw keeps of a session whose only run was ours. Times in ms since the epoch."""
    return {
        "sessionId": session_id,
        "updatedAt": ended_at,
        "sessionStartedAt": started_at,
        "lastInteractionAt": ended_at,
        "sessionFile": str(file),
        "status": "done",
        "startedAt": started_at,
        "endedAt": ended_at,
        "runtimeMs": ended_at - started_at,
        "abortedLastRun": False,
        "modelProvider": model.provider,
        "model": model.model,
    }


def make_sessions_dir(directory: Path) -> None:
    """Make an agent's sessions directory as OpenClaw does, if it is not there. Raises OperationFailedError."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OperationFailedError(
            f"{safe(directory)} cannot be made: {error.strerror or error}", unchanged="nothing was sent"
        ) from error


def add_entry(store: Path, key: str, entry: Mapping[str, Any]) -> bool:
    """Add `entry` under `key` to the sessions.json at `store`; False if the key is there already.

    Raises:
        RefusedError: the file is not what can be changed without loss, or a lock of 2026.3 lies beside it.
        OperationFailedError: the disk refused; the file is as it was.
    """
    if Path(f"{store}.lock").exists():
        raise RefusedError(f"{safe(store)} is locked", unchanged="the session list is as it was")
    try:
        target = store.resolve()
        try:
            content, _ = read_bytes(target, MAX_SESSIONS_BYTES)
        except FileNotFoundError:
            atomic.create(str(target), dump({key: dict(entry)}), last_check=lambda: None)
            return True
        document = parse(content, str(store))
        if key in document:
            return False
        document[key] = dict(entry)
        atomic.replace(str(target), dump(document), atomic.attributes_of(str(target)), last_check=lambda: None)
        return True
    except OSError as error:
        raise OperationFailedError(
            f"{safe(store)} cannot be written: {error.strerror or error}", unchanged="the session list is as it was"
        ) from error
