"""Why a command cannot run now: one reason each, as a fragment of a sentence, or None."""

from __future__ import annotations

from collections.abc import Iterable

from clawtop.commands.model import Arming, Context, TargetKind, own_run_name
from clawtop.core.locks.removal import instead, why_kept
from clawtop.core.model import Lock, LockKind
from clawtop.text import safe


def arm(context: Context) -> str | None:
    if context.replaying:
        return "a recording is being replayed: there is nothing that can be changed"
    return "this dashboard was started read-only" if context.arming is Arming.LOCKED else None


def writable_store(context: Context) -> str | None:
    if context.snapshot is None:
        return "the OpenClaw generation of this state directory is not known"
    from clawtop.core.operations.target import why_not_writable  # the table of commands works without it

    return why_not_writable(context.snapshot)


def stale_lock(context: Context) -> str | None:
    lock = next((lock for lock in _locks(context) if context.target and lock.file.path == context.target.id), None)
    if lock is None:
        return "this lock is gone"
    why = why_kept(lock)
    return why if why is None else safe(f"{why}; {instead(lock)}")


def _locks(context: Context) -> Iterable[Lock]:
    return context.snapshot.locks if context.snapshot else ()


def undoable(context: Context) -> str | None:
    return None if context.undoable else "there is nothing to undo"


def own_run(context: Context) -> str | None:
    refusal = not_replaying(context)
    if refusal is None and context.target is not None and own_run_name(context.target) not in context.own_runs:
        return "only this dashboard's own runs can be controlled"
    return refusal


def not_replaying(context: Context) -> str | None:
    return "a recording is being replayed" if context.replaying else None


def names_session(context: Context) -> str | None:
    """Only some warnings name a session."""
    target = context.target
    silent = target is not None and target.kind is TargetKind.WARNING and target.session_key is None
    return "this row names no session" if silent else None


def replaying(context: Context) -> str | None:
    return None if context.replaying else "only while clawtop replay plays"


def drivable(context: Context) -> str | None:
    snapshot = context.snapshot
    if snapshot is not None and not snapshot.storage.drivable:
        return f"generation {snapshot.generation or 'unknown'}: clawtop drives sessions of 2026.3 to 2026.7"
    return not_replaying(context)


def drainable(context: Context) -> str | None:
    target = context.target
    lock = next((lock for lock in _locks(context) if target is not None and lock.file.path == target.id), None)
    if lock is not None and lock.file.kind is not LockKind.SESSION:
        return "not a session lock"
    return not_replaying(context)


def suspendable(context: Context) -> str | None:
    return context.stays()


def underway(context: Context) -> str | None:
    return not_replaying(context) or (None if context.underway else "this dashboard has no run or drain under way")
