"""A gateway's log, followed from its end: across rotation, truncation and replacement, with bounded memory.

`LogTail` keeps one offset per file; each `read` opens the file anew, so a writer that renames or truncates it is
noticed by device, inode and size. Only the last `FIRST_BYTES` of a file are read when it is first seen.
"""

from __future__ import annotations

import os
import stat
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from clawtop.core.model import Event, Problem
from clawtop.store.log_lines import BadLineError, Names, parse_line
from clawtop.text import shown

FIRST_BYTES = 2 * 1024 * 1024
NEXT_BYTES = 8 * 1024 * 1024
LINE_BYTES = 64 * 1024
KEPT_EVENTS = 4_000


DEFAULT_DIRECTORIES = (Path("/tmp/openclaw"),)  # noqa: S108 - OpenClaw's own fixed path
"""Where every gateway of a machine logs that has no `logging.file`."""


def find_log(directories: tuple[Path, ...]) -> Path | None:
    """The newest daily `openclaw-*.log` of these directories."""
    names = [path for directory in directories for path in _daily(directory)]
    return max(names, key=lambda path: path.name, default=None)


def _daily(directory: Path) -> list[Path]:
    with suppress(OSError):
        return [path for path in directory.glob("openclaw-*.log") if path.is_file()]
    return []


@dataclass(slots=True)
class _Position:
    dev: int
    ino: int
    offset: int


class LogTail:
    """The recent events of one gateway's log.

    Attributes:
        events: the newest `KEPT_EVENTS`, oldest first.
        problem: why the log cannot be read, or what was odd in it; None when all is well.
        bad_lines: lines that could not be understood so far.
        skipped_lines: lines over `LINE_BYTES` so far.
    """

    def __init__(self) -> None:
        self.events: deque[Event] = deque(maxlen=KEPT_EVENTS)
        self.problem: Problem | None = None
        self.bad_lines = 0
        self.skipped_lines = 0
        self._position: _Position | None = None
        self._partial = b""
        self._skipping = False

    def read(self, path: Path | None, names: Names) -> tuple[Event, ...]:
        """Read what was appended since the last call and return the events in it; `events` grows by them."""
        if path is None:
            self.problem = None
            return ()
        try:
            chunk = self._appended(path)
        except FileNotFoundError:
            self.problem = Problem("log-missing", str(path), "the gateway's log does not exist")
            return ()
        except OSError as error:
            why = shown(error.strerror or type(error).__name__, 120)
            self.problem = Problem("log-unreadable", str(path), f"the gateway's log cannot be read: {why}")
            return ()
        fresh = tuple(event for line in self._lines(chunk) if (event := self._event(line, names)) is not None)
        self.events.extend(fresh)
        self.problem = self._oddities(path)
        return fresh

    def _appended(self, path: Path) -> bytes:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise OSError(0, "not a regular file")
            position = self._position
            same = position is not None and (position.dev, position.ino) == (status.st_dev, status.st_ino)
            if position is None or not same or status.st_size < position.offset:
                offset = max(0, status.st_size - FIRST_BYTES)
                self._partial = b""
                self._skipping = offset > 0
            else:
                offset = position.offset
                if status.st_size - offset > NEXT_BYTES:
                    offset = status.st_size - NEXT_BYTES
                    self._partial = b""
                    self._skipping = True
            file.seek(offset)
            chunk = file.read(status.st_size - offset)
            self._position = _Position(status.st_dev, status.st_ino, offset + len(chunk))
            return chunk

    def _lines(self, chunk: bytes) -> list[bytes]:
        *whole, self._partial = (self._partial + chunk).split(b"\n")
        if self._skipping and whole:
            del whole[0]
            self._skipping = False
        if len(self._partial) > LINE_BYTES:
            self.skipped_lines += 1
            self._partial = b""
            self._skipping = True
        lines = [line for line in whole if len(line) <= LINE_BYTES]
        self.skipped_lines += len(whole) - len(lines)
        return lines

    def _event(self, line: bytes, names: Names) -> Event | None:
        text = line.decode("utf-8", "replace").strip()
        if not text:
            return None
        try:
            return parse_line(text, names)
        except (BadLineError, RecursionError):
            self.bad_lines += 1
            return None

    def _oddities(self, path: Path) -> Problem | None:
        said = [
            f"{count} {what}"
            for count, what in (
                (self.bad_lines, "lines are not a gateway's"),
                (self.skipped_lines, f"lines are longer than {LINE_BYTES // 1024} KiB"),
            )
            if count
        ]
        return Problem("log-odd-lines", str(path), " and ".join(said) + "; they are left out") if said else None
