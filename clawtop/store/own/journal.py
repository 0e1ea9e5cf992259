"""clawtop's own journal: what was intended and what happened, one JSON object per line, shared by its processes.

`<state>/clawtop/journal.jsonl` (0600 in a 0700 directory) is appended to under a lock of the operating system and
moved to `journal.jsonl.1` when it has grown to `MAX_BYTES`, so there are never more than two files. An unreadable line
costs only that line. Prose in it is masked; ids in `data["undo"]` stay exact, because undo needs them.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from itertools import islice, takewhile
from pathlib import Path
from typing import Final

import filelock

from clawtop.core.model import Event, EventKind
from clawtop.errors import OperationFailedError, RefusedError
from clawtop.nested import loads
from clawtop.redaction import masked, masked_words
from clawtop.store import door
from clawtop.store.atomic import put
from clawtop.store.disk import disk
from clawtop.store.ways import NotAllowedError
from clawtop.text import safe

MAX_BYTES = 4 * 1024 * 1024
DISORDER_MS = 10_000
"""Several processes write; an event is appended at most this long after its time."""
EXACT = "undo"
"""The member of an event's `data` whose strings are kept exactly; it holds ids, paths and statistics, nothing else."""

CLAIMS = 10_000
"""How many events back an id's claim is searched for."""

_LOCK_WAIT_S = 2.0
_LOCK_POLL_S = 0.005
_CHUNK = 64 * 1024
_FURTHEST = 4 * MAX_BYTES
"""How far back from its end a file is read: one that is much longer was not written by clawtop alone."""
_LONGEST_LINE = 256 * 1024
_NAMES: Final = tuple(item.name for item in fields(Event))
_FIELDS: Final = frozenset(_NAMES)
_NUMBERS: Final = frozenset({"at", "duration_ms", "pid"})
_REQUIRED: Final = {"at": int, "source": str, "text": str}


