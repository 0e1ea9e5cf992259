"""The auth store of generations A and B, merged and inherited as OpenClaw does it (docs/formats.md 1, 2.1, 2.2).

A keeps everything in auth-profiles.json. B keeps `order`, `lastGood` and `usageStats` in auth-state.json, whose
entries win, each as a whole, over those embedded in auth-profiles.json. An agent sees the main agent's store
under its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from clawtop.clock import Clock
from clawtop.core.generations import storage_of
from clawtop.core.model import Generation, Problem
from clawtop.store import door
from clawtop.store.auth.entries import own_auth, repeated_keys
from clawtop.store.auth.port import OwnAuth
from clawtop.store.json_text import Stamp, UnreadableError, parse, read_bytes, stamp_of
from clawtop.store.place.generation import MAX_AUTH_BYTES, PROFILES_FILE, STATE_FILE

RETRY_PAUSES = (0.01, 0.02, 0.04, 0.08)
"""2026.3.28 truncates its file and writes it in place; a reader that sees it incomplete reads again after these
seconds.
"""

_MAY_BE_TORN = frozenset({"empty", "not-json", "not-utf8"})


def stamps_of(agent_dir: Path, generation: Generation | None) -> tuple[Stamp | str | None, ...]:
    """The stamps that show whether a reading is current: the same stamps mean the same content."""
    return tuple(_stamp(path) for path in _files(agent_dir, generation) if path is not None)


def _stamp(path: Path) -> Stamp | str | None:
    """The stamp of a file, or the reason why there cannot be one."""
    return stamp_of(path) or door.in_the_way(path)


def _files(agent_dir: Path, generation: Generation | None) -> tuple[Path, Path | None]:
    return agent_dir / PROFILES_FILE, agent_dir / STATE_FILE if storage_of(generation).has_state_file else None


def read_own(agent: str, agent_dir: Path, generation: Generation | None, clock: Clock, file: str = "") -> OwnAuth:
    """Read one agent's files; `file` is the one that changes are written to.

    Absent files are an empty store; a half-written file is read again, a limited number of times.

    Every secret that is read goes to `clawtop.redaction.remember_secrets`.
    """
    path, state_path = _files(agent_dir, generation)
    stamps: list[Stamp | None] = []
    warnings: list[Problem] = []
    try:
        documents = [_document(file, clock, stamps, warnings) for file in (path, state_path) if file is not None]
    except UnreadableError as error:
        return OwnAuth(agent, str(path), file, problem=error.problem, stamps=stamps_of(agent_dir, generation))
    credentials, state = documents[0], documents[-1] if state_path is not None else {}
    return own_auth(agent, str(path), file, (credentials, state), warnings=warnings, stamps=tuple(stamps))


def _document(path: Path, clock: Clock, stamps: list[Stamp | None], warnings: list[Problem]) -> Mapping[str, Any]:
    """The object in `path`, {} if there is none. Raises UnreadableError, for a half-written file only after the last
    retry.
    """
    for pause in (*RETRY_PAUSES, None):
        duplicates: list[str] = []
        try:
            content, stamp = read_bytes(path, MAX_AUTH_BYTES)
            value = parse(content, str(path), pairs=partial(repeated_keys, duplicates))
        except FileNotFoundError:
            stamps.append(None)
            return {}
        except UnreadableError as error:
            if pause is None or error.problem.code not in _MAY_BE_TORN:
                raise
            clock.pause(pause)
            continue
        if not isinstance(value, dict):
            raise UnreadableError(Problem("wrong-type", str(path), "is not an object"))
        if duplicates:
            warnings.append(
                Problem("duplicate-keys", str(path), f"has {len(duplicates)} keys twice; the last one counts")
            )
        stamps.append(stamp)
        return value
    raise AssertionError("the last attempt returns or raises")
