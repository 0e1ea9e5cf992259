"""Whether a lock is stale: what OpenClaw will do with it, and what clawtop may do.

`openclaw_verdict` follows the rules of each OpenClaw generation, which differ between the session write lock, the
locks of the auth store and the gateway's (docs/formats.md 1, 3 and 4). `verdict` is clawtop's own, and stricter
(docs/invariants.md 7): only it ever permits a removal, and age alone is never a proof.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from clawtop.core.generations import Storage
from clawtop.core.javascript import parse_date, whole
from clawtop.core.locks.session_rules import inspect_for_session, would_reclaim
from clawtop.core.model import (
    Lock,
    LockFile,
    LockKind,
    LockLimits,
    OpenClawVerdict,
    ProcessEvidence,
    Verdict,
    VerdictKind,
)
from clawtop.values import dataclass

BOOT_SLACK_MS = 2_000
"""Some systems know their boot time only to a second."""

START_SLACK_MS = 250
"""Start times, where known, are accurate to 10 ms; a file's time lags by one kernel tick."""

BY_THE_CLOCK = frozenset({"older-than-boot", "started-after-lock"})
"""Proofs that compare times: valid only if the clock has not been changed since the lock was written."""

FIRST_OPENCLAW_MS = 1_735_689_600_000
"""2025-01-01: an earlier time was written before the clock was set, possibly during the current boot, and proves
nothing.
"""

WRITING_MS = 2_000
"""A younger lock that names no owner may still be being written: its file is there before its record is."""

AUTH_STALE_MS = 30_000
OAUTH_REFRESH_STALE_MS = 180_000
GATEWAY_STALE_MS = 30_000


# --- what a lock file says ---------------------------------------------------------------------------------------


def owner_pid(file: LockFile) -> int | None:
    """The pid that a lock names, if it is a valid one."""
    return whole((file.payload or {}).get("pid"), minimum=1)


def owner_start_ticks(file: LockFile) -> int | None:
    """The start time of its owner in clock ticks; the gateway's lock spells it startTime."""
    key = "startTime" if file.kind is LockKind.GATEWAY else "starttime"
    return whole((file.payload or {}).get(key))


def may_be_being_written(lock: Lock, now: int) -> bool:
    """Whether a lock that names no owner is so young that its record may follow."""
    return lock.pid is None and lock.verdict.kind is VerdictKind.UNKNOWN and abs(now - lock.since) <= WRITING_MS


def created_at(file: LockFile) -> int | None:
    """When it was taken, ms since the epoch."""
    stored = (file.payload or {}).get("createdAt")
    return parse_date(stored) if isinstance(stored, str) else None


def max_hold_ms(file: LockFile) -> int | None:
    """The hold time that its owner allowed itself (2026.6.11)."""
    return whole((file.payload or {}).get("maxHoldMs"), minimum=1)


# --- clawtop's -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NamespaceEvidence:
    """Why the pids in a state directory may not be local pids; empty when they are.

    Attributes:
        obstacles: reasons: "network-mount", "fuse-mount", "other-namespace" (the gateway shows life while no visible
            process owns it).
        boot_at: when this machine booted (ms since the epoch), where known.
        settings: the same under every known clock setting since then.
        began_at: when this pid namespace began, if it is not the machine's own: earlier writers were never in it.
        served_here: a visible process serves the directory: its writers are in this pid namespace.
    """

    obstacles: tuple[str, ...] = ()
    boot_at: int | None = None
    settings: tuple[int, ...] = ()
    began_at: int | None = None
    served_here: bool = False


HERE = NamespaceEvidence()


def verdict(
    file: LockFile,
    owner: ProcessEvidence | None,
    now: int,
    environment: NamespaceEvidence = HERE,
) -> Verdict:
    """Held, Stale with its proof, or Unknown with its reason (docs/invariants.md 7). Unknown counts as held."""
    found = _found(file, owner, now, environment)
    doubt = _doubt(found.reasons[0], file, owner, now, environment) if found.kind is VerdictKind.STALE else None
    return found if doubt is None else Verdict(VerdictKind.UNKNOWN, (doubt,))


