"""The process's terminal: signals that end the process, whether the terminal still exists, what it can show."""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

ENDING_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGINT)
CLOSED_TERMINAL_EXIT = 128 + signal.SIGHUP


def on_ending_signals(leave: Callable[[int], None]) -> None:
    """Call `leave` with 128+n for each signal that ends the process; the running loop keeps the handlers."""
    from clawtop import threads  # with asyncio, which the first frame does without

    for number in ENDING_SIGNALS:
        threads.on_signal(number, leave, 128 + number)


def terminal_is_gone() -> bool:
    """Whether the other end of the terminal was closed."""
    try:
        descriptor = sys.__stdin__.fileno() if sys.__stdin__ is not None else -1
        poll = select.poll()
        poll.register(descriptor, 0)
        return any(events & (select.POLLHUP | select.POLLERR | select.POLLNVAL) for _, events in poll.poll(0))
    except (OSError, ValueError):
        return False


def speaks_unicode(environment: Mapping[str, str]) -> bool:
    """Whether the locale of the terminal can show glyphs beyond ASCII.

    Args:
        environment: as the process was given it: Python itself sets LC_CTYPE to UTF-8 in the C locale (PEP 538).
    """
    named = next((environment[name] for name in ("LC_ALL", "LC_CTYPE", "LANG") if environment.get(name)), "")
    return "utf" in named.lower()


def given_environment() -> Mapping[str, str]:
    """The environment that the process was started with, where the system tells; else the present one."""
    try:
        raw = Path("/proc/self/environ").read_bytes()
    except OSError:
        return os.environ
    pairs = (os.fsdecode(item).partition("=") for item in raw.split(b"\0") if item)
    return {name: value for name, _, value in pairs}
