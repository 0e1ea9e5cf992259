"""Copied state directories: where their files say that they were written."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from clawtop.nested import loads, mapping
from clawtop.patterns import regex
from clawtop.store import door
from clawtop.store.json_text import read_head

HEAD_BYTES = 64 * 1024
_SESSION_FILE = regex(rb'"sessionFile"\s*:\s*"(/[^"\\]{1,4000})/agents/[^"/\\]+/sessions/[^"/\\]+"')
_STATE_NAME = regex(r"\.(?:openclaw|clawdbot|moldbot)(?:-.+)?", re.DOTALL)


def foreign_roots(state_dir: Path, config_path: Path, agent_names: tuple[str, ...]) -> tuple[str, ...]:
    """State directories that the files here name as their own; none if any of them names this one."""
    former = {str(state_dir.parent / name) for name in former_names(state_dir)}
    roots = {root: None for root in _spoken_roots(state_dir, str(config_path), agent_names) if root not in former}
    here = os.path.realpath(state_dir)
    if any(root == str(state_dir) or os.path.realpath(root) == here for root in roots):
        return ()
    return tuple(roots)


FORMER_NAMES = (".clawdbot", ".moldbot")


def former_names(state_dir: Path) -> tuple[str, ...]:
    """Former names of the state directory, in the same home: after a move, files still contain the old paths. OpenClaw
    then uses those paths, whether they exist or not. A link to the new name does not count.
    """
    if state_dir.name in FORMER_NAMES:
        return ()
    return tuple(name for name in FORMER_NAMES if not (state_dir.parent / name).is_symlink())


def directories(root: Path) -> tuple[str, ...]:
    """Names of the directories in `root`, sorted; none when it cannot be listed."""
    try:
        with os.scandir(root) as entries:
            return tuple(sorted(entry.name for entry in entries if entry.is_dir()))
    except OSError:
        return ()


def copied_tmp(state_dir: Path) -> Path | None:
    """The `tmp` that was copied along with the home of a state directory (`<copy>/home/.openclaw`, `<copy>/tmp`)."""
    base = state_dir.parent.parent
    return None if base == base.parent else base / "tmp"


def _spoken_roots(state_dir: Path, config_path: str, agent_names: tuple[str, ...]) -> Iterator[str]:
    for path in _config_paths(state_dir):
        root = os.path.dirname(path)  # noqa: PTH120 - a path of another machine
        name = os.path.basename(root)  # noqa: PTH119
        if path == config_path:
            yield str(state_dir)
        elif name == state_dir.name or _STATE_NAME.fullmatch(name):
            yield root
    for name in agent_names:
        for match in _SESSION_FILE.finditer(
            read_head(state_dir / "agents" / name / "sessions" / "sessions.json", HEAD_BYTES)
        ):
            yield os.fsdecode(match[1])


def _config_paths(state_dir: Path) -> Iterator[str]:
    """Absolute config paths in `logs/config-health.json` and in gateway locks that lie in the directory's own `tmp`."""
    health = _object(state_dir / "logs" / "config-health.json").get("entries")
    paths = list(health) if isinstance(health, dict) else []
    for place in (state_dir / "tmp", copied_tmp(state_dir)):
        for name in directories(place) if place is not None else ():
            if place is not None and name.startswith("openclaw-"):
                paths += [_object(lock).get("configPath") for lock in sorted((place / name).glob("gateway.*.lock"))]
    return (path for path in paths if isinstance(path, str) and path.startswith("/") and door.is_path(path))


def _object(path: Path) -> dict[str, object]:
    try:
        value = loads(door.read_head(path, HEAD_BYTES) or b"{}")
    except (ValueError, RecursionError):
        return {}
    return mapping(value)
