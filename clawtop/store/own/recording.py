"""Recordings: snapshots and events over time in one small file, readable even when it was cut short.

A gzip stream of JSON lines. The first is a header `{"clawtop_recording": 1, ...}`; each further line is
`{"at": ms, "set": {...}}`, the parts of a snapshot that changed since the line before, or `{"at": ms, "event": {...}}`.
Of a part that is a list only what differs is stored. Nothing in a snapshot is a secret; foreign text passes `masked`
once more on its way into the file.
"""

from __future__ import annotations

import base64
import json
import os
import textwrap
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from io import RawIOBase
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from clawtop.core.model import Event, Snapshot
from clawtop.errors import OperationFailedError, StateUnreadableError
from clawtop.text import masked, safe

FORMAT = 1
FLUSH_EVERY = 20
MAX_BYTES = 64 * 1024 * 1024
MAX_UNPACKED = 2 * 1024 * 1024 * 1024
LINE_LIMIT = 32 * 1024 * 1024
_GZIP = 31
_CHUNK = 64 * 1024
_BEGIN = "-----BEGIN CLAWTOP RECORDING-----"
_END = "-----END CLAWTOP RECORDING-----"

_SNAPSHOT = TypeAdapter(Snapshot)
_PARTS = tuple(part.name for part in fields(Snapshot) if part.name != "events")
_PLAIN: Mapping[str, TypeAdapter[Any]] = {
    name: TypeAdapter(kind) for name, kind in get_type_hints(Snapshot).items() if name in _PARTS
}
_ALWAYS = frozenset({"number", "taken_at"})
_ABSENT = object()
_EVENT = TypeAdapter(Event)


def recordings_dir(state_dir: str | Path) -> Path:
    """Where the dashboard puts its recordings, made if it is not there (0700). Raises OperationFailedError."""
    directory = Path(state_dir) / "clawtop" / "recordings"
    try:
        for path in (directory.parent, directory):
            path.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise OperationFailedError(
            f"cannot make {safe(str(directory), 200)}: {why}", unchanged="Nothing is recorded"
        ) from error
    return directory


class Encoder:
    """Turns snapshots and their events into the bytes of a recording.

    A snapshot's events are written once each, when they first appear; the parts of a snapshot when they change.
    """

    def __init__(self, *, started_at: int, clawtop_version: str) -> None:
        self._header = {"clawtop_recording": FORMAT, "clawtop": clawtop_version, "started_at": started_at}
        self.begin()

    def begin(self) -> None:
        """Start a new stream, with a complete snapshot first."""
        self._packer = zlib.compressobj(6, zlib.DEFLATED, _GZIP)
        self._pending = self._packer.compress(_line(self._header))
        self._before: Snapshot | None = None
        self._events: set[tuple[object, ...]] = set()
        self._records = 0

    def add(self, value: Snapshot) -> bytes:
        """The bytes that `value` adds: its new events, then what changed since the last one."""
        before = self._before
        if before is None or value.events != before.events:
            self._tell(value.events)
        changed = {
            name: _delta(name, getattr(before, name, None), part)
            for name in _PARTS
            if (part := getattr(value, name)) != getattr(before, name, _ABSENT) or name in _ALWAYS
        }
        if changed.keys() - _ALWAYS:
            at = value.taken_at if value.judged_at is None else value.judged_at
            self._record({"at": at, "set": changed})
            self._before = value
        return self._taken()

    def _tell(self, events: tuple[Event, ...]) -> None:
        fresh = {_identity(event): event for event in events}
        for identity, event in fresh.items():
            if identity not in self._events:
                self._record({"at": event.at, "event": _dumped(_EVENT, event)})
        self._events = set(fresh)

    def flushed(self) -> bytes:
        """The bytes that make everything so far readable."""
        self._pending += self._packer.flush(zlib.Z_SYNC_FLUSH)
        return self._taken()

    def finished(self) -> bytes:
        """The bytes that end the stream."""
        self._pending += self._packer.flush(zlib.Z_FINISH)
        return self._taken()

    def _record(self, record: dict[str, Any]) -> None:
        self._pending += self._packer.compress(_line(record))
        self._records += 1
        if self._records % FLUSH_EVERY == 0:
            self._pending += self._packer.flush(zlib.Z_SYNC_FLUSH)

    def _taken(self) -> bytes:
        pending, self._pending = self._pending, b""
        return pending


class Recorder:
    """Writes a recording to a file. One thread at a time; the file and the encoder are its mutable state.

    When the file passes `max_bytes` it is renamed to `<name>.1` (replacing an older one) and a new one is begun with a
    complete snapshot. Writing raises OperationFailedError when the file cannot be written.
    """

    def __init__(self, path: Path, *, started_at: int, clawtop_version: str, max_bytes: int = MAX_BYTES) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._encoder = Encoder(started_at=started_at, clawtop_version=clawtop_version)
        self._file = self._opened()
        self._put(self._encoder.flushed())

    def _opened(self) -> RawIOBase:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            return os.fdopen(os.open(self._path, flags, 0o600), "wb", buffering=0)
        except OSError as error:
            raise self._failure(error) from error

    def add(self, value: Snapshot) -> None:
        """Record what is new in `value`; nothing when nothing is."""
        if self._file.tell() > self._max_bytes:
            self.close()
            self._path.replace(self._path.with_name(self._path.name + ".1"))
            self._encoder.begin()
            self._file = self._opened()
        self._put(self._encoder.add(value))

    def flush(self) -> None:
        """Make everything so far readable."""
        self._put(self._encoder.flushed())

    def close(self) -> None:
        """End the file. Calling it twice is fine."""
        if not self._file.closed:
            self._put(self._encoder.finished())
            self._file.close()

    def _put(self, content: bytes) -> None:
        try:
            while content:
                content = content[self._file.write(content) or 0 :]
        except OSError as error:
            self._file.close()
            raise self._failure(error) from error

    def _failure(self, error: OSError) -> OperationFailedError:
        why = error.strerror or type(error).__name__
        name = safe(str(self._path), 200)
        return OperationFailedError(f"cannot record to {name}: {why}", unchanged="Nothing more is recorded")


