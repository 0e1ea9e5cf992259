"""Which sessions are blocked: a turn waits for the session, or its next message would have to. Decided only here.

A pin that the gateway replaces by itself blocks nothing, nor does a lock that OpenClaw removes when it needs it.
Agents without a usable model and a dead gateway are not about single sessions: `core.health` covers them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from clawtop.core.health.waiting import Hung, hung
from clawtop.core.locks.staleness import may_be_being_written
from clawtop.core.model import Lock, LockKind, Session, Snapshot, VerdictKind
from clawtop.core.rotation.forecast import chain_recovery, schedule_of, stranded_sessions
from clawtop.core.session.listed import concerned_places, pinned_by_people
from clawtop.values import dataclass

QUOTA = "quota"
STALE_LOCK = "stale lock"
NO_OWNER = "lock without owner"
LEAKED_LOCK = "leaked lock"
HUNG = "hung"
LONG = "long turn"


@dataclass(frozen=True, slots=True)
class Blockage:
    """What blocks a session. `why` is a short phrase; since and until are ms since the epoch, if known."""

    why: str
    since: int | None = None
    until: int | None = None


def blocked_sessions(snapshot: Snapshot, now: int) -> Mapping[tuple[str, str], Blockage]:
    """By agent and session key, in the snapshot's order."""
    locks = {
        lock.file.path.removesuffix(".lock"): lock
        for lock in snapshot.locks
        if lock.file.kind is LockKind.SESSION and _may_block(lock, now)
    }
    waited = {holder.session_file: holder for holder in snapshot.holders if holder.waiters}
    hangs = {(one.agent, one.session): one for one in hung(snapshot, now)}
    pins = dict(_pinned(snapshot, now))
    found: dict[tuple[str, str], Blockage] = {}
    concerned = concerned_places(
        snapshot.sessions, keys=(key for _, key in (*hangs, *pins)), files=(*locks, *waited), suspended=True
    )
    for session in (snapshot.sessions[place] for place in concerned):
        key = (session.agent, session.key)
        file = session.file or ""
        if session.suspension is not None and session.suspension.holds(now, snapshot.gateway.started_at):
            found[key] = Blockage(QUOTA, session.suspension.suspended_at, session.suspension.expected_resume_by)
        elif file in locks and (why := lock_blocks(locks[file], session)) is not None:
            since = locks[file].created_at
            found[key] = Blockage(why, since if since is not None else locks[file].file.mtime)
        elif file in waited:
            waiters = waited[file].waiters
            words = [_slow(hangs[key])] if key in hangs else []
            why = ", ".join([*words, f"{len(waiters)} waiting"])
            found[key] = Blockage(why, min(waiter.since for waiter in waiters))
        elif key in hangs:
            found[key] = Blockage(_slow(hangs[key]), hangs[key].since)
        elif key in pins:
            found[key] = pins[key]
    return found


def _slow(run: Hung) -> str:
    return LONG if run.only_long else HUNG


def _may_block(lock: Lock, now: int) -> bool:
    if may_be_being_written(lock, now):
        return False
    return lock.verdict.kind is not VerdictKind.HELD or lock.leaked is not None


def lock_blocks(lock: Lock, session: Session | None = None) -> str | None:
    """Why a session lock stops the next turn; None if OpenClaw removes it itself, or a run holds it."""
    if lock.openclaw.would_remove is True:
        return None
    if lock.leaked is not None:
        return LEAKED_LOCK
    if session is not None and session.active:
        return None
    if lock.verdict.kind is VerdictKind.STALE:
        return STALE_LOCK
    return NO_OWNER if lock.verdict.kind is VerdictKind.UNKNOWN and lock.pid is None else None


def _pinned(snapshot: Snapshot, now: int) -> Iterator[tuple[tuple[str, str], Blockage]]:
    """Sessions that stay with a profile that cannot serve them, while others could, and no other model takes over."""
    by_people = pinned_by_people(snapshot.sessions)
    if not by_people or "user" in schedule_of(snapshot).replaced_pins:
        return
    stranded = stranded_sessions(replace(snapshot, sessions=by_people), now)
    stranded = tuple(entry for entry in stranded if not entry.moves and entry.state is not None)
    concerned = {entry.session.agent for entry in stranded}
    chains = {agent.id: chain_recovery(snapshot, agent, now) for agent in snapshot.agents if agent.id in concerned}
    for entry in stranded:
        links = chains[entry.session.agent].links
        provider = entry.session.profile.partition(":")[0] if entry.session.profile else ""
        own = any(link.answers for link in links if link.provider == provider)
        other = any(link.answers for link in links if link.provider != provider)
        if own and not other:
            key = (entry.session.agent, entry.session.key)
            yield key, Blockage(f"pinned: {entry.state}", None, entry.until)
