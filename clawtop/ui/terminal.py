"""The process's terminal: signals that end the process, whether the terminal still exists, what it can show."""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from clawtop import stopping

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
    """The environment that the process was started with, if the system shows it; else the current one."""
    try:
        raw = Path("/proc/self/environ").read_bytes()
    except OSError:
        return os.environ
    pairs = (os.fsdecode(item).partition("=") for item in raw.split(b"\0") if item)
    return {name: value for name, _, value in pairs}


def why_not_suspended() -> str | None:
    """Why this process would stay stopped if it were suspended; None: its shell takes over, and can continue it.

    By the kernel's rule for a stop from the keyboard: a process outside the process group, but in its session, must be
    the parent of one of its processes.
    """
    if signal.getsignal(signal.SIGTSTP) is signal.SIG_IGN:
        return "the program that started clawtop does not let it be suspended"
    try:
        group, session, above = os.getpgrp(), os.getsid(0), os.getppid()
        while os.getpgid(above) == group:  # a script, in the shell's name
            above = _parent_of(above)
        waits = os.getsid(above) == session
    except (OSError, ValueError, IndexError):
        waits = False
    return None if waits else "no shell waits for clawtop in this terminal"


def _parent_of(pid: int) -> int:
    """Raises OSError if the system does not show it."""
    return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1])


class JobControl:
    """Stops the process at SIGTSTP with the terminal given back, and takes the terminal again at SIGCONT.

    A signal that comes while the terminal is written on or changes hands waits until that is done; a stop that comes
    while a lock is held, until that is released. All of it runs in the main thread, in which Python calls signal
    handlers.

    Args:
        give_back: leaves the terminal as it was. Called before the process stops.
        take_again: called when the process continues, whatever stopped it, and perhaps still in the background: then
            the kernel stops it when it sets the terminal's attributes, and there is another SIGCONT.
    """

    def __init__(self, give_back: Callable[[], None], take_again: Callable[[], None]) -> None:
        self._give_back = give_back
        self._take_again = take_again
        self._busy = False
        self._waiting: list[int] = []

    def begin(self) -> None:
        """Handle both signals from now on, except those that were ignored when the process started."""
        for number in (signal.SIGTSTP, signal.SIGCONT):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._handle)

    @contextmanager
    def held_off(self) -> Iterator[None]:
        """A context in which neither signal interrupts."""
        if self._busy:
            yield
            return
        self._busy = True
        try:
            yield
        finally:
            self._busy = False
            while self._waiting and not self._busy:
                self._handle(self._waiting.pop(0), None)

    def suspend(self) -> None:
        """Stop this process, and those that were started with it, as a terminal's Ctrl-Z does.

        All in one step: as soon as a script that waits for this process is stopped, the shell may continue both, and a
        stop that came after that would be the last thing to happen.
        """
        with self.held_off():
            self._give_back()
            signal.signal(signal.SIGTSTP, signal.SIG_DFL)
            os.killpg(os.getpgrp(), signal.SIGTSTP)
            signal.signal(signal.SIGTSTP, self._handle)
            if signal.SIGCONT not in self._waiting:
                self._take_again()  # the system did not stop it

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self._busy:
            self._waiting.append(number)
            return
        with self.held_off():
            if number == signal.SIGCONT:
                self._take_again()
            else:
                stopping.stop(self._stop)

    def _stop(self) -> None:
        self._give_back()
        if signal.SIGCONT not in self._waiting:  # else it has been continued already
            os.kill(os.getpid(), signal.SIGSTOP)
