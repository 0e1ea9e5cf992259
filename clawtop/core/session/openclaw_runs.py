"""OpenClaw's own runs as prompt holders, beside those of clawtop's engines, each with how it was recognised."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from clawtop.core.generations import Storage
from clawtop.core.model import GatewayState, LockKind, PromptHolder, Session, Snapshot, VerdictKind
from clawtop.core.session.lanes import session_lane


def openclaw_holders(snapshot: Snapshot, is_ours: Callable[[str], bool]) -> Iterator[PromptHolder]:
    """A holder for each session that OpenClaw works in. `is_ours`: whether clawtop holds this session file."""
    locked = {
        (lock.file.agent, lock.file.session_id): lock
        for lock in snapshot.locks
        if lock.file.kind is LockKind.SESSION and lock.verdict.kind is VerdictKind.HELD
    }
    isolated = {agent.id: agent.heartbeat_isolated for agent in snapshot.agents}
    for session in snapshot.sessions:
        if session.file is None or not session.active or is_ours(session.file):
            continue
        lock = locked.get((session.agent, session.session_id))
        yield PromptHolder(
            session_file=session.file,
            session_key=session.key,
            agent=session.agent,
            lane=session_lane(session.key),
            run_id=None,
            profile=session.profile,
            phase=session.status or "locked",
            since=session.started_at if session.started_at is not None else lock.created_at if lock else None,
            pid=lock.pid if lock is not None else snapshot.gateway.pid,
            source="lock" if lock is not None else "trajectory" if "trajectory" in session.active_how else "status",
            takeover_risk=takeover_risk(session, snapshot.storage, isolated.get(session.agent)),
        )


def takeover_risk(session: Session, storage: Storage, heartbeat_isolated: bool | None) -> str | None:
    """Why another lane may take this session over while it waits for its model (thread 5); None when it cannot."""
    if not storage.prompt_unlocked:
        return None
    if session.lane_class == "main" and heartbeat_isolated is not True:
        return "its lock is free during the model call, and the heartbeat shares this session"
    return "its lock is free during the model call"


def own_takeover_risk(holder: PromptHolder, snapshot: Snapshot) -> str | None:
    """Why OpenClaw may take over a run of clawtop's engines, whose lock is free during the model call as well."""
    if holder.phase not in _LOCK_FREE_PHASES or snapshot.gateway.state not in _PERHAPS_AT_WORK:
        return None
    return "a gateway does not know of it: a turn of its own here takes it over"


_LOCK_FREE_PHASES = frozenset({"prompting", "streaming"})
_PERHAPS_AT_WORK = frozenset({GatewayState.LIVE, GatewayState.UNKNOWN})
