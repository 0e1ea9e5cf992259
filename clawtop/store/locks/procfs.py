"""What the kernel reports about processes: files of procfs and of control groups, read whole each time."""

from __future__ import annotations

import os

STATE, PARENT, USER_TICKS, SYSTEM_TICKS, START_TICKS, RSS_PAGES = 0, 1, 11, 12, 19, 21
"""Fields of /proc/PID/stat by their place in `stat_fields`: a letter, a pid, ticks of `SC_CLK_TCK`, pages of
`SC_PAGE_SIZE`.
"""

_STAT_BYTES = 4096


def kernel_bytes(path: str, limit: int) -> bytes:
    """The first `limit` bytes of such a file. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, limit)
    finally:
        os.close(descriptor)


def stat_fields(directory: str) -> list[bytes]:
    """The fields of a process's `stat` after its name, which may contain any character. Raises OSError."""
    return kernel_bytes(f"{directory}/stat", _STAT_BYTES).rpartition(b")")[2].split()
