"""A stand-in for an OpenClaw process: takes one lock and keeps it until its standard input ends.

Its lifetime is its parent's: when the parent dies, the pipe closes and the lock is released. Killed, it leaves a
stale lock, as a crashed gateway does.

    python -m clawtop.demo.keep_lock session SESSION_FILE
    python -m clawtop.demo.keep_lock auth AGENT_DIRECTORY
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from clawtop.clock import SystemClock
from clawtop.core.generations import generation_of
from clawtop.core.model import LockLimits
from clawtop.demo.world import OPENCLAW_VERSION
from clawtop.engine.prompt.session_lock import SessionLockController
from clawtop.store.locks.openclaw import Proposal, release, timestamp
from clawtop.store.locks.processes import SystemProcesses

LIMITS = LockLimits(acquire_ms=5_000, stale_ms=1_800_000, max_hold_ms=300_000)


async def hold_session(session_file: Path) -> None:
    """Take a session's write lock and keep it until standard input ends."""
    controller = await SessionLockController(
        session_file,
        generation=generation_of(OPENCLAW_VERSION),
        limits=LIMITS,
        clock=SystemClock(),
        processes=SystemProcesses(),
    ).open()
    async with controller:
        await _until_told()


async def hold_auth(agent_dir: Path) -> None:
    """Take the lock of an auth store and keep it until standard input ends."""
    payload = {"pid": os.getpid(), "createdAt": timestamp(SystemClock().now_ms())}
    proposal = Proposal(str(agent_dir / "auth-profiles.json.lock"), payload, newline=True, durable=False)
    clock = SystemClock()
    while (published := proposal.publish()) is None:
        await clock.sleep(0.001)
    try:
        await _until_told()
    finally:
        release(published)


async def _until_told() -> None:
    sys.stdout.write("held\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.buffer.read)


HOLDS = {"session": hold_session, "auth": hold_auth}

if __name__ == "__main__":
    asyncio.run(HOLDS[sys.argv[1]](Path(sys.argv[2])))
