"""The lock of one step on a record: an OS lock on a file, which dies with its process and is never waited for.

It is the lock that `filelock` takes on the same file, so the two exclude each other. A turn takes several steps, and
filelock's acquire, made for every way to lock a file, costs more than the step itself.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from clawtop.store import door
from clawtop.store.disk import disk


def taken(path: Path) -> int | None:
    """The descriptor that holds the lock on `path`, which is made if missing; None while another holds it.

    Closing the descriptor releases the lock. Raises OSError: the disk refuses the file, or has no such locks.
    """
    try:
        descriptor = door.open_file(path, os.O_RDWR | os.O_CREAT)
    except FileNotFoundError:
        disk.make_directories(path.parent, 0o700)
        descriptor = door.open_file(path, os.O_RDWR | os.O_CREAT)
    held = False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        held = _is_still(path, os.fstat(descriptor))
    except BlockingIOError:
        pass
    finally:
        if not held:
            os.close(descriptor)
    return descriptor if held else None


def _is_still(path: Path, locked: os.stat_result) -> bool:
    """Whether the locked file still has its name: a lock on one that was replaced excludes nobody."""
    try:
        return os.path.samestat(os.stat(path), locked)  # noqa: PTH116 - compared with what the descriptor says
    except FileNotFoundError:
        return False
