"""Locks that a live gateway holds without knowing it: taken before it restarted within the same process.

SIGUSR1 and config.patch restart a gateway within its process. The pid stays, and with it every sign that the owner is
alive, so locks from before the restart are held forever (thread 3's deadlock, without an outage).
"""

from __future__ import annotations

from dataclasses import replace

from clawtop.core.generations import Storage
from clawtop.core.locks.staleness import BOOT_SLACK_MS
from clawtop.core.model import Gateway, GatewayState, Lock, LockKind, LockLimits, VerdictKind
from clawtop.core.rules import MINUTE_MS


def with_leak(lock: Lock, gateway: Gateway, limits: LockLimits, storage: Storage) -> Lock:
    """The lock, with the reason if it is left over from before the live gateway's in-process restart."""
    if lock.file.kind not in {LockKind.SESSION, LockKind.SESSIONS_STORE} or lock.verdict.kind is not VerdictKind.HELD:
        return lock
    started, taken = gateway.started_at, lock.created_at
    if gateway.state is not GatewayState.LIVE or lock.pid is None or lock.pid != gateway.pid:
        return lock
    if started is None or taken is None or taken + BOOT_SLACK_MS >= started:
        return lock
    ends = "a restart of the process ends it"
    if lock.openclaw.would_remove is True:
        ends = "OpenClaw removes it as soon as a turn needs it"
    elif storage.stale_lock_effect is not None and "too-old" not in storage.session_locks.report_only:
        ends += f", or OpenClaw itself, once it is {limits.stale_ms / MINUTE_MS:g} min old"
    return replace(lock, leaked=f"process {lock.pid} took it before the gateway restarted inside it; {ends}")
