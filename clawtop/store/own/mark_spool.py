"""Marks that have not reached the store yet, as files in `<state>/clawtop/marks/` (0700), one per mark.

A file belongs to the process named in its name (`store.own.presence.Presence`) while that process lives; afterwards, to
the first clawtop that renames it. So a mark survives its process and is written to the store by exactly one other.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import asdict, fields
from pathlib import Path

from clawtop.core.cooldown.marking import Mark
from clawtop.nested import loads
from clawtop.store import door
from clawtop.store.atomic import remove, write_under_free_name
from clawtop.store.disk import disk
from clawtop.store.own.presence import Presence, holders_dir, is_alive

MAX_BYTES = 64 * 1024
MOST_ADOPTED = 1_000
"""The most leftover marks taken over at once; the rest follow at the next start."""

_FIELDS = {item.name for item in fields(Mark)} - {"maybe_landed"}
_serial = itertools.count(1)  # next() is atomic; makes names unique within the process


def spool_dir(state_dir: str | Path) -> Path:
    """Where a state directory's spooled marks are."""
    return Path(state_dir) / "clawtop" / "marks"


def spooled_marks(state_dir: str | Path) -> int:
    """How many marks wait on disk, from live and dead processes. Creates nothing."""
    try:
        return sum(path.name.endswith(".json") for path in spool_dir(state_dir).iterdir())
    except OSError:
        return 0


class MarkSpool:
    """This process's view of the spool. Creates nothing before the first `put`."""

    def __init__(self, state_dir: str | Path) -> None:
        self.directory = spool_dir(state_dir)
        self._holders = holders_dir(state_dir)

    def put(self, mark: Mark) -> Path:
        """Write a mark down. OSError or RefusedError when that cannot be done."""
        member = Presence.of(self._holders).member
        door.own_directory(self.directory.parent, self.directory)
        facts = {name: value for name, value in asdict(mark).items() if name in _FIELDS and value is not None}
        content = json.dumps(facts).encode() + b"\n"
        names = (str(self.directory / f"{mark.at}.{member}.{number}.json") for number in _serial)
        return Path(write_under_free_name(names.__next__, content, 0o600, durable=False))

    def drop(self, path: Path) -> None:
        """The mark has landed, or its loss has been reported."""
        remove(str(path))

    def adopt(self) -> Iterator[tuple[Path, Mark | None]]:
        """Take over every mark whose process is dead: where it is now, and its content (None: it cannot be read)."""
        for path in self._orphans():
            ours = (
                self.directory / f"{path.name.split('.')[0]}.{Presence.of(self._holders).member}.{next(_serial)}.json"
            )
            try:
                disk.rename(path, ours)
            except OSError:
                continue
            yield ours, _read(ours)

    def _orphans(self) -> list[Path]:
        try:
            there = door.has_own(self.directory.parent, self.directory)
            found = sorted(self.directory.glob("*.*.*.json"))[:MOST_ADOPTED] if there else []
        except OSError:
            return []
        members = {path.name.split(".")[1] for path in found}
        gone = {member for member in members if not is_alive(self._holders, member)}
        return [path for path in found if path.name.split(".")[1] in gone]


def _read(path: Path) -> Mark | None:
    try:
        facts = loads(door.read(path, MAX_BYTES).data)
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(facts, dict) or not set(facts) <= _FIELDS:
        return None
    texts = [facts.get(name) for name in _FIELDS - {"at"}]
    required = all(isinstance(facts.get(name), str) for name in ("agent", "profile", "provider"))
    at = facts.get("at")
    if not required or not isinstance(at, int) or not all(isinstance(text, str | None) for text in texts):
        return None
    facts.setdefault("reason", None)
    return Mark(**facts, maybe_landed=True)
