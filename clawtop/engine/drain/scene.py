"""What a drain observes of its session: the registry's record, OpenClaw's witnesses, the lock, the transcript."""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterable
from dataclasses import replace
from pathlib import Path

from clawtop.clock import Clock
from clawtop.core.generations import semantics_of, storage_of
from clawtop.core.model import (
    BLOCKED,
    OTHER_OWNER,
    Gateway,
    GatewayState,
    GatewayWords,
    Lock,
    LockFile,
    LockKind,
    Problem,
    RunSight,
    Session,
    Snapshot,
    TaskSight,
    Verdict,
    WitnessKind,
)
from clawtop.core.rules import Remote
from clawtop.core.session.activity import last_sign
from clawtop.core.session.admission import Admission
from clawtop.core.session.drain import DrainScene, FoundLock
from clawtop.core.session.gateway_witness import CRON, QUEUED, tasks_in
from clawtop.core.session.openclaw_runs import OURS
from clawtop.core.session.proof import (
    Access,
    NotRead,
    ProofRole,
    ProofSource,
    find,
    may_follow,
    quiet_ms,
    roles,
    statements_of,
)
from clawtop.core.session.remedies import HeldRun, OwnProcess, Remedy, queue_words, remedies
from clawtop.engine.gateway.watch import with_words
from clawtop.store.locks.owners import lock_verdict
from clawtop.store.locks.processes import ProcessTable
from clawtop.store.locks.standpoint import evidence
from clawtop.store.own.admissions import prompt_holder, read_admission
from clawtop.store.own.holder_record import canonical
from clawtop.store.own.presence import holders_dir
from clawtop.store.place.layout import AgentPaths
from clawtop.store.sessions.fingerprint import fingerprint
from clawtop.store.sessions.index import LARGE_LIST
from clawtop.store.snapshot import SnapshotReader
from clawtop.store.timed_reads import NO_ANSWER
from clawtop.text import safe
from clawtop.values import dataclass

DATABASE_SUFFIX = ".sqlite"


@dataclass(frozen=True, slots=True)
class DrainTarget:
    """The session to drain. `file` is its transcript, canonical."""

    agent: str
    key: str | None
    file: Path


@dataclass(frozen=True, slots=True)
class GatewayReply:
    """What the gateway said for this observation.

    Attributes:
        access: whether it may be asked. at: when it was (ms of the monotonic clock).
    """

    access: Access
    words: GatewayWords | None = None
    at: int | None = None


@dataclass(frozen=True, slots=True)
class DrainLook:
    """One observation: the scene for `core.session.drain.decide`, and what is needed to carry out its decision."""

    scene: DrainScene
    admission: Admission | None
    gateway: Gateway
    must_ask: bool
    """Whether the gateway's answer is required; if it was not queried for this observation, the scene says that it is
    missing.
    """


