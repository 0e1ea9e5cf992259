"""Ending the process: output is flushed, the terminal restored, and no hanging thread is waited for."""

from __future__ import annotations

import contextlib
import os
import sys
import termios
from typing import Any, NoReturn

RELEASE_S = 0.7
"""How long to wait for a lock that the disk does not release; the next process that wants it sees that its owner died.
Together with the other waits on the way out this is less than a second.
"""

_RESET = (
    b"\x18\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?1015l\x1b[?2004l\x1b[?1004l"
    b"\x1b[<u\x1b[0m\x1b[?25h\x1b[?1049l"
)
"""Mouse, paste, focus and keyboard modes off, cursor on, back to the normal screen."""

_given: list[Any] | None = None  # the terminal's attributes when the process began


def remember_terminal() -> None:
    """Save the terminal's attributes, so that `leave` can restore them."""
    global _given  # noqa: PLW0603 - one terminal, one process
    with contextlib.suppress(OSError, termios.error, ValueError):
        _given = termios.tcgetattr(0)


def leave(code: int, last_words: str = "") -> NoReturn:
    """End the process now, without waiting for threads: one may hang in a read that never returns.

    `last_words` go to standard error once the terminal is restored. May be called by a signal handler.
    """
    all_released = getattr(sys.modules.get("clawtop.store.locks.openclaw"), "all_released", None)
    if all_released is not None:
        all_released(RELEASE_S)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # full, closed, or gone
            stream.flush()
    with contextlib.suppress(Exception):
        _give_back_terminal()
    with contextlib.suppress(OSError):
        os.write(2, last_words.encode())
    os._exit(code)


def _give_back_terminal() -> None:
    """Restore the terminal; a dashboard that ended normally has done it already."""
    drawn_on = getattr(sys.modules.get("clawtop.ui.terminal_output"), "drawn_on", None)
    if _given is not None and (termios.tcgetattr(0) != _given or (drawn_on is not None and drawn_on())):
        termios.tcsetattr(0, termios.TCSANOW, _given)
        os.set_blocking(2, False)
        os.write(2 if os.isatty(2) else 1, _RESET)
        os.set_blocking(2, True)
