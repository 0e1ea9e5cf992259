"""Why a lock is not removed, in words: one reason each, and what to do instead."""

from __future__ import annotations

from clawtop.core.locks.staleness import proof_words
from clawtop.core.model import Lock, LockKind, VerdictKind

BY_HAND = (
    "stop the gateway, make sure that no OpenClaw process that could own it is running (ps aux | grep openclaw),"
    " and only then remove it by hand"
)
"""What to do about a lock whose owner nothing proves dead."""


def why_kept(lock: Lock) -> str | None:
    """Why clawtop does not remove this lock, as a fragment of a sentence; None if its owner is proven dead."""
    stale = lock.verdict.kind is VerdictKind.STALE
    if lock.file.kind is LockKind.GATEWAY:
        if stale and lock.openclaw.would_remove:
            return "its gateway is dead, and OpenClaw removes it itself at the next start"
        return (
            "its gateway is dead; the next one decides whether to remove it"
            if stale
            else "a gateway's own lock is never removed"
        )
    if stale:
        return None
    return f"its owner is not proven dead ({proof_words(lock.verdict.reasons) or lock.verdict.kind})"


def instead(lock: Lock) -> str:
    """What to do about a lock that is not removed."""
    if lock.leaked is not None:
        return f"a leftover: {lock.leaked}"
    held = lock.verdict.kind is VerdictKind.HELD
    if lock.file.kind is LockKind.GATEWAY and not held:
        return (
            "nothing to do"
            if lock.verdict.kind is VerdictKind.STALE
            else "OpenClaw decides whether to remove it at its next start"
        )
    if lock.file.kind is LockKind.GATEWAY:
        return "stop the gateway"
    if held:
        return f"pid {lock.pid} is working; wait for it, or drain its session"
    return f"unknown counts as held: {BY_HAND}"
