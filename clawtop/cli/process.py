"""The process around the command line: its limits, signals, standard streams, and unexpected ends."""

from __future__ import annotations

import os
import resource
import signal
import sys
import threading
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

from clawtop import stopping
from clawtop.cli.ending import leave, remember_terminal
from clawtop.cli.output import VerbOutput

if TYPE_CHECKING:
    import asyncio

GRACE_S = 8
"""How long releasing everything may take after a signal: marks have 2 s, the journal 5 s."""

FEW_DESCRIPTORS = 24
WANTED_DESCRIPTORS = 256
TOO_LITTLE_EXIT = 71  # sysexits EX_OSERR
ENDING_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


class EndedError(KeyboardInterrupt):
    """A signal ends the process. Like Ctrl-C, it unwinds the stack, so that everything held is released."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def prepared() -> int | None:
    """Set up streams, limits and signals. Returns an exit code, after a message, if that fails."""
    _open_standard_streams()
    lack = _too_few_descriptors()
    if lack is not None:
        sys.stderr.write(f"clawtop: {lack}\n")
        return TOO_LITTLE_EXIT
    sys.stderr = _words(sys.stderr)
    threading.excepthook = lambda found: _tell_unexpected(found.exc_value)
    sys.unraisablehook = lambda found: _tell_unexpected(found.exc_value)
    remember_terminal()
    end_on_signals()
    return None


def _words(stream: Any) -> Any:
    """Standard error, whose reader may disappear: a failed write to it is ignored."""
    return stream if isinstance(stream, VerbOutput) else VerbOutput(stream)


def _tell_unexpected(error: BaseException | None) -> None:
    """One masked line for errors that no caller sees: those of threads, callbacks and finalizers."""
    if isinstance(error, Exception):
        from clawtop.crash import unexpected

        found = unexpected(error, "working in the background")
        sys.stderr.write(f"clawtop: {found} ({found.hint})\n")


def interruption(error: BaseException) -> KeyboardInterrupt | None:
    """The signal that caused `error`, if one did: interrupted code may turn it into another exception (a class body:
    RuntimeError from KeyboardInterrupt).
    """
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        if isinstance(found, KeyboardInterrupt):
            return found
        seen.add(id(found))
        found = found.__cause__ or found.__context__
    return None


def said_goodbye(error: KeyboardInterrupt) -> int:
    """Print which signal ended the process. Returns the exit code."""
    number = error.number if isinstance(error, EndedError) else signal.SIGINT
    sys.stderr.write(_last_words(number))
    return 128 + number


def _last_words(number: int) -> str:
    what = "interrupted" if number == signal.SIGINT else f"ended by {signal.Signals(number).name}"
    return f"clawtop: {what}\n"


def end_on_signals() -> None:
    """Let a signal end the process at once, while there is nothing to release yet.

    Signals that the parent ignored stay ignored.
    """
    for number in (*ENDING_SIGNALS, signal.SIGINT):
        if signal.getsignal(number) in {signal.SIG_DFL, signal.default_int_handler}:
            signal.signal(number, _end_at_once)


def unwind_on_signals() -> None:
    """Let a signal unwind all running work, which releases what it holds; one that stops waits for the release."""
    for number in ENDING_SIGNALS:
        if signal.getsignal(number) is _end_at_once:
            signal.signal(number, _Ending())
    if signal.getsignal(signal.SIGINT) is _end_at_once:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    stopping.wait_with_stops(lambda: sys.stderr.write("clawtop: stopping once its lock is released\n"))


def stop_event() -> asyncio.Event:
    """Set by SIGINT, SIGTERM or SIGHUP; needs a running event loop."""
    import asyncio  # only where there is a loop

    from clawtop import threads

    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        threads.on_signal(number, stop.set)
    return stop


def _end_at_once(number: int, _frame: FrameType | None) -> NoReturn:
    leave(128 + number, _last_words(number))


class _Ending:
    """The signal handler: everything held is released within `GRACE_S`, or the process ends without that."""

    unwinds = True  # for `clawtop.threads.run`

    def __call__(self, number: int, _frame: FrameType | None) -> NoReturn:
        signal.signal(signal.SIGALRM, lambda *_: leave(128 + number))
        signal.alarm(GRACE_S)  # even if a disk hangs
        raise EndedError(number)


def _too_few_descriptors() -> str | None:
    """Raise the limit of file descriptors. Returns why there are too few even then; None if there are enough."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    if soft != unlimited and soft < WANTED_DESCRIPTORS:
        soft = WANTED_DESCRIPTORS if hard == unlimited else min(hard, WANTED_DESCRIPTORS)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft != unlimited and soft < FEW_DESCRIPTORS:
        return f"this process may open only {soft} files (ulimit -n); clawtop needs {FEW_DESCRIPTORS}"
    return None


def _open_standard_streams() -> None:
    """Open closed standard descriptors on /dev/null: otherwise the next file that is opened would take their number."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))
