"""Standard output that may be full, or whose reader may disappear, while a verb is running."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO

MOST_COLUMNS = 2_000
"""No terminal is wider. `COLUMNS` may name any number, and lines are filled up to it."""


def columns(in_a_pipe: int) -> int:
    """How wide the printed lines may be: as the terminal is, or as `COLUMNS` says, within reason."""
    import shutil

    return min(shutil.get_terminal_size((in_a_pipe, 0)).columns, MOST_COLUMNS)


class VerbOutput:
    """Standard output of a verb that changes something: write errors are remembered and do not stop it.

    Attributes:
        problem: why something could not be written; None while all of it was.
        left: whether that is because its reader has gone.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.problem: str | None = None
        self.left = False

    def write(self, text: str) -> int:
        """Write, or pretend to."""
        if self.problem is None:
            try:
                return self._stream.write(text)
            except (OSError, ValueError) as error:
                self._give_up(error)
        return len(text)

    def flush(self) -> None:
        """Flush, or pretend to."""
        if self.problem is None:
            try:
                self._stream.flush()
            except (OSError, ValueError) as error:
                self._give_up(error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _give_up(self, error: Exception) -> None:
        self.problem = getattr(error, "strerror", None) or "standard output is closed"
        self.left = isinstance(error, OSError) and left_by_its_reader(error)
        silence(self._stream)


@contextlib.contextmanager
def lasting() -> Iterator[VerbOutput]:
    """A context in which printing never fails; restores standard output afterwards."""
    before = sys.stdout
    output = VerbOutput(before)
    sys.stdout = output
    try:
        yield output
        output.flush()
    finally:
        sys.stdout = before


def silence(stream: TextIO) -> None:
    """Discard what is still buffered in `stream`, so that closing it does not fail again."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def left_by_its_reader(error: OSError) -> bool:
    """Whether the output's reader has gone, as opposed to another write error."""
    return error.errno == errno.EPIPE
