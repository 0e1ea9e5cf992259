"""Processes of a gateway that the kernel killed for lack of memory (Linux).

Two witnesses: its log (/dev/kmsg, which often only root may read) names the process, its control group and the time; a
control group counts the kills among its processes, which shows one that happens while clawtop watches. The log is the
whole machine's, with the machine's pids: inside a container, and of other users' processes, it says nothing here.

Which process was killed matters, as systemd stops a whole service for one of its processes (`OOMPolicy=stop`, its
default): a gateway that is gone need not have been the one that took the memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from clawtop.clock import Clock
from clawtop.core.model import Gateway, GatewayState, MemoryKill
from clawtop.core.session.disk_witness import START_SLACK_MS
from clawtop.patterns import regex
from clawtop.store.locks.processes import ProcessTable, SystemProcesses
from clawtop.store.locks.procfs import kernel_bytes, kernel_log, memory_groups
from clawtop.values import dataclass

KMSG = "/dev/kmsg"
MOST_RECORDS = 50_000
FORMER_MS = 15 * 60_000
"""A gateway that was killed this shortly before another one's start may be its previous process, or another
configuration's: the kernel's log does not tell.
"""

EVERY_S = 5.0

_RECORD = regex(rb"\d+,\d+,(\d+),[^;]*;(.*)")
_KILLED = regex(rb"\bKilled process (\d+) \(([^)]*)\)(?:.*\bUID[: ](\d+))?")
_VERDICT = b"oom-kill:"
_RESUMED = regex(rb"PM: (?:hibernation: hibernation|hibernation|suspend) exit")
_COUNTS = ("memory.events", "memory.oom_control")
_GATEWAYS = "openclaw"
"""The process names of gateways (2026.3.28 to 2026.9.6); the kernel cuts names to 15 characters."""
_RUNTIMES = frozenset({"node", "MainThread", "bun", "deno"})
"""Its name before it sets one; Node 24 is the first that names its main thread."""
_SERVICE = ".service"
_UNIT = "openclaw-gateway"
"""The names of the services that OpenClaw installs."""


@dataclass(frozen=True, slots=True)
class _Logged:
    """A kill in the kernel's log. `group`: the path of the process's control group, where it is named."""

    at: int
    pid: int
    name: str
    group: str | None = None

    @property
    def may_be_a_gateway(self) -> bool:
        return self.name in _RUNTIMES or self.calls_itself_one

    @property
    def calls_itself_one(self) -> bool:
        return self.name.startswith(_GATEWAYS)

    @property
    def whether_a_gateway(self) -> bool | None:
        """Whether the killed process was a gateway; None: it may also be one that a gateway started."""
        return True if self.calls_itself_one else None if self.may_be_a_gateway else False

    def kill(self, *, is_gateway: bool | None) -> MemoryKill:
        return MemoryKill(self.at, self.pid, self.name, is_gateway=is_gateway)


class MemoryKillWatch:
    """Watches one gateway. One thread uses it.

    Mutable state: `_life` is the gateway's process that the rest is about; `_groups`, `_count` are its control groups
    and their kills; `_alone`: no other process is in them; `_told` is the last answer; `_owner` is whose processes are
    looked at.
    """

    def __init__(
        self, processes: ProcessTable, clock: Clock, *, cgroups: Path = Path("/sys/fs/cgroup"), log: str = KMSG
    ) -> None:
        """Seams for tests: where the control groups are mounted, and where the kernel's log is."""
        self._table = processes if isinstance(processes, SystemProcesses) else None
        self._clock = clock
        self._cgroups = cgroups
        self._log = log
        self._life: _Life | None = None
        self._groups: tuple[Path, ...] = ()
        self._count: int | None = None
        self._alone = False
        self._at = 0.0
        self._told: MemoryKill | None = None
        self._owner: int | None = None

    def look(self, gateway: Gateway, owner: int | None = None) -> MemoryKill | None:
        """The last kill that concerns this gateway; None if none is known.

        Args:
            owner: the user whom the gateway belongs to; None: not known.
        """
        if self._table is None or self._table.proc is None or gateway.state is GatewayState.UNKNOWN:
            return None
        if gateway.pid is None and gateway.state is not GatewayState.ABSENT:
            return None
        life = (gateway.pid, gateway.state, gateway.started_at)
        now = self._clock.monotonic()
        if life == self._life and now - self._at < EVERY_S:
            return self._told
        former, fresh, before, passed = self._life, life != self._life, self._count, now - self._at
        self._life, self._at, self._owner = life, now, owner
        if gateway.state is GatewayState.LIVE:
            groups = _nearest(memory_groups(self._table.proc / str(gateway.pid), self._cgroups))
            before = before if groups == self._groups else None
            self._groups = groups
            self._alone = _members(groups) == {gateway.pid}
        self._count = _kills_in(self._groups)
        new = 0 if before is None or self._count is None else self._count - before
        ended = former is not None and former[1] is GatewayState.LIVE and gateway.pid in {former[0], None}
        if gateway.state is not GatewayState.LIVE:
            if fresh:
                self._told = self._of_gone(gateway, former if ended else None, new, passed)
        elif fresh:
            self._told = self._of_former(gateway)
        elif new > 0:
            self._told = self._counted_in_log(new, passed) or MemoryKill(self._clock.now_ms(), is_gateway=False)
        return self._told

    def _of_gone(self, gateway: Gateway, watched: _Life | None, new: int, passed: float) -> MemoryKill | None:
        """Why a gateway is gone. `watched`: its process, if it was seen to live, `passed` seconds before."""
        own = self._of_pid(gateway) if gateway.state is GatewayState.DEAD else None
        if own is not None:
            return own
        if watched is None:
            return self._of_unit() if gateway.state is GatewayState.ABSENT else None
        if new > 0:
            counted = self._counted_in_log(new, passed)
            if counted is not None:
                return replace(counted, is_gateway=counted.pid == watched[0])
            return MemoryKill(self._clock.now_ms(), watched[0] if self._alone else None, None, self._alone or None)
        since = self._clock.now_ms() - round(passed * 1000) - START_SLACK_MS
        found = [kill for kill in self._logged() if kill.at >= since and self._is_in_group(kill) is True]
        return found[-1].kill(is_gateway=found[-1].pid == watched[0]) if found else None

    def _of_pid(self, gateway: Gateway) -> MemoryKill | None:
        """The kill of the gateway's process: the first of its pid since it began, as pids are given out again."""
        since = (gateway.started_at or 0) - START_SLACK_MS
        found = [kill for kill in self._logged() if kill.pid == gateway.pid and kill.at >= since]
        if not found or not found[0].may_be_a_gateway or self._is_in_group(found[0]) is False:
            return None
        return found[0].kill(is_gateway=True)

    def _of_former(self, gateway: Gateway) -> MemoryKill | None:
        """The kill shortly before this gateway's start: in its service, or of a process with a gateway's name."""
        if gateway.started_at is None:
            return None
        since, until = gateway.started_at - FORMER_MS, gateway.started_at + START_SLACK_MS
        near = [(kill, self._is_in_group(kill)) for kill in self._logged() if since <= kill.at <= until]
        found = [
            kill
            for kill, inside in near
            if (inside and _SERVICE in (kill.group or "")) or (inside is not False and kill.calls_itself_one)
        ]
        return found[-1].kill(is_gateway=found[-1].whether_a_gateway) if found else None

    def _of_unit(self) -> MemoryKill | None:
        """The last kill in a service of OpenClaw's, shortly before now: its gateway may have been stopped for it."""
        since = self._clock.now_ms() - FORMER_MS
        found = [kill for kill in self._logged() if kill.at >= since and _is_openclaws(kill.group or "")]
        return found[-1].kill(is_gateway=found[-1].whether_a_gateway) if found else None

    def _counted_in_log(self, new: int, passed: float) -> MemoryKill | None:
        """The last of the `new` kills counted in the `passed` seconds; None if the log has others as well."""
        since = self._clock.now_ms() - round(passed * 1000) - START_SLACK_MS
        found = [kill for kill in self._logged() if kill.at >= since and self._is_in_group(kill) is not False]
        return found[-1].kill(is_gateway=False) if 0 < len(found) <= new else None

    def _is_in_group(self, kill: _Logged) -> bool | None:
        """Whether it was in the gateway's control group; None if that is not known. The whole machine's group does not
        count.
        """
        if kill.group is None or not self._groups:
            return None
        own = [f"/{group.relative_to(self._cgroups)}" for group in self._groups if group != self._cgroups]
        paths = {path for full in own for path in (full, f"/{full.split('/', 2)[-1]}")}  # v1: below its controllers
        return any(kill.group == path or kill.group.startswith(f"{path}/") for path in paths) if paths else None

    def _logged(self) -> list[_Logged]:
        """The kills in the kernel's log that may be of this user, oldest first."""
        here = self._table.standpoint if self._table is not None else None
        boot = self._table.boot_at() if self._table is not None else None
        if boot is None or here is None or here.is_blind or not here.sees_all:
            return []
        found: list[tuple[int, int, _Logged]] = []  # (resumes before it, ms since the boot without sleep, the kill)
        groups: dict[bytes, str] = {}
        resumes = 0
        for line in kernel_log(self._log, MOST_RECORDS).split(b"\n"):
            told = b"Killed process" in line or _VERDICT in line or b"PM: " in line
            record = _RECORD.match(line) if told else None
            if record is None:
                continue
            killed = _KILLED.search(record[2])
            if _VERDICT in record[2]:
                victim, group = _verdict(record[2])
                groups[victim] = group
            elif killed is not None and self._may_be_ours(killed[3]):
                pid, awake = int(killed[1]), int(record[1]) // 1000
                kill = _Logged(0, pid, killed[2].decode("utf-8", "replace"), groups.pop(killed[1], None) or None)
                found.append((resumes, awake, kill))
            elif _RESUMED.search(record[2]):
                resumes += 1
        asleep = self._asleep_ms() if found else 0
        return [replace(kill, at=boot + ms + _asleep_before(asleep, n, resumes)) for n, ms, kill in found]

    def _asleep_ms(self) -> int:
        """For how long the machine has slept since its boot: its uptime counts that, the kernel's log does not."""
        assert self._table is not None  # noqa: S101 - `_logged` has seen it
        try:
            uptime = kernel_bytes(f"{self._table.proc}/uptime", 256).split()
            return max(0, round(1000 * (float(uptime[0]) - self._clock.monotonic())))
        except (OSError, ValueError, IndexError):
            return 0

    def _may_be_ours(self, uid: bytes | None) -> bool:
        return uid is None or self._owner is None or int(uid) == self._owner


