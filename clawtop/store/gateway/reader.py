"""Follows the gateway of a state directory and every lock there: what proves that it is alive, whether it answers, and
what its process shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path

from clawtop.clock import Clock
from clawtop.core.locks.clocks import clock_offset
from clawtop.core.locks.leaks import with_leak
from clawtop.core.locks.staleness import NamespaceEvidence, owner_pid
from clawtop.core.model import (
    ConfigSummary,
    Gateway,
    GatewayState,
    Lock,
    LockFile,
    MemoryKill,
    Problem,
    Serving,
    VerdictKind,
)
from clawtop.core.session.disk_witness import START_SLACK_MS
from clawtop.store.gateway.heap_deaths import HeapDeathWatch
from clawtop.store.gateway.kernel_lock import KernelAnswer, gateway_kernel_lock, with_kernel_lock
from clawtop.store.gateway.liveness import (
    GatewayLocks,
    PortProbe,
    SilenceWatch,
    ThrottledProbe,
    gateway_locks,
    judge_gateway,
    process_places,
)
from clawtop.store.gateway.memory_kills import MemoryKillWatch
from clawtop.store.gateway.rivals import RivalWatch
from clawtop.store.gateway.trust import believed, foreign
from clawtop.store.gateway.usage import UsageWatch
from clawtop.store.interning import Interned
from clawtop.store.locks.life import LifeWatch
from clawtop.store.locks.processes import ProcessTable
from clawtop.store.locks.reader import LockFiles, LockJudge
from clawtop.store.place.layout import AgentPaths, Layout
from clawtop.store.timed_reads import LastAnswers, TimedReads
from clawtop.values import dataclass


@dataclass(frozen=True, slots=True)
class Site:
    """The state directory of one read. `uid`: its owner. `obstacles`: why a pid in it may mean nothing here."""

    layout: Layout
    uid: int | None
    obstacles: tuple[str, ...] = ()


class GatewayReader:
    """Reads the gateway and the locks repeatedly, and remembers what it saw. Used by one thread at a time."""

    def __init__(
        self,
        processes: ProcessTable,
        clock: Clock,
        reads: TimedReads,
        last: LastAnswers,
        *,
        now: bool,
        port_probe: PortProbe | None,
        live_probe: PortProbe | None,
    ) -> None:
        """`now`: the state is judged as of now, so that processes and disks are asked as they are. The probes are as
        `SnapshotReader` has them.
        """
        self._processes = processes
        self._clock = clock
        self._last = last
        self._now = now
        self._probe = None if port_probe is None else ThrottledProbe(port_probe, clock)
        self._live_probe = None if live_probe is None else ThrottledProbe(live_probe, clock)
        self._locks: Interned[str, Lock] = Interned()
        self._lock_files = LockFiles(reads)
        self._life = LifeWatch(clock)
        self._usage = UsageWatch(processes, clock)
        self._memory_kills = MemoryKillWatch(processes, clock)
        self._heap_deaths = HeapDeathWatch()
        self._rivals = RivalWatch(processes, clock)
        self._silence = SilenceWatch()

    def read(
        self,
        site: Site,
        agents: Iterable[AgentPaths],
        config: ConfigSummary,
        judge: LockJudge,
        warnings: list[Problem],
        *,
        growing_files: Callable[[], list[str]],
    ) -> tuple[Gateway, tuple[Lock, ...]]:
        """The gateway and every lock. If it runs out of sight, no pid proves anything (docs/invariants.md 7).

        Args:
            growing_files: those of the sessions that a gateway at work writes.
        """
        layout = site.layout
        here = NamespaceEvidence(site.obstacles)
        found = self._last(
            "gateway locks", "the gateway's locks", partial(gateway_locks, layout), GatewayLocks(), warnings
        )
        doors = tuple(judge(file, here) for file in found.own)
        if not doors and self._now and not layout.is_copy:
            places = process_places(self._processes, site.uid)
            doors = tuple(judge(file, here) for file in gateway_locks(layout, places).own)
        gateway = self._served(self._timed(self._proven(doors, site, config, judge, warnings), doors, site))
        if gateway.state is GatewayState.LIVE and gateway.pid is not None and config.log_file is None:
            gateway = replace(gateway, others=_others(found.others, judge))  # who may write the same log
        if self._now and not layout.is_copy and not site.obstacles:
            killed = self._memory_kills.look(gateway, site.uid)
            look = partial(self._heap_deaths.look, gateway, layout.state_dir, config.log_file)
            errors = f"the standard error of {layout.state_dir}'s gateway"
            aborted = None if killed is not None else self._last("standard error", errors, look, None, warnings)
            gateway = replace(gateway, memory_kill=_by_its_clock(killed or aborted, gateway.clock_offset))
            if site.uid is not None:
                rivals = self._rivals.look(gateway, layout.state_dir, site.uid)
                warnings += [_rival(pid, gateway, layout.state_dir) for pid in rivals]
        files = self._lock_files.read_all(agents, layout, warnings)
        here = replace(here, served_here=gateway.state is GatewayState.LIVE and gateway.pid is not None)
        locks = (*doors, *(judge(file, here) for file in files))
        if self._now and self._lives_unseen(gateway, locks, config, growing_files):
            elsewhere = NamespaceEvidence((*site.obstacles, "other-namespace"))
            locks = tuple(judge(lock.file, elsewhere) for lock in locks)
            if gateway.state is GatewayState.DEAD:
                gateway = replace(
                    gateway, state=GatewayState.UNKNOWN, how="its files grow, but no visible process owns it"
                )
        locks = tuple(with_leak(lock, gateway, config.lock_limits, layout.storage) for lock in locks)
        if gateway.clock_offset:
            locks = tuple(_dated(lock, gateway.clock_offset) for lock in locks)
        return gateway, self._locks.interned((lock.file.path, lock) for lock in locks)

    def _proven(
        self,
        doors: tuple[Lock, ...],
        site: Site,
        config: ConfigSummary,
        judge: LockJudge,
        warnings: list[Problem],
    ) -> Gateway:
        """What those of its locks prove that belong to the state directory's owner; a copy may belong to any user."""
        layout, uid = site.layout, site.uid
        whose = [None if uid is None or layout.is_copy else foreign(lock, uid) for lock in doors]
        own = tuple(lock for lock, other in zip(doors, whose, strict=True) if other is None)
        doubts = [
            other
            for lock, other in zip(doors, whose, strict=True)
            if other is not None and lock.verdict.kind is not VerdictKind.STALE
        ]
        gateway = judge_gateway(own, config.gateway_port, None if doubts else self._probe)
        if self._now and uid is not None and not site.obstacles:
            kernel_lock = partial(gateway_kernel_lock, layout, uid)
            answer = self._last("kernel lock", "the gateway's lock", kernel_lock, KernelAnswer(), warnings)
            gateway = with_kernel_lock(gateway, answer)
            if answer.unread is not None and gateway.state is GatewayState.UNKNOWN:
                warnings.append(answer.unread)
        return gateway if uid is None else believed(gateway, own, doubts, uid, judge.owner)

    def _timed(self, gateway: Gateway, doors: tuple[Lock, ...], site: Site) -> Gateway:
        """The gateway with what is known of its clock; another host's disk stamps files by a clock of its own."""
        if gateway.state is not GatewayState.LIVE or gateway.pid is None or not self._now or site.obstacles:
            return gateway
        lock = next((lock for lock in doors if lock.pid == gateway.pid), None)
        return gateway if lock is None else replace(gateway, clock_offset=clock_offset(lock))

    def _served(self, gateway: Gateway) -> Gateway:
        """The gateway with its port's response, if its process is seen to be alive."""
        if gateway.state is not GatewayState.LIVE or gateway.pid is None or gateway.port is None:
            return gateway
        argv = self._processes.look(gateway.pid).argv
        usage = self._usage.look(gateway.pid, argv)
        found = self._live_probe(gateway.port) if self._live_probe is not None else Serving.UNKNOWN
        if found is Serving.SILENT:  # the query took longer than measuring its share of a core needs
            usage = self._usage.look(gateway.pid, argv)
        gateway = replace(gateway, usage=usage)
        now = self._clock.now_ms() + gateway.clock_offset
        return self._silence.told(gateway, found, now) if isinstance(found, Serving) else gateway

    def _lives_unseen(
        self, gateway: Gateway, locks: Iterable[Lock], config: ConfigSummary, growing_files: Callable[[], list[str]]
    ) -> bool:
        if gateway.state is GatewayState.LIVE:
            self._life.forget()
            return gateway.pid is None
        if any(lock.verdict.kind is VerdictKind.HELD for lock in locks):
            self._life.forget()
            return False
        files = growing_files()
        files = [*files, config.log_file] if config.log_file is not None else files
        return self._last("life", "files that grow", lambda: self._life.shows(files), False, [])


