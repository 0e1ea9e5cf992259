"""Recordings: snapshots and events over time in one small file, readable even if it was cut short.

A gzip stream of JSON lines. The first is a header `{"clawtop_recording": 2, ...}`; each further line is a record of
`deltas`: an event, or what changed in the state since the line before. Nothing in a snapshot is a secret; foreign text
passes `masked` again on its way into the file.
"""

from __future__ import annotations

import base64
import json
import textwrap
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field
from io import RawIOBase
from pathlib import Path
from typing import Any

from clawtop.core.model import Event, Snapshot
from clawtop.errors import OperationFailedError, StateUnreadableError
from clawtop.nested import loads
from clawtop.store import door
from clawtop.store.disk import DiskFile, disk
from clawtop.store.own.deltas import SENSELESS, Assembly, Changes
from clawtop.text import safe
from clawtop.values import dataclass

FORMAT = 2
READABLE = (1, FORMAT)
FLUSH_EVERY = 20
MAX_BYTES = 64 * 1024 * 1024
MAX_UNPACKED = 512 * 1024 * 1024
LINE_LIMIT = 16 * 1024 * 1024
MAX_ELEMENTS = 1_000_000
"""The most snapshot values built from one recording: some 500 MB, however well it is compressed."""
_GZIP = 31
_CHUNK = 64 * 1024
_BEGIN = "-----BEGIN CLAWTOP RECORDING-----"
_END = "-----END CLAWTOP RECORDING-----"


def lasting_directory(environment: Mapping[str, str], home: Path) -> Path:
    """Where recordings of a state directory that does not last go: in `XDG_STATE_HOME`, or `~/.local/state`."""
    base = environment.get("XDG_STATE_HOME", "")
    return (Path(base) if base.startswith("/") else home / ".local" / "state") / "clawtop" / "recordings"


def recordings_dir(state_dir: str | Path, elsewhere: Path | None = None) -> Path:
    """Where the dashboard puts its recordings, made if it is not there (0700). Raises OperationFailedError."""
    directory = elsewhere or Path(state_dir) / "clawtop" / "recordings"
    try:
        if elsewhere is not None:
            disk.make_directories(directory.parent.parent)
        door.own_directory(directory.parent, directory)
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise OperationFailedError(
            f"cannot create {safe(str(directory), 200)}: {why}", unchanged="nothing is recorded"
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
        self._changes = Changes()
        self._records = 0

    def add(self, value: Snapshot) -> bytes:
        """The bytes that `value` adds: its new events, then what changed since the last one."""
        for record in self._changes.of(value):
            self._record(record)
        return self._taken()

    def flushed(self) -> bytes:
        """The bytes that make everything recorded so far readable."""
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
        try:
            return DiskFile(door.create(self._path))
        except OSError as error:
            raise self._failure(error) from error

    def add(self, value: Snapshot) -> None:
        """Record what is new in `value`, if anything."""
        if self._file.tell() > self._max_bytes:
            self.close()
            disk.rename(self._path, self._path.with_name(self._path.name + ".1"))
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
        return OperationFailedError(f"cannot record to {name}: {why}", unchanged="nothing more is recorded")


def _line(record: dict[str, Any]) -> bytes:
    return json.dumps(record, separators=(",", ":")).encode("ascii") + b"\n"


@dataclass(frozen=True, slots=True)
class RecordedState:
    """The state from `at` (ms since epoch) on."""

    at: int
    snapshot: Snapshot


@dataclass(frozen=True, slots=True)
class Recording:
    """A whole recording. `problem` says where it becomes invalid, if it does."""

    started_at: int
    frames: tuple[RecordedState, ...] = ()
    events: tuple[Event, ...] = ()
    problem: str | None = None


@dataclass(slots=True)
class _Loading:
    """The frames and events so far."""

    assembly: Assembly = field(default_factory=Assembly)
    frames: list[RecordedState] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def take(self, record: dict[str, Any]) -> None:
        value = self.assembly.take(record)
        if self.assembly.built > MAX_ELEMENTS:
            raise _TooMuchError
        if isinstance(value, Event):
            self.events.append(value)
        else:
            self.frames.append(RecordedState(record["at"], value))


class _TooMuchError(Exception):
    """A small recording that would expand beyond any memory."""


def load_recording(path: Path, read: Callable[[int, int], None] = lambda _done, _all: None) -> Recording:
    """Read a recording, or the one inside an incident file, as far as it goes.

    `read` is told again and again how many of how many packed bytes were read.

    Raises StateUnreadableError when it is neither, or holds no snapshot.
    """
    name = safe(str(path), 200)
    try:
        content = door.read(path, 2 * MAX_BYTES, follow=door.Follow.OPERATOR).data
    except OSError as error:
        raise StateUnreadableError(f"{name} cannot be read: {error.strerror or type(error).__name__}") from error
    return decoded(embedded(content) or content, name, read)


def decoded(content: bytes, name: str, read: Callable[[int, int], None] = lambda _done, _all: None) -> Recording:
    """The recording in the bytes of a stream. Raises StateUnreadableError as `load_recording` does."""
    lines = _lines(content, read)
    try:
        header = loads(next(lines))
        if not isinstance(header, dict) or header.get("clawtop_recording") not in READABLE:
            raise ValueError
        started_at = int(header["started_at"])
    except (StopIteration, ValueError, KeyError, TypeError, OverflowError, zlib.error, EOFError) as error:
        raise StateUnreadableError(f"{name} is not a clawtop recording of format {FORMAT}") from error
    loading = _Loading()
    problem: str | None = None
    try:
        for line in lines:
            loading.take(loads(line))
    except EOFError:
        problem = "the recording is cut short; it is shown as far as it goes"
    except (_TooMuchError, MemoryError):
        problem = f"the recording holds more than clawtop reads; it is shown up to snapshot {len(loading.frames)}"
    except (zlib.error, *SENSELESS):
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


def _lines(content: bytes, read: Callable[[int, int], None]) -> Iterator[bytes]:
    """The lines of a gzip stream. EOFError when it ends in the middle; ValueError when it grows beyond all bounds."""
    unpacker = zlib.decompressobj(_GZIP)
    rest, unpacked = b"", 0
    for start in range(0, len(content), _CHUNK):
        packed = content[start : start + _CHUNK]
        while packed:
            read(min(start + _CHUNK, len(content)) - len(packed), len(content))
            piece = unpacker.decompress(packed, _CHUNK * 16)
            packed = unpacker.unconsumed_tail
            unpacked += len(piece)
            *lines, rest = (rest + piece).split(b"\n")
            yield from lines
            if len(rest) > LINE_LIMIT or unpacked > MAX_UNPACKED:
                raise ValueError("too large")
    if not unpacker.eof or rest:
        raise EOFError
