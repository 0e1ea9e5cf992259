"""Recovering a stuck session for an operator: wait for its holder, then drain it; or continue under a fresh session id.

The stuck run's message is never sent again (thread 83510 B): a recovery results in a session, or a copy of it, that is
ready for the next message.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable

from clawtop.clock import Clock
from clawtop.core.model import Event, LockKind, PromptHolder, Session, Snapshot, VerdictKind
from clawtop.core.session.attention import AttentionReport, SessionCondition, attention_of, condition_of
from clawtop.core.session.drain import DrainListener, DrainStep, DrainWishes, Wait
from clawtop.core.session.recovery import (
    AbortRun,
    RecoveryMove,
    RecoveryOutcome,
    SessionRecovery,
    StuckSession,
    openclaw_recovery,
)
from clawtop.engine.drain.drainer import Drainer, new_drain_id
from clawtop.engine.drain.scene import DrainTarget
from clawtop.engine.drive.driver import Driver
from clawtop.engine.etcd.choice import shared_records
from clawtop.engine.prompt.recoverer import Recoverer, SessionWork
from clawtop.store.locks.processes import ProcessTable
from clawtop.store.snapshot import SnapshotReader
from clawtop.values import dataclass

DEFAULT_WAIT_S = 60.0
PROOF = DrainWishes(deadline_s=30.0, still_s=3.0)


@dataclass(frozen=True, slots=True)
class Telling:
    """Receives a recovery's progress: its own steps, and those of the drain that it ends with."""

    event: Callable[[Event], None]
    step: Callable[[DrainStep], None]
    wait: Callable[[Wait, float], None]


async def recover(
    driver: Driver,
    reader: SnapshotReader,
    target: DrainTarget,
    *,
    clock: Clock,
    processes: ProcessTable,
    telling: Telling,
    wait_s: float = DEFAULT_WAIT_S,
) -> SessionRecovery:
    """Recover one session.

    Args:
        wait_s: how long to wait for its holder before the conversation moves to a fresh session id.

    Raises:
        RefusedError: this user may not coordinate runs here, or a drain of the session is under way.
        OperationFailedError: the disk refused.
    """
    resources = driver.resources
    await resources.foreign.look(target.file)
    snapshot = await asyncio.to_thread(reader.read)
    holder = await resources.registry.holder_of(target.file)
    if assess(snapshot, target, holder) is None:
        return SessionRecovery(RecoveryMove.NOTHING, "not stuck: idle, or working within its limits")
    standing = _standing(snapshot, target, holder)
    assert standing is not None  # noqa: S101 - it needs attention
    recoverer = Recoverer(
        resources.registry,
        clock=clock,
        rules=snapshot.semantics.attention,
        limits=snapshot.config.attention,
        max_wait_ms=round(wait_s * 1000),
        foreign=resources.foreign.holder,
        journal=telling.event,
    )
    done = await recoverer.recover(_work(target, standing))
    if done.holder is None:
        return SessionRecovery(done.plan.plan, done.plan.why)
    fresh = done.holder.session_file if done.holder.forked_from is not None else None
    await done.holder.release("recovered")
    if fresh is not None:
        return SessionRecovery(RecoveryMove.FORK, done.plan.why, fresh=str(fresh))
    drainer = Drainer(
        reader,
        target,
        PROOF,
        drain_id=new_drain_id(),
        clock=clock,
        processes=processes,
        shared=shared_records(driver.registry, clock),
        listener=DrainListener(telling.step, telling.wait),
    )
    outcome = await drainer.drain()
    return SessionRecovery(done.plan.plan, done.plan.why, free=outcome.released, words=outcome.words)


def _work(target: DrainTarget, standing: SessionCondition) -> SessionWork:
    return SessionWork(
        session_file=target.file,
        run_id=f"recover-{uuid.uuid4().hex[:8]}",
        lane="main",
        age_ms=standing.age_ms,
        activity=standing.activity,
        queue_depth=standing.queue_depth,
        session_key=target.key,
        agent=target.agent,
    )


def assess(snapshot: Snapshot, target: DrainTarget, holder: PromptHolder | None = None) -> AttentionReport | None:
    """What is wrong with a session; None if nothing. `holder`: as the registry knows it."""
    session, stale = _row(snapshot, target), _stale_lock(snapshot, target)
    holder = holder or _holder(snapshot, target)
    rules, limits = snapshot.semantics.attention, snapshot.config.attention
    return attention_of(session, holder, snapshot.taken_at, rules, limits, stale_lock=stale)


def openclaw_would(snapshot: Snapshot, target: DrainTarget) -> RecoveryOutcome | AbortRun | None:
    """What this OpenClaw's own watchdog does about a session; None if it does not consider it."""
    report, standing = assess(snapshot, target), _standing(snapshot, target, None)
    if report is None or standing is None or not (report.recoverable or report.abortable):
        return None
    row = _row(snapshot, target)
    session_id = row.session_id if row is not None else target.file.stem
    stuck = StuckSession(
        session_id=session_id,
        session_key=target.key,
        run_session_id=session_id if standing.activity.has_run else None,
        allow_abort=report.abortable,
        queue_depth=standing.queue_depth,
        age_ms=standing.age_ms,
        silence_ms=standing.activity.progress_age_ms,
    )
    return openclaw_recovery(stuck, snapshot.semantics.attention, snapshot.config.attention.abort_ms)


def _standing(snapshot: Snapshot, target: DrainTarget, holder: PromptHolder | None) -> SessionCondition | None:
    stale = _stale_lock(snapshot, target)
    return condition_of(
        _row(snapshot, target), holder or _holder(snapshot, target), snapshot.taken_at, stale_lock=stale
    )


def _holder(snapshot: Snapshot, target: DrainTarget) -> PromptHolder | None:
    return next((holder for holder in snapshot.holders if holder.session_file == str(target.file)), None)


def _row(snapshot: Snapshot, target: DrainTarget) -> Session | None:
    rows = (row for row in snapshot.sessions if row.agent == target.agent)
    return next((row for row in rows if row.key == target.key or row.file == str(target.file)), None)


def _stale_lock(snapshot: Snapshot, target: DrainTarget) -> bool:
    path = f"{target.file}.lock"
    return any(
        lock.file.kind is LockKind.SESSION and lock.file.path == path and lock.verdict.kind is VerdictKind.STALE
        for lock in snapshot.locks
    )