def _dated(lock: Lock, offset: int) -> Lock:
    """A lock that does not say when it was taken, with the time of its file by the gateway's clock."""
    return lock if lock.created_at is not None else replace(lock, created_at=lock.file.mtime + offset)


def _by_its_clock(kill: MemoryKill | None, offset: int) -> MemoryKill | None:
    return kill if kill is None or not offset else replace(kill, at=kill.at + offset)


def _rival(pid: int, gateway: Gateway, state_dir: Path) -> Problem:
    if gateway.pid is None:
        text = f"process {pid} is a gateway of it without a lock: another one took its lock; restart it"
    else:
        text = f"processes {gateway.pid} and {pid} are both gateways of it, and overwrite each other's files: stop one"
    return Problem("two-gateways", str(state_dir), text)


def _others(locks: Iterable[LockFile], judge: LockJudge) -> tuple[int, ...]:
    """The pids that gateway locks of other configurations name and that may still be theirs."""
    owners = ((lock, judge.owner(pid)) for lock in locks if (pid := owner_pid(lock)) is not None)
    return tuple(
        sorted(
            {
                owner.pid
                for lock, owner in owners
                if owner.alive is not False
                and (owner.started_at is None or owner.started_at <= lock.mtime + START_SLACK_MS)
            }
        )
    )
