"""How much room is left on the disk of a state directory."""

from __future__ import annotations

import os
from pathlib import Path

from clawtop.core.model import DiskRoom

LOW_BYTES = 32 << 20
FULL_BYTES = 1 << 20
"""SQLite's log and a copy of sessions.json need room: OpenClaw fails before the last byte is taken."""


def disk_room(path: Path) -> DiskRoom | None:
    """What is left where it is little; None where there is enough, or it cannot be told."""
    try:
        facts = os.statvfs(path)
    except OSError:
        return None
    left = facts.f_bavail * facts.f_frsize
    files = facts.f_favail if facts.f_files else None
    if facts.f_blocks == 0 or (left >= LOW_BYTES and files != 0):
        return None
    return DiskRoom(left >> 20, full=left < FULL_BYTES or files == 0, files_left=files != 0)
