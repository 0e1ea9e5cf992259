"""Which of OpenClaw's storage generations a state directory is: by what is authoritative in it, never by a file's
existence alone (docs/formats.md 0 and 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from clawtop.core.generations import Generation, generation_of, storage_of
from clawtop.nested import mapping
from clawtop.patterns import regex
from clawtop.store import door
from clawtop.store.json_text import MEGABYTE, UnreadableError, parse, read_bytes
from clawtop.store.place.databases import (
    SHARED_AGENT_VERSION,
    agent_schema,
    has_auth_profiles,
    has_shared_store,
    why_unread,
    written_by,
)
from clawtop.store.sqlite.pool import Databases
from clawtop.store.wire import text
from clawtop.values import dataclass

MAX_AUTH_BYTES = 16 * MEGABYTE
PROFILES_FILE = "auth-profiles.json"
STATE_FILE = "auth-state.json"
_RECORDED_VERSION = regex(rb'"version":\s*"(20\d\d\.\d{1,2}\.\d{1,3}[^"\s]{0,20})",\s*"gitSha"')
_TRAJECTORY_HEAD = 16 * 1024


@dataclass(frozen=True, slots=True)
class Detected:
    """A generation and how it is known. `proven` is False if it is a guess; then nothing is written."""

    generation: Generation | None
    how: str
    proven: bool


def detect(
    state_dir: Path, agent_dirs: Sequence[Path], last_touched: str | None, seen: str | None, databases: Databases
) -> Detected:
    """The generation of a state directory.

    Args:
        agent_dirs: the main agent's first.
        last_touched: `meta.lastTouchedVersion` of the configuration.
        seen: the version that recorded the newest trajectory.
    """
    if has_shared_store(state_dir, databases):
        return Detected(Generation.D, "the state database holds the shared auth store", proven=True)
    if any((agent_schema(agent_dir, databases) or 0) >= SHARED_AGENT_VERSION for agent_dir in agent_dirs):
        return Detected(Generation.D, "an agent database holds the sessions", proven=True)
    if any(has_auth_profiles(agent_dir, databases) for agent_dir in agent_dirs):
        return Detected(Generation.C, "an agent database holds the auth store", proven=True)
    written = written_by(state_dir, agent_dirs, databases)
    sources = (
        (written, "a database was last written by"),
        (last_touched, "the configuration was last written by"),
        (seen, "a trajectory names"),
    )
    for version, source in sources:
        generation = generation_of(version)
        if generation is not None and storage_of(generation).auth_in_database:
            return Detected(generation, f"{source} {version}", proven=True)
    found = _by_json(agent_dirs, last_touched, seen)
    unread = why_unread(state_dir, agent_dirs, databases)
    return Detected(found.generation, unread, proven=False) if unread else found


def _by_json(agent_dirs: Sequence[Path], last_touched: str | None, seen: str | None) -> Detected:
    split = embedded = held_apart = found = False
    for agent_dir in agent_dirs:
        store = _object(agent_dir / PROFILES_FILE)
        state = _object(agent_dir / STATE_FILE)
        found = found or store is not None
        embedded = embedded or _holds_state(store)
        split = split or state is not None
        held_apart = held_apart or _holds_state(state)
    touched = generation_of(last_touched)
    if touched is not None:
        how = f"the configuration was last written by {last_touched}"
        contradicted = touched is Generation.A and held_apart and not embedded
        return Detected(
            touched, f"{how}, but auth-state.json holds the state" if contradicted else how, not contradicted
        )
    if generation_of(seen) is not None:
        return Detected(generation_of(seen), f"a trajectory names {seen}", proven=True)
    if split:
        return Detected(Generation.B, "auth-state.json is beside the credentials", proven=True)
    if embedded:
        return Detected(Generation.A, "auth-profiles.json holds the state itself", proven=True)
    if found:
        return Detected(Generation.B, "cannot tell A from B yet; read as B", proven=False)
    return Detected(None, "no auth store and no version", proven=False)


def _holds_state(value: dict[str, Any] | None) -> bool:
    return any(mapping((value or {}).get(key)) for key in ("usageStats", "order", "lastGood"))


def _object(path: Path) -> dict[str, Any] | None:
    try:
        content, _stamp = read_bytes(path, MAX_AUTH_BYTES)
        value = parse(content, str(path))
    except (FileNotFoundError, UnreadableError):
        return None
    return value if isinstance(value, dict) else None


def recorded_version(trajectory: Path) -> str | None:
    """The OpenClaw version that wrote a trajectory (2026.5.18 and later say so in its first lines)."""
    match = _RECORDED_VERSION.search(door.read_head(trajectory, _TRAJECTORY_HEAD))
    return text(match[1].decode("ascii", "replace")) if match else None
