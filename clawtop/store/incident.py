"""What a snapshot tells beyond the state itself: prompt holders, lanes, and the events that led here.

`IncidentPart` is an extra part of `SnapshotReader`: it follows the journal and the gateway's log, and compares each
snapshot with the one before. It writes nothing. One thread at a time uses it, the one that reads snapshots.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from clawtop.core.happenings import happenings
from clawtop.core.lane_stats import lanes_of
from clawtop.core.model import Event, LaneStats, Problem, PromptHolder, Snapshot
from clawtop.core.openclaw_runs import openclaw_holders
from clawtop.core.timeline import Timeline
from clawtop.errors import ClawtopError
from clawtop.store.gateway_log import DEFAULT_DIRECTORIES, LogTail, find_log
from clawtop.store.holders import canonical, read_holders
from clawtop.store.journal import Journal
from clawtop.store.json_text import Stamp, stamp_of
from clawtop.store.layout import Layout
from clawtop.store.log_lines import SOURCE, Names, hashed_profile

SHOWN_EVENTS = 1_000
JOURNAL_EVENTS = 500


class IncidentPart:
    """Adds holders, lanes and events. Its state: the log's position, the journal's stamp, the timeline so far."""

    def __init__(self) -> None:
        self._log = LogTail()
        self._journal_stamp: Stamp | None = None
        self._timeline = Timeline()
        self._before: Snapshot | None = None

    def __call__(self, layout: Layout, snapshot: Snapshot) -> Snapshot:
        warnings = list(snapshot.warnings)
        fresh = self._log.read(self._log_path(layout, snapshot), _names(snapshot))
        if self._log.problem is not None and self._log.problem.code != "log-missing":
            warnings.append(self._log.problem)
        between = happenings(self._before, snapshot) if self._before is not None else ()
        self._before = snapshot
        journal = self._journal(layout)
        if fresh or between or journal:
            self._timeline = self._timeline.extended(sorted(fresh, key=lambda event: event.at), between, journal)
        upto = snapshot.judged_at
        events = self._timeline.events if upto is None else tuple(e for e in self._timeline.events if e.at <= upto)
        return replace(
            snapshot,
            holders=self._holders(layout, snapshot, warnings),
            lanes=(*snapshot.lanes, *self._lanes(snapshot)),
            events=events[-SHOWN_EVENTS:],
            warnings=tuple(warnings),
        )

    @staticmethod
    def _log_path(layout: Layout, snapshot: Snapshot) -> Path | None:
        """The configured log. The default one is shared by all gateways of a machine: only beside a gateway of ours."""
        configured = snapshot.config.log_file
        if configured:
            return layout.map_path(configured) or (None if layout.foreign_roots else Path(configured))
        return find_log(DEFAULT_DIRECTORIES) if snapshot.gateway.pid is not None else None

    def _journal(self, layout: Layout) -> tuple[Event, ...]:
        journal = Journal(layout.state_dir)
        stamp = stamp_of(str(journal.path))
        if stamp == self._journal_stamp:
            return ()
        self._journal_stamp = stamp
        return tuple(sorted(journal.tail(JOURNAL_EVENTS), key=lambda event: event.at))

    def _lanes(self, snapshot: Snapshot) -> tuple[LaneStats, ...]:
        return lanes_of(self._log.events, snapshot.config.lane_limits, SOURCE)

    @staticmethod
    def _holders(layout: Layout, snapshot: Snapshot, warnings: list[Problem]) -> tuple[PromptHolder, ...]:
        try:
            ours = read_holders(layout.state_dir)
        except (OSError, ClawtopError) as error:
            warnings.append(Problem("holders-unreadable", str(layout.state_dir), str(error)))
            ours = ()
        files = {holder.session_file for holder in ours}
        theirs = openclaw_holders(snapshot, lambda file: canonical(file) in files)
        return (*_as_listed(ours, snapshot), *theirs)


def _as_listed(holders: tuple[PromptHolder, ...], snapshot: Snapshot) -> tuple[PromptHolder, ...]:
    """Holders under the file names of the sessions' rows: records are canonical, rows keep symlinked directories."""
    if not holders:
        return ()
    real = {agent.sessions_dir: os.path.realpath(agent.sessions_dir) for agent in snapshot.agents}
    listed: dict[str, str] = {}
    for session in snapshot.sessions:
        if session.file is not None:
            directory, name = os.path.split(session.file)
            listed[f"{real.get(directory, directory)}/{name}"] = session.file
    return tuple(replace(h, session_file=listed.get(h.session_file, h.session_file)) for h in holders)


def _names(snapshot: Snapshot) -> Names:
    return Names(
        profiles={
            hashed_profile(profile.id): profile.id
            for agent in snapshot.agents
            if agent.store is not None
            for profile in agent.store.profiles
        },
        sessions={session.session_id: session.key for session in snapshot.sessions if session.session_id},
    )
