"""The session of a row, and the overview's row that matches a row of another view."""

from __future__ import annotations

from clawtop.commands import Target, TargetKind
from clawtop.core.incident.timeline import Filter
from clawtop.core.model import Snapshot
from clawtop.errors import RefusedError

SESSION_LANE = "session:"


def session_of(snapshot: Snapshot, target: Target) -> tuple[str, str | None]:
    """The session that a row is about: a key, or a transcript's file, and its agent. Raises RefusedError."""
    match target.kind:
        case TargetKind.SESSION:
            return target.id, target.agent
        case TargetKind.LOCK:
            file = target.id.removesuffix(".lock")
        case _:
            holders = (h for h in snapshot.holders if target.id in (h.run_id, h.session_file))
            holder = next(holders, None)
            if holder is None:
                raise RefusedError("this run has ended", unchanged="nothing was done")
            file = holder.session_file
    listed = next((session for session in snapshot.sessions if session.file == file), None)
    return (listed.key, listed.agent) if listed is not None else (file, None)


def overview_row(snapshot: Snapshot, target: Target) -> Target | None:
    """The matching overview row: for a run, a session's own lane or a warning, the session; None if there is none."""
    if target.kind is TargetKind.LANE and target.id.startswith(SESSION_LANE):
        key = target.id.removeprefix(SESSION_LANE)
        return Target(TargetKind.SESSION, key, session_key=key)
    if target.kind is TargetKind.WARNING:
        named = target.session_key
        return Target(TargetKind.SESSION, named, target.agent, session_key=named) if named is not None else None
    if target.kind is TargetKind.RUN:
        try:
            key, agent = session_of(snapshot, target)
        except RefusedError:
            return None
        return Target(TargetKind.SESSION, key, agent, session_key=key)
    return target


def events_of(snapshot: Snapshot, target: Target) -> Filter | None:
    """The timeline filter that shows what happened to this row, routine included; None if it has none."""
    match target.kind:
        case TargetKind.PROFILE:
            return Filter(profile=target.id, background=True)
        case TargetKind.LANE:
            return Filter(lane=target.id, background=True)
        case TargetKind.SESSION | TargetKind.LOCK | TargetKind.RUN:
            try:
                key, _ = session_of(snapshot, target)
            except RefusedError:
                return None
            return Filter(session=key, background=True)
        case TargetKind.WARNING if target.session_key is not None:
            return Filter(session=target.session_key, background=True)
        case _:
            return None