def _found(file: LockFile, owner: ProcessEvidence | None, now: int, environment: NamespaceEvidence) -> Verdict:
    if file.payload is None or owner_pid(file) is None:
        if _is_of_an_earlier_boot(file, now, environment):
            return _stale("older-than-boot")
        return Verdict(VerdictKind.UNKNOWN, ("unparsable" if file.payload is None else "missing-pid",))
    if owner is None:
        return Verdict(VerdictKind.UNKNOWN, ("not-checked",))
    if owner.alive is None:
        return Verdict(VerdictKind.UNKNOWN, (owner.why_unknown or "not-visible", *environment.obstacles))
    if environment.obstacles:
        return Verdict(VerdictKind.UNKNOWN, environment.obstacles)
    if not owner.alive:
        return Verdict(VerdictKind.STALE, ("dead-pid", "zombie") if owner.zombie else ("dead-pid",))
    recorded = owner_start_ticks(file)
    if recorded is not None and owner.start_ticks is not None:
        same = recorded == owner.start_ticks
        return Verdict(VerdictKind.HELD, ("alive", "same-start")) if same else _stale("recycled-pid")
    if owner.start_ticks is None:  # macOS, where a missing pid is the only proof
        return Verdict(VerdictKind.HELD, ("alive",))
    written = _written(file)
    if written <= now and owner.boot_at is not None and written + BOOT_SLACK_MS < owner.boot_at:
        return _stale("older-than-boot")
    if written <= now and owner.started_at is not None and written + START_SLACK_MS < owner.started_at:
        return _stale("started-after-lock")
    return Verdict(VerdictKind.HELD, ("alive",))


def _written(file: LockFile) -> int:
    """The newer of the two times: a copied or touched file must not make its lock look older or newer than it is."""
    return max(file.mtime, created_at(file) or file.mtime)


def _doubt(
    proof: str, file: LockFile, owner: ProcessEvidence | None, now: int, environment: NamespaceEvidence
) -> str | None:
    """What invalidates a proof: its writer was in another pid namespace, or the clock was changed since."""
    written = _written(file)
    if proof != "older-than-boot" and environment.began_at is not None and written < environment.began_at:
        return "other-namespace"
    boot = owner.boot_at if owner is not None and owner.boot_at is not None else environment.boot_at
    if proof not in BY_THE_CLOCK or boot is None:
        return None
    began = owner.started_at if owner is not None and proof == "started-after-lock" else None
    after = 0 if began is None else began - boot  # at the earliest, its writer started this long after the boot
    for setting in environment.settings:
        if setting + after - START_SLACK_MS <= written <= setting + (now - boot) + START_SLACK_MS:
            return "clock-was-set"
    return None


def _is_of_an_earlier_boot(file: LockFile, now: int, environment: NamespaceEvidence) -> bool:
    """Whether the writer of the lock cannot be alive: on this host, and written before it booted."""
    if environment.obstacles or environment.boot_at is None:
        return False
    written = _written(file)
    return FIRST_OPENCLAW_MS <= written <= now and written + BOOT_SLACK_MS < environment.boot_at


def _stale(proof: str) -> Verdict:
    return Verdict(VerdictKind.STALE, (proof,))


# --- OpenClaw's --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Case:
    """What a generation's rule is asked about; `owner` is known to be alive or dead."""

    file: LockFile
    owner: ProcessEvidence
    now: int
    storage: Storage
    limits: LockLimits


def openclaw_verdict(
    file: LockFile,
    owner: ProcessEvidence | None,
    now: int,
    storage: Storage,
    limits: LockLimits,
    *,
    gateway_uid: int | None = None,
) -> OpenClawVerdict:
    """What an OpenClaw of this generation does with the lock the next time it wants it.

    If the owner cannot be seen, both possibilities are tried: `would_remove` is None if they differ.

    Args:
        gateway_uid: the user of the process that wants the lock. Its signal to another user's process fails, which
            2026.3.28's auth lock and every session lock treat as death (docs/formats.md 3); None or 0: it may signal
            any.
    """
    judge = _JUDGES[file.kind]
    if owner is None or owner.alive is None:
        pid = owner_pid(file) or 0
        dead = judge(_Case(file, ProcessEvidence(pid, alive=False), now, storage, limits))
        living = ProcessEvidence(pid, alive=True, start_ticks=owner_start_ticks(file))
        alive = judge(_Case(file, living, now, storage, limits))
        if dead.would_remove == alive.would_remove:
            return alive
        return OpenClawVerdict(alive.stale, alive.reasons or ("owner-unknown",), None)
    if gateway_uid and owner.uid not in {None, gateway_uid} and _trusts_signal(file.kind, storage):
        owner = ProcessEvidence(owner.pid, alive=False)
    return judge(_Case(file, owner, now, storage, limits))


