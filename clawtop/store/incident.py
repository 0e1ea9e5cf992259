"""What a snapshot contains beyond the state itself: prompt holders, lanes, and recent events.

`IncidentPart` is an extra part of `SnapshotReader`: it follows the journal and the gateway's log, and compares each
snapshot with the one before. It writes nothing. Used by one thread at a time, the one that reads snapshots.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from clawtop.clock import SystemClock
from clawtop.core.carried import others_than
from clawtop.core.cooldown.provider_times import with_provider_times
from clawtop.core.incident.happenings import happenings
from clawtop.core.incident.lane_stats import lanes_of, lanes_of_engines
from clawtop.core.incident.timeline import ACTS, KEPT_ACTS, Timeline, newest
from clawtop.core.model import (
    GATEWAY_LOG,
    AgentInfo,
    EndedTurn,
    Event,
    Gateway,
    GatewayState,
    LaneStats,
    Problem,
    PromptHolder,
    Session,
    SessionPlace,
    Snapshot,
    Witness,
    session_place,
)
from clawtop.core.session.listed import of_file
from clawtop.core.session.log_runs import LogRuns
from clawtop.core.session.openclaw_runs import heard_sessions, openclaw_holders, own_takeover_risk
from clawtop.errors import ClawtopError
from clawtop.store import door
from clawtop.store.gateway.log import LogTail
from clawtop.store.gateway.log_lines import Names, Ours, hashed_profile, remember
from clawtop.store.gateway.log_place import LogPlace, log_place, shared_logs
from clawtop.store.interning import Interned
from clawtop.store.json_text import Stamp, stamp_of
from clawtop.store.place.layout import Layout
from clawtop.store.timed_reads import ANSWER_S, NoAnswerError, TimedReads
from clawtop.store.ways import NotAllowedError

if TYPE_CHECKING:
    from clawtop.store.own.accounts import AccountNotes

T = TypeVar("T")

SHOWN_EVENTS = 1_000
JOURNAL_EVENTS = 500


class IncidentPart:
    """Adds holders, lanes and events. Mutable state: the log's position, the journal's stamp, the timeline so far."""

    def __init__(self, reads: TimedReads | None = None) -> None:
        self._reads = reads or TimedReads(SystemClock(), ANSWER_S)
        self._has_own = False
        self._held: tuple[PromptHolder, ...] = ()
        self._place = LogPlace((), "")
        self._tails: dict[Path, LogTail] = {}
        self._log_lanes: tuple[LaneStats, ...] = ()
        self._log_runs = LogRuns()
        self._traces: dict[str, str] = {}
        self._runs: dict[str, str] = {}
        self._session_ids: dict[str, str] = {}
        self._told: Interned[SessionPlace, Session] = Interned()
        self._journal_stamp: Stamp | None = None
        self._journal_problem: str | None = None
        self._journal_until: int | None = None
        self._timeline = Timeline()
        self._before: Snapshot | None = None
        self._notes: AccountNotes | None = None
        self._agents: Interned[str, AgentInfo] = Interned()
        self._directories: tuple[Path, ...] = ()

    def __call__(self, layout: Layout, snapshot: Snapshot) -> Snapshot:
        warnings = list(snapshot.warnings)
        self._place, self._directories = self._asked(
            "places", layout, lambda _: _places(layout, snapshot), (self._place, self._directories), warnings
        )
        place = self._place
        fresh = self._follow(place, self._names(snapshot), warnings)
        between = happenings(self._before, snapshot) if self._before is not None else ()
        self._before = snapshot
        has_own = self._has_own = self._asked("own", layout, partial(_has_own, layout), self._has_own, warnings)
        journal: tuple[Event, ...] = ()
        if has_own:
            journal = self._asked("journal", layout, partial(self._journal, layout), journal, warnings)
            journal = _by_gateways_clock(journal, snapshot.gateway.clock_offset)
            snapshot = self._with_provider_times(layout, snapshot, warnings)
        self._timeline = self._timeline.extended(sorted((*fresh, *snapshot.events), key=_time), between, journal)
        upto = snapshot.judged_at
        events = self._timeline.events if upto is None else tuple(e for e in self._timeline.events if e.at <= upto)
        self._log_runs.follow(sorted(fresh, key=_time))
        snapshot = self._told_by_log(snapshot)
        asked = partial(self._holders, layout, snapshot, has_own=has_own)
        holders = self._held = self._asked("holders", layout, asked, self._held, warnings)
        limits = snapshot.config.lane_limits
        if fresh:
            seen = sorted((e for tail in self._tails.values() for e in tail.events), key=_time)
            self._log_lanes = lanes_of((e for e in seen if upto is None or e.at <= upto), limits, GATEWAY_LOG)
        return replace(
            snapshot,
            holders=holders,
            lanes=(*snapshot.lanes, *lanes_of_engines(holders, events, limits), *self._log_lanes_of(snapshot.gateway)),
            events=newest(events, SHOWN_EVENTS),
            warnings=tuple(warnings),
            log_paths=tuple(str(path) for path in place.paths),
            log_how=place.how,
        )

    def _names(self, snapshot: Snapshot) -> Names:
        before = self._before.sessions if self._before is not None else ()
        for session in others_than(before, snapshot.sessions):
            if session.session_id:
                self._session_ids[session.session_id] = session.key
            for witness in session.witnesses:
                remember(self._runs, witness.run_id, session.key)
        return Names(
            profiles={
                hashed_profile(profile.id): profile.id
                for agent in snapshot.agents
                if agent.store is not None
                for profile in agent.store.profiles
            },
            sessions=self._session_ids,
            traces=self._traces,
            runs=self._runs,
            ours=_ours(snapshot) if snapshot.gateway.others else None,
        )

    def _follow(self, place: LogPlace, names: Names, warnings: list[Problem]) -> list[Event]:
        """What is new in the log's files, each followed by its own tail until it is no longer written."""
        before = self._tails
        if len(place.paths) == 1 and len(before) == 1:  # the next day's file follows the last one
            self._tails = {place.paths[0]: next(iter(before.values()))}
        else:
            self._tails = {path: before.get(path) or LogTail() for path in place.paths}
        fresh: list[Event] = []
        for path, tail in self._tails.items():
            try:
                fresh += self._reads.ask(f"log {path}", str(path), partial(tail.read, path, names))
            except NoAnswerError as silent:
                warnings.append(silent.problem)
                continue
            if tail.problem is not None and tail.problem.code != "log-missing":
                warnings.append(tail.problem)
        return fresh

    def _asked(
        self, source: str, layout: Layout, read: Callable[[list[Problem]], T], else_: T, warnings: list[Problem]
    ) -> T:
        """The content of clawtop's own directory; `else_` if reading it takes too long."""
        told: list[Problem] = []
        try:
            return self._reads.ask(source, str(_own_directory(layout)), lambda: read(told))
        except NoAnswerError as silent:
            told = [silent.problem]
            return else_
        finally:
            warnings += told

    def _told_by_log(self, snapshot: Snapshot) -> Snapshot:
        """What the log says about runs and turns, for the current or latest gateway."""
        upto = snapshot.judged_at
        told = {key: (run.witness(),) for key, run in self._log_runs.runs.items() if upto is None or run.at <= upto}
        turns: dict[str, list[EndedTurn]] = {}
        for key, turn in self._log_runs.turns:
            if upto is None or turn.at <= upto:
                turns.setdefault(key, []).append(turn)
        told = {key: witnesses for key, witnesses in told.items() if _speaks(witnesses[0], snapshot.gateway)}
        if not told and not turns:
            return snapshot
        sessions = heard_sessions(snapshot, told, turns)
        return replace(snapshot, sessions=self._told.altered(snapshot.sessions, sessions, session_place))

    def _log_lanes_of(self, gateway: Gateway) -> tuple[LaneStats, ...]:
        """As last logged; a dead gateway runs nothing."""
        if gateway.state.is_gone:
            return tuple(replace(lane, active=0, queued=0) for lane in self._log_lanes)
        return self._log_lanes

    def watch_directories(self) -> tuple[Path, ...]:
        """clawtop's own, and the log's if only gateways write there."""
        return self._directories

    def files_elsewhere(self) -> tuple[Path, ...]:
        """A log in any other directory, or with a name whose changes are not reported (`watch.interesting`)."""
        paths = self._place.paths
        return tuple(path for path in paths if path.parent not in self._directories or path.suffix == ".jsonl")

    def _journal(self, layout: Layout, warnings: list[Problem]) -> tuple[Event, ...]:
        """The journal's new events, and those around the last one read."""
        from clawtop.store.own.journal import DISORDER_MS, Journal  # only if clawtop has ever written here

        journal = Journal(layout.state_dir)
        stamp = stamp_of(str(journal.path))
        if stamp != self._journal_stamp:
            self._journal_problem = journal.why_unreadable()
        if self._journal_problem is not None:
            warnings.append(Problem("journal-unreadable", str(journal.path), self._journal_problem))
        if stamp == self._journal_stamp:
            return ()
        self._journal_stamp = stamp
        told = journal.tail(JOURNAL_EVENTS, since=self._journal_until)
        acts = journal.of_kinds(ACTS, KEPT_ACTS) if self._journal_until is None and len(told) == JOURNAL_EVENTS else ()
        events = sorted((*told, *acts), key=_time)  # an event reported twice counts once
        if events:
            self._journal_until = max(events[-1].at - DISORDER_MS, self._journal_until or 0)
        return tuple(events)

    def _with_provider_times(self, layout: Layout, snapshot: Snapshot, warnings: list[Problem]) -> Snapshot:
        """Adds when providers themselves said that accounts are usable again, as clawtop's processes noted it, if still
        ahead.
        """
        from clawtop.store.own.accounts import AccountNotes, Accounts  # only where clawtop has ever written

        if self._notes is None:
            self._notes = AccountNotes(layout.state_dir)
        read = self._notes.read
        noted = self._asked("accounts", layout, lambda _: read(), Accounts(), warnings)
        times = {who: told for who, note in noted.notes.items() if (told := note.provider_time) is not None}
        if not times:
            return snapshot
        now = snapshot.as_of
        agents = tuple(with_provider_times(agent, times, now) for agent in snapshot.agents)
        return replace(snapshot, agents=self._agents.interned((agent.id, agent) for agent in agents))

    @staticmethod
    def _holders(
        layout: Layout, snapshot: Snapshot, warnings: list[Problem], *, has_own: bool
    ) -> tuple[PromptHolder, ...]:
        if not has_own:
            return tuple(openclaw_holders(snapshot, lambda _file: False))
        # Only where clawtop has ever written.
        from clawtop.store.own.admissions import draining_holder, prompt_holder, read_admissions
        from clawtop.store.own.holder_record import canonical

        try:
            admissions = read_admissions(layout.state_dir)
        except (OSError, ClawtopError) as error:
            warnings.append(Problem("holders-unreadable", str(layout.state_dir), str(error)))
            admissions = ()
        ours = tuple(prompt_holder(state) for state in admissions if state.holder is not None)
        ours = tuple(replace(holder, takeover_risk=own_takeover_risk(holder, snapshot)) for holder in ours)
        files = {holder.session_file for holder in ours}
        theirs = tuple(openclaw_holders(snapshot, lambda file: canonical(file) in files))
        files |= {canonical(holder.session_file) for holder in theirs}
        drains = tuple(drain for state in admissions if (drain := draining_holder(state)) is not None)
        closed = tuple(drain for drain in drains if drain.session_file not in files)
        return (*_as_listed((*ours, *closed), snapshot), *theirs)


