"""Records of turns in the state directory's database: claims, open tasks, run starts and ends, gateway starts.

Columns differ between versions, so each query names only existing ones; a missing table counts as empty.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field

from clawtop.core.model import (
    EndedTurn,
    Event,
    EventKind,
    Gateway,
    GatewayState,
    Problem,
    Session,
    TurnOutcome,
)
from clawtop.core.session.key import agent_of
from clawtop.core.session.turns import OUTCOMES, Claim, QueuedTurn, Records
from clawtop.store.json_text import UnreadableError
from clawtop.store.place.databases import STATE_DATABASE
from clawtop.store.place.layout import Layout
from clawtop.store.sqlite.database import Database
from clawtop.store.sqlite.pool import Databases
from clawtop.store.sqlite.schema import DatabaseRole
from clawtop.store.timed_reads import NoAnswerError, TimedReads
from clawtop.store.wire import milliseconds, text
from clawtop.text import safe

MAX_ROWS = 5_000
"""More open tasks or claims than this are ignored: a gateway has a few hundred at most."""

MAX_EVENTS = 500
MAX_ENDED = 500
KEPT_TURNS = 50
_PLACEMENTS = "worker_session_placements"
SOURCE = "audit"
STARTED, FINISHED = "agent.run.started", "agent.run.finished"

Key = tuple[str, str]
"""Agent and session key."""


@dataclass(slots=True)
class StateRecords:
    """One reading of the state database.

    Attributes:
        boots: when gateways began, by pid; the newest of each.
        began: runs that were started and not finished, by session key, oldest first.
        ended: when the task that ended last did, and its run.
        turns: runs whose end was audited, by agent and session key, oldest first. What did not change is the same
            object as in the reading before.
    """

    claims: Mapping[Key, Claim] = field(default_factory=dict)
    tasks: Mapping[Key, tuple[QueuedTurn, ...]] = field(default_factory=dict)
    began: Mapping[Key, tuple[str, ...]] = field(default_factory=dict)
    boots: Mapping[int, int] = field(default_factory=dict)
    ended: Mapping[Key, tuple[int, str | None]] = field(default_factory=dict)
    turns: Mapping[str, Mapping[str, tuple[EndedTurn, ...]]] = field(default_factory=dict)

    def of(self, session: Session) -> Records:
        key = (session.agent, session.key)
        ended_at, ended_run = self.ended.get(key, (None, None))
        return Records(self.claims.get(key), (), self.tasks.get(key, ()), self.began.get(key, ()), ended_at, ended_run)

    def claims_of(self, agent: str) -> Mapping[str, Claim]:
        """The claims of one agent's sessions, by session key."""
        return {key: claim for (owner, key), claim in self.claims.items() if owner == agent}

    def gateway_began(self, gateway: Gateway) -> int | None:
        """When the living gateway began: by its own boot record, else by its lock."""
        if gateway.state is not GatewayState.LIVE:
            return None
        boot = self.boots.get(gateway.pid) if gateway.pid is not None else None
        known = [at for at in (boot, gateway.started_at) if at is not None]
        return min(known, default=None)


class StateDatabase:
    """Reads the records again when the database has changed."""

    def __init__(self, databases: Databases, reads: TimedReads) -> None:
        self._databases = databases
        self._reads = reads
        self._database: Database | None = None
        self._version: Hashable = None
        self._sequence: int | None = None
        self._open: dict[str, tuple[int, Key]] = {}
        self._turns: dict[str, dict[str, tuple[EndedTurn, ...]]] = {}
        self._events: list[Event] = []
        self.records = StateRecords()

    def load(self, layout: Layout, warnings: list[Problem]) -> bool:
        """Bring `records` up to date; returns whether anything was re-read."""
        database = self._databases.of(layout.state_dir / STATE_DATABASE, DatabaseRole.GLOBAL)
        self._database = database
        found: list[Problem] = []
        try:
            return self._reads.ask(f"records {database.path}", str(database.path), lambda: self._load(database, found))
        except NoAnswerError as silent:
            found = [silent.problem]
            return False
        finally:
            warnings += found

    def _load(self, database: Database, warnings: list[Problem]) -> bool:
        if not database.is_there:
            self.records = StateRecords()
            return False
        try:
            database.identity()
            version = database.version()
            if version == self._version:
                return False
            records = StateRecords(
                claims=_claims(database),
                tasks=_tasks(database),
                boots=_boots(database),
                began=self._audited(database),
                ended=_ended(database),
            )
            records.turns = {agent: {**turns} for agent, turns in self._turns.items()}
        except UnreadableError as error:
            warnings.append(error.problem)
            return False
        self.records, self._version = records, version
        return True

    def has_run(self, agent: str) -> bool:
        """Whether OpenClaw ever ran a session of this agent; False where that cannot be read."""
        database = self._database
        if database is None or not database.is_there:
            return False
        statement = "SELECT 1 FROM worker_session_placements WHERE agent_id=? LIMIT 1"

        def look() -> bool:
            return "agent_id" in database.columns(_PLACEMENTS) and bool(database.rows(statement, (agent,)))

        try:
            return self._reads.ask(f"placements {database.path}", str(database.path), look)
        except (NoAnswerError, UnreadableError):
            return False

    def events(self) -> tuple[Event, ...]:
        """Starts and ends of runs that were read since the last call."""
        found, self._events = tuple(self._events), []
        return found

    def _audited(self, database: Database) -> Mapping[Key, tuple[str, ...]]:
        """Follow the audit log: runs that began and have not finished, by session."""
        wanted = ("sequence", "occurred_at", "action", "status", "agent_id", "session_key", "run_id", "error_code")
        known = database.columns("audit_events")
        if not set(wanted[:-1]) <= known:
            return {}
        columns = ", ".join(name if name in known else f"NULL AS {name}" for name in wanted)
        rows = database.rows(
            f"SELECT {columns} FROM audit_events WHERE sequence > ? AND action IN (?, ?)"  # noqa: S608 - names above
            " ORDER BY sequence DESC LIMIT ?",
            (self._sequence or 0, STARTED, FINISHED, MAX_EVENTS),
        )
        for sequence, at, action, status, agent, key, run, error in reversed(rows):
            self._sequence = sequence if isinstance(sequence, int) else self._sequence
            run_id, session_key, owner, moment = text(run), text(key), text(agent), milliseconds(at)
            if run_id is None or session_key is None or moment is None:
                continue
            place = (owner or agent_of(session_key) or "", session_key)
            if action == STARTED:
                self._open[run_id] = (moment, place)
            else:
                since = self._open.pop(run_id, (0, place))[0] or None
                outcome = outcome_of(text(status))
                ended = EndedTurn(moment, outcome, run_id, since, None, text(error), SOURCE)
                turns = self._turns.setdefault(place[0], {})
                turns[session_key] = (*turns.get(session_key, ()), ended)[-KEPT_TURNS:]
            why = text(error) if action == FINISHED else None
            told = {"outcome": str(outcome_of(text(status)))} if action == FINISHED else {}
            self._events.append(
                Event(
                    moment,
                    EventKind.RUN_START if action == STARTED else EventKind.RUN_END,
                    SOURCE,
                    _words(session_key, text(status) if action == FINISHED else None, why),
                    owner,
                    session_key,
                    run_id=run_id,
                    reason=why,
                    data=told,
                )
            )
        by_session: dict[Key, list[str]] = defaultdict(list)
        for run_id, (_, place) in self._open.items():
            by_session[place].append(run_id)
        return {place: tuple(runs) for place, runs in by_session.items()}


