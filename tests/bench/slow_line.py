"""A program behind a slow line: what it writes and what is typed arrives late, and no faster than the line carries it.

python -m tests.bench.slow_line ROUND_TRIP_MS BYTES_PER_SECOND PROGRAM [WORD ...]
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import sys
import termios
import time
import tty
from collections import deque

PIECE = 1_024


class Way:
    """One direction: bytes come out half a round trip later, one piece behind the other."""

    def __init__(self, late_s: float, per_second: float) -> None:
        self._late_s, self._per_second = late_s, per_second
        self._pieces: deque[tuple[float, bytes]] = deque()
        self._free_at = 0.0

    def take(self, data: bytes) -> None:
        for start in range(0, len(data), PIECE):
            piece = data[start : start + PIECE]
            self._free_at = max(self._free_at, time.monotonic()) + len(piece) / self._per_second
            self._pieces.append((self._free_at + self._late_s, piece))

    @property
    def due_in(self) -> float | None:
        return max(0.0, self._pieces[0][0] - time.monotonic()) if self._pieces else None

    def give(self, descriptor: int) -> None:
        while self._pieces and self._pieces[0][0] <= time.monotonic():
            left = self._pieces.popleft()[1]
            while left:
                left = left[os.write(descriptor, left) :]


def main(round_trip_ms: float, per_second: float, argv: list[str]) -> int:
    size = fcntl.ioctl(0, termios.TIOCGWINSZ, bytes(8))
    pid, far = pty.fork()
    if not pid:
        fcntl.ioctl(0, termios.TIOCSWINSZ, size)
        os.execvp(argv[0], argv)
    fcntl.ioctl(far, termios.TIOCSWINSZ, size)
    tty.setraw(0)
    there, back = (Way(round_trip_ms / 2_000, per_second) for _ in range(2))
    with contextlib.suppress(OSError):  # either side is gone
        while True:
            waits = [wait for wait in (there.due_in, back.due_in) if wait is not None]
            ready, _, _ = select.select([0, far], [], [], min(waits, default=None))
            if 0 in ready:
                there.take(os.read(0, 65_536))
            if far in ready:
                back.take(os.read(far, 65_536))
            there.give(far)
            back.give(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]))
