"""Writing to a terminal that may stop reading: a stalled SSH session, Ctrl-S, a closed window.

Textual's writing thread hands its text to a file. When that file blocks, the thread's queue fills up and then the event
loop blocks, with everything it serves; when it fails, the thread ends and the next frames wait forever. So the terminal
gets a file that does neither, and the thread gets only what the terminal does not take at once.
"""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Callable
from typing import TextIO, cast

STALL_S = 1.0
"""How long one piece of text waits for a terminal that does not read; later pieces do not wait."""

BUFFER_BYTES = 32_768
"""The writer flushes when it has nothing more to write; this much may accumulate until then."""

CANCEL = b"\x18"
"""Ends an escape sequence that was cut off in the middle (ECMA-48, CAN)."""


class TerminalOutput:
    """A text file on a terminal that drops what the terminal does not take, and never raises OSError.

    Args:
        file: the terminal as the process was given it; its encoding is kept.
        on_resumed: called from the writing thread when text was dropped and the terminal reads again.
    """

    def __init__(self, file: TextIO, on_resumed: Callable[[], None]) -> None:
        self._file = file
        self._on_resumed = on_resumed
        self._own = _reopened(file)
        self._descriptor = file.fileno() if self._own is None else self._own
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._left = b""
        self._stalled = False
        self._handed_on = 0
        self._written = 0

    def fileno(self) -> int:
        """The terminal's descriptor as the process was given it."""
        return self._file.fileno()

    @property
    def stalled(self) -> bool:
        """Whether something was dropped, and nothing written since."""
        return self._stalled

    def isatty(self) -> bool:
        return self._file.isatty()

    def write_now(self, text: str) -> str | None:
        """Write on the event loop what the terminal takes at once: a thread for each frame costs more than the frame.

        Returns what the writing thread is to be given in any case, the empty text too; None: nothing is left.
        """
        if self._own is None or self._stalled or self._handed_on != self._written:
            self._handed_on += 1
            return text
        data = self._encoded(text)
        try:
            done = os.write(self._own, data)
        except BlockingIOError:
            done = 0
        except OSError:
            return None  # nothing reads the terminal any more
        if done == len(data):
            return None
        self._left = data[done:]
        self._handed_on += 1
        return ""

    def write(self, text: str) -> int:
        """Take text; it is written at the next flush, or when enough has gathered."""
        data = self._encoded(text)
        self._pending.append(data)
        self._pending_bytes += len(data)
        if self._pending_bytes >= BUFFER_BYTES:
            self.flush()
        return len(text)

    def _encoded(self, text: str) -> bytes:
        return text.encode(self._file.encoding, self._file.errors or "replace")

    def flush(self) -> None:
        """Write what was taken, or as much of it as the terminal takes."""
        pieces = len(self._pending)
        data = b"".join((self._left, *self._pending))
        self._left = b""
        self._pending.clear()
        self._pending_bytes = 0
        if data:
            resuming = self._stalled
            self._stalled = not self._taken(CANCEL + data if resuming else data)
            if resuming and not self._stalled:
                self._on_resumed()
        self._written += pieces

    def _taken(self, data: bytes) -> bool:
        """Write. True if the terminal took all of it. A terminal that is gone takes nothing, and the app ends by
        itself.
        """
        rest = memoryview(data)
        waited = False
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
                waited = False
            except BlockingIOError:
                if self._stalled or waited or not _writable(self._descriptor, STALL_S):
                    return False
                waited = True
            except OSError:
                return False
        return True

    def close(self) -> None:
        """Close the descriptor that was opened here; the process keeps its own."""
        if self._own is not None:
            os.close(self._own)
            self._descriptor, self._own = self._file.fileno(), None


def _reopened(file: TextIO) -> int | None:
    """A descriptor of our own on the same terminal that does not block; None where it may not be opened (after `su`).

    Setting O_NONBLOCK on the given descriptor would set it for the shell that shares it.
    """
    try:
        return os.open(os.ttyname(file.fileno()), os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None


def screen_file() -> TextIO:
    """The stream that Textual draws on: standard error, or standard output if that is no terminal (`2>errors.txt`)."""
    error, output = cast("TextIO", sys.__stderr__), cast("TextIO", sys.__stdout__)
    return error if error.isatty() or not output.isatty() else output


def _writable(descriptor: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return any(events & select.POLLOUT for _, events in poll.poll(seconds * 1000))
