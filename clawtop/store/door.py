"""The only module that opens files: every path named by a file, a record, the journal or an argument goes through it.

Such a path may lead to a link out of the state directory, a pipe that never answers, an endless device, or another
user's file. So a file is opened without blocking and without following links unless allowed, and the opened file is
checked through its descriptor: a regular file, of the right owner, with only one name where hard links are never
right. SQLite's files alone do not come through here: closing a descriptor of one drops this process's SQLite locks on
it.

Everything that changes the disk goes through `store.disk`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from enum import Enum
from io import BufferedReader
from pathlib import Path
from typing import NamedTuple

from clawtop.store.disk import disk
from clawtop.store.ways import NotAllowedError, check_readable, check_way, closed_to, may
from clawtop.text import safe

_ALWAYS = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_OWN_MODE = 0o700
_CHUNK = 1024 * 1024


class Follow(Enum):
    """How a symbolic link as the last part of a path is treated. Links before it are followed; for root, only to where
    the user who made them may go (`check_way`).

    NEVER: it is refused. ITS_OWNER: it is followed to files that the link's owner could read: their own, or ones that
    everybody may read. So a store or a configuration may be elsewhere, but a link that a user made cannot lead root to
    other files. OPERATOR: followed; for a path that the operator typed.
    """

    NEVER = "never"
    ITS_OWNER = "its owner"
    OPERATOR = "operator"


class TooLargeError(OSError):
    """A file is larger than the given limit."""


class Content(NamedTuple):
    """A whole file, and what it was when it was read."""

    data: bytes
    facts: os.stat_result


def is_path(text: str) -> bool:
    """Whether the system accepts this as a path at all: no NUL, and everything can be encoded as bytes."""
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        return False


def open_file(
    path: str | Path,
    flags: int = os.O_RDONLY,
    mode: int = 0o600,
    *,
    follow: Follow = Follow.NEVER,
    owner: int | None = None,
    only_name: bool = False,
) -> int:
    """The descriptor of a regular file, checked.

    Args:
        flags: as for `os.open`; created files get `mode`.
        owner: the only user, besides root, whose file this may be; None: any.
        only_name: refuse a file that has a second name (hard link).

    Raises:
        FileNotFoundError: there is none, or a link leads nowhere.
        NotAllowedError: a link that is not followed, not a regular file, another user's, or one with two names.
        OSError: as `os.open`.
    """
    return _opened_and_seen(path, flags, mode, follow=follow, owner=owner, only_name=only_name)[0]


def _opened_and_seen(
    path: str | Path, flags: int, mode: int, *, follow: Follow, owner: int | None, only_name: bool
) -> tuple[int, os.stat_result]:
    """`open_file`, with the `stat` of the descriptor."""
    where = os.fspath(path)
    descriptor = _opened(where, flags, mode, follow)
    try:
        facts = os.fstat(descriptor)
        _check(where, facts, owner, only_name=only_name)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, facts


def reader(path: str | Path, *, follow: Follow = Follow.NEVER) -> BufferedReader:
    """The same as a buffered file for reading."""
    return os.fdopen(open_file(path, follow=follow), "rb")


def read(path: str | Path, limit: int, *, follow: Follow = Follow.NEVER) -> Content:
    """All of a file of at most `limit` bytes. Raises TooLargeError, and as `open_file`."""
    where = os.fspath(path)
    descriptor, facts = _opened_and_seen(where, os.O_RDONLY, 0o600, follow=follow, owner=None, only_name=False)
    try:
        if facts.st_size > limit:
            raise TooLargeError(errno.EFBIG, f"is larger than {_amount(limit)}", where)
        data = _everything(descriptor, facts.st_size, limit)
    finally:
        os.close(descriptor)
    if len(data) > limit:
        raise TooLargeError(errno.EFBIG, f"is larger than {_amount(limit)}", where)
    return Content(data, facts)


def read_head(path: str | Path, limit: int, *, follow: Follow = Follow.NEVER) -> bytes:
    """Up to `limit` bytes from the beginning of a file; empty if it cannot be read."""
    try:
        descriptor = open_file(path, follow=follow)
    except (OSError, ValueError):
        return b""
    try:
        return os.read(descriptor, limit)
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def create(path: str | Path, mode: int = 0o600) -> int:
    """The descriptor of a new file for writing. FileExistsError if anything is there, a dangling link included."""
    if not is_path(os.fspath(path)):
        raise NotAllowedError(errno.EINVAL, "is not a usable path", os.fspath(path))
    if makers := check_way(path):
        words = f"is where uid {makers[0]} led: nothing is written there"
        raise NotAllowedError(errno.EPERM, words, os.fspath(path))
    return disk.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _ALWAYS, mode)


def open_directory(path: str | Path) -> int:
    """The descriptor of a directory, for flushing it."""
    return disk.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NONBLOCK | os.O_CLOEXEC)


def write_all(descriptor: int, content: bytes) -> None:
    """Write everything, however little the system takes at a time. OSError when it takes nothing."""
    view = memoryview(content)
    while view:
        written = disk.write(descriptor, view)
        if written <= 0:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        view = view[written:]


def in_the_way(path: str | Path) -> str | None:
    """Why nothing can exist at `path`, worded to follow its name: a dangling link there or above it (to an unmounted
    volume, say), or something above it that is not a directory. None if it is simply absent.
    """
    name = here = os.fspath(path)
    while here and not os.path.lexists(here):
        parent = os.path.dirname(here)  # noqa: PTH120 - for every file that is absent
        if parent == here:
            return None
        here = parent
    if not here or os.path.isdir(here):  # noqa: PTH112
        return None
    below = f"is below {safe(here, 300)}, "
    if _is_link(here) and not os.path.exists(here):  # noqa: PTH110
        link = f"a symbolic link to {_shown_target(here)}, which is not there"
        return f"is {link}" if here == name else below + link
    return None if here == name else f"{below}which is not a directory"


# --- clawtop's own directories -----------------------------------------------------------------------------------


def own_directory(*parts: Path) -> None:
    """Make clawtop's own directory if it is missing (0700), and each of `parts` below it, the outer ones first.

    Raises:
        NotAllowedError: it is a link, no directory, or another user's.
        OSError: the disk refuses it.
    """
    for place in parts:
        with contextlib.suppress(FileExistsError):
            disk.mkdir(place, _OWN_MODE)
        facts = os.lstat(place)
        _check_directory(str(place), facts)
        if facts.st_uid != os.geteuid():
            raise NotAllowedError(errno.EPERM, f"belongs to another user (uid {facts.st_uid})", str(place))
        if facts.st_mode & 0o022:
            disk.chmod(place, _OWN_MODE)


def has_own(*parts: Path) -> bool:
    """Whether these directories of clawtop exist; creates nothing.

    Raises:
        NotAllowedError: one is a link, or no directory.
    """
    for place in parts:
        try:
            facts = os.lstat(place)
        except OSError:
            return False
        _check_directory(str(place), facts)
    return True


def own_lock(path: Path) -> None:
    """Make sure that `path` is a plain file of this user, creating it if missing: locking it will empty it.

    If it has a second name (hard link), it is replaced: the lock is then a different file.

    Raises:
        NotAllowedError: a link, no regular file, or another user's.
        OSError: the disk refuses it.
    """
    try:
        descriptor = open_file(path, os.O_RDWR | os.O_CREAT, owner=os.geteuid(), only_name=True)
    except NotAllowedError as error:
        if error.errno != errno.EMLINK:
            raise
        disk.unlink(path)
        descriptor = create(path)
    os.close(descriptor)


def open_pipe(path: str | Path, flags: int) -> int:
    """The descriptor of one of clawtop's named pipes, without waiting. OSError ENXIO if nobody reads.

    Raises:
        NotAllowedError: it is not a pipe, or is another user's.
    """
    descriptor = disk.open(path, flags | _ALWAYS)
    facts = os.fstat(descriptor)
    if not stat.S_ISFIFO(facts.st_mode) or facts.st_uid != os.geteuid():
        os.close(descriptor)
        raise NotAllowedError(errno.EINVAL, "is not clawtop's pipe", os.fspath(path))
    return descriptor


def _check_directory(where: str, facts: os.stat_result) -> None:
    if stat.S_ISLNK(facts.st_mode):
        words = f"is not a directory: a symbolic link to {_shown_target(where)}, which clawtop does not follow"
        raise NotAllowedError(errno.ELOOP, words, where)
    if not stat.S_ISDIR(facts.st_mode):
        raise NotAllowedError(errno.ENOTDIR, "is not a directory", where)


# --- the checks --------------------------------------------------------------------------------------------------


def _opened(where: str, flags: int, mode: int, follow: Follow) -> int:
    if not is_path(where):
        raise NotAllowedError(errno.EINVAL, "is not a usable path", where)
    makers = () if follow is Follow.OPERATOR else check_way(where)
    if makers and not _reads(flags):
        raise NotAllowedError(errno.EPERM, f"is where uid {makers[0]} led: nothing is written there", where)
    descriptor = _found(where, flags, mode, follow)
    if makers:
        try:
            check_readable(where, os.fstat(descriptor), makers)
        except BaseException:
            os.close(descriptor)
            raise
    return descriptor


def _found(where: str, flags: int, mode: int, follow: Follow) -> int:
    try:
        return disk.open(where, flags | _ALWAYS, mode)
    except OSError as error:
        if error.errno in {errno.ENXIO, errno.EISDIR}:  # a pipe without a reader, a socket; a directory
            raise NotAllowedError(error.errno, "is not a regular file", where) from None
        if error.errno not in {errno.ELOOP, errno.EMLINK} or not _is_link(where):
            raise
    if follow is Follow.NEVER or flags & os.O_EXCL:
        raise _link_refused(where)
    real = _target(where)
    descriptor = disk.open(real, (flags & ~os.O_CREAT) | _ALWAYS, mode)
    if follow is Follow.ITS_OWNER:
        try:
            _check_reach(where, real, os.fstat(descriptor), flags)
        except BaseException:
            os.close(descriptor)
            raise
    return descriptor


def _check_reach(where: str, real: str, facts: os.stat_result, flags: int) -> None:
    """Raise NotAllowedError unless the owner of the link could have opened its target, at `real`."""
    maker = os.lstat(where).st_uid
    if maker in {0, os.geteuid(), facts.st_uid}:
        return
    if _reads(flags) and may(maker, facts, stat.S_IRUSR) and closed_to(maker, os.path.dirname(real)) is None:  # noqa: PTH120
        return
    raise NotAllowedError(
        errno.EPERM, f"is a symbolic link of uid {maker} to {_shown_target(where)}, a file of uid {facts.st_uid}", where
    )


def _check(where: str, facts: os.stat_result, owner: int | None, *, only_name: bool) -> None:
    if not stat.S_ISREG(facts.st_mode):
        raise NotAllowedError(errno.EINVAL, "is not a regular file", where)
    if owner is not None and facts.st_uid not in {owner, 0}:
        raise NotAllowedError(errno.EPERM, f"belongs to another user (uid {facts.st_uid})", where)
    if only_name and facts.st_nlink > 1:
        raise NotAllowedError(errno.EMLINK, "has more than one hard link", where)


def _reads(flags: int) -> bool:
    return flags & (os.O_WRONLY | os.O_RDWR) == 0


def _is_link(where: str) -> bool:
    try:
        return stat.S_ISLNK(os.lstat(where).st_mode)
    except OSError:
        return False


def _target(where: str) -> str:
    """Where a link leads in the end. FileNotFoundError for nowhere; OSError ELOOP for a loop."""
    os.stat(where)  # noqa: PTH116 - raises as wanted
    return os.path.realpath(where)


def _link_refused(where: str) -> NotAllowedError:
    words = f"is a symbolic link to {_shown_target(where)}, which clawtop does not follow"
    return NotAllowedError(errno.ELOOP, words, where)


def _shown_target(where: str) -> str:
    try:
        return safe(Path(where).readlink(), 200)
    except OSError:
        return "somewhere else"


def _everything(descriptor: int, size: int, limit: int) -> bytes:
    """The content up to one byte past `limit`: the file may grow while it is read."""
    chunks = [os.read(descriptor, size + 1)]
    total = len(chunks[0])
    while chunks[-1] and total <= limit:
        chunks.append(os.read(descriptor, min(_CHUNK, limit + 1 - total)))
        total += len(chunks[-1])
    return chunks[0] if len(chunks) <= 2 and not chunks[-1] else b"".join(chunks)


def _amount(limit: int) -> str:
    return f"{limit // _CHUNK} MB" if limit >= _CHUNK else f"{limit // 1024} KB"


def close_lock(descriptor: int) -> None:
    """Close a descriptor that only carries a lock: the kernel releases that, whatever the disk says to the closing."""
    with contextlib.suppress(OSError):
        os.close(descriptor)


@contextlib.contextmanager
def closing(descriptor: int) -> Iterator[int]:
    """Close `descriptor` at the end. An error of closing is raised only if there was no other."""
    try:
        yield descriptor
    except BaseException:
        with contextlib.suppress(OSError):
            os.close(descriptor)
        raise
    else:
        os.close(descriptor)