def _identity(event: Event) -> tuple[object, ...]:
    return (event.at, event.kind, event.source, event.text, event.run_id, event.lane)


def _line(record: dict[str, Any]) -> bytes:
    return json.dumps(_masked(record), separators=(",", ":")).encode("ascii") + b"\n"


def _masked(value: Any) -> Any:
    if isinstance(value, str):
        return masked(value)
    if isinstance(value, dict):
        return {key: _masked(part) for key, part in value.items()}
    return [_masked(part) for part in value] if isinstance(value, list) else value


def _dumped(adapter: TypeAdapter[Any], value: Any) -> Any:
    """`value` as JSON would hold it. Read-only views of mappings are not known to pydantic."""
    return adapter.dump_python(value, mode="json", fallback=dict, warnings=False)


def _delta(name: str, before: Any, after: Any) -> dict[str, Any]:
    """What turns one value of a part into another, as JSON: the whole, or what stands in a list from here to there."""
    plain = _PLAIN[name]
    if not (isinstance(before, tuple) and isinstance(after, tuple)):
        return {"is": _dumped(plain, after)}
    most = min(len(before), len(after))
    start = next((index for index in range(most) if before[index] != after[index]), most)
    most -= start
    same = next((index for index in range(most) if before[-1 - index] != after[-1 - index]), most)
    middle = after[start : len(after) - same]
    if len(before) == len(after):
        differing = [index for index, item in enumerate(middle, start) if before[index] != item]
        items = _dumped(plain, tuple(after[index] for index in differing))
        return {"differs": dict(zip(map(str, differing), items, strict=True))}
    return {"splice": [start, len(before) - same, _dumped(plain, middle)]}


def _applied(before: Any, delta: dict[str, Any]) -> Any:
    if "is" in delta:
        return delta["is"]
    changed = list(before)
    if "splice" in delta:
        start, end, items = delta["splice"]
        if not 0 <= start <= end <= len(changed):
            raise IndexError("a splice outside of its list")
        changed[start:end] = items
        return changed
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
    """The values so far; a part is parsed when it changes, so that frames share what they have in common."""

    parts: dict[str, Any] = field(default_factory=dict)
    value: Snapshot | None = None
    frames: list[Frame] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def take(self, record: dict[str, Any]) -> None:
        if "event" in record:
            self.events.append(_EVENT.validate_python(record["event"]))
            return
        for name, delta in record["set"].items():
            self.parts[name] = _applied(self.parts.get(name), delta)
        if self.value is None:
            self.value = _SNAPSHOT.validate_python(self.parts)
        else:
            fresh = {name: _PLAIN[name].validate_python(self.parts[name]) for name in record["set"] if name in _PLAIN}
            self.value = replace(self.value, **fresh)
        self.frames.append(Frame(record["at"], self.value))


def load_recording(path: Path) -> Recording:
    """Read a recording, or the one inside an incident file, as far as it goes.

    Raises StateUnreadableError when it is neither, or holds no snapshot.
    """
    name = safe(str(path), 200)
    try:
        size = path.stat().st_size
        content = path.read_bytes() if size <= 2 * MAX_BYTES else b""
    except OSError as error:
        raise StateUnreadableError(f"{name} cannot be read: {error.strerror or type(error).__name__}") from error
    return decoded(embedded(content) or content, name)


def decoded(content: bytes, name: str) -> Recording:
    """The recording in the bytes of a stream. Raises StateUnreadableError as `load_recording` does."""
    lines = _lines(content)
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


def embedding(content: bytes) -> str:
    """A recording as lines of text between marks, for an incident file."""
    return "\n".join((_BEGIN, *textwrap.wrap(base64.b64encode(content).decode("ascii"), 100), _END))


def embedded(content: bytes) -> bytes | None:
    """The recording between the marks of an incident file, however it was pasted; None without one."""
    _, begin, rest = content.partition(_BEGIN.encode())
    body, end, _ = rest.partition(_END.encode())
    if not (begin and end):
        return None
    try:
        return base64.b64decode(body)
    except ValueError:
        return None


def _lines(content: bytes) -> Iterator[bytes]:
    """The lines of a gzip stream. EOFError when it ends in the middle; ValueError when it grows beyond all bounds."""
    unpacker = zlib.decompressobj(_GZIP)
    rest, unpacked = b"", 0
    for start in range(0, len(content), _CHUNK):
        packed = content[start : start + _CHUNK]
        while packed:
            piece = unpacker.decompress(packed, _CHUNK * 16)
            packed = unpacker.unconsumed_tail
            unpacked += len(piece)
            *lines, rest = (rest + piece).split(b"\n")
            yield from lines
            if len(rest) > LINE_LIMIT or unpacked > MAX_UNPACKED:
                raise ValueError("too large")
    if not unpacker.eof or rest:
        raise EOFError
