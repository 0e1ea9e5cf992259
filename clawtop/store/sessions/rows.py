"""Sessions as rows: sessions.json with what is known about their runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from heapq import nlargest
from typing import NamedTuple

from clawtop.core.carried import Lineage
from clawtop.core.model import (
    Event,
    Exchange,
    Gateway,
    LaneStats,
    Lock,
    LockKind,
    Problem,
    Session,
    SessionPlace,
    Witness,
    session_place,
)
from clawtop.core.session.activity import judge
from clawtop.core.session.disk_witness import (
    NOT_LOOKED,
    RUNNING,
    SETTLING_MS,
    CommandLine,
    TrajectoryRun,
    lock_witness,
    status_witness,
    trajectory_witnesses,
    turns_of,
)
from clawtop.core.session.turns import RecordedRuns
from clawtop.store.interning import Interned
from clawtop.store.json_text import Stamp, stamp_of
from clawtop.store.place.layout import AgentPaths, Layout
from clawtop.store.sessions.index import SessionsRead, read_sessions
from clawtop.store.sessions.tail import why_closed
from clawtop.store.sessions.trajectory import trajectory_path, trajectory_runs
from clawtop.store.sessions.transcript_end import transcript_exchanges, transcript_text
from clawtop.store.sessions.unlisted import UnlistedTranscripts
from clawtop.store.timed_reads import NoAnswerError, TimedReads
from clawtop.values import dataclass

RECENT_MS = 24 * 3_600_000
"""Sessions changed within a day are examined with every read; the others in turn."""

BY_TURNS = 200
"""How many trajectories of quiet sessions one read examines; a thousand sessions take five reads."""

MOST_TRANSCRIPTS = 100
"""How many of the most recent transcripts are searched for unanswered messages."""


NOTHING_TOLD = RecordedRuns()


class JsonSessions:
    """Reads each sessions.json once per change of it, trajectories and the ends of transcripts when they grow."""

    counting = 0
    is_overdue = False

    def __init__(self, reads: TimedReads) -> None:
        self._reads = reads
        self._silent: set[str] = set()  # agents whose directory does not answer
        self._locked_throughout = False
        self._lists: dict[str, SessionsRead] = {}
        self._judged: Interned[SessionPlace, Session] = Interned()
        self._line: Lineage[Session] = Lineage()
        self._shown: tuple[Session, ...] = ()
        self._final: dict[int, _Final] = {}  # by the identity of the row, which the value keeps alive
        self._final_under: tuple[Gateway, bool] | None = None
        self._trajectories: dict[str, tuple[Stamp, tuple[TrajectoryRun, ...]]] = {}
        self._transcripts: dict[str, tuple[Stamp, tuple[Exchange, ...]]] = {}
        self._places: dict[str, str] = {}  # sessions directory -> the agent that it is listed under
        self._unlisted: dict[str, UnlistedTranscripts] = {}
        self._named: tuple[tuple[SessionsRead, ...], frozenset[str]] = ((), frozenset())  # reads -> their names
        self._next_quiet = 0
        self._looked: set[str] = set()

    def load(self, agents: Iterable[AgentPaths], layout: Layout, warnings: list[Problem]) -> None:
        """Bring the rows up to date. A file that cannot be read keeps its last rows, with a warning that says why."""
        self._locked_throughout = layout.storage.locked_throughout
        agents = tuple(agents)
        self._places = {str(agent.sessions_dir): agent.id for agent in reversed(agents)}
        stores = {str(agent.sessions_store): agent for agent in reversed(agents)}
        self._silent = set()
        self._lists = {store: self._load(store, agent, layout) for store, agent in reversed(stores.items())}
        for read in self._lists.values():
            warnings += (problem for problem in (read.problem, read.oddity) if problem is not None)

    def _load(self, store: str, agent: AgentPaths, layout: Layout) -> SessionsRead:
        known = self._lists.get(store)
        try:
            fresh = self._reads.ask(f"sessions {store}", store, lambda: _read(store, agent, layout, known))
        except NoAnswerError as silent:
            self._silent.add(agent.id)
            return replace(known or SessionsRead(), problem=silent.problem, stamp=None)
        if fresh is not known and fresh.problem is not None and known is not None:
            return replace(known, problem=fresh.problem, stamp=fresh.stamp)
        return fresh

    @property
    def unread(self) -> Sequence[Problem]:
        return [read.problem for read in self._lists.values() if read.problem is not None]

    def growing_files(self) -> list[str]:
        """Trajectories of sessions that are stored as running: they grow while their run is active."""
        rows = (row for read in self._lists.values() for row in read.rows)
        running = [row for row in rows if row.status == RUNNING and row.agent not in self._silent]
        return [trajectory_path(row.file) for row in running if row.file is not None]

    def judged(
        self,
        gateway: Gateway,
        locks: Iterable[Lock],
        now: int,
        command_line: Callable[[], CommandLine] = lambda: NOT_LOOKED,
        told: Callable[[Session], RecordedRuns] = lambda _: NOTHING_TOLD,
    ) -> tuple[Session, ...]:
        """Every row with its `active`, and a row for each locked transcript that has no entry.

        Args:
            command_line: called if a run may be a command-line run.
            told: what other records say about a row.
        """
        by_file = {lock.file.path.removesuffix(".lock"): lock for lock in locks if lock.file.kind is LockKind.SESSION}
        scene = _Beside(gateway, now, self._locked_throughout, command_line)
        rows = [row for read in self._lists.values() for row in read.rows]
        looked = self._looked_at(rows, now)
        under = (gateway, self._locked_throughout)
        earlier, self._final = self._final, {}
        before = earlier if under == self._final_under else {}
        self._final_under = under
        sessions: list[Session] = []
        for number, row in enumerate(rows):
            lock = by_file.pop(row.file, None) if by_file and row.file is not None else None
            if number not in looked and row.active is not None and lock is None:
                final = earlier.get(id(row))  # settled long ago, and nothing holds it
                if final is None or final.row is not row or final.lock is not None:
                    sessions.append(row)
                else:
                    self._final[id(row)] = final
                    sessions.append(final.session)
                continue
            runs, recorded = self._trajectory(row), told(row)
            final = before.get(id(row)) if recorded is NOTHING_TOLD else None
            if final is None or final.row is not row or final.runs is not runs or final.lock is not lock:
                final = _Final(row, runs, lock, scene.told(row, runs, lock, recorded))
            if recorded is NOTHING_TOLD and _is_over(row, runs, now):
                self._final[id(row)] = final
            sessions.append(final.session)
        sessions += self._without_entry(rows, scene, by_file)
        self._exchange(sessions, now)
        sessions += scene.orphans(by_file)
        found = self._line.rows(self._judged.interned((session_place(row), row) for row in sessions))
        if found != self._shown:
            self._shown = found
        return self._shown

    def _without_entry(self, rows: list[Session], scene: _Beside, by_file: dict[str, Lock]) -> Iterable[Session]:
        """A row for each transcript that was written just now and that no entry names; its lock is taken out."""
        named = self._named_files(rows)
        offset = scene.gateway.clock_offset
        for directory, agent in self._places.items():
            if agent in self._silent:
                continue
            unlisted = self._unlisted.setdefault(directory, UnlistedTranscripts())
            for path, at in unlisted.fresh(directory, named, scene.now - offset).items():
                name = os.path.basename(path).removesuffix(".jsonl")  # noqa: PTH119
                row = Session(agent, "", name, path, updated_at=at + offset)
                lock = by_file.pop(path, None)
                yield scene.told(row, self._trajectory(row), lock)

    def _named_files(self, rows: list[Session]) -> frozenset[str]:
        """The names of the files of all rows, collected again for a store that was re-read."""
        reads = tuple(self._lists.values())
        if list(map(id, reads)) != list(map(id, self._named[0])):
            self._named = (reads, frozenset(row.file.rpartition("/")[2] for row in rows if row.file is not None))
        return self._named[1]

    def lanes(self, sessions: Sequence[Session]) -> tuple[LaneStats, ...]:  # noqa: ARG002 - as every storage
        """Files say nothing of lanes."""
        return ()

    def message_text(self, session: Session, at: int) -> str | None:
        if session.file is None or session.agent in self._silent:
            return None
        return transcript_text(session.file, at)

    def events(self) -> tuple[Event, ...]:
        """Files report no events."""
        return ()

    def _looked_at(self, rows: list[Session], now: int) -> set[int]:
        """The rows whose trajectories this read examines: those of the last day, and some of the others."""
        recent = {
            number
            for number, row in enumerate(rows)
            if row.active is None or now - (row.updated_at or 0) < RECENT_MS or row.file in self._looked
        }
        quiet = [number for number in range(len(rows)) if number not in recent]
        if len(quiet) <= BY_TURNS:
            return set(range(len(rows)))
        start = self._next_quiet % len(quiet)
        self._next_quiet = start + BY_TURNS
        return recent | set(quiet[start : start + BY_TURNS])

    def _trajectory(self, row: Session) -> tuple[TrajectoryRun, ...]:
        if row.file is None:
            return ()
        path = trajectory_path(row.file)
        if row.agent in self._silent:
            return self._trajectories.get(path, (None, ()))[1]
        stamp = stamp_of(path)
        if stamp is None:
            self._trajectories.pop(path, None)
            return ()
        known = self._trajectories.get(path)
        if known is None or known[0] != stamp:
            known = self._trajectories[path] = (stamp, trajectory_runs(path))
        if any(run.is_open for run in known[1]):
            self._looked.add(row.file)
        else:
            self._looked.discard(row.file)
        return known[1]

    def _exchange(self, sessions: list[Session], now: int) -> None:
        """Add to the most recent sessions what the ends of their transcripts show."""
        touched = [(_touched(row), -number) for number, row in enumerate(sessions) if row.file is not None]
        recent = [-place for at, place in nlargest(MOST_TRANSCRIPTS, touched) if now - at < RECENT_MS]
        known, self._transcripts = self._transcripts, {}
        for number in recent:
            row = sessions[number]
            path = row.file or ""
            read = known.get(path)
            if row.agent not in self._silent:
                stamp = stamp_of(path)
                if stamp is None:
                    continue
                if read is None or read[0] != stamp:
                    read = (stamp, transcript_exchanges(path))
                closed = why_closed(path) if not read[1] else None
                if closed is not None:
                    sessions[number] = replace(row, problems=(*row.problems, _unread(row, closed)))
                    continue
            if read is None:
                continue
            self._transcripts[path] = read
            if read[1]:
                sessions[number] = replace(row, exchanges=read[1])


def _unread(row: Session, closed: Problem) -> Problem:
    text = f"its transcript {closed.text}, so whether a message is unanswered is not known"
    return Problem("transcript-unread", row.key, text)


def _read(store: str, agent: AgentPaths, layout: Layout, known: SessionsRead | None) -> SessionsRead:
    """The rows, or what is known of them while the file looks the same."""
    if known is not None and known.stamp is not None and known.stamp == stamp_of(store):
        return known
    return read_sessions(agent, layout)


def _touched(row: Session) -> int:
    latest = row.updated_at or 0
    for witness in row.witnesses:
        if witness.at is not None and witness.at > latest:
            latest = witness.at
    return latest


class _Final(NamedTuple):
    """The result for a row, its trajectory and its lock; with the same gateway, time alone does not change it."""

    row: Session
    runs: tuple[TrajectoryRun, ...]
    lock: Lock | None
    session: Session


def _is_over(row: Session, runs: Iterable[TrajectoryRun], now: int) -> bool:
    """Whether nothing reports a run that may be active: then time alone does not change the result."""
    return row.status != RUNNING and all(not run.is_open and now - run.at > SETTLING_MS for run in runs)


@dataclass(frozen=True, slots=True)
class _Beside:
    """The context in which the sessions of one reading are judged."""

    gateway: Gateway
    now: int
    locked_throughout: bool
    command_line: Callable[[], CommandLine]

    def told(
        self,
        row: Session,
        runs: tuple[TrajectoryRun, ...],
        lock: Lock | None,
        recorded: RecordedRuns = NOTHING_TOLD,
    ) -> Session:
        """The row with its witnesses and the judgement over them."""
        alone = lock is None and not runs and recorded is NOTHING_TOLD and not self.locked_throughout
        if row.active is False and alone:
            return row  # its status is the only witness, and `index` has asked it
        asks = row.status == RUNNING or any(run.is_open for run in runs)
        others = self.command_line() if asks else NOT_LOOKED
        gateway, now = self.gateway, self.now
        told: list[Witness] = [
            *recorded.witnesses,
            *trajectory_witnesses(runs, gateway, now, others, status=row.status),
        ]
        status = status_witness(row, gateway, now, others)
        signs = [w.at for w in (*told, status) if w is not None and w.running is True and w.at is not None]
        held = lock_witness(lock, throughout=self.locked_throughout, now=now, last_sign=max(signs, default=None))
        witnesses = tuple(witness for witness in (held, *told, status) if witness is not None)
        found = judge(row, witnesses, gateway, others)
        problems = (*row.problems, *recorded.problems)
        problems = (*problems, found.problem) if found.problem is not None else problems
        return replace(
            row,
            waiters=recorded.waiters if found.active is not False else (),
            active=found.active,
            active_how=found.how,
            problems=problems,
            witnesses=witnesses,
            turns=turns_of(runs),
        )

    def orphans(self, locks: Mapping[str, Lock]) -> Iterable[Session]:
        """A row for each lock without one."""
        for file, lock in locks.items():
            problem = Problem("no-entry", file, "a locked transcript that no entry of sessions.json names")
            row = Session(lock.file.agent or "", "", lock.file.session_id, file, problems=(problem,))
            yield self.told(row, (), lock)
