"""The line in which clawtop's own processes wait for one lock, so that only the first of them asks for it.

The kernel keeps the line: each waits for a flock on the directory of the lock, which leaves nothing behind and ends
with its process. OpenClaw does not know it, and nothing is safe because of it: who holds the lock is decided by the
lock file alone. So whoever waits too long here may go past.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading

from clawtop.clock import Clock, SystemClock
from clawtop.store import door


class LinePlace:
    """One place in the line before the lock in `directory`, from the first `reached` to `leave`.

    Attributes:
        queued: somebody was there before.
        ordered: there is a line. Without flock (some network mounts), everybody counts as first.
    """

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._request: _Request | None = None
        self._first = False
        self.queued = False
        self.ordered = True

    def reached(self, clock: Clock, seconds: float) -> bool:
        """Whether this is the first place now; waits for it for at most `seconds`."""
        if self._request is None and not self._first:
            self._line_up()
        if self._request is not None and not self._first:
            self._first = clock.acquired(self._request.granted, seconds)
        return self._first

    def leave(self) -> None:
        """Let the next one be first. Does nothing the second time."""
        request, self._request = self._request, None
        if request is not None:
            request.end()

    def _line_up(self) -> None:
        request = None
        try:
            request = _Request(door.open_directory(self._directory))
            self.queued = not request.at_once()
            if self.queued:
                request.wait_in_thread()
            self._request = request
        except (OSError, RuntimeError):  # no directory, no flock here, or no thread can be started
            self.ordered, self._first = False, True
            if request is not None:
                request.end()


class _Request:
    """A flock that is asked for; `granted` can be acquired once it is ours. Mutable state: `_ended` and `_waiting`,
    under `_guard`.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._guard = threading.Lock()
        self._ended = self._waiting = False
        self.granted = threading.Lock()
        self.granted.acquire()

    def at_once(self) -> bool:
        """Whether nobody else has it. OSError where this is no file system for it."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        self.granted.release()
        return True

    def wait_in_thread(self) -> None:
        thread = threading.Thread(target=self._wait, name="clawtop line", daemon=True)
        self._waiting = True
        try:
            thread.start()
        except RuntimeError:
            self._waiting = False
            raise

    def _wait(self) -> None:
        with contextlib.suppress(OSError):
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        with self._guard:
            self._waiting = False
            ended = self._ended
        if ended:
            self._close()
            return
        self.granted.release()
        SystemClock().pause(0)  # lets the thread that waits have the interpreter at once

    def end(self) -> None:
        with self._guard:
            ended, self._ended = self._ended, True
            if ended or self._waiting:  # the thread closes it as soon as it is granted
                return
        self._close()

    def _close(self) -> None:
        with contextlib.suppress(OSError):
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)  # a child that was forked meanwhile may have it open too
        os.close(self._descriptor)
