"""A small world on virtual time: processes that crash, a disk they share, clocks that jump, and a seeded scheduler.

The rules under test are the real ones (`core.admission.step`, `core.staleness.verdict`, `core.recovery.plan_recovery`)
and enter as `Rules`, so that a test can swap one for a broken one and see that the world notices. One step of an actor
is what the real code does without letting go: a step on a record under its lock, one file operation. Between steps
anything may happen. The microseconds inside `store.openclaw_lock.break_stale` are one step here.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Generator
from dataclasses import dataclass, field

from clawtop.core.locks.staleness import verdict
from clawtop.core.model import (
    LockFile,
    LockIdentity,
    LockKind,
    ProcessEvidence,
    Verdict,
    VerdictKind,
)
from clawtop.core.session.admission import Admission, AdmissionEffect, AdmissionRequest, AdmissionStep, Reap, Wake, step
from clawtop.core.session.recovery import RecoveryPlan, plan_recovery

BOOT = 1_700_000_000_000
TICK_MS = 10

Acts = Generator[int, None, None]
"""An actor: yields how many ms it does nothing; whatever it does between two yields nobody can interrupt."""


class BrokenInvariantError(AssertionError):
    """The world saw something that must never happen."""


@dataclass(frozen=True)
class Rules:
    """The decisions under test."""

    step: Callable[[Admission, AdmissionRequest, int], AdmissionStep] = step
    verdict: Callable[[LockFile, ProcessEvidence | None, int], Verdict] = verdict
    plan: Callable[..., RecoveryPlan] = plan_recovery


@dataclass(eq=False)
class Process:
    """A process. `offset` is how far its wall clock is off; `ready_at` is when it may run again after a stop."""

    member: str
    pid: int
    ticks: int
    alive: bool = True
    offset: int = 0
    ready_at: int = 0


@dataclass(eq=False)
class SimLock:
    """A session lock on the disk, and the truth about who made it."""

    file: LockFile
    owner: Process


@dataclass(eq=False)
class Run:
    """A run that has, or believes to have, a session's prompt; `locked` while it has the write lock."""

    name: str
    process: Process
    session: str
    locked: bool = False