def _trusts_signal(kind: LockKind, storage: Storage) -> bool:
    return storage.auth_lock_by_age or kind not in {LockKind.AUTH, LockKind.OAUTH_REFRESH}


def _judge_session(case: _Case) -> OpenClawVerdict:
    rules = case.storage.session_locks
    stale_ms = case.limits.stale_ms
    found = inspect_for_session(
        case.file.payload,
        case.owner,
        case.now,
        stale_ms,
        rules,
        respect_max_hold=rules.respects_max_hold,
    )
    mtime_age = max(0, case.now - case.file.mtime)
    removes = would_reclaim(found, mtime_age, stale_ms, rules, acquire_ms=case.limits.acquire_ms)
    return OpenClawVerdict(found.stale, found.reasons, removes)


def _judge_auth(case: _Case) -> OpenClawVerdict:
    stale_ms = OAUTH_REFRESH_STALE_MS if case.file.kind is LockKind.OAUTH_REFRESH else AUTH_STALE_MS
    reasons = (_auth_reasons_by_age if case.storage.auth_lock_by_age else _auth_reasons)(case, stale_ms)
    return OpenClawVerdict(bool(reasons), reasons, bool(reasons))


def _auth_reasons_by_age(case: _Case, stale_ms: int) -> tuple[str, ...]:
    """2026.3.28: age counts even while the owner is alive."""
    fields = case.file.payload or {}
    if fields.get("pid") and (owner_pid(case.file) is None or not case.owner.alive):
        return ("dead-pid",)
    if fields.get("createdAt"):
        created = created_at(case.file)
        if created is None:
            return ("invalid-createdAt",)
        if case.now - created > stale_ms:
            return ("too-old",)
    return ("too-old",) if case.now - case.file.mtime > stale_ms else ()


def _auth_reasons(case: _Case, stale_ms: int) -> tuple[str, ...]:
    """2026.5.18 on: a named owner must be dead; a lock without an owner is removed by age; any other stays forever."""
    fields = case.file.payload or {}
    if _is_number(fields.get("pid")) and fields["pid"] != 0:
        return ("dead-pid",) if owner_pid(case.file) is None or not case.owner.alive else ()
    stored = fields.get("createdAt")
    if not isinstance(stored, str) or not stored:
        return ()
    created = parse_date(stored)
    if created is None:
        return ("invalid-createdAt",)
    return ("too-old",) if case.now - created > stale_ms else ()


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _judge_gateway(case: _Case) -> OpenClawVerdict:
    """2026.5.20: a dead owner's lock is removed at once; with an unknown owner, age decides."""
    file, owner = case.file, case.owner
    if owner_pid(file) is not None and isinstance((file.payload or {}).get("configPath"), str):
        if not owner.alive:
            return OpenClawVerdict(stale=True, reasons=("dead-pid",), would_remove=True)
        recorded = owner_start_ticks(file)
        if recorded is not None and owner.start_ticks is not None:
            recycled = recorded != owner.start_ticks
            return OpenClawVerdict(recycled, ("recycled-pid",) if recycled else (), recycled)
        if owner.argv:
            return OpenClawVerdict(stale=False, reasons=(), would_remove=False)
    oldest = min(file.mtime, created_at(file) or file.mtime)
    old = case.now - oldest > GATEWAY_STALE_MS
    return OpenClawVerdict(old, ("too-old",) if old else (), old)


_JUDGES = {
    LockKind.SESSION: _judge_session,
    LockKind.SESSIONS_STORE: _judge_session,
    LockKind.AUTH: _judge_auth,
    LockKind.OAUTH_REFRESH: _judge_auth,
    LockKind.GATEWAY: _judge_gateway,
}


PROOFS: dict[str, str] = {
    "alive": "owner lives",
    "same-start": "same start time",
    "dead-pid": "owner is dead",
    "zombie": "a zombie",
    "recycled-pid": "pid was reused",
    "older-than-boot": "older than the boot",
    "started-after-lock": "owner started later",
    "missing-pid": "names no owner",
    "unparsable": "not readable as a lock",
    "not-checked": "not checked",
    "not-visible": "owner not visible",
    "network-mount": "on a network mount",
    "fuse-mount": "on a FUSE mount",
    "other-namespace": "in another pid namespace",
    "clock-was-set": "the clock was set since",
}
"""Reasons of a verdict, in words."""


def proof_words(reasons: Iterable[str]) -> str:
    """The reasons of a verdict in words; an unknown one as it is."""
    return ", ".join(PROOFS.get(reason, reason) for reason in reasons)
