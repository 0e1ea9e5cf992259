"""Sessions, their messages and their turns."""

from __future__ import annotations

from enum import StrEnum

from clawtop.core.model.problem import Problem
from clawtop.core.model.prompts import Waiter
from clawtop.core.model.witness import Witness
from clawtop.values import dataclass


@dataclass(frozen=True, slots=True)
class Suspension:
    """`quotaSuspension` of a session entry: a lane that OpenClaw stopped on purpose, where it names one."""

    reason: str
    state: str
    suspended_at: int | None
    expected_resume_by: int | None
    lane_id: str | None

    def holds(self, now: int, gateway_began: int | None) -> bool:
        """Whether turns wait for it now; times in ms since the epoch.

        The gateway keeps the suspension in memory, lifts it in time or when it ends, and leaves the entry as it is
        (2026.5.20, 2026.6.11). From 2026.8 on no lane is named, and turns go on.
        """
        over = self.expected_resume_by is not None and self.expected_resume_by <= now
        before = None not in (self.suspended_at, gateway_began) and (self.suspended_at or 0) < (gateway_began or 0)
        return self.state == "suspended" and self.lane_id is not None and not over and not before


SessionPlace = tuple[str, str, str | None]
"""Agent, key and file: what tells the rows of one snapshot apart."""


class TurnOutcome(StrEnum):
    """How a turn ended, or that it has not.

    Silent: answered with nothing on purpose (a no-reply token, a heartbeat without news). Told: the answer is not a
    model's, such as the gateway's own message about an error. Dropped: the reply was made and lost (a takeover).
    Stopped: ended by a user or an operator. Open: nothing followed yet. Untold: not known.
    """

    ANSWERED = "answered"
    SILENT = "silent"
    TOLD = "told"
    FAILED = "failed"
    TIMED_OUT = "timed-out"
    HUNG = "hung"
    DROPPED = "dropped"
    STOPPED = "stopped"
    OPEN = "open"
    UNTOLD = "untold"


@dataclass(frozen=True, slots=True)
class Exchange:
    """A message to a session and what followed it, from its transcript. Never its text.

    Attributes:
        asked_at: when it came.
        length: of the message, in characters.
        by: "user", "heartbeat", "cron", "agent" (another agent or a sub-agent); of a group: "addressed" (it names the
            bot), "unaddressed" (it is not meant for it) or "group" (not known). 2026.6 and later store no such note, so
            that a group's message may be of a "user".
        ended_at: when the outcome came about.
        error: a short reason of a failure.
        failed_at, failed_with: of its last attempt, while another one has not ended.
    """

    asked_at: int
    length: int
    by: str
    outcome: TurnOutcome
    ended_at: int | None = None
    error: str | None = None
    run_id: str | None = None
    failed_at: int | None = None
    failed_with: str | None = None

    @property
    def is_of_a_person(self) -> bool:
        """Whether a person sent it, to the bot as far as is known."""
        return self.by in _PEOPLE


_PEOPLE = frozenset({"user", "addressed", "group"})


@dataclass(frozen=True, slots=True)
class EndedTurn:
    """A turn that has ended, as one source reports it. `at`: when it ended; `trigger`: user, cron, heartbeat ..."""

    at: int
    outcome: TurnOutcome
    run_id: str | None = None
    since: int | None = None
    trigger: str | None = None
    reason: str | None = None
    source: str = "trajectory"


@dataclass(frozen=True, slots=True)
class Session:
    """One entry of sessions.json, one row of a session table, or a transcript without one.

    Attributes:
        file: where its transcript is: a file's path, or `<database>#<session key>` if it is rows.
        status: as stored: running | done | failed | killed | timeout | None.
        active: whether a run is really going on; None if unknown.
        active_how: how that is known, for people.
        profile, profile_source: the pinned auth profile and who pinned it ("user" or "auto").
        witnesses: every source that reports on its runs; `active` is the judgement over them
            (`core.session.activity`).
        exchanges: its recent messages and what followed them, oldest first.
        turns: its recent runs that are over, by their trajectory or audit rows, oldest first.
        name: what OpenClaw calls it: its label, else the chat's or channel's own name.
        waiters: turns that wait behind it, as far as the disk shows them.
    """

    agent: str
    key: str
    session_id: str | None
    file: str | None
    status: str | None = None
    active: bool | None = None
    active_how: str = ""
    problems: tuple[Problem, ...] = ()
    updated_at: int | None = None
    started_at: int | None = None
    ended_at: int | None = None
    provider: str | None = None
    model: str | None = None
    profile: str | None = None
    profile_source: str | None = None
    compaction_count: int | None = None
    profile_compaction_count: int | None = None
    lane_class: str = "other"
    aborted_last_run: bool | None = None
    suspension: Suspension | None = None
    witnesses: tuple[Witness, ...] = ()
    exchanges: tuple[Exchange, ...] = ()
    turns: tuple[EndedTurn, ...] = ()
    name: str | None = None
    waiters: tuple[Waiter, ...] = ()


def session_place(session: Session) -> SessionPlace:
    """Which row it is."""
    return session.agent, session.key, session.file
