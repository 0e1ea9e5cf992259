"""Whether a directory's processes can be ours: on a network or FUSE mount another host may hold its locks."""

from __future__ import annotations

import os
import re
from pathlib import Path

_NETWORK = frozenset(
    {
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "smbfs",
        "9p",
        "ceph",
        "afs",
        "afpfs",
        "webdav",
        "glusterfs",
        "lustre",
        "gpfs",
        "ocfs2",
        "gfs2",
    }
)
_FUSE = re.compile(r"(?:fuse|fuseblk|virtiofs|osxfuse|macfuse)(?:\..+)?|vboxsf|prl_fs|.+\.osxfs|grpcfuse")
_ESCAPE = re.compile(rb"\\([0-7]{3})")


def mount_obstacles(path: Path, mountinfo: Path = Path("/proc/self/mountinfo")) -> tuple[str, ...]:
    """("network-mount",) or ("fuse-mount",) where pids in files below `path` may be another host's; else ()."""
    kind = filesystem(path, mountinfo)
    if kind in _NETWORK:
        return ("network-mount",)
    return ("fuse-mount",) if _FUSE.fullmatch(kind) else ()


def filesystem(path: Path, mountinfo: Path = Path("/proc/self/mountinfo")) -> str:
    """The type of the file system that holds `path`; empty where that cannot be told."""
    real = os.fsencode(os.path.realpath(path))
    best, kind = -1, ""
    try:
        lines = mountinfo.read_bytes().splitlines()
    except OSError:
        return _from_psutil(path) if not mountinfo.parent.exists() else ""
    for line in lines:
        before, separator, after = line.partition(b" - ")
        fields = before.split(b" ")
        if not separator or len(fields) < 5:
            continue
        point = _ESCAPE.sub(lambda match: bytes([int(match[1], 8)]), fields[4])
        if (real == point or real.startswith(point.rstrip(b"/") + b"/")) and len(point) >= best:
            best, kind = len(point), after.split(b" ")[0].decode("ascii", "replace")
    return kind


def _from_psutil(path: Path) -> str:
    import psutil

    real = os.path.realpath(path)
    points = [item for item in psutil.disk_partitions(all=True) if real.startswith(item.mountpoint)]
    return max(points, key=lambda item: len(item.mountpoint)).fstype if points else ""
