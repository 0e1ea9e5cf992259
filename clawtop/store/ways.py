"""Whose links and configurations lead root where: another user must not lead root to what is closed to them."""

from __future__ import annotations

import errno
import os
import pwd
import stat
from pathlib import Path

from clawtop.text import safe


class NotAllowedError(OSError):
    """A path must not be used; `strerror` says why, and names the link. Nothing was touched."""


_MOST_LINKS = 40
_MOST_WAYS = 4_096

_ways: dict[str, tuple[tuple[int, int], tuple[int, ...]]] = {}
"""Directory -> which one it was when its way was checked (device, inode), and who led there. For root only."""

_named: dict[str, int] = {}
"""Directory -> the user whose configuration names it. For root only."""


def named_by(directory: str | Path, uid: int) -> None:
    """From now on root reads in this directory only what this user may read: their configuration names it."""
    where = os.path.abspath(directory)  # noqa: PTH100 - lexical
    if uid != 0 and os.geteuid() == 0 and _named.get(where) != uid:
        _named[where] = uid
        _ways.clear()


def check_way(path: str | Path) -> tuple[int, ...]:
    """Who leads to `path`, other than root: made one of its directories a symbolic link, or named one of them in a
    configuration (`named_by`). Nobody, unless this user is root.

    Where another user's state directory is read by root, that user must not lead root to what is closed to them.
    Whoever is returned must also be allowed to read the file itself.

    Raises:
        NotAllowedError: one of these users may not enter the directory that they lead to.
    """
    if os.geteuid() != 0:
        return ()
    directory = os.path.dirname(os.path.abspath(path))  # noqa: PTH100, PTH120 - for every file that root opens
    try:
        facts = os.stat(directory)  # noqa: PTH116 - as above
    except (OSError, ValueError):
        return ()  # so nothing can be opened there
    identity = facts.st_dev, facts.st_ino
    known = _ways.get(directory)
    if known is not None and known[0] == identity:
        return known[1]
    makers = _makers(directory, os.fspath(path))
    if len(_ways) >= _MOST_WAYS:
        _ways.clear()
    _ways[directory] = identity, makers
    return makers


def _makers(directory: str, where: str) -> tuple[int, ...]:
    """Walk to `directory` as the system does. Raises NotAllowedError as `check_way`."""
    here, left, links = "/", [part for part in directory.split("/") if part], list[tuple[int, str]]()
    while left and len(links) <= _MOST_LINKS:
        below = os.path.normpath(os.path.join(here, left.pop(0)))  # noqa: PTH118 - as above
        facts = os.lstat(below)
        if not stat.S_ISLNK(facts.st_mode):
            here = below
            continue
        target = os.readlink(below)  # noqa: PTH115 - as above
        here = "/" if target.startswith("/") else here
        left = [*(part for part in target.split("/") if part), *left]
        links.append((facts.st_uid, below))
    made = [(uid, f"is below {safe(link, 200)}, a symbolic link of uid {uid}") for uid, link in links if uid != 0]
    made += [
        (_named[place], f"is named by a configuration of uid {_named[place]}")
        for place in (directory, *(str(parent) for parent in Path(directory).parents))
        if place in _named
    ]
    for uid, how in made:
        closed = closed_to(uid, here)
        if closed is not None:
            raise NotAllowedError(errno.EPERM, f"{how}, to whom {safe(closed, 200)} is closed", where)
    return tuple(dict.fromkeys(uid for uid, _ in made))


def closed_to(uid: int, real: str) -> str | None:
    """The first directory on the way to `real`, which has no links, that this user may not enter."""
    places = [real, *(str(parent) for parent in Path(real).parents)]
    return next((place for place in reversed(places) if not may(uid, os.lstat(place), stat.S_IXUSR)), None)


def check_makers(path: str | Path, facts: os.stat_result) -> None:
    """Raise NotAllowedError if who made links on the way to this file may not read it, as `check_way`."""
    check_readable(os.fspath(path), facts, check_way(path))


def check_readable(where: str, facts: os.stat_result, makers: tuple[int, ...]) -> None:
    """Raise NotAllowedError unless each of these users may read the file that was found."""
    for uid in makers:
        if not may(uid, facts, stat.S_IRUSR):
            words = f"is where uid {uid} led, and a file of uid {facts.st_uid} that is closed to them"
            raise NotAllowedError(errno.EPERM, words, where)


def may(uid: int, facts: os.stat_result, bit: int) -> bool:
    """Whether a user has this permission, given as the owner's bit, by the mode. Access lists are not looked at."""
    if uid == facts.st_uid:
        return bool(facts.st_mode & bit)
    if facts.st_gid in _groups(uid):
        return bool(facts.st_mode & bit >> 3)
    return bool(facts.st_mode & bit >> 6)


def _groups(uid: int) -> frozenset[int]:
    try:
        user = pwd.getpwuid(uid)
    except KeyError:
        return frozenset()
    return frozenset(os.getgrouplist(user.pw_name, user.pw_gid))
