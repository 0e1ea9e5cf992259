"""Removing one lock whose owner is proven dead."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from clawtop.core.locks.removal import instead, why_kept
from clawtop.core.model import LockFile, LockKind, Snapshot
from clawtop.core.operations.plan import Plan, PlanKind
from clawtop.core.operations.target import (
    NO_NAMES,
    UNTOUCHED,
    find_lock,
    refuse_other_times,
    without_lock,
)
from clawtop.errors import RefusedError
from clawtop.text import safe


def unlock(
    snapshot: Snapshot, target: str, *, agent: str | None = None, shown_as: Mapping[str, str] = NO_NAMES
) -> Plan:
    """Remove one lock whose owner is proven dead.

    Args:
        target: one of `names_of` the lock.
        shown_as: path of a lock -> its name on screen.
    """
    refuse_other_times(snapshot)
    lock = find_lock(snapshot, target, agent, shown_as)
    file = lock.file
    why = why_kept(lock)
    if why is not None:
        raise RefusedError(f"{safe(file.path)}: {why}", unchanged=UNTOUCHED, hint=instead(lock))
    proof = lock.verdict.reasons
    by_itself = {True: "OpenClaw would remove it itself the next time it needs the lock", None: "", False: ""}
    never = "OpenClaw itself would never remove it" if lock.openclaw.would_remove is False else ""
    effect = never or by_itself[lock.openclaw.would_remove]
    whose = f"of pid {lock.pid}" if lock.pid is not None else "that names no owner"
    return Plan(
        PlanKind.UNLOCK,
        f"Remove the stale {file.kind.said} lock {whose}{_session_of(snapshot, file)}{_login_of(snapshot, file)}",
        file.path,
        file.agent,
        file.path,
        f"{file.identity.dev:x}.{file.identity.ino:x}.{file.identity.digest[:16]}",
        effects=tuple(text for text in (f"runs that wait for {_guarded(snapshot, file)} can continue", effect) if text),
        loses=("the lock file; this cannot be undone",),
        lock=file,
        proof=proof,
    )


def _guarded(snapshot: Snapshot, file: LockFile) -> str:
    """What a lock guards, in short: its session's key, else the name of the guarded file."""
    return safe(_key_of(snapshot, file) or without_lock(file.path).rpartition("/")[2])


def _key_of(snapshot: Snapshot, file: LockFile) -> str | None:
    """The key of the session whose transcript the lock guards."""
    guarded = without_lock(file.path)
    return next((session.key for session in snapshot.sessions if session.file == guarded), None)


def _session_of(snapshot: Snapshot, file: LockFile) -> str:
    key = _key_of(snapshot, file)
    return f" in {safe(key, 80)}" if key is not None else ""


def _login_of(snapshot: Snapshot, file: LockFile) -> str:
    """Which login a refresh lock belongs to: its name is a hash of provider and profile."""
    if file.kind is not LockKind.OAUTH_REFRESH:
        return ""
    name = file.path.rpartition("/")[2].removesuffix(".lock")
    known = (p for agent in snapshot.agents if agent.store is not None for p in agent.store.profiles)
    owner = next((p for p in known if name == oauth_lock_name(p.provider, p.id)), None)
    return f", for the login of {safe(owner.id)}" if owner is not None else ""


def oauth_lock_name(provider: str, profile_id: str) -> str:
    """How OpenClaw names the lock of a login's refresh (2026.5.20), without its suffix."""
    return "sha256-" + hashlib.sha256(f"{provider}\0{profile_id}".encode("utf-8", "surrogatepass")).hexdigest()
