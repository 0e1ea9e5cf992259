"""By how much the clock of a live gateway differs from this machine's: in another virtual machine, or under a program
that changes the time of one process.

All times in OpenClaw's files are by its own clock. Judged by another one, a run that is seconds old would be hung for
an hour, and a window that is closed would be open.
"""

from __future__ import annotations

from clawtop.core.locks.staleness import START_SLACK_MS
from clawtop.core.model import Lock

AGREE_MS = 10_000
"""Clocks agree within this: a busy gateway writes its lock seconds after it looked at the time."""


def clock_offset(lock: Lock) -> int:
    """How many ms the gateway's clock is ahead of this machine's (negative: behind); 0: they agree, or it is unknown.

    The owner wrote when it took the lock, and the kernel when that was written. A file that is touched later looks
    newer, so a clock that is behind needs a second witness: by it, the process took the lock before it began.
    """
    if lock.created_at is None or lock.owner is None or lock.owner.alive is not True:
        return 0
    ahead = lock.created_at - lock.file.mtime
    if abs(ahead) <= AGREE_MS:
        return 0
    began = lock.owner.started_at
    if ahead < 0 and (began is None or lock.created_at + START_SLACK_MS >= began):
        return 0
    return ahead
