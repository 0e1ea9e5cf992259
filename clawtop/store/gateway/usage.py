"""What the gateway's process takes of the machine: memory, swap, its share of a core, and its limit."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from clawtop.clock import Clock
from clawtop.core.model import ProcessUsage
from clawtop.store.locks.processes import ProcessTable, SystemProcesses, psutil_module
from clawtop.store.locks.procfs import RSS_PAGES, SYSTEM_TICKS, USER_TICKS, kernel_bytes, stat_fields

EVERY_SECONDS = 2.0
"""A share of a core is one of this time at least; within it the last look serves."""
MEMORY_STEP = 4 << 20
CPU_STEP = 0.05
"""What changed by less is not told anew: every state that differs is judged and drawn again."""

_HEAP_OPTION = re.compile(r"--max[-_]old[-_]space[-_]size=(\d{1,7})")
_MOST_READ = 16_384
_NO_LIMIT = 1 << 50


@dataclass(frozen=True, slots=True)
class _Look:
    """One look at a process. `at`: on the monotonic clock. `seconds`: of processor time since it began."""

    at: float
    seconds: float
    usage: ProcessUsage


class UsageWatch:
    """Looks at processes, each every two seconds at most; a share of a core needs two looks."""

    def __init__(self, processes: ProcessTable, clock: Clock, *, cgroups: Path = Path("/sys/fs/cgroup")) -> None:
        """`cgroups`: where the control groups are mounted. Only the machine's own table has processes to look at."""
        self._clock = clock
        self._table = processes if isinstance(processes, SystemProcesses) else None
        self._cgroups = cgroups
        self._last: tuple[int, _Look] | None = None

    def look(self, pid: int, argv: Iterable[str] = ()) -> ProcessUsage | None:
        """What it takes now; None where that cannot be seen.

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
            seconds, memory, swap = _read_linux(proc / str(pid)) if proc is not None else _read_psutil(pid)
        except (OSError, ValueError, IndexError):
            self._last = None
            return None
        cpu = max(0.0, seconds - before.seconds) / (now - before.at) if before is not None else None
        usage = ProcessUsage(memory, swap, cpu, self._limit(proc, pid, argv))
        if before is not None and _alike(before.usage, usage):
            usage = before.usage
        self._last = (pid, _Look(now, seconds, usage))
        return usage

    def _limit(self, proc: Path | None, pid: int, argv: Iterable[str]) -> int | None:
        """The nearest limit of its memory: of its control group (version 2), or of its heap."""
        limits = [int(found[1]) << 20 for word in argv if (found := _HEAP_OPTION.fullmatch(word))]
        if proc is not None:
            limits += self._group_limits(proc / str(pid))
        return min((limit for limit in limits if 0 < limit < _NO_LIMIT), default=None)

    def _group_limits(self, process: Path) -> list[int]:
        try:
            groups = _text(process / "cgroup").splitlines()
        except OSError:
            return []
        own = next((line[3:] for line in groups if line.startswith("0::/")), None)
        if own is None or ".." in own.split("/"):
            return []
        limits: list[int] = []
        parts = [part for part in own.split("/") if part]
        for depth in range(len(parts), -1, -1):
            try:
                word = _text(self._cgroups.joinpath(*parts[:depth], "memory.max")).strip()
            except OSError:
                continue
            limits += [int(word)] if word.isdigit() else []
        return limits


def _alike(before: ProcessUsage, now: ProcessUsage) -> bool:
    return (
        abs(before.memory - now.memory) < MEMORY_STEP
        and abs(before.swap - now.swap) < MEMORY_STEP
        and before.limit == now.limit
        and before.cpu is not None
        and now.cpu is not None
        and abs(before.cpu - now.cpu) < CPU_STEP
    )


def _read_linux(process: Path) -> tuple[float, int, int]:
    """Seconds of processor time, bytes of memory, bytes of it that are swapped out."""
    fields = stat_fields(str(process))
    seconds = (int(fields[USER_TICKS]) + int(fields[SYSTEM_TICKS])) / os.sysconf("SC_CLK_TCK")
    swap = re.search(r"^VmSwap:\s+(\d+) kB", _text(process / "status"), re.MULTILINE)
    return seconds, int(fields[RSS_PAGES]) * os.sysconf("SC_PAGE_SIZE"), int(swap[1]) << 10 if swap else 0


def _read_psutil(pid: int) -> tuple[float, int, int]:
    """Seconds of processor time and bytes of memory; what is swapped of one process is told by no other system."""
    psutil = psutil_module()
    try:
        process = psutil.Process(pid)
        times = process.cpu_times()
        return float(times.user + times.system), int(process.memory_info().rss), 0
    except psutil.Error as error:
        raise ValueError(pid) from error


def _text(path: Path) -> str:
    return kernel_bytes(str(path), _MOST_READ).decode("utf-8", "replace")
