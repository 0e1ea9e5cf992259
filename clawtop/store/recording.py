"""Recordings: snapshots and events over time in one small file, readable even when it was cut short.

A gzip stream of JSON lines. The first is a header `{"clawtop_recording": 1, ...}`; each further line is
`{"at": ms, "set": {...}}`, the parts of a snapshot that changed since the line before, or `{"at": ms, "event": {...}}`.
A part that is a list is stored as the indexes and values that differ where that is smaller. Nothing in a snapshot is a
secret; foreign text passes `masked` once more on its way into the file.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import RawIOBase
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from clawtop.core.model import Event, Snapshot
from clawtop.errors import OperationFailedError, StateUnreadableError
from clawtop.text import masked, safe

FORMAT = 1
KEYFRAME_EVERY = 500
"""Records between two complete snapshots, so that a damaged part costs only what follows it up to the next one."""

FLUSH_EVERY = 20
MAX_BYTES = 64 * 1024 * 1024
LINE_LIMIT = 32 * 1024 * 1024
_GZIP = 31

_SNAPSHOT = TypeAdapter(Snapshot)
_EVENT = TypeAdapter(Event)


class Recorder:
    """Writes a recording. One thread at a time; mutable state is the last snapshot's parts and the open file.

    When the file passes `max_bytes` it is renamed to `<name>.1` (replacing an older one) and a new one is begun with a
    complete snapshot. Writing raises OperationFailedError when the file cannot be written.
    """

    def __init__(self, path: Path, *, started_at: int, clawtop_version: str, max_bytes: int = MAX_BYTES) -> None:
        self._path = path
        self._header = {"clawtop_recording": FORMAT, "clawtop": clawtop_version, "started_at": started_at}
        self._max_bytes = max_bytes
        self._parts: dict[str, Any] = {}
        self._records = 0
        self._file, self._packer = self._begin()

    def _begin(self) -> tuple[RawIOBase, Any]:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            file = os.fdopen(os.open(self._path, flags, 0o600), "wb", buffering=0)
        except OSError as error:
            raise self._failure(error) from error
        packer = zlib.compressobj(6, zlib.DEFLATED, _GZIP)
        self._put(file, packer.compress(_line(self._header)))
        self._parts = {}
        self._records = 0
        return file, packer

    def _put(self, file: RawIOBase, content: bytes) -> None:
        try:
            while content:
                content = content[file.write(content) or 0 :]
        except OSError as error:
            file.close()
            raise self._failure(error) from error

    def _failure(self, error: OSError) -> OperationFailedError:
        why = error.strerror or type(error).__name__
        name = safe(str(self._path), 200)
        return OperationFailedError(f"cannot record to {name}: {why}", unchanged="Nothing more is recorded")

    def snapshot(self, value: Snapshot) -> None:
        """Record what changed since the last snapshot; nothing when nothing did."""
        parts = _SNAPSHOT.dump_python(value, mode="json")
        if self._records % KEYFRAME_EVERY == 0:
            self._parts = {}
        changed = {
            name: _delta(self._parts.get(name), part) for name, part in parts.items() if self._parts.get(name) != part
        }
        if set(changed) - {"number", "taken_at"}:
            self._parts = parts
            self._write({"at": value.taken_at, "set": changed})

    def event(self, value: Event) -> None:
        """Record an event."""
        self._write({"at": value.at, "event": _EVENT.dump_python(value, mode="json")})

    def _write(self, record: dict[str, Any]) -> None:
        self._put(self._file, self._packer.compress(_line(record)))
        self._records += 1
        if self._records % FLUSH_EVERY == 0:
            self.flush()
            if self._file.tell() > self._max_bytes:
                self.close()
                self._path.replace(self._path.with_name(self._path.name + ".1"))
                self._file, self._packer = self._begin()

    def flush(self) -> None:
        """Make everything so far readable."""
        self._put(self._file, self._packer.flush(zlib.Z_SYNC_FLUSH))

    def close(self) -> None:
        """End the file. Calling it twice is fine."""
        if not self._file.closed:
            self._put(self._file, self._packer.flush(zlib.Z_FINISH))
            self._file.close()


def _line(record: dict[str, Any]) -> bytes:
    return json.dumps(_masked(record), separators=(",", ":")).encode("ascii") + b"\n"


def _masked(value: Any) -> Any:
    if isinstance(value, str):
        return masked(value)
    if isinstance(value, dict):
        return {key: _masked(part) for key, part in value.items()}
    return [_masked(part) for part in value] if isinstance(value, list) else value


def _delta(before: Any, after: Any) -> Any:
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after) and after:
        differing = {str(index): new for index, (old, new) in enumerate(zip(before, after, strict=True)) if old != new}
        if len(differing) * 2 <= len(after):
            return {"differs": differing}
    return {"is": after}


def _applied(before: Any, delta: dict[str, Any]) -> Any:
    if "is" in delta:
        return delta["is"]
    changed = list(before)
    for index, value in delta["differs"].items():
        changed[int(index)] = value
    return changed


@dataclass(frozen=True, slots=True)
class Frame:
    """The state from `at` (ms since epoch) on."""

    at: int
    snapshot: Snapshot


@dataclass(frozen=True, slots=True)
class Recording:
    """A whole recording. `problem` says where it stops making sense, if it does."""

    started_at: int
    frames: tuple[Frame, ...] = ()
    events: tuple[Event, ...] = ()
    problem: str | None = None


@dataclass(slots=True)
class _Loading:
    parts: dict[str, Any] = field(default_factory=dict)
    frames: list[Frame] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def take(self, record: dict[str, Any]) -> None:
        if "event" in record:
            self.events.append(_EVENT.validate_python(record["event"]))
            return
        for name, delta in record["set"].items():
            self.parts[name] = _applied(self.parts.get(name), delta)
        self.frames.append(Frame(record["at"], _SNAPSHOT.validate_python(self.parts)))


def load_recording(path: Path) -> Recording:
    """Read a recording as far as it goes. Raises StateUnreadableError when it is not one, or holds no snapshot."""
    name = safe(str(path), 200)
    lines = _lines(path, name)
    try:
        header = json.loads(next(lines))
        if not isinstance(header, dict) or header.get("clawtop_recording") != FORMAT:
            raise ValueError
        started_at = int(header["started_at"])
    except (StopIteration, ValueError, KeyError, TypeError, zlib.error, EOFError) as error:
        raise StateUnreadableError(f"{name} is not a clawtop recording of format {FORMAT}") from error
    loading = _Loading()
    problem: str | None = None
    try:
        for line in lines:
            loading.take(json.loads(line))
    except EOFError:
        problem = "the recording is cut short; it is shown as far as it goes"
    except (zlib.error, ValueError, KeyError, TypeError, IndexError, AttributeError, ValidationError):
        problem = f"the recording is damaged after {len(loading.frames)} snapshots; it is shown up to there"
    if not loading.frames:
        raise StateUnreadableError(f"{name} holds no snapshot" + (f": {problem}" if problem else ""))
    return Recording(started_at, tuple(loading.frames), tuple(loading.events), problem)


def _lines(path: Path, name: str) -> Iterator[bytes]:
    """The lines of a gzip stream. EOFError when it ends in the middle."""
    unpacker = zlib.decompressobj(_GZIP)
    rest = b""
    try:
        with path.open("rb") as file:
            while chunk := file.read(256 * 1024):
                *lines, rest = (rest + unpacker.decompress(chunk)).split(b"\n")
                yield from lines
                if len(rest) > LINE_LIMIT:
                    raise ValueError("line too long")
    except OSError as error:
        raise StateUnreadableError(f"{name} cannot be read: {error.strerror or type(error).__name__}") from error
    if not unpacker.eof or rest:
        raise EOFError
