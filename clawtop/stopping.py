"""A stop that waits: whoever is stopped while it holds a lock of OpenClaw's keeps it until somebody continues it.

A terminal's Ctrl-Z, and `kill -TSTP`, stop this process only while it holds no such lock; SIGSTOP, and a terminal's
SIGTTIN and SIGTTOU, ask nobody.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Hashable
from types import FrameType


class _Stop:
    """Whether this process may stand still.

    Mutable state: `held` (the interpreter makes each change of it in one step); `asked`, whether a stop waits;
    `standing`, taken while this process stops, so that whoever wants a lock meanwhile waits. No handler waits for it.
    """

    def __init__(self) -> None:
        self.held: dict[Hashable, None] = {}
        self.asked = False
        self.standing = threading.Lock()


_state = _Stop()


def holding(lock: Hashable) -> None:
    """About to take a lock of OpenClaw's, or taken: any value that names it. `let_go` of the same has to follow."""
    _state.held[lock] = None
    with _state.standing:
        pass


def let_go(lock: Hashable) -> None:
    """Released, or not taken after all. A stop that waits for it comes now."""
    _state.held.pop(lock, None)
    if _state.asked and not _state.held:
        os.kill(os.getpid(), signal.SIGTSTP)


def stop(now: Callable[[], object]) -> bool:
    """In the handler of SIGTSTP: call `now`, which stops this process, if it holds nothing.

    Returns False if it does: the signal comes again when the last lock has been released.
    """
    _state.asked = True  # before looking: whoever releases the last lock looks here afterwards
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
    """Have this process stop at SIGTSTP only while it holds nothing; `told` is called when it has to wait.

    Does nothing where whoever started it had the signal ignored, or something else handles it.
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
