"""A gateway's log, followed from its end: across rotation, truncation and replacement, with bounded memory.

A writer that renames or truncates the file is noticed by device, inode and size at each `read`. Only the last
`FIRST_BYTES` of a file are read when it is first seen.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from io import RawIOBase
from pathlib import Path

from clawtop.core.model import Event, EventKind, Problem
from clawtop.store import door
from clawtop.store.gateway.log_lines import BadLineError, Names, parse_line
from clawtop.text import shown

FIRST_BYTES = 1024 * 1024
NEXT_BYTES = 8 * 1024 * 1024
LINE_BYTES = 64 * 1024
KEPT_EVENTS = 4_000
ECHO_MS = 5_000


def _opened(path: Path) -> RawIOBase:
    """Open a regular file. Raises OSError, also if it is not one."""
    return os.fdopen(door.open_file(path, follow=door.Follow.ITS_OWNER), "rb", buffering=0)


class LogTail:
    """The recent events of one gateway's log.

    The last file stays open, so that lines written to it before a rotation are not lost.

    Attributes:
        events: the newest `KEPT_EVENTS`, oldest first.
        problem: why the log cannot be read, or what was odd in it; None if nothing is wrong.
        bad_lines: lines that could not be understood so far.
        skipped_lines: lines over `LINE_BYTES` so far.
    """

    def __init__(self) -> None:
        self.events: deque[Event] = deque(maxlen=KEPT_EVENTS)
        self.problem: Problem | None = None
        self.bad_lines = 0
        self.skipped_lines = 0
        self._file: RawIOBase | None = None
        self._offset = 0
        self._partial = b""
        self._skipping = False
        self._takeover: tuple[str, int] | None = None

    def read(self, path: Path | None, names: Names) -> tuple[Event, ...]:
        """Read what was appended since the last call and return the events in it; `events` grows by them."""
        if path is None:
            self.problem = None
            return ()
        self.problem = None
        fresh: list[Event] = []
        try:
            for chunk in self._appended(path):
                fresh += [event for line in self._lines(chunk) if (event := self._event(line, names)) is not None]
        except FileNotFoundError:
            self.problem = Problem("log-missing", str(path), "the gateway's log does not exist")
        except OSError as error:
            why = shown(error.strerror or type(error).__name__, 120)
            self.problem = Problem("log-unreadable", str(path), f"the gateway's log cannot be read: {why}")
        self.events.extend(fresh)
        self.problem = self.problem or self._oddities(path)
        return tuple(fresh)

    def close(self) -> None:
        """Close the file; the next read starts over."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __del__(self) -> None:
        self.close()

    def _appended(self, path: Path) -> Iterator[bytes]:
        """The new bytes, one chunk per file."""
        fresh = _opened(path)
        known = self._file
        if known is not None:
            yield self._rest(known, NEXT_BYTES)
        if known is None or not os.path.sameopenfile(known.fileno(), fresh.fileno()):
            self.close()
            known = self._file = fresh
        else:
            fresh.close()
            if os.fstat(known.fileno()).st_size >= self._offset:
                return
        self._offset, self._partial, self._skipping = 0, b"", False
        yield self._rest(known, FIRST_BYTES)

    def _rest(self, file: RawIOBase, most: int) -> bytes:
        """The bytes between the offset and the end; only the last `most` if there are more."""
        size = os.fstat(file.fileno()).st_size
        if size - self._offset > most:
            self._offset = size - most
            self._partial, self._skipping = b"", True
        file.seek(self._offset)
        chunk = file.read(max(0, size - self._offset)) or b""
        self._offset += len(chunk)
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
            event = parse_line(text, names)
        except (BadLineError, RecursionError):
            self.bad_lines += 1
            return None
        if event is None or (names.ours is not None and names.ours.is_anothers(event)):
            return None
        return None if self._is_echo(event) else event

    def _is_echo(self, event: Event) -> bool:
        """Whether a line only repeats a takeover: the command line prints what its lane already logged (2026.5.20)."""
        if event.kind is not EventKind.TAKEOVER or event.session_file is None:
            return False
        if event.lane is not None:
            self._takeover = (event.session_file, event.at)
            return False
        told = self._takeover
        return told is not None and told[0] == event.session_file and 0 <= event.at - told[1] <= ECHO_MS

    def _oddities(self, path: Path) -> Problem | None:
        said = [
            f"{count} {'line is' if count == 1 else 'lines are'} {what}"
            for count, what in (
                (self.bad_lines, "not a gateway's"),
                (self.skipped_lines, f"longer than {LINE_BYTES // 1024} KiB"),
            )
            if count
        ]
        return Problem("log-odd-lines", str(path), " and ".join(said) + "; left out") if said else None
