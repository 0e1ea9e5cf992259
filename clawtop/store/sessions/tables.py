"""Sessions as rows of each agent's database (2026.8 on).

Every step takes as long as there are changes, not rows: a directory with 100,000 sessions is read as often as one
with a hundred.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field, replace
from functools import partial
from itertools import chain
from pathlib import Path

from clawtop.core.carried import Lineage, replaced
from clawtop.core.model import EndedTurn, Event, Gateway, LaneStats, Lock, Problem, Session, WitnessKind
from clawtop.core.session.activity import judge
from clawtop.core.session.disk_witness import NOT_LOOKED, RUNNING, CommandLine, status_witness
from clawtop.core.session.exchanges import asked_text
from clawtop.core.session.lanes import session_lane
from clawtop.core.session.listed import busy, listed_places
from clawtop.core.session.turns import INTERRUPTED, Records, told_by_claims
from clawtop.store.json_text import UnreadableError
from clawtop.store.place.databases import AGENT_DATABASE
from clawtop.store.place.layout import AgentPaths, Layout
from clawtop.store.sessions.agent_table import AgentTable, last_entries, load_table
from clawtop.store.sessions.records import StateDatabase, StateRecords
from clawtop.store.sqlite.pool import Databases
from clawtop.store.sqlite.schema import DatabaseRole
from clawtop.store.timed_reads import NoAnswerError, TimedReads
from clawtop.values import dataclass

FIRST_ROWS = 2_000
"""How many rows the first of many reads reads, the latest ones; the others are counted."""

DETAILS_AT_ONCE = 400
"""Rows whose details each of many reads reads: some 20 ms. With very many sessions it is a share of them, since showing
them then costs more.
"""

_SHARE_AT_ONCE, _SHARE_BESIDE_CHANGES = 25, 100
"""The share is smaller where the read is due to a change, which the operator is to see before the rest."""

_LOST = "is missing, although OpenClaw has run sessions of this agent"

DETAILS_OF_ONE_LOOK = 20_000
"""The same for a single read: a second or two. The rest is counted."""


@dataclass(frozen=True, slots=True)
class _Scene:
    """The facts by which rows are judged."""

    state: StateRecords
    gateway: Gateway
    now: int
    command_line: Callable[[], CommandLine]


@dataclass(slots=True)
class _Shown:
    """The judged rows of one agent's table, by session key.

    Attributes:
        open: keys of those whose judgement may change without their row.
        turns: the audited turns that they show.
    """

    rows: dict[str, Session] = field(default_factory=dict)
    open: list[str] = field(default_factory=list)
    turns: Mapping[str, tuple[EndedTurn, ...]] = field(default_factory=dict)


class TableSessions:
    """`clawtop.store.sessions.port.SessionBackend` of generation D."""

    def __init__(self, databases: Databases, reads: TimedReads, *, progressive: bool = False) -> None:
        """`progressive`: details come with the next reads, so that none takes long; else with the first."""
        self._progressive = progressive
        self._databases = databases
        self._reads = reads
        self._state = StateDatabase(databases, reads)
        self._tables: dict[str, AgentTable] = {}
        self._agents: dict[str, str] = {}
        self._shown: dict[str, _Shown] = {}
        self._line: Lineage[Session] = Lineage()
        self._judged: tuple[Session, ...] = ()
        self._listed: list[str] = []  # the databases whose rows it has
        self.unread: list[Problem] = []

    def load(self, agents: Iterable[AgentPaths], layout: Layout, warnings: list[Problem]) -> None:
        changed = self._state.load(layout, warnings)
        now_s = self._databases.clock.monotonic()
        places = {str(agent.agent_dir / AGENT_DATABASE): agent for agent in reversed(tuple(agents))}
        self._agents = {path: agent.id for path, agent in reversed(places.items())}
        self._tables = {path: self._tables.get(path) or AgentTable() for path in self._agents}
        known = sum(len(table.nodes) for table in self._tables.values())
        at_once = max(DETAILS_AT_ONCE, known // (_SHARE_BESIDE_CHANGES if changed else _SHARE_AT_ONCE))
        left = at_once if self._progressive else DETAILS_OF_ONE_LOOK
        self.unread = []
        for path, agent in reversed(places.items()):
            table = self._tables[path]
            database = self._databases.of(agent.agent_dir / AGENT_DATABASE, DatabaseRole.AGENT)
            try:
                first = FIRST_ROWS if self._progressive else None
                load = partial(load_table, table, database, agent.id, left, first=first, now_s=now_s)
                left -= self._reads.ask(f"sessions {path}", path, load)
                if not database.is_there and self._state.has_run(agent.id):
                    raise UnreadableError(Problem("missing", path, _LOST))
            except (NoAnswerError, UnreadableError) as error:
                self.unread.append(error.problem)
        warnings += self.unread

    @property
    def counting(self) -> int:
        return sum(len(table.wanted) + table.unread for table in self._tables.values())

    @property
    def is_overdue(self) -> bool:
        now_s = self._databases.clock.monotonic()
        return any(table.unsummed and now_s >= table.sums_due for table in self._tables.values())

    def growing_files(self) -> list[str]:
        return []

    def judged(
        self,
        gateway: Gateway,
        locks: Iterable[Lock],  # noqa: ARG002 - locks beside the old transcripts are leftovers
        now: int,
        command_line: Callable[[], CommandLine] = lambda: NOT_LOOKED,
    ) -> tuple[Session, ...]:
        scene = _Scene(self._state.records, gateway, now, command_line)
        self._shown = {path: self._shown.get(path) or _Shown() for path in self._agents}
        changed: dict[tuple[str, str], Session] = {}
        same = [*self._shown] == self._listed
        for path, agent in self._agents.items():
            shown, table = self._shown[path], self._tables[path]
            if not self._reads.is_silent(f"sessions {path}"):  # else it may be read at this moment
                before = len(shown.rows)
                rows = _judge(shown, table, agent, scene)
                changed |= {(agent, key): row for key, row in rows.items()}
                same = same and len(shown.rows) == before
        places = listed_places(self._judged, changed) if same else None
        if places is not None:
            self._judged = replaced(self._judged, places)
        else:
            self._judged = self._line.rows(chain.from_iterable(shown.rows.values() for shown in self._shown.values()))
            self._listed = [*self._shown]
        return self._judged

    def lanes(self, sessions: Sequence[Session]) -> tuple[LaneStats, ...]:
        """The lanes of sessions that have a holder or waiters: one turn at a time each."""
        return tuple(
            LaneStats(
                session_lane(row.key),
                row.lane_class,
                str(WitnessKind.CLAIM),
                active=1 if row.active else 0,
                limit=1,
                queued=len(row.waiters),
            )
            for row in busy(sessions)
        )

    def message_text(self, session: Session, at: int) -> str | None:
        path = next((path for path, agent in self._agents.items() if agent == session.agent), None)
        row = self._tables[path].nodes.get(session.key) if path is not None else None
        if path is None or row is None:
            return None
        database = self._databases.of(Path(path), DatabaseRole.AGENT)
        try:
            read = partial(last_entries, database, session.key, row[1])
            return asked_text(self._reads.ask(f"sessions {path}", path, read), at)
        except (NoAnswerError, UnreadableError):
            return None

    def events(self) -> tuple[Event, ...]:
        return self._state.events()


def _judge(shown: _Shown, table: AgentTable, agent: str, scene: _Scene) -> Mapping[str, Session]:
    """Judge the rows that changed, and those whose judgement may have; returns which rows differ now. Equal ones stay
    the same objects.
    """
    changed: dict[str, Session] = {}
    fresh, table.fresh = table.fresh, {}
    for gone in [key for key in fresh if key not in table.rows]:
        shown.rows.pop(gone, None)
    claims, turns = scene.state.claims_of(agent), scene.state.turns.get(agent, {})
    retold = (key for key in {**shown.turns, **turns} if shown.turns.get(key) is not turns.get(key))
    concerned = dict.fromkeys(chain(fresh, shown.open, claims, table.inputs, retold))
    shown.turns, shown.open = turns, []
    for key in concerned:
        row = table.rows.get(key)
        if row is None:
            continue
        records = Records(claims.get(key), table.inputs.get(key, ()))
        told = turns.get(key, ()), table.exchanges.get(key, ())
        if any(told):
            row = replace(row, turns=told[0], exchanges=told[1])
        if records.claim is not None or records.inputs or row.active is not False:
            shown.open.append(key)
            row = _judged(row, records, scene)
        if shown.rows.get(key) != row:
            shown.rows[key] = changed[key] = row
    return changed


def _judged(row: Session, records: Records, scene: _Scene) -> Session:
    gateway, now = scene.gateway, scene.now
    began = scene.state.gateway_began(gateway)
    told = told_by_claims(row, records, gateway, began, now)
    others = scene.command_line() if row.status == RUNNING else NOT_LOOKED
    status = status_witness(row, gateway, now, others)
    witnesses = (*told.witnesses, *((status,) if status is not None else ()))
    judged = judge(row, witnesses, gateway, others)
    problems = (*row.problems, *told.problems)
    interrupted = any(problem.code == INTERRUPTED for problem in problems)
    if judged.problem is not None and not interrupted:
        problems = (*problems, judged.problem)
    return replace(
        row,
        active=judged.active,
        active_how=judged.how,
        problems=problems,
        witnesses=witnesses,
        waiters=told.waiters,
    )
