"""What happened between two snapshots, as events for the timeline."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import TypeVar

from clawtop.core.carried import others_than
from clawtop.core.cooldown.stats import ProfileState, Schedules, profile_state
from clawtop.core.locks.staleness import proof_words
from clawtop.core.model import Event, EventKind, Lock, LockIdentity, LockKind, Session, Snapshot, VerdictKind
from clawtop.core.session.listed import locked_key
from clawtop.text import safe

SOURCE = "snapshot"

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)


def happenings(before: Snapshot, after: Snapshot) -> tuple[Event, ...]:
    """What happened between two snapshots, dated by the later one, in the order profiles, locks, sessions, gateway. A
    profile whose window has merely expired is included: each snapshot is judged by its own time.
    """
    return (*_profiles(before, after), *_locks(before, after), *_sessions(before, after), *_gateway(before, after))


def _paired(before: Sequence[T], after: Sequence[T], key: Callable[[T], K]) -> Iterator[tuple[T | None, T | None]]:
    """What is not the same object before and after, by key."""
    old: Mapping[K, T] = {key(item): item for item in others_than(after, before)}
    new: Mapping[K, T] = {key(item): item for item in others_than(before, after)}
    for name in dict.fromkeys((*old, *new)):
        yield old.get(name), new.get(name)


def _profiles(before: Snapshot, after: Snapshot) -> Iterator[Event]:
    schedules = Schedules(after)
    old = {(profile.owner_agent, profile.id): profile for profile in before.profiles}
    for profile in after.profiles:
        known = old.get((profile.owner_agent, profile.id))
        if known is None:
            continue
        was, _ = profile_state(known, before.taken_at, schedules[known.provider])
        now, until = profile_state(profile, after.taken_at, schedules[profile.provider])
        if was is now:
            continue
        name = safe(profile.id)
        seconds = f" for {max(0, until - after.taken_at + 500) // 1000} s" if until is not None else ""
        text = f"{name} is usable again" if now is ProfileState.USABLE else f"{name} is {now}{seconds}"
        yield Event(
            after.taken_at,
            EventKind.PROFILE,
            SOURCE,
            text,
            agent=profile.owner_agent,
            provider=profile.provider,
            profile=profile.id,
            reason=profile.stats.disabled_reason if now is ProfileState.DISABLED else profile.stats.cooldown_reason,
            data={"was": str(was), "state": str(now), "until": until},
        )


def _locks(before: Snapshot, after: Snapshot) -> Iterator[Event]:
    for old, new in _paired(before.locks, after.locks, _lock_identity):
        lock: Lock | None = new or old
        if lock is None or lock.file.kind is LockKind.GATEWAY:
            continue
        key = locked_key(lock, after.sessions) or locked_key(lock, before.sessions)
        name = f"session lock of {safe(key)}" if key is not None else _lock_name(lock)
        if old is None:
            text = f"{name} taken by pid {lock.pid}" if lock.pid else f"{name} appeared"
        elif new is None:
            text = f"{name} released"
        elif old.verdict != new.verdict:
            text = f"{name} is now {new.verdict.kind} ({proof_words(new.verdict.reasons)})"
        else:
            continue
        routine = (old is None or new is None) and lock.verdict.kind is VerdictKind.HELD
        yield Event(
            after.taken_at,
            EventKind.LOCK,
            SOURCE,
            text,
            agent=lock.file.agent,
            session_key=key,
            session_file=lock.file.path,
            pid=lock.pid,
            data={"routine": True} if routine else {},
        )


def _lock_identity(lock: Lock) -> tuple[str, LockIdentity]:
    return lock.file.path, lock.file.identity


def _lock_name(lock: Lock) -> str:
    if lock.file.kind is LockKind.SESSION:
        return f"session lock {safe(lock.file.session_id or '', 40)}"
    return f"{lock.file.kind} lock of {safe(lock.file.agent or '?', 40)}"


def _sessions(before: Snapshot, after: Snapshot) -> Iterator[Event]:
    for old, new in _paired(before.sessions, after.sessions, lambda session: (session.agent, session.key)):
        if new is None or (
            old is not None and (old.status, old.active, old.profile) == (new.status, new.active, new.profile)
        ):
            continue
        if old is None:
            text = f"{safe(new.key)} appeared, {new.status or 'no status'}"
        elif old.profile != new.profile:
            by = safe(new.profile_source or "unknown")
            text = f"{safe(new.key)} " + (f"pinned to {safe(new.profile)} ({by})" if new.profile else "unpinned")
        else:
            text = f"{safe(new.key)} {_status(old)} → {_status(new)}"
        routine = old is not None and old.profile == new.profile and not {_status(old), _status(new)} - _ROUTINE
        yield Event(
            after.taken_at,
            EventKind.SESSION,
            SOURCE,
            text,
            agent=new.agent,
            session_key=new.key,
            session_file=new.file,
            profile=new.profile,
            data={"routine": True} if routine else {},
        )


_ROUTINE = frozenset({"running", "done", "done, at work", "idle", "idle, at work"})


def _status(session: Session) -> str:
    ghost = " (ghost)" if any(problem.code == "ghost" for problem in session.problems) else ""
    works = ", at work" if session.active and session.status != "running" else ""
    return safe(session.status or "idle", 20) + works + ghost


def _gateway(before: Snapshot, after: Snapshot) -> Iterator[Event]:
    old, new = before.gateway, after.gateway
    if (old.state, old.pid) != (new.state, new.pid):
        pid = f", pid {new.pid}" if new.pid else ""
        yield Event(after.taken_at, EventKind.GATEWAY, SOURCE, f"gateway {old.state} → {new.state}{pid}", pid=new.pid)
