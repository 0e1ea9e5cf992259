"""Generations C and D: named, with their place; their contents are not read yet."""

from __future__ import annotations

from pathlib import Path

from clawtop.core.model import AuthStore, Generation, Problem
from clawtop.store.json_text import stamp_of
from clawtop.store.place.databases import AGENT_DATABASE, STATE_DATABASE


def unread_store(agent: str, state_dir: Path, agent_dir: Path, generation: Generation) -> AuthStore:
    """The store of a generation whose contents are not read yet: its place, and that."""
    database = state_dir / STATE_DATABASE if generation is Generation.D else agent_dir / AGENT_DATABASE
    return AuthStore(
        agent=agent,
        path=str(database),
        problem=Problem("generation-not-read", str(database), "contents of this generation are not read yet"),
        fingerprint=repr(stamp_of(database)),
    )
