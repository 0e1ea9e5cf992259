"""What a session storage must offer: every session as a row, judged, with its holder and waiters.

`clawtop.store.sessions.backends` chooses the storage.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from clawtop.core.model import Event, Gateway, LaneStats, Lock, Problem, Session
from clawtop.core.session.disk_witness import CommandLine
from clawtop.store.place.layout import AgentPaths, Layout


class SessionBackend(Protocol):
    """The sessions of one state directory. Used by one thread."""

    def load(self, agents: Iterable[AgentPaths], layout: Layout, warnings: list[Problem]) -> None:
        """Bring the rows up to date. What cannot be read keeps its last rows, with a warning that says why."""

    @property
    def unread(self) -> Sequence[Problem]:
        """Why lists could not be read by the last `load`; these are among its warnings."""

    def growing_files(self) -> list[str]:
        """Files that grow while a run is active."""

    def judged(
        self, gateway: Gateway, locks: Iterable[Lock], now: int, command_line: Callable[[], CommandLine] = ...
    ) -> tuple[Session, ...]:
        """Every row with its witnesses, the judgement over them, and its waiters.

        `command_line` is called if a run may be a command-line run.
        """

    def lanes(self, sessions: Sequence[Session]) -> tuple[LaneStats, ...]:
        """Lanes from the records, by judged rows; none if there are no such records."""

    def message_text(self, session: Session, at: int) -> str | None:
        """What a person wrote in the message of a session that came at `at` (ms since the epoch), unchanged.

        None where the end of its transcript does not hold it, or cannot be read.
        """

    def events(self) -> tuple[Event, ...]:
        """What was recorded since the last call, oldest first."""

    @property
    def is_overdue(self) -> bool:
        """Whether something that `load` put off, since it costs much, is due, although nothing may have changed."""

    @property
    def counting(self) -> int:
        """How many rows still lack their details (pins, tokens); the next `load` continues with them."""
