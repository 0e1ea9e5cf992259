"""Replacing a file in one step, keeping its owner's metadata.

A new version is written beside the old one, flushed to the disk and renamed over it, so that a reader or a crash
meets the old content or the new, never a part. Temporary names end in `.tmp` and contain this process's pid, so that
leftovers of a killed process can be recognised and removed.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from clawtop.patterns import regex
from clawtop.store import door
from clawtop.store.disk import disk
from clawtop.values import dataclass

_serial = itertools.count(1)  # next() is atomic; makes names unique within the process
_LEFTOVER = regex(r"\.clawtop\.(?P<pid>\d+)\.\d+\.tmp\Z")
_REMOVALS = 3
MOST_NAMES = 100
"""How many names are tried for a new file: those of a killed process with this pid may be taken."""

_COPYFILE_ACL_AND_XATTR = 0b101  # copyfile(3) of macOS: COPYFILE_ACL | COPYFILE_XATTR


@dataclass(frozen=True, slots=True)
class Attributes:
    """What a replacement must keep of the file it replaces."""

    source: str
    mode: int
    uid: int
    gid: int


def attributes_of(path: str) -> Attributes:
    """The owner, group and mode of the file at `path`, symlinks followed. OSError when there is none."""
    facts = Path(path).stat()
    return Attributes(path, stat.S_IMODE(facts.st_mode), facts.st_uid, facts.st_gid)


def sibling(path: str) -> str:
    """A fresh temporary name beside `path`."""
    return f"{path}.clawtop.{os.getpid()}.{next(_serial)}.tmp"


def write_sibling(path: str, content: bytes, mode: int = 0o600, *, durable: bool = True) -> str:
    """Write `content` to a new file beside `path`, flushed to the disk if `durable`, and return its name.

    Nothing is left behind when it fails (OSError: no space, read-only file system, no permission, no directory).
    """
    return write_under_free_name(lambda: sibling(path), content, mode, durable=durable)


def write_under_free_name(next_name: Callable[[], str], content: bytes, mode: int, *, durable: bool = True) -> str:
    """Write `content` to a new file under the first of several names that is free, and return it. Raises as
    `write_new`: FileExistsError when `MOST_NAMES` are taken, which is what a broken disk says of any name.
    """
    for _ in range(MOST_NAMES - 1):
        name = next_name()
        with contextlib.suppress(FileExistsError):
            write_new(name, content, mode, durable=durable)
            return name
    name = next_name()
    write_new(name, content, mode, durable=durable)
    return name


def write_new(path: str, content: bytes, mode: int, *, durable: bool = True) -> None:
    """Create `path` with `content`, flushed to the disk. FileExistsError when it is there; removed if writing fails."""
    descriptor = door.create(path, mode)
    try:
        try:
            door.write_all(descriptor, content)
            if durable:
                disk.fsync(descriptor)
        finally:
            os.close(descriptor)
    except BaseException:
        remove(path)
        raise


def put(path: str, content: bytes, mode: int = 0o600, *, durable: bool = True) -> None:
    """Put `content` at `path` in one step, in the place of a file that may be there. Raises as `write_sibling`."""
    temporary = write_sibling(path, content, mode, durable=durable)
    try:
        disk.rename(temporary, path)
    except BaseException:
        remove(temporary)
        raise


def replace(target: str, content: bytes, keep: Attributes, *, last_check: Callable[[], None]) -> os.stat_result:
    """Replace the content of the existing file `target` (a real path, no symlink), attributes kept.

    `last_check` runs when everything is ready, right before the rename; whatever it raises leaves the old file as it
    was. The directory is flushed afterwards, so the new version survives a power failure.

    Returns:
        The facts of the new file, as they were right before the rename.
    """
    temporary = write_sibling(target, content)
    try:
        _apply(temporary, keep)
        facts = Path(temporary).stat()
        last_check()
        disk.rename(temporary, target)
    except BaseException:
        remove(temporary)
        raise
    flush_directory(target)
    return facts


def create(target: str, content: bytes, *, last_check: Callable[[], None]) -> os.stat_result:
    """Make `target` with `content`, mode 0600: FileExistsError rather than overwriting anything.

    Returns:
        The facts of the new file, as they were right before it got its name.
    """
    temporary = write_sibling(target, content)
    try:
        facts = Path(temporary).stat()
        last_check()
        try:
            disk.link(temporary, target)
        except OSError as error:
            if not link_is_impossible(error):
                raise
            write_new(target, content, 0o600)
    finally:
        remove(temporary)
    flush_directory(target)
    return facts


def link_is_impossible(error: OSError) -> bool:
    """Whether `os.link` failed because this file system has no hard links, rather than for a passing reason."""
    return error.errno in {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


def remove(path: str) -> None:
    """Unlink `path` if it is there; after a few failed attempts the file is left."""
    for _ in range(_REMOVALS):
        try:
            disk.unlink(path)
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError:
            continue
        return


def flush_directory(path: str) -> None:
    """Flush the directory that holds `path`. File systems that do not support it (EINVAL, some FUSE) are ignored."""
    with contextlib.suppress(OSError), door.closing(door.open_directory(Path(path).parent)) as descriptor:
        disk.fsync(descriptor)


def leftovers(directory: str) -> Iterator[tuple[str, int]]:
    """(path, pid) of each of our own temporary files in `directory` that belongs to another process."""
    with contextlib.suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            match = _LEFTOVER.search(entry.name)
            if match and int(match["pid"]) != os.getpid() and entry.is_file(follow_symlinks=False):
                yield entry.path, int(match["pid"])


def _apply(path: str, keep: Attributes) -> None:
    facts = Path(path).stat()
    if (facts.st_uid, facts.st_gid) != (keep.uid, keep.gid):
        disk.chown(path, keep.uid, keep.gid)
    disk.chmod(path, keep.mode)
    if sys.platform == "darwin":
        _copy_extended_macos(keep.source, path)
    else:
        _copy_extended(keep.source, path)


def _copy_extended(source: str, path: str) -> None:
    """Copy extended attributes; POSIX ACLs are one of them. Labels that the kernel assigns itself may be rejected."""
    for name in os.listxattr(source):
        value = os.getxattr(source, name)
        try:
            disk.setxattr(path, name, value)
        except OSError:
            if name.startswith(("user.", "system.")):
                raise


def _copy_extended_macos(source: str, path: str) -> None:
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.copyfile(os.fsencode(source), os.fsencode(path), None, _COPYFILE_ACL_AND_XATTR) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), path)