class Journal:
    """The journal of one state directory. Creates nothing before the first `append`."""

    def __init__(self, state_dir: str | Path) -> None:
        self.path = Path(state_dir) / "clawtop" / "journal.jsonl"

    def append(self, *events: Event) -> None:
        """Write events down, in order.

        Raises:
            RefusedError: the state directory belongs to another user.
            OperationFailedError: the disk refused them.
        """
        self._locked(lambda: self._write(b"".join(_line(event) for event in events)))

    def claim(self, event: Event) -> bool:
        """Write `event` down unless the journal knows the operation that its `data["id"]` names; whether it did.

        Of several claims of one id, in any process, only the first is written. Raises as `append`.
        """
        wanted = event.data.get("id")
        written = False

        def write_first() -> None:
            nonlocal written
            written = all(known.data.get("id") != wanted for known in islice(self._backwards(), CLAIMS))
            if written:
                self._write(_line(event))

        self._locked(write_first)
        return written

    def _locked(self, work: Callable[[], None]) -> None:
        try:
            self._prepare()
            with self._lock():
                self._rotate()
                work()
        except (OSError, filelock.Timeout) as error:
            why = getattr(error, "strerror", None) or "its lock was never free"
            if isinstance(error, NotAllowedError):
                why = f"{safe(error.filename)} {why}"
            raise OperationFailedError(f"the journal {safe(self.path)} cannot be written: {why}") from error

    def tail(self, limit: int = 500, *, since: int | None = None) -> tuple[Event, ...]:
        """The last `limit` events, oldest first; with `since` (ms since the epoch) only later ones.

        With `since`, reading ends at the first event that is older than that by `DISORDER_MS`.
        """
        events: Iterator[Event] = islice(self._backwards(), limit)
        if since is not None:
            events = takewhile(lambda event: event.at >= since - DISORDER_MS, events)
        wanted = [event for event in events if since is None or event.at >= since]
        return tuple(reversed(wanted))

    def of_kinds(self, kinds: Iterable[EventKind], limit: int) -> tuple[Event, ...]:
        """The last `limit` events of these kinds, oldest first. Others are not parsed."""
        marks = tuple(f'"kind":"{kind}"'.encode() for kind in kinds)
        return tuple(reversed([*islice(self._backwards(lambda line: any(mark in line for mark in marks)), limit)]))

    def why_unreadable(self) -> str | None:
        """Why the journal cannot be read, for people; None if it can, or if there is none."""
        try:
            if door.has_own(self.path.parent):
                door.reader(self.path).close()
        except FileNotFoundError:
            return None
        except OSError as error:
            return f"{safe(error.filename)} {error.strerror or 'cannot be read'}"
        return None

    def _prepare(self) -> None:
        directory = self.path.parent
        owner = directory.parent.stat().st_uid
        if owner != os.geteuid():
            raise RefusedError(
                f"{safe(directory.parent)} belongs to another user (uid {owner})",
                unchanged="nothing was written",
                hint="run clawtop as the user that OpenClaw runs as",
            )
        door.own_directory(directory)
        door.own_lock(self.path.with_suffix(".lock"))

    def _lock(self) -> filelock.BaseFileLock:
        return filelock.FileLock(
            self.path.with_suffix(".lock"),
            timeout=_LOCK_WAIT_S,
            poll_interval=_LOCK_POLL_S,
            mode=0o600,
            fallback_to_soft=False,
        )

    def _rotate(self) -> None:
        try:
            facts = self.path.lstat()
        except FileNotFoundError:
            return
        if facts.st_size >= MAX_BYTES:
            disk.rename(self.path, self.path.with_suffix(".jsonl.1"))
        elif stat.S_ISREG(facts.st_mode) and facts.st_nlink > 1:
            self._cut_off()

    def _cut_off(self) -> None:
        """The file has another name (hard link), made by a backup or another user: continue in a copy, and leave that
        one unchanged.
        """
        content = door.read(self.path, MAX_BYTES).data
        put(str(self.path), content, durable=False)

    def _write(self, line: bytes) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        with door.closing(door.open_file(self.path, flags, owner=os.geteuid(), only_name=True)) as descriptor:
            before = os.fstat(descriptor).st_size
            try:
                door.write_all(descriptor, line)
            except OSError:
                disk.ftruncate(descriptor, before)  # this process has the lock: nobody else has written
                raise

    def _backwards(self, wanted: Callable[[bytes], bool] = bool) -> Iterator[Event]:
        """Every event that can be read and whose line is wanted, newest first."""
        with contextlib.suppress(NotAllowedError):
            if door.has_own(self.path.parent):
                yield from self._readable(wanted)

    def _readable(self, wanted: Callable[[bytes], bool]) -> Iterator[Event]:
        for path in (self.path, self.path.with_suffix(".jsonl.1")):
            for line in _lines_backwards(path):
                event = _event(line) if wanted(line) else None
                if event is not None:
                    yield event


def _line(event: Event) -> bytes:
    told = {name: value for name in _NAMES if (value := getattr(event, name)) is not None and value != {}}
    told["text"] = masked(event.text)
    if event.data:
        told["data"] = {key: value if key == EXACT else masked_words(value) for key, value in event.data.items()}
    return json.dumps(told, separators=(",", ":")).encode() + b"\n"


def _event(line: bytes) -> Event | None:
    try:
        facts = loads(line)
        kind = EventKind(facts.pop("kind"))
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
        return None
    data = facts.pop("data", {})
    well_typed = all(isinstance(value, int if name in _NUMBERS else str) for name, value in facts.items())
    complete = all(isinstance(facts.get(name), wanted) for name, wanted in _REQUIRED.items())
    if not (well_typed and complete and isinstance(data, dict) and set(facts) <= _FIELDS):
        return None
    for name in facts.keys() - _NUMBERS - {"text"}:
        facts[name] = sys.intern(facts[name])  # ids and words that thousands of events share
    return Event(kind=kind, data={sys.intern(key): value for key, value in data.items()}, **facts)


def _lines_backwards(path: Path) -> Iterator[bytes]:
    """The lines of a file from its end, but not those too far from it; an over-long one is left out."""
    try:
        file = door.reader(path)
    except OSError:
        return
    with file:
        position = file.seek(0, os.SEEK_END)
        first = max(0, position - _FURTHEST)
        tail = b""
        while position > first:
            size = min(_CHUNK, position - first)
            position = file.seek(position - size)
            head, *rest = (file.read(size) + tail).split(b"\n")
            yield from (line for line in reversed(rest) if line)
            tail = head if len(head) <= _LONGEST_LINE else b""
        if tail and first == 0:  # else its beginning was left out
            yield tail
