"""What the gateway's process uses - memory, swap, its share of a core - and whether it can run."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from clawtop.clock import Clock
from clawtop.core.model import ProcessCondition, ProcessUsage
from clawtop.patterns import regex
from clawtop.store.locks.processes import ProcessTable, SystemProcesses, psutil_module
from clawtop.store.locks.procfs import (
    RSS_PAGES,
    STATE,
    SYSTEM_TICKS,
    USER_TICKS,
    kernel_bytes,
    memory_groups,
    stat_fields,
)
from clawtop.values import dataclass

EVERY_SECONDS = 2.0
"""The minimum time over which a share of a core is measured; within it the last measurement is reused."""
MEMORY_STEP = 4 << 20
MEMORY_PART = 0.02
CPU_STEP = 0.05
WAITING_STEP = 0.25
"""Smaller changes are not reported: every changed state is judged and drawn again. A gateway's memory rises and falls
with each collection of garbage, and on a busy machine it waits now and then; near its limit every step counts.
"""
NEAR_LIMIT = 0.8

_HEAP_OPTION = regex(r"--max[-_]old[-_]space[-_]size=(\d{1,7})")
_MOST_READ = 16_384
_NO_LIMIT = 1 << 50


@dataclass(frozen=True, slots=True)
class _Taken:
    """A process's CPU time and time waiting for a CPU since it began, in seconds, and its memory now."""

    seconds: float
    waited: float | None
    memory: int
    swap: int
    condition: ProcessCondition


@dataclass(frozen=True, slots=True)
class _Look:
    """One measurement of a process. `at`: on the monotonic clock."""

    at: float
    read: _Taken
    usage: ProcessUsage


class UsageWatch:
    """Measures processes, each at most every two seconds; a share of a core needs two measurements."""

    def __init__(self, processes: ProcessTable, clock: Clock, *, cgroups: Path = Path("/sys/fs/cgroup")) -> None:
        """`cgroups`: where the control groups are mounted. Processes are seen only in this machine's own table."""
        self._clock = clock
        self._table = processes if isinstance(processes, SystemProcesses) else None
        self._cgroups = cgroups
        self._last: tuple[int, _Look] | None = None

    def look(self, pid: int, argv: Iterable[str] = ()) -> ProcessUsage | None:
        """What it uses now; None if that cannot be seen.

        Args:
            argv: its command line: it may limit the heap of JavaScript.
        """
        if self._table is None:
            return None
        now = self._clock.monotonic()
        before = self._last[1] if self._last is not None and self._last[0] == pid else None
        if before is not None and now - before.at < EVERY_SECONDS:
            return before.usage
        try:
            proc = self._table.proc
            read = _read_linux(proc / str(pid)) if proc is not None else _read_psutil(pid)
        except (OSError, ValueError, IndexError):
            self._last = None
            return None
        groups = memory_groups(proc / str(pid), self._cgroups) if proc is not None else []
        cpu = waiting = None
        if before is not None:
            cpu = max(0.0, read.seconds - before.read.seconds) / (now - before.at)
            if read.waited is not None and before.read.waited is not None:
                waiting = max(0.0, read.waited - before.read.waited) / (now - before.at)
        condition = ProcessCondition.PAUSED if _is_frozen(groups) else read.condition
        usage = ProcessUsage(read.memory, read.swap, cpu, _limit(groups, argv), waiting, condition)
        if before is not None and _alike(before.usage, usage):
            usage = before.usage
        self._last = (pid, _Look(now, read, usage))
        return usage


def _limit(groups: Iterable[Path], argv: Iterable[str]) -> int | None:
    """The nearest limit of its memory: of a control group, or of the heap that its command line sets."""
    limits = [int(found[1]) << 20 for word in argv if (found := _HEAP_OPTION.fullmatch(word))]
    for group in groups:
        for name in ("memory.max", "memory.limit_in_bytes"):
            try:
                word = _text(group / name).strip()
            except OSError:
                continue
            limits += [int(word)] if word.isdigit() else []
    return min((limit for limit in limits if 0 < limit < _NO_LIMIT), default=None)


def _is_frozen(groups: list[Path]) -> bool:
    """Whether its control group is frozen, by itself or with one above it: `cgroup.events` reports both."""
    for group in groups:
        try:
            return "frozen 1" in _text(group / "cgroup.events").splitlines()
        except OSError:
            continue
    return False


def _alike(before: ProcessUsage, now: ProcessUsage) -> bool:
    return (
        abs(before.memory - now.memory) < _memory_step(now)
        and abs(before.swap - now.swap) < MEMORY_STEP
        and before.limit == now.limit
        and before.cpu is not None
        and now.cpu is not None
        and abs(before.cpu - now.cpu) < CPU_STEP
        and abs((before.waiting or 0) - (now.waiting or 0)) < WAITING_STEP
        and before.condition is now.condition
    )


def _memory_step(now: ProcessUsage) -> float:
    is_near = now.limit is not None and now.memory >= now.limit * NEAR_LIMIT
    return MEMORY_STEP if is_near else max(MEMORY_STEP, now.memory * MEMORY_PART)


def _read_linux(process: Path) -> _Taken:
    fields = stat_fields(str(process))
    seconds = (int(fields[USER_TICKS]) + int(fields[SYSTEM_TICKS])) / os.sysconf("SC_CLK_TCK")
    swap = re.search(r"^VmSwap:\s+(\d+) kB", _text(process / "status"), re.MULTILINE)
    memory = int(fields[RSS_PAGES]) * os.sysconf("SC_PAGE_SIZE")
    condition = _CONDITIONS.get(fields[STATE], ProcessCondition.RUNS)
    return _Taken(seconds, _waited(process), memory, int(swap[1]) << 10 if swap else 0, condition)


_CONDITIONS = {b"T": ProcessCondition.PAUSED, b"t": ProcessCondition.PAUSED, b"D": ProcessCondition.DISK}


def _waited(process: Path) -> float | None:
    """Seconds for which its main thread was ready but got no core; None if the kernel does not count them."""
    try:
        return int(_text(process / "schedstat").split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return None


def _read_psutil(pid: int) -> _Taken:
    """No other system reports a process's swap and waiting time."""
    psutil = psutil_module()
    try:
        process = psutil.Process(pid)
        times = process.cpu_times()
        conditions = {
            psutil.STATUS_STOPPED: ProcessCondition.PAUSED,
            psutil.STATUS_TRACING_STOP: ProcessCondition.PAUSED,
            psutil.STATUS_DISK_SLEEP: ProcessCondition.DISK,
        }
        condition = conditions.get(process.status(), ProcessCondition.RUNS)
        return _Taken(float(times.user + times.system), None, int(process.memory_info().rss), 0, condition)
    except psutil.Error as error:
        raise ValueError(pid) from error


def _text(path: Path) -> str:
    return kernel_bytes(str(path), _MOST_READ).decode("utf-8", "replace")