def _by_gateways_clock(events: tuple[Event, ...], offset: int) -> tuple[Event, ...]:
    return tuple(replace(event, at=event.at + offset) for event in events) if offset else events


def _as_listed(holders: tuple[PromptHolder, ...], snapshot: Snapshot) -> tuple[PromptHolder, ...]:
    """Holders under the file names of the sessions' rows: records are canonical, rows keep symlinked directories."""
    if not holders:
        return ()
    links: dict[str, list[str]] = {}
    for agent in snapshot.agents:
        links.setdefault(os.path.realpath(agent.sessions_dir), []).append(agent.sessions_dir)

    def listed(file: str) -> str:
        directory, name = os.path.split(file)
        names = (f"{link}/{name}" for link in links.get(directory, ()))
        return next((known for known in names if of_file(snapshot.sessions, known)), file)

    return tuple(replace(holder, session_file=listed(holder.session_file)) for holder in holders)


def _ours(snapshot: Snapshot) -> Ours:
    """The names that only this gateway's lines contain."""
    unread = any(agent.store is None or agent.store.problem is not None for agent in snapshot.agents)
    return Ours(
        frozenset(agent.id for agent in snapshot.agents),
        None if unread else frozenset(profile.id for profile in snapshot.profiles),
        snapshot.state_dir,
    )


