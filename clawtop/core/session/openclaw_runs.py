"""OpenClaw's own runs as prompt holders, alongside those of clawtop's engines, each with how it was recognised."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from clawtop.core.carried import replaced
from clawtop.core.generations import Storage
from clawtop.core.model import (
    EndedTurn,
    LockKind,
    PromptHolder,
    Session,
    Snapshot,
    VerdictKind,
    Witness,
    WitnessKind,
)
from clawtop.core.session.activity import judge, running_since, running_witness
from clawtop.core.session.disk_witness import CENSUS_EVERY_MS, CommandLine
from clawtop.core.session.lanes import session_lane
from clawtop.core.session.listed import key_places, working

OURS = "clawtop"
DRAINING = "draining"


def openclaw_holders(snapshot: Snapshot, is_ours: Callable[[str], bool]) -> Iterator[PromptHolder]:
    """A holder for each session that OpenClaw works in. `is_ours`: whether clawtop holds this session file."""
    locked = {
        (lock.file.agent, lock.file.session_id): lock
        for lock in snapshot.locks
        if lock.file.kind is LockKind.SESSION and lock.verdict.kind is VerdictKind.HELD and lock.leaked is None
    }
    isolated = {agent.id: agent.heartbeat_isolated for agent in snapshot.agents}
    for session in working(snapshot.sessions):
        if session.file is None or is_ours(session.file):
            continue
        lock = locked.get((session.agent, session.session_id))
        seen = running_witness(session)
        since = running_since(session)
        if since is None and lock is not None:
            since = lock.created_at
        yield PromptHolder(
            session_file=session.file,
            session_key=session.key,
            agent=session.agent,
            lane=session_lane(session.key),
            run_id=seen.run_id if seen is not None else None,
            profile=asked_profile(session),
            phase="running" if session.status == "running" or lock is None else "locked",
            since=since,
            pid=lock.pid if lock is not None else _worker(session, snapshot),
            source=_source(session, locked_by=lock is not None),
            waiters=session.waiters,
            takeover_risk=takeover_risk(session, snapshot.storage, isolated.get(session.agent)),
            waits_unseen=not snapshot.semantics.remote.stores_queue,
        )


def _source(session: Session, *, locked_by: bool) -> str:
    seen = running_witness(session)
    if locked_by or seen is None:
        return "lock" if locked_by else "status"
    return str(seen.kind)


def _worker(session: Session, snapshot: Snapshot) -> int | None:
    """The process that works on a run without a lock: its own, else the gateway, unless that says that it does not."""
    own = next((w.pid for w in session.witnesses if w.kind is WitnessKind.PROCESS and w.pid is not None), None)
    if own is not None:
        return own
    since = running_since(session)
    asked = [w for w in session.witnesses if w.kind is WitnessKind.GATEWAY and w.running is False]
    if not any(denied.at is None or since is None or denied.at >= since for denied in asked):
        return snapshot.gateway.pid
    others = snapshot.command_line or ()
    return others[0].pid if len(others) == 1 else None


def asked_profile(session: Session) -> str | None:
    """The profile that the run was asked to use, if known; the session's pin alone is not enough.

    The pin counts while the run is at its first attempt with the pin's own provider: a rotation abandons it.
    """
    signs = [witness for witness in session.witnesses if witness.running is True]
    told = next((witness.profile for witness in signs if witness.profile is not None), None)
    if told is not None or session.profile is None:
        return told
    provider = next((witness.provider for witness in signs if witness.provider is not None), None)
    attempts = max((turn_attempts(session, witness) for witness in signs), default=0)
    same_provider = provider is None or session.profile.partition(":")[0] == provider
    return session.profile if same_provider and attempts == 0 else None


def turn_attempts(session: Session, sign: Witness) -> int:
    """How many attempts of the run reported by `sign` have already failed."""
    return sum(turn.run_id == sign.run_id for turn in session.turns) if sign.run_id is not None else 0


def heard(snapshot: Snapshot, told: Mapping[str, Sequence[Witness]]) -> Snapshot:
    """The snapshot with more witnesses, its sessions and OpenClaw's holders judged again; `told` as in
    `heard_sessions`.
    """
    after = replace(snapshot, sessions=heard_sessions(snapshot, told))
    if after.sessions is snapshot.sessions:
        return snapshot
    ours = [holder for holder in snapshot.holders if holder.source == OURS]
    held = {holder.session_file for holder in ours if holder.phase != DRAINING}
    theirs = tuple(openclaw_holders(after, held.__contains__))
    busy = {holder.session_file for holder in theirs}
    ours = [holder for holder in ours if holder.phase != DRAINING or holder.session_file not in busy]
    return replace(after, holders=(*ours, *theirs))


def heard_sessions(
    snapshot: Snapshot,
    told: Mapping[str, Sequence[Witness]],
    turns: Mapping[str, Sequence[EndedTurn]] | None = None,
) -> tuple[Session, ...]:
    """The sessions of a snapshot with more witnesses, judged again.

    Args:
        told: by session key. A witness replaces earlier ones of its kind.
        turns: further finished turns, by session key.
    """
    turns = turns or {}
    command_line = CommandLine(snapshot.command_line, snapshot.as_of - CENSUS_EVERY_MS)
    concerned = key_places(snapshot.sessions, {*told, *turns})
    rows = ((place, snapshot.sessions[place]) for place in concerned)
    heard = {n: _heard(row, told.get(row.key, ()), turns.get(row.key, ()), snapshot, command_line) for n, row in rows}
    return replaced(snapshot.sessions, heard)


def _heard(
    session: Session, told: Sequence[Witness], turns: Sequence[EndedTurn], snapshot: Snapshot, command_line: CommandLine
) -> Session:
    if not told and not turns:
        return session
    kinds = {witness.kind for witness in told}
    witnesses = (*(w for w in session.witnesses if w.kind not in kinds), *told)
    now = snapshot.as_of
    found = judge(session, witnesses, snapshot.gateway, command_line, now=now)
    problems = tuple(problem for problem in session.problems if problem.code not in _OF_STATUS)
    return replace(
        session,
        active=found.active,
        active_how=found.how,
        problems=(*problems, found.problem) if found.problem is not None else problems,
        witnesses=witnesses,
        turns=(*session.turns, *turns),
    )


_OF_STATUS = frozenset({"ghost", "unsettled"})


def takeover_risk(session: Session, storage: Storage, heartbeat_isolated: bool | None) -> str | None:
    """Why another lane may take this session over while it waits for its model (thread 5); None when it cannot."""
    if not storage.prompt_unlocked:
        return None
    if session.lane_class == "main" and heartbeat_isolated is not True:
        return "its lock is free during the model call, and the heartbeat shares this session"
    return "its lock is free during the model call"


def own_takeover_risk(holder: PromptHolder, snapshot: Snapshot) -> str | None:
    """Why OpenClaw may take over a run of clawtop's engines, whose lock is free during the model call as well."""
    if holder.phase not in _LOCK_FREE_PHASES or snapshot.gateway.state.is_gone:
        return None
    return "a gateway does not know about it: a turn of its own here takes it over"


_LOCK_FREE_PHASES = frozenset({"prompting", "streaming"})