class Watcher:
    """Observes one session. Used by one thread at a time."""

    def __init__(
        self,
        reader: SnapshotReader,
        target: DrainTarget,
        *,
        clock: Clock,
        processes: ProcessTable,
        drain_id: str,
        admission: Callable[[], Admission | None] | None = None,
    ) -> None:
        """`admission`: the session's record as last read from a registry of several hosts; None: it is in files."""
        self._reader = reader
        self._target = target
        self._clock = clock
        self._processes = processes
        self._drain_id = drain_id
        self._shared_admission = admission

    def look(self, asked: GatewayReply) -> DrainLook:
        """The session as it is now. Raises StateUnreadableError."""
        snapshot = self._reader.read()
        if asked.words is not None and asked.words.problem is None:
            snapshot = with_words(snapshot, asked.words)
        if self._shared_admission is not None:
            admission = self._shared_admission()
        else:
            admission = read_admission(holders_dir(snapshot.state_dir), str(self._target.file))
        holder = prompt_holder(admission) if admission is not None and admission.holder is not None else None
        closing = admission.closing if admission is not None else None
        lock = self._lock(snapshot)
        theirs = None if holder is not None and lock is not None and lock.pid == holder.pid else lock
        session = next((row for row in snapshot.sessions if self._is_target(row)), None)
        if holder is not None and theirs is not lock:
            session = None  # the run that the disk shows is clawtop's
        version = asked.words.version if asked.words is not None else None
        remote = semantics_of(version or snapshot.openclaw_version, snapshot.generation).row.remote
        table = roles(storage_of(snapshot.generation), remote, snapshot.gateway.state, asked.access)
        key = self._target.key
        now = round(self._clock.monotonic() * 1000)
        following = may_follow(session, remote, snapshot.gateway)
        must_ask = table[ProofSource.ANSWER] is ProofRole.REQUIRED
        waiting = self._waiting(snapshot, session, asked.words)
        scene = DrainScene(
            now=now,
            closed=closing is not None and closing.drain_id == self._drain_id,
            holder=holder,
            lock=None if lock is None else FoundLock(lock.file, lock.verdict, lock.pid),
            fingerprint=fingerprint(self._target.file),
            openclaw=find(
                statements_of(
                    session,
                    theirs,
                    asked.words,
                    key,
                    unread=_unread(_of_databases(snapshot)),
                    unlisted=self._not_read(snapshot, lambda agent: (agent.sessions_store,)),
                    unlocked=self._not_read(snapshot, lambda agent: (agent.sessions_dir, *agent.older_sessions)),
                    unseen=_unseen(snapshot),
                ),
                table,
            ),
            quiet_ms=quiet_ms(table, remote, snapshot.gateway.state, 0),
            may_follow=None
            if following is None
            else replace(following, until=now + following.until - snapshot.present(self._clock.now_ms())),
            asked_at=asked.at if must_ask else None,
            remedies=self._remedies(snapshot, session, asked, remote),
            queue=queue_words(waiting, remote),
        )
        return DrainLook(scene, admission, snapshot.gateway, must_ask)

    def judge(self, lock: LockFile, gateway: Gateway) -> Verdict:
        """clawtop's verdict on a lock at the moment of its removal."""
        here = evidence(self._target.file.parent, gateway)
        return lock_verdict(lock, self._processes, self._clock.now_ms(), here)

    def _lock(self, snapshot: Snapshot) -> Lock | None:
        wanted = f"{self._target.file}.lock"
        session_locks = (lock for lock in snapshot.locks if lock.file.kind is LockKind.SESSION)
        return next((lock for lock in session_locks if _real(lock.file.path) == wanted), None)

    def _not_read(self, snapshot: Snapshot, places: Callable[[AgentPaths], Iterable[Path]]) -> NotRead | None:
        """Why one of these places of the session's agent was not read now; what is known of it may be old."""
        agents = [agent for agent in self._reader.layout.agents if agent.id == self._target.agent]
        return _not_read(snapshot, {str(place) for agent in agents for place in places(agent)})

    def _remedies(
        self, snapshot: Snapshot, session: Session | None, asked: GatewayReply, remote: Remote
    ) -> tuple[Remedy, ...]:
        sight, tasks = self._told_of_target(asked.words)
        own = [w for w in session.witnesses if w.kind is WitnessKind.PROCESS and w.pid] if session is not None else []
        sign = last_sign(session) if session is not None else None
        run = HeldRun(
            key=self._target.key,
            answers=sight.active if sight is not None else None,
            task=next((task for task in tasks if task.runtime == CRON), None),
            process=None if not own else OwnProcess(own[0].pid or 0, own[0].since, own[0].memory or 0),
            quiet_ms=None if sign is None else max(0, snapshot.present(self._clock.now_ms()) - sign),
        )
        return remedies(run, remote, snapshot.gateway.state, asked.access, abort_ms=snapshot.config.attention.abort_ms)

    def _waiting(self, snapshot: Snapshot, session: Session | None, words: GatewayWords | None) -> tuple[str, ...]:
        """Who waits behind the run, by the names of their runs."""
        key = self._target.key
        sight, tasks = self._told_of_target(words)
        by_task = [task.run_id or task.id for task in tasks if QUEUED in {task.execution, task.status}]
        by_ids = list((sight.run_ids or ())[1:]) if sight is not None else []
        witnesses = session.witnesses if session is not None else ()
        by_input = [w.run_id or "an input" for w in witnesses if w.kind is WitnessKind.INPUT and w.running is not False]
        theirs = [holder for holder in snapshot.holders if holder.session_key == key and holder.source != OURS]
        by_row = [waiter.run_id for holder in theirs for waiter in holder.waiters]
        best = max((by_row, by_task, by_ids, by_input), key=len)
        return tuple(safe(name, 40) for name in best)

    def _told_of_target(self, words: GatewayWords | None) -> tuple[RunSight | None, list[TaskSight]]:
        """What the gateway says of the session, and its tasks in it."""
        key = self._target.key
        if words is None or key is None:
            return None, []
        return words.sessions.get(key), tasks_in(key, words.tasks or ())

    def _is_target(self, row: Session) -> bool:
        if self._target.key is not None:
            return (row.agent, row.key) == (self._target.agent, self._target.key)
        return row.file is not None and canonical(row.file) == str(self._target.file)


def unread_databases(snapshot: Snapshot) -> str | None:
    """What keeps the databases from being read whole, with the name of one."""
    found = _unread(_of_databases(snapshot))
    return None if found is None else found.words


def _of_databases(snapshot: Snapshot) -> Iterable[Problem]:
    of_one = tuple(f"{DATABASE_SUFFIX}{end}" for end in ("", "-wal", "-shm", "-journal"))
    return (problem for problem in snapshot.warnings if problem.where.endswith(of_one))


def _not_read(snapshot: Snapshot, places: Container[str]) -> NotRead | None:
    """Why one of these places was not read now."""
    return _unread(p for p in snapshot.warnings if p.code == NO_ANSWER or (p.where in places and p.code != LARGE_LIST))


def _unread(problems: Iterable[Problem]) -> NotRead | None:
    found = next(iter(problems), None)
    return None if found is None else NotRead(f"{safe(found.where)} {found.text}", found.code in _LASTING)


_LASTING = frozenset(
    {
        BLOCKED,
        OTHER_OWNER,
        "corrupt",
        "foreign-database",
        "foreign-link",
        "no-permission",
        "not-a-database",
        "not-a-file",
        "not-allowed",
        "symlink-loop",
        "too-large",
        "unreleased-schema",
        "wrong-type",
    }
)
"""Problems that no waiting mends. What is empty, torn, busy or silent may be read again soon."""


def _unseen(snapshot: Snapshot) -> str | None:
    """Why nothing is known of the processes that work on the gateway's runs, where there may be some."""
    gateway, config = snapshot.gateway, snapshot.config
    if gateway.state.is_gone:
        return None
    if config.unread:
        return "the configuration that would name its command cannot be read"
    if not config.backends:
        return None
    if gateway.state is GatewayState.UNKNOWN:
        return "it is not known whether its gateway is alive"
    return "the processes under its gateway cannot be seen from here" if gateway.backends is None else None


def _real(path: str) -> str:
    directory, name = os.path.split(path)
    return f"{os.path.realpath(directory)}/{name}"
