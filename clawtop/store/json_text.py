"""JSON text from disk: bounded, and read as OpenClaw's own parser reads it.

OpenClaw's stores are JSON, its configuration is JSON5. json5 in Python is slow, so it is tried only where JSON fails.
"""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from clawtop.core.model import BLOCKED, Problem
from clawtop.nested import TooDeepError, loads, shallow
from clawtop.store import door
from clawtop.store.door import Follow
from clawtop.store.ways import NotAllowedError

MEGABYTE = 1024 * 1024
MAX_JSON5_BYTES = MEGABYTE // 4
"""json5 reads some 30 KB a second; a configuration must not take more than a few seconds."""


class Stamp(NamedTuple):
    """Equal if the content is the same, as far as `stat` can tell."""

    mtime_ns: int
    size: int
    inode: int


class UnreadableError(Exception):
    """A file that exists but cannot be used, as a `Problem` for people; internal to the store."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


def stamp_of(path: str | Path) -> Stamp | None:
    """The stamp of the file at `path`; None if nothing is visible there."""
    try:
        facts = os.stat(path)  # noqa: PTH116 - called for thousands of plain strings
    except (OSError, ValueError):
        return None
    return Stamp(facts.st_mtime_ns, facts.st_size, facts.st_ino)


def read_bytes(path: str | Path, limit: int) -> tuple[bytes, Stamp]:
    """The whole content of a store or configuration file and its stamp; it may be a link (`door.Follow.ITS_OWNER`).

    Raises:
        FileNotFoundError: there is none.
        UnreadableError: no permission, not a regular file, larger than `limit`, a link that is not followed or that
            leads nowhere, something else in place of its directory.
    """
    where = os.fspath(path)
    try:
        content, facts = door.read(where, limit, follow=Follow.ITS_OWNER)
    except (FileNotFoundError, NotADirectoryError):
        raise_if_blocked(where)
        raise FileNotFoundError(where) from None
    except (OSError, ValueError) as error:
        raise UnreadableError(open_problem(where, error)) from None
    return content, Stamp(facts.st_mtime_ns, facts.st_size, facts.st_ino)


def raise_if_blocked(where: str) -> None:
    """UnreadableError if nothing can be at `where`: its content is then unknown, not absent."""
    words = door.in_the_way(where)
    if words is not None:
        raise UnreadableError(Problem(BLOCKED, where, words))


def read_head(path: str | Path, limit: int) -> bytes:
    """Up to `limit` bytes from the beginning of such a file; empty if it cannot be read."""
    return door.read_head(path, limit, follow=Follow.ITS_OWNER)


def open_problem(where: str, error: OSError | ValueError) -> Problem:
    """Why a file could not be opened or read, with its name."""
    if isinstance(error, NotAllowedError):
        code = "not-a-file" if error.errno in {errno.EINVAL, errno.ENXIO, errno.EISDIR} else "not-allowed"
        return Problem(code, where, error.strerror or "may not be used")
    if isinstance(error, door.TooLargeError):
        return Problem("too-large", where, f"{error.strerror}, which is more than clawtop reads")
    number = error.errno if isinstance(error, OSError) else None
    if number in {errno.EACCES, errno.EPERM}:
        return Problem("no-permission", where, "cannot be read by this user")
    if number == errno.ELOOP:
        return Problem("symlink-loop", where, "is a loop of symbolic links")
    reason = error.strerror if isinstance(error, OSError) and error.strerror else "not a usable path"
    return Problem("unreadable", where, f"cannot be read ({reason})")


def parse(content: bytes, where: str, *, pairs: Callable[[list[tuple[str, Any]]], Any] | None = None) -> Any:
    """The JSON value in `content`. Numbers that Python would refuse are read as JavaScript does.

    Args:
        pairs: builds each object from its members in order (to notice duplicate keys).

    Raises:
        UnreadableError: empty, not UTF-8, or not JSON; codes "empty", "not-utf8", "not-json".
    """
    text = _decoded(content, where)
    try:
        return loads(text, object_pairs_hook=pairs, parse_constant=_no_constant)
    except TooDeepError as error:
        raise UnreadableError(Problem("not-json", where, str(error))) from None
    except ValueError as error:
        first = error
    try:
        return loads(text, object_pairs_hook=pairs, parse_constant=_no_constant, parse_int=_whole_number)
    except ValueError:
        raise UnreadableError(_syntax_problem(first, where)) from None


def parse_json5(content: bytes, where: str) -> Any:
    """The JSON5 value in `content`; plain JSON is tried first.

    Raises:
        UnreadableError: as `parse`, with the code "not-json5".
    """
    text = _decoded(content, where).removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}")
    try:
        return loads(text)
    except TooDeepError as error:
        raise UnreadableError(Problem("not-json5", where, str(error))) from None
    except ValueError:
        pass
    if len(content) > MAX_JSON5_BYTES:
        raise UnreadableError(Problem("not-json", where, "is not JSON, and too large to be read as JSON5"))
    import json5

    try:
        return shallow(json5.loads(text))
    except (TooDeepError, RecursionError):
        raise UnreadableError(Problem("not-json5", where, str(TooDeepError()))) from None
    except ValueError as error:
        line = re.match(r"<string>:(\d+)", str(error))  # the rest of the message quotes the file
        raise UnreadableError(
            Problem("not-json5", where, f"is not JSON5 (line {line[1]})" if line else "is not JSON5")
        ) from None


def _decoded(content: bytes, where: str) -> str:
    if not content.strip():
        raise UnreadableError(Problem("empty", where, "is empty"))
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UnreadableError(Problem("not-utf8", where, f"is not UTF-8 (at byte {error.start})")) from None


def _syntax_problem(error: ValueError, where: str) -> Problem:
    if isinstance(error, json.JSONDecodeError):
        return Problem("not-json", where, f"is not JSON (line {error.lineno}, column {error.colno})")
    return Problem("not-json", where, "is not JSON")


def _whole_number(digits: str) -> int | float:
    return int(digits) if len(digits) < 400 else float(digits)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
