"""A program in a pseudo-terminal, and what its screen shows."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pyte

ENTER_ALTERNATE = b"\x1b[?1049h"
LEAVE_ALTERNATE = b"\x1b[?1049l"
SHOW_CURSOR = b"\x1b[?25h"
LISTENS = b"\x1b[?2004h"
"""Written when the dashboard reads keys: its first frame is older than that."""
MOUSE_OFF = b"\x1b[?1003l"

_UNKNOWN_TO_PYTE = (b"\x1b[<u", b"\x1b[>1u")
"""Sequences of the kitty keyboard protocol, which pyte would print."""


class Terminal:
    """A child process on its own terminal. `raw` is everything that it wrote, `read_at` the monotonic time of the last.

    `emulate=False` leaves the screen empty: for measurements, which look at `raw` alone.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        columns: int = 120,
        lines: int = 30,
        environment: Mapping[str, str] | None = None,
        emulate: bool = True,
    ) -> None:
        self._emulate = emulate
        self._main, child_side = os.openpty()
        self._set_size(columns, lines)
        self.screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self.screen)
        self.raw = bytearray()
        self.read_at = time.monotonic()
        self.process = subprocess.Popen(
            argv,
            stdin=child_side,
            stdout=child_side,
            stderr=child_side,
            env={**plain_environment(), **(environment or {})},
            preexec_fn=lambda: _take_terminal(child_side),  # noqa: PLW1509 - tests start it from one thread
            close_fds=True,
        )
        os.close(child_side)

    def _set_size(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self._main, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    # --- reading -------------------------------------------------------------------------------------------------

    def read(self, seconds: float = 0.05) -> bytes:
        """The output within this time, or up to the first piece."""
        if not select.select([self._main], [], [], seconds)[0]:
            return b""
        try:
            data = os.read(self._main, 1 << 16)
        except OSError:  # the child's side is closed
            return b""
        self.read_at = time.monotonic()
        self.raw += data
        if self._emulate:
            self._stream.feed(functools.reduce(lambda left, gone: left.replace(gone, b""), _UNKNOWN_TO_PYTE, data))
        return data

    def wait_for(self, seen: str | Callable[[Terminal], bool], seconds: float = 60.0) -> None:
        """Read until a text is on the screen, or a condition holds; AssertionError after `seconds`."""
        deadline = time.monotonic() + seconds
        holds = (lambda _: seen in self.text) if isinstance(seen, str) else seen
        while not holds(self):
            assert time.monotonic() < deadline, f"not seen: {seen!r}\n{self.text}"
            self.read()

    def wait_open(self, seen: str, seconds: float = 60.0) -> None:
        """Read until a text is on the screen and the dashboard reads keys."""
        self.wait_for(lambda terminal: seen in terminal.text and LISTENS in terminal.raw, seconds)

    def wait_for_bytes(self, pattern: bytes, start: int, seconds: float = 60.0) -> float:
        """Read until `raw` matches after `start`; the monotonic time at which it did."""
        deadline = time.monotonic() + seconds
        while not re.search(pattern, self.raw[start:]):
            assert time.monotonic() < deadline, f"not written: {pattern!r}"
            self.read()
        return time.monotonic()

    def drain(self, seconds: float) -> bytes:
        """All output within `seconds`."""
        deadline = time.monotonic() + seconds
        out = b""
        while (left := deadline - time.monotonic()) > 0:
            out += self.read(left)
        return out

    @property
    def lines(self) -> list[str]:
        """The screen's lines without trailing blanks."""
        return [line.rstrip() for line in self.screen.display]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    # --- acting --------------------------------------------------------------------------------------------------

    def send(self, keys: str) -> None:
        """Type."""
        os.write(self._main, keys.encode())

    def resize(self, columns: int, lines: int) -> None:
        """Change the window's size, as a terminal does."""
        self._set_size(columns, lines)
        self.screen.resize(lines, columns)
        self.process.send_signal(signal.SIGWINCH)

    def hang_up(self) -> None:
        """Close our side: the terminal window is gone."""
        os.close(self._main)
        self._main = -1

    def exit_code(self, seconds: float = 30.0) -> int:
        """Read until the process has ended; its exit code."""
        deadline = time.monotonic() + seconds
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"still running\n{self.text}"
            if self._main >= 0:
                self.read()
            else:
                time.sleep(0.02)
        while self._main >= 0 and self.read(0.01):
            pass
        return self.process.returncode

    def mode(self) -> list[object]:
        """The terminal's line settings."""
        return termios.tcgetattr(self._main)

    def close(self) -> None:
        """End the process, whatever it is doing."""
        with contextlib.suppress(OSError):
            self.process.kill()
        self.process.wait()
        if self._main >= 0:
            self.hang_up()


@contextlib.contextmanager
def open_terminal(
    argv: Sequence[str],
    *,
    columns: int = 120,
    lines: int = 30,
    environment: Mapping[str, str] | None = None,
    emulate: bool = True,
) -> Iterator[Terminal]:
    """A terminal that is closed afterwards."""
    terminal = Terminal(argv, columns=columns, lines=lines, environment=environment, emulate=emulate)
    try:
        yield terminal
    finally:
        terminal.close()


def clawtop(*arguments: str) -> list[str]:
    """The command line of the program."""
    return [sys.executable, "-m", "clawtop", *arguments]


def with_textual(folder: Path, code: str) -> dict[str, str]:
    """An environment in which importing Textual runs `code`."""
    package = folder / "textual"
    package.mkdir()
    (package / "__init__.py").write_text(code)
    return {"PYTHONPATH": os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))}


OVERVIEW = ("--view", "overview")
"""Which view opens first depends on the state; terminal tests use the overview."""


def plain_environment() -> dict[str, str]:
    """An environment as it is over SSH: 256 colours, UTF-8, nothing of the tester's terminal."""
    names = ("PATH", "HOME", "TMPDIR", "PYTHONPATH", "CLAWTOP_CONFIG")
    kept = {name: os.environ[name] for name in names if name in os.environ}
    return {**kept, "TERM": "xterm-256color", "LANG": "C.UTF-8", "PYTHONWARNINGS": "error"}


def _take_terminal(descriptor: int) -> None:
    os.setsid()
    fcntl.ioctl(descriptor, termios.TIOCSCTTY, 0)
