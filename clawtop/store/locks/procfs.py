"""What the kernel reports about processes: files of procfs and of control groups, read whole each time, and its log."""

from __future__ import annotations

import os
from pathlib import Path

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


def memory_groups(process: Path, cgroups: Path) -> list[Path]:
    """The directories of the control groups that count a process's memory, the nearest first; none if it is gone.

    Args:
        process: its directory in procfs. cgroups: where the control groups are mounted, of either version.
    """
    try:
        lines = kernel_bytes(str(process / "cgroup"), 16_384).decode("utf-8", "replace").splitlines()
    except OSError:
        return []
    found: list[Path] = []
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if ".." in path.split("/") or (controllers and "memory" not in controllers.split(",")):
            continue
        top = cgroups / controllers if controllers else cgroups
        parts = [part for part in path.split("/") if part]
        found += [top.joinpath(*parts[:depth]) for depth in range(len(parts), -1, -1)]
    return found


_KMSG_RECORD = 8_192


def kernel_log(path: str, most: int) -> bytes:
    """The lines of the kernel's log, oldest first, at most `most` records; none if it may not be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return b""
    parts: list[bytes] = []
    try:
        for _ in range(most):
            try:
                part = os.read(descriptor, _KMSG_RECORD)
            except BrokenPipeError:
                continue  # overwritten meanwhile: the next read goes on with the oldest one
            except OSError:
                break
            if not part:
                break
            parts.append(part)
    finally:
        os.close(descriptor)
    return b"".join(parts)
