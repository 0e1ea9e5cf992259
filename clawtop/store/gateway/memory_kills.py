"""Processes of a gateway that the kernel killed for want of memory (Linux).

Two witnesses: its log (/dev/kmsg, which often only root may read) names the process and the time; a control group
counts the kills among its processes, which shows one that happens while clawtop watches. The log is the whole
machine's, with the machine's pids: inside a container, and of other users' processes, it says nothing here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from clawtop.clock import Clock
from clawtop.core.model import Gateway, GatewayState, MemoryKill
from clawtop.store.locks.processes import ProcessTable, SystemProcesses
from clawtop.store.locks.procfs import kernel_bytes, kernel_log, memory_groups

KMSG = "/dev/kmsg"
MOST_RECORDS = 50_000
START_SLACK_MS = 2_000
FORMER_MS = 15 * 60_000
"""A gateway that was killed this shortly before another one's start may be that one's former life, or another
configuration's: the kernel's log does not tell.
"""

EVERY_S = 5.0

_RECORD = re.compile(rb"\d+,\d+,(\d+),[^;]*;(.*)")
_KILLED = re.compile(rb"\bKilled process (\d+) \(([^)]*)\)(?:.*\bUID[: ](\d+))?")
_COUNTS = ("memory.events", "memory.oom_control")
_GATEWAYS = "openclaw"
"""How a gateway's process calls itself (2026.3.28 to 2026.9.6); the kernel cuts names to 15 characters."""


class MemoryKillWatch:
    """Looks at a gateway again and again. One thread uses it.

    Mutable state: `_life` is the gateway's process that the rest is about; `_groups`, `_count` are its control groups
    and their kills; `_told` is the last answer; `_owner` is whose processes are looked at.
    """

    def __init__(
        self, processes: ProcessTable, clock: Clock, *, cgroups: Path = Path("/sys/fs/cgroup"), log: str = KMSG
    ) -> None:
        """Seams for tests: where the control groups are mounted, and where the kernel's log is."""
        self._table = processes if isinstance(processes, SystemProcesses) else None
        self._clock = clock
        self._cgroups = cgroups
        self._log = log
        self._life: tuple[int | None, GatewayState, int | None] | None = None
        self._groups: tuple[Path, ...] = ()
        self._count: int | None = None
        self._at = 0.0
        self._told: MemoryKill | None = None
        self._owner: int | None = None

    def look(self, gateway: Gateway, owner: int | None = None) -> MemoryKill | None:
        """The last kill that concerns this gateway; None if none is known.

        Args:
            owner: the user whom the gateway belongs to; None: not known.
        """
        if self._table is None or self._table.proc is None or gateway.pid is None:
            return None
        if gateway.state not in {GatewayState.LIVE, GatewayState.DEAD}:
            return None
        life = (gateway.pid, gateway.state, gateway.started_at)
        now = self._clock.monotonic()
        if life == self._life and now - self._at < EVERY_S:
            return self._told
        fresh, before = life != self._life, self._count
        died = fresh and self._life is not None and self._life[0] == gateway.pid
        passed = now - self._at
        self._life, self._at, self._owner = life, now, owner
        if gateway.state is GatewayState.LIVE:
            groups = _nearest(memory_groups(self._table.proc / str(gateway.pid), self._cgroups))
            before = before if groups == self._groups else None
            self._groups = groups
        self._count = _kills_in(self._groups)
        new = 0 if before is None or self._count is None else self._count - before
        if gateway.state is GatewayState.DEAD:
            if fresh:
                noticed = (
                    MemoryKill(self._clock.now_ms(), gateway.pid, None, is_gateway=True) if died and new > 0 else None
                )
                self._told = self._of_pid(gateway) or noticed
        elif fresh:
            self._told = self._of_former(gateway)
        elif new > 0:
            self._told = self._counted_in_log(new, passed) or MemoryKill(self._clock.now_ms())
        return self._told

    def _of_pid(self, gateway: Gateway) -> MemoryKill | None:
        """The kill of the gateway's process: the first of its pid since it began, as pids are given out again."""
        since = (gateway.started_at or 0) - START_SLACK_MS
        found = [kill for kill in self._logged(gateway.pid) if kill.pid == gateway.pid and kill.at >= since]
        return found[0] if found else None

    def _of_former(self, gateway: Gateway) -> MemoryKill | None:
        if gateway.started_at is None:
            return None
        since, until = gateway.started_at - FORMER_MS, gateway.started_at + START_SLACK_MS
        found = [kill for kill in self._logged(None) if kill.is_gateway and since <= kill.at <= until]
        return found[-1] if found else None

    def _counted_in_log(self, new: int, passed: float) -> MemoryKill | None:
        """The last of the `new` kills counted in the `passed` seconds; None if the log tells of others as well."""
        since = self._clock.now_ms() - round(passed * 1000) - START_SLACK_MS
        found = [kill for kill in self._logged(None) if kill.at >= since]
        return replace(found[-1], is_gateway=False) if 0 < len(found) <= new else None

    def _logged(self, gateway: int | None) -> Iterator[MemoryKill]:
        here = self._table.standpoint if self._table is not None else None
        boot = self._table.boot_at() if self._table is not None else None
        if boot is None or here is None or here.is_blind or not here.sees_all:
            return
        for line in kernel_log(self._log, MOST_RECORDS):
            record = _RECORD.match(line) if b"Killed process" in line else None
            killed = _KILLED.search(record[2]) if record is not None else None
            if record is not None and killed is not None and self._may_be_ours(killed[3]):
                pid, name = int(killed[1]), killed[2].decode("utf-8", "replace")
                is_gateway = pid == gateway if gateway is not None else name.startswith(_GATEWAYS)
                yield MemoryKill(boot + int(record[1]) // 1000, pid, name, is_gateway=is_gateway)

    def _may_be_ours(self, uid: bytes | None) -> bool:
        return uid is None or self._owner is None or int(uid) == self._owner


def _nearest(groups: Iterable[Path]) -> tuple[Path, ...]:
    """The nearest group of each hierarchy; those above it count the kills of other programs as well."""
    found: list[Path] = []
    for group in groups:
        if not any(below.is_relative_to(group) for below in found):
            found.append(group)
    return tuple(found)


def _kills_in(groups: tuple[Path, ...]) -> int | None:
    """How many processes of its control group were killed since it was made; None if that is not counted."""
    for group in groups:
        for name in _COUNTS:
            try:
                lines = kernel_bytes(str(group / name), 4_096).decode("ascii", "replace").splitlines()
            except OSError:
                continue
            counts = [line.split()[1] for line in lines if line.startswith("oom_kill ")]
            if counts and counts[0].isdigit():
                return int(counts[0])
    return None
