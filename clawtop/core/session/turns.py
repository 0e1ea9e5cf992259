"""What OpenClaw's databases record about a session's turns: witnesses, waiters, leftovers.

From 2026.8 on a turn *claim* is the prompt holder: set a second or two before the model call starts, gone a tenth of
a second after its last byte. It is valid only under the gateway that set it: a crash leaves claims, tasks,
queued inputs and statuses behind. `activeWriterRunId` and windows prove nothing. An admitted run has no claim for up to
15 s (cold gateway); until then its input is queued. 2026.6 and 2026.7 have task rows instead: the lock says who holds,
tasks name runs, and on 2026.7 a second task is a turn that waits (on 2026.6 none is seen anywhere on the disk).
"""

from __future__ import annotations

from collections.abc import Iterable

from clawtop.core.model import (
    Gateway,
    GatewayState,
    Problem,
    Session,
    TurnOutcome,
    Waiter,
    Witness,
    WitnessKind,
)
from clawtop.core.session.disk_witness import RUNNING
from clawtop.core.session.lanes import session_lane
from clawtop.values import dataclass

ADMISSION_MS = 60_000
"""How long an input may be queued without a turn before it no longer counts as about to start."""

INTERRUPTED = "interrupted"
STALE_INPUT = "stale-input"

OUTCOMES = {
    "succeeded": TurnOutcome.ANSWERED,
    "failed": TurnOutcome.FAILED,
    "cancelled": TurnOutcome.STOPPED,
    "killed": TurnOutcome.STOPPED,
    "timed_out": TurnOutcome.TIMED_OUT,
}
"""The status of a finished run, in the words of `audit_events`."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A turn claim. `owner`: "local" (in the gateway) or "worker" (on another machine)."""

    run_id: str | None
    owner: str
    at: int


@dataclass(frozen=True, slots=True)
class QueuedTurn:
    """A turn that its record shows as unfinished: a queued input, or an open task."""

    run_id: str
    at: int


@dataclass(frozen=True, slots=True)
class Records:
    """What the databases hold of one session.

    Attributes:
        began: runs whose start was audited, without an end; oldest first.
        ended_at, ended_run: of the task that ended last.
    """

    claim: Claim | None = None
    inputs: tuple[QueuedTurn, ...] = ()
    tasks: tuple[QueuedTurn, ...] = ()
    began: tuple[str, ...] = ()
    ended_at: int | None = None
    ended_run: str | None = None


@dataclass(frozen=True, slots=True)
class RecordedRuns:
    """What records say about a session: witnesses, who waits behind its run, and what was left behind."""

    witnesses: tuple[Witness, ...] = ()
    waiters: tuple[Waiter, ...] = ()
    problems: tuple[Problem, ...] = ()


def told_by_claims(session: Session, records: Records, gateway: Gateway, began: int | None, now: int) -> RecordedRuns:
    """What claims and queued inputs show (2026.8 on).

    Args:
        began: when the live gateway started; None if not known.
    """
    claim, alive = records.claim, gateway.state is GatewayState.LIVE
    holds = claim is not None and alive and (began is None or claim.at >= began)
    own_run = claim.run_id if claim is not None and holds else None
    waiting = [item for item in records.inputs if item.run_id != own_run]
    live = [item for item in waiting if alive and (began is None or item.at >= began)]
    admitted = not holds and any(now - item.at <= ADMISSION_MS for item in live)
    witnesses: list[Witness] = []
    if not admitted or claim is not None:
        queued = len(live) if gateway.state is not GatewayState.UNKNOWN else len(waiting)
        witnesses.append(_claim_witness(session, claim, gateway, queued, holds=holds))
    if admitted:
        last = max(live, key=lambda item: item.at)
        what = "an input was accepted, and no turn has begun yet"
        witnesses.append(
            Witness(WitnessKind.INPUT, None, what, at=last.at, since=last.at, run_id=last.run_id, waiting=len(live))
        )
    problems = (
        *_interrupted(session, gateway, held=holds),
        *_stale_inputs(session, len(waiting) - len(live), gateway),
    )
    return RecordedRuns(tuple(witnesses), _waiters(session, live, gateway), problems)


