"""Delays SIGTSTP while clawtop holds a lock of OpenClaw's: a stopped process would keep the lock until it is continued.

A terminal's Ctrl-Z, and `kill -TSTP`, stop this process only while it holds no such lock; SIGSTOP, and a terminal's
SIGTTIN and SIGTTOU, cannot be delayed.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Hashable
from types import FrameType


class _Stop:
    """Whether this process may be stopped.

    Mutable state: `held` (the interpreter makes each change of it in one step); `asked`, whether a stop waits;
    `standing`, taken while this process stops, so that a thread that wants a lock meanwhile waits. No handler waits for
    it.
    """

    def __init__(self) -> None:
        self.held: dict[Hashable, None] = {}
        self.asked = False
        self.standing = threading.Lock()


_state = _Stop()


def holding(lock: Hashable) -> None:
    """Call before taking a lock of OpenClaw's, with any value that names it; `let_go` of the same must follow."""
    _state.held[lock] = None
    with _state.standing:
        pass


def let_go(lock: Hashable) -> None:
    """Call when it is released, or was not taken after all. A delayed stop happens now."""
    _state.held.pop(lock, None)
    if _state.asked and not _state.held:
        os.kill(os.getpid(), signal.SIGTSTP)


def stop(now: Callable[[], object]) -> bool:
    """In the handler of SIGTSTP: call `now`, which stops this process, if it holds nothing.

    Returns False if it does: the signal comes again when the last lock has been released.
    """
    _state.asked = True  # before checking: the release of the last lock checks this afterwards
    if _state.held or not _state.standing.acquire(blocking=False):
        return False
    try:
        if _state.held:
            return False
        _state.asked = False
        now()
    finally:
        _state.standing.release()
    return True


def wait_with_stops(told: Callable[[], object]) -> None:
    """Have this process stop at SIGTSTP only while it holds nothing; `told` is called when it must wait. Does nothing
    if the signal was ignored when the process started, or something else handles it.
    """
    if signal.getsignal(signal.SIGTSTP) is not signal.SIG_DFL:
        return

    def handle(_number: int, _frame: FrameType | None) -> None:
        if not stop(by_default):
            told()

    def by_default() -> None:
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, handle)

    signal.signal(signal.SIGTSTP, handle)