def outcome_of(status: str | None) -> TurnOutcome:
    """How a turn ended, by the audit's word for it."""
    return OUTCOMES.get(status or "", TurnOutcome.UNTOLD)


def _words(key: str, status: str | None, error: str | None) -> str:
    if status is None:
        return f"OpenClaw began a turn of {safe(key, 80)}"
    return f"OpenClaw ended a turn of {safe(key, 80)}: {safe(status, 20)}" + (f" ({safe(error, 60)})" if error else "")


def _claims(database: Database) -> dict[Key, Claim]:
    wanted = {"agent_id", "session_key", "turn_claim_owner", "turn_claim_run_id", "updated_at_ms"}
    if not wanted <= database.columns(_PLACEMENTS):
        return {}
    rows = database.rows(
        "SELECT agent_id, session_key, turn_claim_owner, turn_claim_run_id, updated_at_ms"
        " FROM worker_session_placements WHERE turn_claim_owner IS NOT NULL LIMIT ?",
        (MAX_ROWS,),
    )
    found: dict[Key, Claim] = {}
    for agent, key, owner, run, at in sorted(rows, key=lambda row: milliseconds(row[4]) or 0):
        session_key = text(key)
        if session_key is not None:
            found[text(agent) or "", session_key] = Claim(text(run), text(owner) or "", milliseconds(at) or 0)
    return found


def _tasks(database: Database) -> dict[Key, tuple[QueuedTurn, ...]]:
    known = database.columns("task_runs")
    if not {"run_id", "child_session_key", "status", "created_at"} <= known:
        return {}
    agent = "agent_id" if "agent_id" in known else "NULL"
    rows = database.rows(
        f"SELECT {agent}, child_session_key, run_id, created_at FROM task_runs"  # noqa: S608 - a name of ours
        " WHERE status IN ('queued', 'running') ORDER BY created_at DESC LIMIT ?",
        (MAX_ROWS,),
    )
    found: dict[Key, list[QueuedTurn]] = defaultdict(list)
    for owner, key, run, at in reversed(rows):
        session_key, run_id, created = text(key), text(run), milliseconds(at)
        if session_key is not None and run_id is not None and created is not None:
            found[text(owner) or agent_of(session_key) or "", session_key].append(QueuedTurn(run_id, created))
    return {place: tuple(items) for place, items in found.items()}


def _ended(database: Database) -> dict[Key, tuple[int, str | None]]:
    """When the last task of a session ended, of those that ended last."""
    known = database.columns("task_runs")
    if not {"child_session_key", "run_id", "ended_at"} <= known:
        return {}
    agent = "agent_id" if "agent_id" in known else "NULL"
    rows = database.rows(
        f"SELECT {agent}, child_session_key, ended_at, run_id FROM task_runs WHERE ended_at IS NOT NULL"  # noqa: S608
        " ORDER BY ended_at DESC LIMIT ?",
        (MAX_ENDED,),
    )
    found: dict[Key, tuple[int, str | None]] = {}
    for owner, key, at, run in rows:
        session_key, ended = text(key), milliseconds(at)
        if session_key is not None and ended is not None:
            found.setdefault((text(owner) or agent_of(session_key) or "", session_key), (ended, text(run)))
    return found


def _boots(database: Database) -> dict[int, int]:
    if not {"pid", "started_at_ms"} <= database.columns("gateway_boot_lifecycle"):
        return {}
    rows = database.rows("SELECT pid, started_at_ms FROM gateway_boot_lifecycle ORDER BY started_at_ms DESC LIMIT 50")
    found: dict[int, int] = {}
    for pid, at in rows:
        began = milliseconds(at)
        if isinstance(pid, int) and began is not None:
            found.setdefault(pid, began)
    return found
