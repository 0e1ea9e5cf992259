"""Who has a prompt, who waits for it, and lanes."""

from __future__ import annotations

from clawtop.values import dataclass


@dataclass(frozen=True, slots=True)
class Waiter:
    """Someone who waits for a session; tickets give the order."""

    ticket: int
    pid: int
    lane: str
    run_id: str
    since: int
    deadline: int | None = None


@dataclass(frozen=True, slots=True)
class PromptHolder:
    """Who has a session's prompt: at most one per session file among clawtop's engines (docs/invariants.md 1).

    Attributes:
        phase: waiting-lane | locking | prompting | streaming | appending | compacting | releasing, or a stored status;
            draining: nobody holds the prompt, a drain keeps the session closed (`run_id` is its id).
        source: "clawtop" for our registry, else how an OpenClaw run was recognised: "status", "lock", "trajectory".
        waits_unseen: more may wait than `waiters` tells: until 2026.8 a gateway keeps what chats and channels send
            in its memory, and only turns of its command line leave a record.
    """

    session_file: str
    session_key: str | None
    agent: str | None
    lane: str | None
    run_id: str | None
    profile: str | None
    phase: str
    since: int | None
    pid: int | None
    source: str
    waiters: tuple[Waiter, ...] = ()
    takeover_risk: str | None = None
    waits_unseen: bool = False


@dataclass(frozen=True, slots=True)
class LaneStats:
    """A lane as one source sees it; figures that the source cannot give are None.

    `waits` are recent wait times in ms, oldest first, for a sparkline.
    """

    lane: str
    lane_class: str
    source: str
    active: int | None = None
    limit: int | None = None
    queued: int | None = None
    wait_p50_ms: int | None = None
    wait_p95_ms: int | None = None
    wait_max_ms: int | None = None
    waits: tuple[int, ...] = ()
    collisions: int | None = None
    takeovers: int | None = None