def _verdict(record: bytes) -> tuple[bytes, str]:
    """The pid and the control group of a record `oom-kill:constraint=...,task_memcg=/...,task=...,pid=...`."""
    pairs = (pair.partition(b"=") for pair in record.partition(_VERDICT)[2].split(b","))
    facts = {name: value for name, _, value in pairs}
    return facts.get(b"pid", b""), facts.get(b"task_memcg", b"").decode("utf-8", "replace")


def _is_openclaws(group: str) -> bool:
    return any(part.startswith(_UNIT) and part.endswith(_SERVICE) for part in group.split("/"))


_Life = tuple[int | None, GatewayState, int | None]
"""A gateway's process, its state and its start."""


def _asleep_before(asleep: int, resumes: int, of: int) -> int:
    """How much of the machine's sleep came before a record that has so many of all resumes before it: exact for the
    first and the last, else an even share.
    """
    return asleep if of == 0 else asleep * resumes // of


def _nearest(groups: Iterable[Path]) -> tuple[Path, ...]:
    """The nearest group of each hierarchy; those above it count the kills of other programs as well."""
    found: list[Path] = []
    for group in groups:
        if not any(below.is_relative_to(group) for below in found):
            found.append(group)
    return tuple(found)


def _members(groups: tuple[Path, ...]) -> set[int]:
    """The processes of its nearest control group; none if that cannot be read."""
    try:
        words = kernel_bytes(str(groups[0] / "cgroup.procs"), 65_536).split() if groups else []
    except OSError:
        return set()
    return {int(word) for word in words if word.isdigit()}


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
