"""Sessions in files, their turns' tasks in a database: 2026.6.5 to 2026.7."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from clawtop.core.model import Event, Gateway, LaneStats, Lock, Problem, Session
from clawtop.core.session.disk_witness import NOT_LOOKED, CommandLine
from clawtop.core.session.turns import RecordedRuns, told_by_tasks
from clawtop.store.place.layout import AgentPaths, Layout
from clawtop.store.sessions.records import StateDatabase
from clawtop.store.sessions.rows import JsonSessions
from clawtop.store.sqlite.pool import Databases
from clawtop.store.timed_reads import TimedReads


class FileSessionsWithTasks:
    """Sessions in files with task rows beside them, as a `port.SessionBackend`."""

    counting = 0
    is_overdue = False

    def __init__(self, databases: Databases, reads: TimedReads) -> None:
        self._files = JsonSessions(reads)
        self._state = StateDatabase(databases, reads)

    def load(self, agents: Iterable[AgentPaths], layout: Layout, warnings: list[Problem]) -> None:
        self._files.load(agents, layout, warnings)
        self._state.load(layout, warnings)

    @property
    def unread(self) -> Sequence[Problem]:
        return self._files.unread

    def growing_files(self) -> list[str]:
        return self._files.growing_files()

    def judged(
        self,
        gateway: Gateway,
        locks: Iterable[Lock],
        now: int,
        command_line: Callable[[], CommandLine] = lambda: NOT_LOOKED,
    ) -> tuple[Session, ...]:
        records = self._state.records
        began = records.gateway_began(gateway)

        def told(row: Session) -> RecordedRuns:
            return told_by_tasks(row, records.of(row), gateway, began)

        return self._files.judged(gateway, locks, now, command_line, told)

    def lanes(self, sessions: Sequence[Session]) -> tuple[LaneStats, ...]:
        return self._files.lanes(sessions)

    def message_text(self, session: Session, at: int) -> str | None:
        return self._files.message_text(session, at)

    def events(self) -> tuple[Event, ...]:
        return self._state.events()
