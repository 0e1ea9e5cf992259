"""Removing one lock whose owner is proven dead."""

from __future__ import annotations

import hashlib

from clawtop.core.model import (
    Lock,
    LockFile,
    LockKind,
    Snapshot,
    VerdictKind,
)
from clawtop.core.operations.plan import Plan, PlanKind
from clawtop.core.operations.target import (
    UNTOUCHED,
    find_lock,
    refuse_other_times,
    without_lock,
)
from clawtop.errors import RefusedError
from clawtop.text import safe


def unlock(snapshot: Snapshot, target: str, *, agent: str | None = None) -> Plan:
    """Remove one lock whose owner is proven dead. `target`: its path, a session key, a session id or a session file."""
    refuse_other_times(snapshot)
    lock = find_lock(snapshot, target, agent)
    file = lock.file
    if file.kind is LockKind.GATEWAY:
        raise RefusedError("a gateway's own lock is never removed", unchanged=UNTOUCHED, hint="stop the gateway")
    if lock.verdict.kind is not VerdictKind.STALE:
        raise RefusedError(
            f"the owner of {safe(file.path)} is not proven dead: {_verdict_words(lock)}",
            unchanged=UNTOUCHED,
            hint=_unproven_hint(lock),
        )
    proof = lock.verdict.reasons
    by_itself = {True: "OpenClaw would remove it itself the next time it needs the lock", None: "", False: ""}
    never = "OpenClaw itself would never remove it" if lock.openclaw.would_remove is False else ""
    effect = never or by_itself[lock.openclaw.would_remove]
    return Plan(
        PlanKind.UNLOCK,
        f"Remove the stale {file.kind} lock of pid {lock.pid}{_login_of(snapshot, file)}",
        file.path,
        file.agent,
        file.path,
        f"{file.identity.dev:x}.{file.identity.ino:x}.{file.identity.digest[:16]}",
        effects=tuple(text for text in (f"whoever waits for {_guarded(snapshot, file)} can continue", effect) if text),
        loses=("the lock file; this cannot be undone",),
        lock=file,
        proof=proof,
    )


def _guarded(snapshot: Snapshot, file: LockFile) -> str:
    """What a lock guards, in short: its session's key, else the name of the guarded file."""
    guarded = without_lock(file.path)
    key = next((session.key for session in snapshot.sessions if session.file == guarded), None)
    return safe(key or guarded.rpartition("/")[2])


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


def _verdict_words(lock: Lock) -> str:
    return f"{lock.verdict.kind} ({', '.join(lock.verdict.reasons) or 'no reason given'})"


def _unproven_hint(lock: Lock) -> str:
    if lock.leaked is not None:
        return f"a leftover: {lock.leaked}"
    if lock.verdict.kind is VerdictKind.HELD:
        return f"pid {lock.pid} is working; wait for it, or drain its session"
    return "unknown counts as held; check the file and its possible owner before removing it by hand"
