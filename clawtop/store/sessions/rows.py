"""Sessions as they are shown: the rows of sessions.json with what is known of their runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from clawtop.core.generations import storage_of
from clawtop.core.model import Gateway, Generation, Lock, LockKind, Problem, Session, VerdictKind
from clawtop.core.session.activity import RUNNING, TrajectoryEnd, judge
from clawtop.store.json_text import Stamp, stamp_of
from clawtop.store.kept import Kept
from clawtop.store.place.layout import AgentPaths, Layout
from clawtop.store.sessions.index import SessionsRead, read_sessions
from clawtop.store.sessions.trajectory import trajectory_end, trajectory_path


class SessionRows:
    """Reads each sessions.json once per change of it, and trajectories only of sessions that are stored as running."""

    def __init__(self) -> None:
        self._reads: dict[str, SessionsRead] = {}
        self._judged: Kept[tuple[str, str, str | None], Session] = Kept()
        self._trajectories: dict[str, tuple[Stamp, TrajectoryEnd | None]] = {}

    def load(self, agents: Iterable[AgentPaths], layout: Layout, warnings: list[Problem]) -> None:
        """Bring the rows up to date. A file that cannot be read keeps its last rows, with a warning that says why."""
        if not storage_of(layout.generation).session_files:
            self._reads = {}
            return
        stores = {str(agent.sessions_store): agent for agent in reversed(tuple(agents))}
        self._reads = {store: self._load(store, agent, layout) for store, agent in reversed(stores.items())}
        warnings += (read.problem for read in self._reads.values() if read.problem is not None)

    def _load(self, store: str, agent: AgentPaths, layout: Layout) -> SessionsRead:
        known = self._reads.get(store)
        if known is not None and known.stamp is not None and known.stamp == stamp_of(store):
            return known
        fresh = read_sessions(agent, layout)
        if fresh.problem is not None and known is not None:
            return replace(known, problem=fresh.problem, stamp=fresh.stamp)
        return fresh

    def growing_files(self) -> list[str]:
        """Trajectories of sessions that are stored as running: they grow while their run lives."""
        rows = (row for read in self._reads.values() for row in read.rows)
        return [trajectory_path(row.file) for row in rows if row.status == RUNNING and row.file is not None]

    def judged(
        self, generation: Generation | None, gateway: Gateway, locks: Iterable[Lock], now: int
    ) -> tuple[Session, ...]:
        """Every row with its `active`, and a row for each locked transcript that has no entry."""
        by_file = {lock.file.path.removesuffix(".lock"): lock for lock in locks if lock.file.kind is LockKind.SESSION}
        throughout = storage_of(generation).locked_throughout
        sessions: list[Session] = []
        for read in self._reads.values():
            for row in read.rows:
                lock = by_file.pop(row.file, None) if by_file and row.file is not None else None
                if row.active is not None and (lock is None or lock.verdict.kind is VerdictKind.STALE):
                    sessions.append(row)  # settled, and nothing holds it
                    continue
                trajectory = self._trajectory(row) if row.status == RUNNING else None
                found = judge(row, gateway, lock, trajectory, now, locked_throughout=throughout)
                problems = (*row.problems, found.problem) if found.problem is not None else row.problems
                sessions.append(replace(row, active=found.active, active_how=found.how, problems=problems))
        sessions += _orphans(by_file, gateway, now)
        return self._judged.kept(((row.agent, row.key, row.file), row) for row in sessions)

    def _trajectory(self, row: Session) -> TrajectoryEnd | None:
        if row.file is None:
            return None
        path = trajectory_path(row.file)
        stamp = stamp_of(path)
        if stamp is None:
            return None
        known = self._trajectories.get(path)
        if known is None or known[0] != stamp:
            known = self._trajectories[path] = (stamp, trajectory_end(path))
        return known[1]


def _orphans(locks: Mapping[str, Lock], gateway: Gateway, now: int) -> Iterable[Session]:
    for file, lock in locks.items():
        problem = Problem("no-entry", file, "a locked transcript that no entry of sessions.json names")
        row = Session(lock.file.agent or "", "", lock.file.session_id, file, problems=(problem,))
        found = judge(row, gateway, lock, None, now)
        yield replace(row, active=found.active, active_how=found.how)
