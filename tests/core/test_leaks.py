"""A lock of a living gateway's former life, told from one that it holds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from clawtop.core.generations import Generation, storage_of
from clawtop.core.health.blocked import LEAKED_LOCK, lock_blocks
from clawtop.core.locks.leaks import with_leak
from clawtop.core.model import (
    Gateway,
    GatewayState,
    Lock,
    LockFile,
    LockIdentity,
    LockKind,
    LockLimits,
    OpenClawVerdict,
    Verdict,
    VerdictKind,
)

STARTED = 1_795_214_000_000
GATEWAY = Gateway(GatewayState.LIVE, 7, 18789, started_at=STARTED)
LIMITS = LockLimits(60_000, 1_800_000, 300_000)
HELD = Verdict(VerdictKind.HELD, ("alive", "same-start"))


def lock(taken: int | None, *, pid: int = 7, verdict: Verdict = HELD, kind: LockKind = LockKind.SESSION) -> Lock:
    file = LockFile("/s.jsonl.lock", kind, LockIdentity(1, 1, ""), taken or 0, {})
    return Lock(file, pid, taken, None, None, None, verdict, OpenClawVerdict(False, (), False))


def test_it_is_named_with_what_ends_it() -> None:
    found = with_leak(lock(STARTED - 600_000), GATEWAY, LIMITS, storage_of(Generation.B))
    assert found.leaked == (
        "process 7 took it before the gateway restarted inside it; a restart of the process ends it,"
        " or OpenClaw itself, once it is 30 min old"
    )
    reports_only = with_leak(lock(STARTED - 600_000), GATEWAY, LIMITS, storage_of(Generation.C))
    assert (reports_only.leaked or "").endswith("a restart of the process ends it")


def test_one_that_openclaw_removes_at_the_next_turn_blocks_nothing() -> None:
    """2026.5.20 takes every lock that is past its stale limit, whoever lives."""
    old = replace(lock(STARTED - 3_600_000), openclaw=OpenClawVerdict(True, ("too-old",), True))
    found = with_leak(old, GATEWAY, LIMITS, storage_of(Generation.B))
    assert (found.leaked or "").endswith("; OpenClaw removes it as soon as a turn needs it")
    assert lock_blocks(found) is None
    assert lock_blocks(with_leak(lock(STARTED - 600_000), GATEWAY, LIMITS, storage_of(Generation.B))) == LEAKED_LOCK


@pytest.mark.parametrize(
    ("found", "gateway"),
    [
        (lock(STARTED + 1), GATEWAY),
        (lock(STARTED - 1_000), GATEWAY),
        (lock(None), GATEWAY),
        (lock(STARTED - 600_000, pid=8), GATEWAY),
        (lock(STARTED - 600_000, kind=LockKind.AUTH), GATEWAY),
        (lock(STARTED - 600_000, verdict=Verdict(VerdictKind.STALE, ("dead-pid",))), GATEWAY),
        (lock(STARTED - 600_000), replace(GATEWAY, started_at=None)),
        (lock(STARTED - 600_000), replace(GATEWAY, state=GatewayState.DEAD)),
    ],
)
def test_others_are_not(found: Lock, gateway: Gateway) -> None:
    assert with_leak(found, gateway, LIMITS, storage_of(Generation.B)).leaked is None
