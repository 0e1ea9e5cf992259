"""Simulated processes of one host: their table, their clock, and the system calls through which they reach the disk.

A system call of a dead process does nothing but end it: a process may so be killed between any two of its calls, and
what it had taken stays where it is. The files are real ones, in a directory of the history's own.
"""

from __future__ import annotations

import asyncio
import errno
import os
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from clawtop.clock import Clock
from clawtop.core.model import ProcessEvidence
from clawtop.store.disk import disk

EPOCH_MS = 2_500_000_000_000
"""When histories begin: later than any time that the real file system writes."""

BOOT_MS = EPOCH_MS - 3_600_000
TICKS_PER_S = 100


class Killed(BaseException):
    """Raised in a process that is dead, at the system call that would be its next."""


@dataclass(eq=False)
class Process:
    """A process.

    Attributes:
        title: the words of its command line.
        frozen_until: it does not run before then (loop seconds); `frozen_s`: for how long it has not, in all.
        doomed_in: so many system calls from now it is killed; None: it is not.
        lease_ends_in: so many calls to etcd or to the disk from now its lease in etcd is over; None: it is not.
        disk: the errno that writing calls answer with, for as long as it is set.
    """

    pid: int
    ticks: int
    title: str
    boot_ms: int
    alive: bool = True
    frozen_until: float = 0.0
    frozen_s: float = 0.0
    doomed_in: int | None = None
    lease_ends_in: int | None = None
    disk: int | None = None
    had_disk_trouble: bool = False
    targets: set[str] = field(default_factory=set)

    @property
    def is_clawtop(self) -> bool:
        return self.title.endswith("clawtop")


@dataclass
class Host:
    """One machine: its processes, and a wall clock that may be set."""

    seconds: Callable[[], float]
    current: Callable[[], Process | None]
    processes: list[Process] = field(default_factory=list)
    offset_ms: int = 0
    serial: int = 0

    def start(self, title: str, pid: int | None = None) -> Process:
        """A new process, with a pid of its own or the one that is asked for."""
        self.serial += 1
        ticks = 360_000 + round((self.seconds() - 1_000.0) * TICKS_PER_S) + self.serial
        process = Process(pid or 400_000 + self.serial, ticks, title, BOOT_MS + self.offset_ms)
        self.processes.append(process)
        return process

    def living(self, pid: int) -> Process | None:
        return next((process for process in self.processes if process.pid == pid and process.alive), None)

    def now_ms(self) -> int:
        return EPOCH_MS + round((self.seconds() - 1_000.0) * 1000) + self.offset_ms


@dataclass(frozen=True)
class Table:
    """The process table, as one process reads it.

    The boot's time is the earliest by any setting of the clock that a living process has seen the beginning of: the
    kernel notes by the clock when it was first asked for a process, and Node and clawtop ask for themselves at once.
    """

    host: Host
    reader: Process

    def look(self, pid: int) -> ProcessEvidence:
        settings = [BOOT_MS + self.host.offset_ms, *(one.boot_ms for one in self.host.processes if one.alive)]
        self.reader.boot_ms = boot = min(self.reader.boot_ms, *settings)
        found = self.host.living(pid)
        if found is None:
            return ProcessEvidence(pid, alive=False, boot_at=boot)
        return ProcessEvidence(
            pid,
            alive=True,
            start_ticks=found.ticks,
            started_at=boot + found.ticks * 1000 // TICKS_PER_S,
            boot_at=boot,
            argv=(found.title,),
            uid=os.geteuid(),
        )


class HostClock(Clock):
    """The host's clock. Its timers are the simulated loop's own."""

    def __init__(self, host: Host, loop: asyncio.AbstractEventLoop) -> None:
        self._host = host
        self._loop = loop

    def now_ms(self) -> int:
        return self._host.now_ms()

    def monotonic(self) -> float:
        return self._host.seconds()

    def pause(self, seconds: float) -> None:
        raise AssertionError(f"a task of the engine blocks its thread for {seconds} s")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def call_later(self, seconds: float, callback: Callable[[], object]) -> asyncio.TimerHandle:
        return self._loop.call_later(seconds, callback)

    def timeout_at(self, when: float | None) -> asyncio.Timeout:
        return asyncio.timeout_at(when)


WRITES = ("write", "link", "unlink", "rename", "mkdir", "fsync", "mkfifo", "ftruncate")
GROWS = frozenset({"write", "link", "mkdir", "open", "fsync", "mkfifo"})
"""Calls that a full disk refuses."""


@dataclass
class SystemCalls:
    """Stands between the processes and the disk, in the place of `clawtop.store.disk`'s calls."""

    host: Host
    before: Callable[[Process, str, tuple[Any, ...]], None]
    after: Callable[[Process, str, tuple[Any, ...]], None]
    died: Callable[[Process], None]
    count: int = 0
    counts: Counter[str] = field(default_factory=Counter)

    def wrapped(self, name: str) -> Callable[..., Any]:
        real = getattr(disk, name)

        def call(*args: Any, **options: Any) -> Any:
            process = self.host.current()
            if process is not None and not (name == "open" and not args[1] & (os.O_CREAT | os.O_WRONLY | os.O_RDWR)):
                self._admit(process, name, args)
                result = real(*args, **options)
                self.after(process, name, args)
                return result
            return real(*args, **options)

        return call

    def lock_opened(self, path: Any, flags: int, mode: int = 0o777) -> int:
        """`os.open`, which filelock calls by itself."""
        process = self.host.current()
        if process is None or not _is_filelocks(sys._getframe(1)):
            return _open(path, flags, mode)
        self._admit(process, "open", (path, flags, mode))
        descriptor = _open(path, flags, mode)
        self.after(process, "open", (path, flags, mode))
        return descriptor

    def getpid(self) -> int:
        """The process's own pid; filelock, which looks for forks by it, is told the real one."""
        process = self.host.current()
        if process is None or _is_filelocks(sys._getframe(1)):
            return _getpid()
        return process.pid

    def _admit(self, process: Process, name: str, args: tuple[Any, ...]) -> None:
        if not process.alive:
            raise Killed
        self.count += 1
        if process.doomed_in is not None:
            process.doomed_in -= 1
            if process.doomed_in <= 0:
                self.died(process)
                raise Killed
        if process.disk is not None and name in GROWS:
            process.had_disk_trouble = True
            self.counts["fault: a full disk refused a call"] += 1
            raise OSError(process.disk, os.strerror(process.disk), args[0] if isinstance(args[0], str) else None)
        self.before(process, name, args)


def _is_filelocks(frame: FrameType) -> bool:
    return bool(frame.f_globals.get("__name__", "").startswith("filelock"))


_getpid, _open = os.getpid, os.open
FULL = errno.ENOSPC
