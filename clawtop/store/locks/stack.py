"""A process below the gateway with everything below it: found, and signalled."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from typing import TYPE_CHECKING

from clawtop.store.locks.processes import SystemProcesses, psutil_module

if TYPE_CHECKING:
    import psutil

START_SLACK_MS = 2_000
"""Setting the clock in between moves the start of every process; a pid is reused far later than this."""


class ProcessStack:
    """A process and everything below it. A pid that has been reused is never signalled.

    Mutable state: `_processes` grows by what is born while it is being stopped.
    """

    def __init__(self, top: psutil.Process) -> None:
        self._top = top.pid
        self._leads = _session_of(top.pid) == top.pid
        self._processes = [top, *top.children(recursive=True)]

    def living(self) -> tuple[int, ...]:
        """Those that still exist, the lowest last; those born since the last look included."""
        self._grow()
        return tuple(process.pid for process in self._processes if _lives(process))

    def signal(self, number: int) -> None:
        """Send a signal to all that still exist, from the lowest to the top."""
        self._grow()
        for process in reversed(self._processes):
            try:
                process.send_signal(signal.Signals(number))
            except (psutil_module().Error, OSError):
                continue

    def _grow(self) -> None:
        """Add what the living ones started since, and what has lost its parent but is in the same process session.

        That session is the top's even if the top is gone, unless its pid was given to another process.
        """
        psutil = psutil_module()
        known = {process.pid for process in self._processes if _lives(process)}
        for process in [process for process in self._processes if process.pid in known]:
            try:
                self._add(known, process.children(recursive=True))
            except psutil.Error:
                continue
        if self._leads and (self._processes[0].is_running() or not psutil.pid_exists(self._top)):
            orphans = (one for one in psutil.process_iter() if _session_of(one.pid) == self._top)
            self._add(known, orphans)

    def _add(self, known: set[int], found: Iterable[psutil.Process]) -> None:
        for process in found:
            if process.pid not in known:
                known.add(process.pid)
                self._processes.append(process)


def stack_below(ancestor: int, pid: int, since: int | None) -> ProcessStack | None:
    """The stack of `pid`, if that is a descendant of `ancestor` that began at `since`. This process is never in it.

    Args:
        since: ms since the epoch, as a process table tells it. None: not known, so nothing is found.
    """
    psutil = psutil_module()
    started = SystemProcesses().look(pid).started_at
    if since is None or started is None or abs(started - since) > START_SLACK_MS:
        return None
    try:
        process = psutil.Process(pid)
        above = [parent.pid for parent in process.parents()]
        own = [parent.pid for parent in psutil.Process().parents()]
        if pid in {ancestor, os.getpid(), *own} or ancestor not in above or os.getpid() in above:
            return None
        return ProcessStack(process)
    except (psutil.Error, OSError, ValueError):
        return None


def _session_of(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None


def _lives(process: psutil.Process) -> bool:
    psutil = psutil_module()
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
