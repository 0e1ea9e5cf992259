"""How processes look from here: this process's namespaces, and clock changes since boot (Linux).

A pid is meaningful only in the pid namespace in which it was written, start ticks only in their time namespace, and a
time only under the clock setting at which it was written. An answer of "no" or a number from here makes a verdict more
careful, never less.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path

from clawtop.core.locks.staleness import FIRST_OPENCLAW_MS, NamespaceEvidence
from clawtop.core.model import Gateway, GatewayState
from clawtop.store.locks.procfs import START_TICKS, stat_fields
from clawtop.store.place.mounts import mount_obstacles

_MACHINES_PIDS = 0xEFFFFFFC
_MACHINES_TIME = 0xEFFFFFFA
"""Inodes of the kernel's initial namespaces (include/linux/proc_ns.h)."""

_FINE_MS = 100
"""Clock settings that differ by less count as the same."""


def evidence(path: Path, gateway: Gateway) -> NamespaceEvidence:
    """Whether the pids in files below `path` can be judged here: its mount, and where its gateway runs."""
    lives = gateway.state is GatewayState.LIVE
    unseen = ("other-namespace",) if lives and gateway.pid is None else ()
    return NamespaceEvidence((*mount_obstacles(path), *unseen), served_here=lives and gateway.pid is not None)


class Standpoint:
    """This process's own standpoint. Mutable state: `_seen`, the clock settings at its own looks."""

    def __init__(self, proc: Path, began: Callable[[], int]) -> None:
        """`began` gives the boot time by the current clock setting (ms since epoch)."""
        self._proc = str(proc)
        self._began = began
        self._seen: list[int] = [began()]
        # The kernel records the clock time when a process is first looked up: for this process that is now.
        _inode(f"{self._proc}/self/stat")

    @cached_property
    def is_blind(self) -> bool:
        """Whether /proc shows another namespace's processes; then none of its pids are local."""
        try:
            return str(Path(self._proc, "self").readlink()) != str(os.getpid())
        except OSError:
            return False

    @cached_property
    def sees_all(self) -> bool:
        """Whether every process of the machine is in our pid namespace or below it."""
        return _inode(f"{self._proc}/self/ns/pid") in {None, _MACHINES_PIDS}

    @cached_property
    def _time(self) -> int | None:
        return _inode(f"{self._proc}/self/ns/time")

    def may_have_had(self, pid: int) -> bool:
        """Whether a process with this pid may ever have existed in this pid namespace."""
        if self.sees_all:
            return True
        try:
            last = int(Path(self._proc, "loadavg").read_bytes().split()[-1])
        except (OSError, ValueError, IndexError):
            return True
        return pid <= last

    def counts_alike(self, pid: int) -> bool:
        """Whether this process's start times, in ticks since the boot, mean the same to it and to clawtop."""
        if self._time not in {None, _MACHINES_TIME}:
            return False
        theirs = _inode(f"{self._proc}/{pid}/ns/time")
        return theirs is None or self._time is None or theirs == self._time

    def namespace_began(self) -> int | None:
        """When this pid namespace began, if it is not the machine's own (ms since epoch).

        Anything written before was written by a process of another namespace.
        """
        if self.sees_all:
            return None
        first = None if self.is_blind else _ticks(f"{self._proc}/1")
        return None if first is None else min(self._seen) + first

    def remember(self) -> None:
        """Record the current clock setting."""
        now = self._began()
        if abs(now - self._seen[-1]) > _FINE_MS:
            self._seen.append(now)

    def settings(self) -> tuple[int, ...]:
        """When the machine booted (ms since epoch) by the current clock setting, and by every earlier one that can
        still be seen: at this process's own looks, and when the kernel first looked up one of the live processes. It
        records that by the clock, and not before that process began (in ticks, which cannot be set).
        """
        self.remember()
        return tuple(sorted({*self._seen, *self._witnessed}))

    @cached_property
    def _witnessed(self) -> frozenset[int]:
        now = min(self._seen)
        found = {boot // _FINE_MS * _FINE_MS for boot in self._witnesses()}
        return frozenset(boot for boot in found if boot < now - _FINE_MS)

    def _witnesses(self) -> Iterator[int]:
        try:
            names = os.listdir(self._proc)  # noqa: PTH208 - thousands of names
        except OSError:
            return
        for name in names:
            if name.isdigit():
                directory = f"{self._proc}/{name}"
                try:
                    facts = os.stat(directory)  # noqa: PTH116 - as above
                except OSError:
                    continue
                began = _ticks(directory)
                boot = None if began is None else boot_by_first_sight(facts, began)
                if boot is not None:
                    yield boot


def boot_by_first_sight(directory: os.stat_result, began: int) -> int | None:
    """The boot time (ms since epoch) by the clock setting when the kernel first looked up a process, or later.
    `directory` is its /proc/PID, which the kernel dates at that time; the process began this many ms after the boot,
    and was not looked up earlier. None: the clock was not set at all at that time.
    """
    boot = directory.st_mtime_ns // 1_000_000 - began
    return boot if boot >= FIRST_OPENCLAW_MS else None


def _inode(path: str) -> int | None:
    try:
        return os.stat(path).st_ino  # noqa: PTH116 - each process that is looked at
    except OSError:
        return None


def _ticks(directory: str) -> int | None:
    """When a process began, in ms since the boot."""
    try:
        return int(stat_fields(directory)[START_TICKS]) * 1000 // os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return None