def _claim_witness(session: Session, claim: Claim | None, gateway: Gateway, waiting: int, *, holds: bool) -> Witness:
    if claim is not None and holds:
        where = "in the gateway" if claim.owner == "local" else "by a worker elsewhere"
        what = f"its turn is claimed {where}"
        return Witness(
            WitnessKind.CLAIM, True, what, since=claim.at, run_id=claim.run_id, waiting=waiting, pid=gateway.pid
        )
    if gateway.state is GatewayState.UNKNOWN:
        if claim is None and session.status != RUNNING and not waiting:
            return Witness(WitnessKind.CLAIM, False, "no turn of it is claimed")
        what = "it is not known whether its gateway is alive"
        return Witness(WitnessKind.CLAIM, None, what, run_id=claim.run_id if claim else None, waiting=waiting)
    if gateway.state is not GatewayState.LIVE:
        return Witness(WitnessKind.CLAIM, False, "its gateway is gone" if claim is not None else "no gateway runs it")
    what = "no turn of it is claimed" if claim is None else "its turn was claimed before this gateway started"
    return Witness(WitnessKind.CLAIM, False, what)


def told_by_tasks(session: Session, records: Records, gateway: Gateway, began: int | None) -> RecordedRuns:
    """What task rows show (2026.6, 2026.7): open ones under this gateway, and the end of the last one."""
    witnesses: list[Witness] = []
    waiting: list[QueuedTurn] = []
    live = [task for task in records.tasks if began is None or task.at >= began]
    if live and gateway.state is GatewayState.LIVE:
        known = {task.run_id: task for task in live}
        started = [run for run in records.began if run in known]
        holder = known[started[-1]] if started else live[0]
        waiting = [task for task in live if task is not holder and task.run_id not in started]
        what = "its task is open"
        witnesses.append(
            Witness(
                WitnessKind.TASK,
                True,
                what,
                at=holder.at,
                since=holder.at,
                run_id=holder.run_id,
                waiting=len(waiting) if records.began else None,
            )
        )
    elif records.ended_at is not None:
        witnesses.append(
            Witness(WitnessKind.TASK, False, "its task ended", at=records.ended_at, run_id=records.ended_run)
        )
    return RecordedRuns(tuple(witnesses), _waiters(session, waiting, gateway))


def _waiters(session: Session, live: Iterable[QueuedTurn], gateway: Gateway) -> tuple[Waiter, ...]:
    lane = session_lane(session.key)
    ordered = sorted(live, key=lambda item: item.at)
    return tuple(
        Waiter(ticket, gateway.pid or 0, lane, item.run_id, item.at) for ticket, item in enumerate(ordered, start=1)
    )


def _interrupted(session: Session, gateway: Gateway, *, held: bool) -> tuple[Problem, ...]:
    """A turn that a restart ended: the gateway restarts it by itself, 6 to 25 s after it is ready."""
    if held or gateway.state is not GatewayState.LIVE or session.status != RUNNING or not session.aborted_last_run:
        return ()
    text = "interrupted by a restart of the gateway, which resumes it by itself within half a minute"
    return (Problem(INTERRUPTED, session.key, text),)


def _stale_inputs(session: Session, count: int, gateway: Gateway) -> tuple[Problem, ...]:
    if count <= 0 or gateway.state is GatewayState.UNKNOWN:
        return ()
    what = "an input is" if count == 1 else f"{count} inputs are"
    when = "this gateway started" if gateway.state is GatewayState.LIVE else "its gateway ended"
    text = f"{what} still queued from before {when}; no turn will pick {'it' if count == 1 else 'them'} up"
    return (Problem(STALE_INPUT, session.key, text),)
