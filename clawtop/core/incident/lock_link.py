"""What holds a lock: one link of a blocking tree, with the process that owns it."""

from __future__ import annotations

from clawtop.core.health.account_causes import AUTH_HOLD_MS
from clawtop.core.incident.node import Node, NodeKind, Severity
from clawtop.core.locks.staleness import may_be_being_written, proof_words
from clawtop.core.model import Lock, LockKind, Sentence, VerdictKind, session_named
from clawtop.text import safe


def lock_node(lock: Lock, now: int, of: str | None = None) -> Node:
    """The link to a lock, its owner below it; BUSY: it is held as it should be.

    `of`: the key of the session whose lock it is, unless the link above names it.
    """
    verdict = lock.verdict
    proof = proof_words(verdict.reasons)
    since = lock.since
    kind = f"{lock.file.kind.replace('_', ' ')} lock"
    state = ""
    severity = Severity.BUSY
    if lock.leaked is not None:
        severity, kind, state = Severity.STUCK, f"leftover {kind}", f": {safe(lock.leaked, 100)}"
    elif verdict.kind is VerdictKind.STALE:
        severity, state = Severity.STUCK, f": {proof}"
    elif may_be_being_written(lock, now):
        state = " that names no owner yet"
    elif verdict.kind is VerdictKind.UNKNOWN and lock.file.payload is None:
        content = lock.file.content_problem
        severity = Severity.STUCK
        state = f" that names no owner ({content})" if content else f": {proof}"
        if lock.openclaw.would_remove is False:
            state += "; OpenClaw never removes it"
    elif lock.openclaw.stale and lock.file.kind is LockKind.SESSION:
        severity, state = Severity.BLOCKED, " held over its limit"
    elif lock.file.kind is LockKind.AUTH and now - since > AUTH_HOLD_MS:
        severity, state = Severity.BLOCKED, " held for long"
    label: Sentence = kind + state if of is None else (f"{kind} of ", session_named(of), state)
    remedy = "unlock" if verdict.kind is VerdictKind.STALE else None
    by_hand = severity is Severity.STUCK and remedy is None and lock.leaked is None
    return Node(
        NodeKind.LOCK,
        lock.file.path,
        label,
        "lock file",
        severity,
        lock.file.agent,
        since=since,
        remedy=remedy,
        advice="check it by hand" if by_hand else None,
        children=_owner(lock, severity, remedy),
    )


def _owner(lock: Lock, severity: Severity, remedy: str | None) -> tuple[Node, ...]:
    """The process that a lock names, if it names one."""
    owner, verdict = lock.owner, lock.verdict
    if lock.pid is None:
        return ()
    alive = owner.alive if owner is not None else None
    state = {True: "alive", False: "dead", None: f"cannot be checked ({proof_words(verdict.reasons)})"}[alive]
    if alive and verdict.kind is VerdictKind.STALE:
        state = "another process now"
    command = f", {safe(' '.join(owner.argv), 60)}" if owner is not None and owner.argv else ""
    how = "process table" if alive is not None else "lock file"
    label = f"pid {lock.pid} is {state}{command}"
    return (Node(NodeKind.PROCESS, lock.file.path, label, how, severity, remedy=remedy),)
