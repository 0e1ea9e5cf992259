"""A stand-in for an OpenClaw process: takes one session's write lock and keeps it until its standard input ends.

Its lifetime is its parent's: when the parent dies, the pipe closes and the lock is given back. Killed, it leaves a
stale lock, as a crashed gateway does.

    python -m clawtop.demo.puppet SESSION_FILE
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from clawtop.clock import SystemClock
from clawtop.core.model import Generation, LockLimits
from clawtop.engine.session_lock import SessionLockController
from clawtop.store.processes import SystemProcesses

LIMITS = LockLimits(acquire_ms=5_000, stale_ms=1_800_000, max_hold_ms=300_000)


async def hold(session_file: Path) -> None:
    """Take the lock, say so on standard output, and keep it until standard input ends."""
    controller = await SessionLockController.open(
        session_file, generation=Generation.B, limits=LIMITS, clock=SystemClock(), processes=SystemProcesses()
    )
    async with controller:
        sys.stdout.write("held\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.buffer.read)


if __name__ == "__main__":
    asyncio.run(hold(Path(sys.argv[1])))
