"""The line in which clawtop's own processes wait for one lock, so that only the first of them asks for it.

The kernel keeps the line: each waits for a flock on the directory of the lock, which leaves nothing behind and ends
with its process. OpenClaw does not know it, and nothing is safe because of it: who holds the lock is decided by the
lock file alone. So a process that has waited too long here may skip the line.

A wait for a flock cannot be cancelled. A process that skips the line while the first one is stopped leaves a thread
that still waits; its next place in the same line takes that thread over, so there is never more than one per place.
"""

from __future__ import annotations

import contextlib
import fcntl
import math
import os
import threading

from clawtop.clock import Clock, SystemClock
from clawtop.store import door


class LinePlace:
    """One place in the line before the lock in `directory`, from the first `reached` to `leave`.

    Attributes:
        queued: another process was in line before.
        ordered: there is a line. Without flock (some network mounts), everybody counts as first.
        waits_since: since when it has stood in the line (monotonic), before this place had it too; infinite before the
            first `reached`, and while there is no line.
    """

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._request: _Request | None = None
        self._first = False
        self.queued = False
        self.ordered = True
        self.waits_since = math.inf

    def reached(self, clock: Clock, seconds: float) -> bool:
        """Whether this is the first place now; waits for it for at most `seconds`."""
        if self._request is None and not self._first:
            self._line_up(clock.monotonic())
        if self._request is not None and not self._first:
            self._first = clock.acquired(self._request.granted, seconds)
        return self._first

    def leave(self) -> None:
        """Let the next one be first. Does nothing the second time."""
        request, self._request = self._request, None
        if request is not None and request.end():
            with _left_guard:
                _left.setdefault((os.getpid(), self._directory), []).append(request)

    def _line_up(self, now: float) -> None:
        request = self._left_behind()
        if request is not None:
            self.queued, self._request, self.waits_since = True, request, request.since
            return
        try:
            request = _Request(door.open_directory(self._directory), now)
            self.queued = not request.at_once()
            if self.queued:
                request.wait_in_thread()
            self._request, self.waits_since = request, now
        except (OSError, RuntimeError):  # no directory, no flock here, or no thread can be started
            self.ordered, self._first = False, True
            if request is not None:
                request.end()

    def _left_behind(self) -> _Request | None:
        """What an earlier place of this process left waiting in this line."""
        with _left_guard:
            requests = _left.pop((os.getpid(), self._directory), [])
            found = next((request for request in requests if request.resumed()), None)
            rest = [request for request in requests if request is not found and request.waits]
            if rest:
                _left[os.getpid(), self._directory] = rest
        return found


class _Request:
    """A requested flock; `granted` can be acquired once it is ours. Mutable state: `_ended` and `_waiting`,
    under `_guard`.
    """

    def __init__(self, descriptor: int, since: float) -> None:
        self._descriptor = descriptor
        self.since = since
        self._guard = threading.Lock()
        self._ended = self._waiting = False
        self.granted = threading.Lock()
        self.granted.acquire()

    def at_once(self) -> bool:
        """Whether the lock was free and is ours now. OSError on a file system without flock."""
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
        SystemClock().pause(0)  # lets the waiting thread have the interpreter at once

    @property
    def waits(self) -> bool:
        """Whether its thread waits."""
        return self._waiting

    def end(self) -> bool:
        """Do not want it any more. True if a thread still waits, which then closes it as soon as it is granted."""
        with self._guard:
            ended, self._ended = self._ended, True
            if ended or self._waiting:
                return self._waiting
        self._close()
        return False

    def resumed(self) -> bool:
        """Want it again, if it still waits; whether it does."""
        with self._guard:
            self._ended = self._ended and not self._waiting
            return self._waiting

    def _close(self) -> None:
        with contextlib.suppress(OSError):
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)  # a child that was forked meanwhile may have it open too
        door.close_lock(self._descriptor)


_left: dict[tuple[int, str], list[_Request]] = {}  # process and directory -> what waits unwanted; under _left_guard
_left_guard = threading.Lock()
