"""Is a run going on in a session: what the stored status is worth beside the gateway, the lock and the trajectory.

`status: "running"` alone proves nothing (formats.md 8): it outlives a crash, a failed turn by some 20 s, and on
2026.6.11 every rotated turn. A held session lock means a run in 2026.3.28 and 2026.6.11, and at least a write in
2026.5.18 to 2026.6.1. Unknown counts as held (design.md 4.1), so "no" is only said with a reason.
"""

from __future__ import annotations

from dataclasses import dataclass

from clawtop.core.model import Gateway, GatewayState, Lock, Problem, Session, VerdictKind

SETTLING_MS = 60_000
"""Longest quiet time between two attempts of one run: nothing of it for longer means that it is over."""

EMBEDDED_RUN_MS = 15 * 60_000
"""Without a gateway, `openclaw agent --local` may still be running a turn; after this long it is taken to be gone."""

RUNNING = "running"
KNOWN_STATUSES = frozenset({RUNNING, "done", "failed", "killed", "timeout"})


@dataclass(frozen=True, slots=True)
class TrajectoryEnd:
    """The last event of a session's trajectory: when, its type, and the status that a `session.ended` carries."""

    at: int
    type: str
    status: str | None = None


@dataclass(frozen=True, slots=True)
class Activity:
    """Whether a run goes on, how that is known, and what is wrong with the stored status."""

    active: bool | None
    how: str
    problem: Problem | None = None


def judge(
    session: Session,
    gateway: Gateway,
    lock: Lock | None,
    trajectory: TrajectoryEnd | None,
    now: int,
    *,
    locked_throughout: bool = False,
) -> Activity:
    """Weigh the evidence, strongest first: a live lock, the end of the run, the gateway, the stored status.

    Args:
        locked_throughout: an attempt of this generation holds the session lock from beginning to end (2026.3.28 and
            2026.6.11), so that a missing lock means that none is going on.
    """
    if lock is not None and lock.verdict.kind is VerdictKind.HELD:
        return Activity(True, f"its write lock is held by process {lock.pid}")
    if session.status != RUNNING:
        return _judge_settled(session, gateway, lock)
    over = _ended(session, trajectory, now)
    if over is not None:
        return Activity(False, over, _ghost(session, f"stored as running, but {over}"))
    if gateway.state is GatewayState.DEAD:
        return Activity(False, "its gateway is gone", _ghost(session, "left running by a gateway that is gone"))
    if gateway.state is GatewayState.ABSENT:
        return _judge_without_gateway(session, now)
    if gateway.state is GatewayState.LIVE:
        return _judge_under_gateway(session, gateway, now, unlocked=locked_throughout and lock is None)
    return Activity(None, "stored as running; whether its gateway lives is not known")


def _judge_settled(session: Session, gateway: Gateway, lock: Lock | None) -> Activity:
    if lock is not None and lock.verdict.kind is VerdictKind.UNKNOWN:
        return Activity(None, "a write lock stands whose owner is not known to be dead")
    if session.status in KNOWN_STATUSES:
        return Activity(False, f"stored as {session.status}")
    if gateway.state in {GatewayState.DEAD, GatewayState.ABSENT}:
        return Activity(False, "no gateway runs it")
    return Activity(None, "no status is stored")


def _ended(session: Session, trajectory: TrajectoryEnd | None, now: int) -> str | None:
    """How the run that `startedAt` speaks of is known to be over."""
    started = session.started_at
    if started is not None and session.ended_at is not None and session.ended_at > started:
        return "its end is recorded"
    if trajectory is None or trajectory.type != "session.ended" or started is None or trajectory.at < started:
        return None
    if trajectory.status == "success":
        return "its trajectory ended"
    return "its trajectory ended and nothing followed" if now - trajectory.at > SETTLING_MS else None


def _judge_without_gateway(session: Session, now: int) -> Activity:
    if _quiet_ms(session, now) <= EMBEDDED_RUN_MS:
        return Activity(None, "no gateway runs, but a command-line run may be under way")
    return Activity(False, "no gateway runs", _ghost(session, "left running, and no gateway runs"))


def _judge_under_gateway(session: Session, gateway: Gateway, now: int, *, unlocked: bool) -> Activity:
    started = session.started_at
    if started is not None and gateway.started_at is not None and started < gateway.started_at:
        return Activity(
            False, "it began before this gateway did", _ghost(session, "left running by an earlier gateway")
        )
    if unlocked and _quiet_ms(session, now) > SETTLING_MS:
        return Activity(
            False, "no write lock is held", _ghost(session, "stored as running, but nothing holds its lock")
        )
    return Activity(True, "stored as running, and its gateway lives")


def _quiet_ms(session: Session, now: int) -> int:
    moments = [moment for moment in (session.updated_at, session.started_at) if moment is not None]
    return now - max(moments, default=0)


def _ghost(session: Session, text: str) -> Problem:
    return Problem("ghost", session.key, text)