@dataclass
class World:
    """Everything, and the scheduler. `trace` holds what happened, for a seed that is replayed."""

    seed: int
    rules: Rules = Rules()
    traced: bool = False
    now: int = 0
    records: dict[str, Admission] = field(default_factory=dict)
    locks: dict[str, SimLock] = field(default_factory=dict)
    files: dict[str, list[str]] = field(default_factory=dict)
    processes: list[Process] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    woken: set[str] = field(default_factory=set)
    trace: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self._queue: list[tuple[int, int, Process | None, Acts]] = []
        self._serial = 0

    # --- the scheduler

    def spawn(self, actor: Acts, process: Process | None = None) -> None:
        self._later(self.random.randrange(20), process, actor)

    def _later(self, delay: int, process: Process | None, actor: Acts) -> None:
        self._serial += 1
        heapq.heappush(self._queue, (self.now + max(1, delay), self._serial, process, actor))

    def play(self, until: int) -> None:
        """Run every actor to its end; the actors of a crashed process just stop."""
        while self._queue:
            at, _, process, actor = heapq.heappop(self._queue)
            self.now = max(self.now, at)
            if self.now > until:
                raise BrokenInvariantError(f"seed {self.seed}: something still waits after {until} ms")
            if process is not None and not process.alive:
                actor.close()
                continue
            if process is not None and process.ready_at > self.now:
                self._later(process.ready_at - self.now, process, actor)
                continue
            delay = next(actor, None)
            if delay is not None:
                self._later(delay, process, actor)
            self.check()

    def tell(self, what: str) -> None:
        if self.traced:
            self.trace.append(f"{self.now:>7} {what}")

    def count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1

    # --- processes

    def start_process(self) -> Process:
        """A new process; now and then it gets the pid of a dead one."""
        self._serial += 1
        dead = [process.pid for process in self.processes if not process.alive]
        taken = {process.pid for process in self.processes if process.alive}
        reusable = [pid for pid in dead if pid not in taken]
        pid = self.random.choice(reusable) if reusable and self.random.random() < 0.5 else 1000 + self._serial
        process = Process(f"{pid}-{self._serial}", pid, ticks=self.now // TICK_MS + self._serial)
        self.processes.append(process)
        return process

    def crash(self, process: Process) -> None:
        """SIGKILL: its locks and records stay where they are."""
        process.alive = False
        self.runs = [run for run in self.runs if run.process is not process]
        self.count("crash")
        self.tell(f"{process.member} is killed")

    def wall(self, process: Process) -> int:
        return BOOT + self.now + process.offset

    def look(self, pid: int) -> ProcessEvidence:
        """What the process table says."""
        for process in self.processes:
            if process.pid == pid and process.alive:
                return ProcessEvidence(pid, alive=True, start_ticks=process.ticks)
        return ProcessEvidence(pid, alive=False)

    # --- the records

    def apply(self, process: Process, session: str, request: AdmissionRequest) -> tuple[AdmissionEffect, ...]:
        """One step on a record, as `store.holders` does it; bells may be lost."""
        before = self.records.get(session, Admission(session))
        living = {other.member for other in self.processes if other.alive}
        dead = before.members - living
        effects: tuple[AdmissionEffect, ...] = ()
        state = before
        if dead:
            state, effects = self.rules.step(state, Reap(dead), self.wall(process))
        state, more = self.rules.step(state, request, self.wall(process))
        self.records[session] = state
        for effect in effects + more:
            if isinstance(effect, Wake) and self.random.random() < 0.9:
                self.woken.add(effect.who.token)
        return effects + more

    # --- the locks

    def publish(self, run: Run) -> bool:
        if run.session in self.locks:
            return False
        self._serial += 1
        identity = LockIdentity(1, self._serial, str(self._serial))
        payload = {"pid": run.process.pid, "starttime": run.process.ticks}
        file = LockFile(f"{run.session}.lock", LockKind.SESSION, identity, self.wall(run.process), payload)
        self.locks[run.session] = SimLock(file, run.process)
        run.locked = True
        return True

    def still_ours(self, run: Run) -> bool:
        lock = self.locks.get(run.session)
        return lock is not None and lock.owner is run.process

    def release(self, run: Run) -> None:
        if run.locked and self.still_ours(run):
            del self.locks[run.session]
        run.locked = False

    def judge(self, process: Process, file: LockFile) -> Verdict:
        assert file.payload is not None
        evidence = self.look(file.payload["pid"])
        return self.rules.verdict(file, evidence, self.wall(process))

    def break_stale(self, process: Process, session: str, seen: LockFile) -> None:
        """Remove the lock if it is still the one that was seen and is still proven stale."""
        lock = self.locks.get(session)
        if lock is None or lock.file.identity != seen.identity:
            return
        if self.judge(process, lock.file).kind is not VerdictKind.STALE:
            return
        if lock.owner.alive:
            raise BrokenInvariantError(f"seed {self.seed}: {process.member} removed the lock of a living owner (7)")
        del self.locks[session]
        self.count("broken lock")
        self.tell(f"{process.member} removes the stale lock of {session}")

    # --- what must hold

    def begin(self, run: Run) -> None:
        """The run believes that the prompt is its own."""
        self.runs.append(run)
        self.count("run")
        self.tell(f"{run.name} holds {run.session}")

    def end(self, run: Run) -> None:
        self.runs = [other for other in self.runs if other is not run]

    def check(self) -> None:
        """Invariants 1 and 7, over what living processes believe."""
        prompting: dict[str, Run] = {}
        for run in self.runs:
            other = prompting.setdefault(run.session, run)
            if other is not run:
                raise BrokenInvariantError(f"seed {self.seed}: {other.name} and {run.name} hold {run.session} (1)")
            if run.locked and not self.still_ours(run):
                raise BrokenInvariantError(f"seed {self.seed}: {run.name} lost its lock while it lives (7)")

    def recovered(self, run: Run, fresh: bool) -> None:
        """Invariant 8, at the moment in which recovery starts a run."""
        others = [other.name for other in self.runs if other.session == run.session and other is not run]
        if others:
            raise BrokenInvariantError(f"seed {self.seed}: recovery started {run.name} beside {others} (8)")
        self.count("recovered fresh" if fresh else "recovered")
