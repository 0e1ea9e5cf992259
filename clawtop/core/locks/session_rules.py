"""How each OpenClaw generation judges a session write lock, `<session>.jsonl.lock` (docs/formats.md 4).

Replayed row by row in tests/conformance/test_lock_staleness_vectors.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf
from typing import Any

from clawtop.core.javascript import parse_date, whole
from clawtop.core.model import ProcessEvidence
from clawtop.core.rules import SessionLockRules
from clawtop.values import dataclass

_CONTENT_REASONS = frozenset({"missing-pid", "invalid-createdAt"})


@dataclass(frozen=True, slots=True)
class Inspection:
    """OpenClaw's view of a lock's payload; `reasons` non-empty means stale."""

    pid: int | None
    pid_alive: bool
    created_at: str | None
    age_ms: int | None
    reasons: tuple[str, ...]

    @property
    def stale(self) -> bool:
        return bool(self.reasons)


def inspect_payload(
    payload: Mapping[str, Any] | None,
    owner: ProcessEvidence | None,
    now: int,
    stale_ms: float,
    *,
    respect_max_hold: bool = False,
) -> Inspection:
    """The reasons in the payload itself. An owner that is not known to be alive counts as dead here."""
    fields = payload or {}
    pid = whole(fields.get("pid"), minimum=1)
    alive = pid is not None and owner is not None and owner.alive is True
    stored = fields.get("createdAt")
    created = parse_date(stored) if isinstance(stored, str) else None
    age = None if created is None else max(0, now - created)
    recorded = whole(fields.get("starttime"))
    current = owner.start_ticks if owner is not None else None
    reasons: list[str] = []
    if pid is None:
        reasons.append("missing-pid")
    elif not alive:
        reasons.append("dead-pid")
    elif recorded is not None and current is not None and recorded != current:
        reasons.append("recycled-pid")
    if age is None:
        reasons.append("invalid-createdAt")
    elif age > stale_ms:
        reasons.append("too-old")
    hold = whole(fields.get("maxHoldMs"), minimum=1)
    if respect_max_hold and hold is not None and age is not None and age > hold:
        reasons.append("hold-exceeded")
    return Inspection(pid, alive, stored if isinstance(stored, str) else None, age, tuple(reasons))


def inspect_for_session(
    payload: Mapping[str, Any] | None,
    owner: ProcessEvidence | None,
    now: int,
    stale_ms: float,
    rules: SessionLockRules,
    *,
    own_pid: int | None = None,
    held_by_own: bool = False,
    reclaim_without_ticks: bool = True,
    respect_max_hold: bool = False,
) -> Inspection:
    """The same, as seen by a process that wants the lock.

    Args:
        own_pid: that process; a lock with its own pid that it does not hold is an orphan.
        reclaim_without_ticks: such an orphan is recognised without a start time too (not by the start-up clean-up).
    """
    found = inspect_payload(payload, owner, now, stale_ms, respect_max_hold=respect_max_hold)
    own = found.pid is not None and found.pid == own_pid
    if own and not held_by_own and _is_orphan(payload, owner, rules, reclaim_without_ticks):
        return _with_reason(found, "orphan-self-pid")
    if rules.knows_argv and not (own and held_by_own) and _is_foreign(found, owner, rules):
        return _with_reason(found, "non-openclaw-owner")
    return found


def _with_reason(found: Inspection, reason: str) -> Inspection:
    return Inspection(found.pid, found.pid_alive, found.created_at, found.age_ms, (*found.reasons, reason))


def _is_orphan(
    payload: Mapping[str, Any] | None, owner: ProcessEvidence | None, rules: SessionLockRules, without_ticks: bool
) -> bool:
    recorded = whole((payload or {}).get("starttime"))
    if recorded is None:
        return without_ticks
    return not rules.orphan_needs_no_ticks and owner is not None and owner.start_ticks == recorded


def _is_foreign(found: Inspection, owner: ProcessEvidence | None, rules: SessionLockRules) -> bool:
    if owner is None or not found.pid_alive or not any(word.strip() for word in owner.argv):
        return False
    blocked = "recycled-pid" in found.reasons if rules.argv_after_stale else found.stale
    return not blocked and not looks_like_openclaw(owner.argv)


CLAWTOPS_TITLE = "clawtop/openclaw"
"""The process title of clawtop while it holds session locks: OpenClaw respects it, and nothing else has this title."""

_ENTRY_POINTS = ("dist/index.js", "dist/entry.js", "scripts/run-node.mjs", "src/entry.ts", "src/index.ts")


def looks_like_openclaw(argv: Sequence[str]) -> bool:
    """Whether OpenClaw recognises a process with this command line as its own (2026.5.18 on)."""
    words = [word for word in (raw.strip().replace("\\", "/").lower() for raw in argv) if word]
    if not words:
        return False
    program = words[0]
    for suffix in (".bat", ".cmd", ".exe"):
        program = program.removesuffix(suffix)
    if program == "openclaw" or program.endswith(("/openclaw", "/openclaw-gateway")):
        return True
    if any(word in {"openclaw", "openclaw.mjs"} or word.endswith(("/openclaw", "/openclaw.mjs")) for word in words):
        return True
    return any(word in {"gateway", "agent"} for word in words) and any(word.endswith(_ENTRY_POINTS) for word in words)


def would_reclaim(
    found: Inspection, mtime_age_ms: float | None, stale_ms: float, rules: SessionLockRules, *, acquire_ms: float = inf
) -> bool:
    """Whether a waiter with the timeout `acquire_ms` removes the lock file now; its age is None if it is gone."""
    if not found.stale or rules.report_only.issuperset(found.reasons):
        return False
    if not _CONTENT_REASONS.issuperset(found.reasons):
        return True
    grace = rules.orphan_grace_ms
    if acquire_ms < grace and rules.short_orphan_grace_ms is not None:
        grace = rules.short_orphan_grace_ms
    return mtime_age_ms is not None and mtime_age_ms > min(stale_ms, grace)
