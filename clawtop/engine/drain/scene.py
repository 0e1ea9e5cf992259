"""What a drain sees of its session: the registry's record, OpenClaw's status, the lock and the transcript."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from clawtop.clock import Clock
from clawtop.core.locks.staleness import NamespaceEvidence, owner_pid, verdict
from clawtop.core.model import Gateway, GatewayState, Lock, LockFile, LockKind, Session, Snapshot, Verdict
from clawtop.core.session.admission import Admission
from clawtop.core.session.drain import FoundLock, OpenClawRun, Scene
from clawtop.store.locks.processes import ProcessTable
from clawtop.store.own.holders import canonical, holders_dir, prompt_holder, read_admission
from clawtop.store.place.mounts import mount_obstacles
from clawtop.store.sessions.fingerprint import fingerprint
from clawtop.store.snapshot import SnapshotReader


@dataclass(frozen=True, slots=True)
class DrainTarget:
    """The session to drain. `file` is its transcript, canonical."""

    agent: str
    key: str | None
    file: Path


@dataclass(frozen=True, slots=True)
class Look:
    """One look: the scene for `core.drain.decide`, and what carrying its decision out needs."""

    scene: Scene
    admission: Admission | None
    gateway: Gateway


class Watcher:
    """Looks at one session. One thread at a time."""

    def __init__(
        self, reader: SnapshotReader, target: DrainTarget, *, clock: Clock, processes: ProcessTable, drain_id: str
    ) -> None:
        self._reader = reader
        self._target = target
        self._clock = clock
        self._processes = processes
        self._drain_id = drain_id

    def look(self) -> Look:
        """The session as it is now. Raises StateUnreadableError."""
        snapshot = self._reader.read()
        admission = read_admission(holders_dir(snapshot.state_dir), str(self._target.file))
        holder = prompt_holder(admission) if admission is not None and admission.holder is not None else None
        closing = admission.closing if admission is not None else None
        lock = self._lock(snapshot)
        is_our_lock = holder is not None and lock is not None and lock.pid == holder.pid
        scene = Scene(
            now=round(self._clock.monotonic() * 1000),
            closed=closing is not None and closing.drain_id == self._drain_id,
            holder=holder,
            run=None if is_our_lock else self._run(snapshot),
            lock=None if lock is None else FoundLock(lock.file, lock.verdict, lock.pid),
            fingerprint=fingerprint(self._target.file),
        )
        return Look(scene, admission, snapshot.gateway)

    def judge(self, lock: LockFile, gateway: Gateway) -> Verdict:
        """Our verdict on a lock at the moment of its removal."""
        pid = owner_pid(lock)
        owner = None if pid is None else self._processes.look(pid)
        unseen = gateway.state is GatewayState.LIVE and gateway.pid is None
        obstacles = mount_obstacles(self._target.file.parent) + (("other-namespace",) if unseen else ())
        return verdict(lock, owner, self._clock.now_ms(), NamespaceEvidence(obstacles))

    def _lock(self, snapshot: Snapshot) -> Lock | None:
        wanted = f"{self._target.file}.lock"
        session_locks = (lock for lock in snapshot.locks if lock.file.kind is LockKind.SESSION)
        return next((lock for lock in session_locks if _real(lock.file.path) == wanted), None)

    def _run(self, snapshot: Snapshot) -> OpenClawRun | None:
        session = next((row for row in snapshot.sessions if self._is_target(row)), None)
        if session is None or session.active is False:
            return None
        in_gateway = snapshot.gateway.state in {GatewayState.LIVE, GatewayState.UNKNOWN}
        return OpenClawRun(session.active is True, session.active_how or "its status is not known", in_gateway)

    def _is_target(self, row: Session) -> bool:
        if self._target.key is not None:
            return (row.agent, row.key) == (self._target.agent, self._target.key)
        return row.file is not None and canonical(row.file) == str(self._target.file)


def _real(path: str) -> str:
    directory, name = os.path.split(path)
    return f"{os.path.realpath(directory)}/{name}"