def _places(layout: Layout, snapshot: Snapshot) -> tuple[LogPlace, tuple[Path, ...]]:
    """Where the log is, and which directories to watch for changes."""
    place = log_place(layout, snapshot.config.log_file, snapshot.gateway, layout.state_dir.stat().st_uid)
    return place, _watched(layout, place.paths)


def _watched(layout: Layout, paths: tuple[Path, ...]) -> tuple[Path, ...]:
    own = _own_directory(layout)
    logs = {path.parent: None for path in paths if path.parent == shared_logs() or path.parent in layout.lock_dirs}
    return tuple(place for place in (own, own / "holders", *logs) if place.is_dir())


def _has_own(layout: Layout, warnings: list[Problem]) -> bool:
    """Whether clawtop has ever written here; its directory is not followed if it is a link."""
    try:
        return door.has_own(_own_directory(layout))
    except NotAllowedError as error:
        warnings.append(Problem("not-allowed", str(_own_directory(layout)), error.strerror or "may not be used"))
        return False


def _own_directory(layout: Layout) -> Path:
    return layout.state_dir / "clawtop"


def _speaks(witness: Witness, gateway: Gateway) -> bool:
    """Whether a logged run can still be active: its gateway is alive, and had started by then."""
    if witness.running is False:
        return True
    if gateway.state is not GatewayState.LIVE:
        return False
    return gateway.started_at is None or (witness.at or 0) >= gateway.started_at


def _time(event: Event) -> int:
    return event.at
