"""The sources that say whether a run is active in a session."""

from __future__ import annotations

from enum import StrEnum

from clawtop.values import dataclass


class WitnessKind(StrEnum):
    """The witnesses that say whether a run is active in a session, the strongest first.

    Lock: the session write lock (A to C). Claim: a turn claim of worker_session_placements (D). Gateway: its own answer
    (`hasActiveRun`). Process: a command-line run, or a command-line backend below the gateway. Trajectory: events of
    `<session>.trajectory.jsonl`. Task: a row of task_runs (C, D). Log: lines of the gateway's log. Input: a message of
    session_pending_inputs that waits for its turn (D). Status: the stored status and its times.
    """

    LOCK = "lock"
    CLAIM = "claim"
    GATEWAY = "gateway"
    PROCESS = "process"
    TRAJECTORY = "trajectory"
    TASK = "task"
    LOG = "log"
    INPUT = "input"
    STATUS = "status"


@dataclass(frozen=True, slots=True)
class AccountRetry:
    """A run that retries the account that just failed: the `number`-th of at most `most` times.

    `due`: when it asks, ms since the epoch. `reason`: the failure.
    """

    number: int
    most: int
    due: int
    reason: str | None = None

    def __str__(self) -> str:
        why = f" after {self.reason}" if self.reason else ""
        return f"retrying the same account, {self.number} of {self.most}{why}"


@dataclass(frozen=True, slots=True)
class Witness:
    """What one source reports about the runs of one session, independent of other sources.

    Attributes:
        running: yes, no, or None if this source cannot tell.
        what: how it is known, for people, as it follows "because": "its write lock is held by process 7".
        at: the time of the report: its last sign; None: now.
        since: when the reported run began.
        waiting: turns that wait behind it, where the source knows.
        provider, model, profile: what the run was asked to use last, where the source knows.
        memory: bytes that the run's own process takes, where it has one.
        retry: the run waits to ask the same account again.
    """

    kind: WitnessKind
    running: bool | None
    what: str
    at: int | None = None
    since: int | None = None
    run_id: str | None = None
    lane: str | None = None
    waiting: int | None = None
    provider: str | None = None
    model: str | None = None
    profile: str | None = None
    pid: int | None = None
    memory: int | None = None
    retry: AccountRetry | None = None
