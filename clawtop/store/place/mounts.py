"""Whether a directory's processes can be local: on a network or FUSE mount another host may hold its locks."""

from __future__ import annotations

import os
from pathlib import Path

from clawtop.patterns import regex
from clawtop.store import door
from clawtop.values import dataclass

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
_FUSE = regex(r"(?:fuse|fuseblk|virtiofs|osxfuse|macfuse)(?:\..+)?|vboxsf|prl_fs|.+\.osxfs|grpcfuse")
_ESCAPE = regex(rb"\\([0-7]{3})")


def mount_obstacles(path: Path, mountinfo: Path = Path("/proc/self/mountinfo")) -> tuple[str, ...]:
    """("network-mount",) or ("fuse-mount",) if pids in files below `path` may belong to another host; else ()."""
    kind = filesystem(path, mountinfo)
    if kind in _NETWORK:
        return ("network-mount",)
    return ("fuse-mount",) if _FUSE.fullmatch(kind) else ()


def filesystem(path: Path, mountinfo: Path = Path("/proc/self/mountinfo")) -> str:
    """The type of the file system that holds `path`; empty if unknown."""
    mount = _mount_of(path, mountinfo)
    if mount is None:
        return "" if mountinfo.parent.exists() else _from_psutil(path)
    return mount.kind


def mount_source(path: Path, mountinfo: Path = Path("/proc/self/mountinfo")) -> tuple[str, str] | None:
    """What a network mount that holds `path` was mounted from, such as `server:/export`, and where it is mounted.

    None for other file systems: their names mean nothing on another host.
    """
    mount = _mount_of(path, mountinfo)
    return (mount.source, mount.point) if mount is not None and mount.kind in _NETWORK else None


@dataclass(frozen=True, slots=True)
class _Mount:
    point: str
    kind: str
    source: str


def _mount_of(path: Path, mountinfo: Path) -> _Mount | None:
    real = os.fsencode(os.path.realpath(path))
    best: _Mount | None = None
    longest = -1
    try:
        lines = mountinfo.read_bytes().splitlines()
    except OSError:
        return None
    for line in lines:
        before, separator, after = line.partition(b" - ")
        fields, facts = before.split(b" "), after.split(b" ")
        if not separator or len(fields) < 5:
            continue
        point = _unescaped(fields[4])
        if (real == point or real.startswith(point.rstrip(b"/") + b"/")) and len(point) >= longest:
            longest = len(point)
            source = os.fsdecode(_unescaped(facts[1])) if len(facts) > 1 else ""
            best = _Mount(os.fsdecode(point), facts[0].decode("ascii", "replace"), source)
    return best


def _unescaped(field: bytes) -> bytes:
    return _ESCAPE.sub(lambda match: bytes([int(match[1], 8)]), field)


def machine_identity() -> str:
    """What identifies this machine: systemd's machine id, else its host name."""
    try:
        told = door.read("/etc/machine-id", 256, follow=door.Follow.OPERATOR).data.decode("ascii", "ignore").strip()
    except OSError:
        told = ""
    return told or os.uname().nodename


def _from_psutil(path: Path) -> str:
    import psutil

    real = os.path.realpath(path)
    points = [item for item in psutil.disk_partitions(all=True) if real.startswith(item.mountpoint)]
    return max(points, key=lambda item: len(item.mountpoint)).fstype if points else ""
