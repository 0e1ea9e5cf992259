"""JSON text from disk: bounded, and read as OpenClaw's own parser reads it.

OpenClaw's stores are JSON, its configuration is JSON5. json5 in Python is slow, so it is tried only where JSON fails.
"""

from __future__ import annotations

import errno
import json
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from clawtop.core.model import Problem

MEGABYTE = 1024 * 1024
MAX_JSON5_BYTES = 2 * MEGABYTE
_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC


class Stamp(NamedTuple):
    """The same file content, as far as `stat` can tell."""

    mtime_ns: int
    size: int
    inode: int


class UnreadableError(Exception):
    """A file that is there and cannot be used, as a `Problem` for people; internal to the store."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


def stamp_of(path: str | Path) -> Stamp | None:
    """The stamp of what stands at `path`; None when nothing can be seen there."""
    try:
        facts = os.stat(path)  # noqa: PTH116 - called for thousands of plain strings
    except (OSError, ValueError):
        return None
    return Stamp(facts.st_mtime_ns, facts.st_size, facts.st_ino)


def read_bytes(path: str | Path, limit: int) -> tuple[bytes, Stamp]:
    """The whole content of a regular file and its stamp.

    Raises:
        FileNotFoundError: there is none.
        UnreadableError: no permission, not a regular file, larger than `limit`, a symlink loop.
    """
    where = os.fspath(path)
    try:
        descriptor = os.open(where, _FLAGS)
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(where) from None
    except (OSError, ValueError) as error:
        raise UnreadableError(_open_problem(where, error)) from None
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise UnreadableError(Problem("not-a-file", where, "is not a regular file"))
        if facts.st_size > limit:
            raise UnreadableError(_too_large(where, limit))
        content = _everything(descriptor, facts.st_size, limit)
    except OSError as error:
        raise UnreadableError(_open_problem(where, error)) from None
    finally:
        os.close(descriptor)
    if len(content) > limit:
        raise UnreadableError(_too_large(where, limit))
    return content, Stamp(facts.st_mtime_ns, facts.st_size, facts.st_ino)


def _everything(descriptor: int, size: int, limit: int) -> bytes:
    """The content up to one byte past `limit`: the file may grow while it is read."""
    chunks = [os.read(descriptor, size + 1)]
    total = len(chunks[0])
    while chunks[-1] and total <= limit:
        chunks.append(os.read(descriptor, min(MEGABYTE, limit + 1 - total)))
        total += len(chunks[-1])
    return chunks[0] if len(chunks) <= 2 and not chunks[-1] else b"".join(chunks)


def read_head(path: str | Path, limit: int) -> bytes:
    """Up to `limit` bytes from the beginning of a regular file; empty for anything else."""
    try:
        descriptor = os.open(path, _FLAGS)
    except (OSError, ValueError):
        return b""
    try:
        return os.read(descriptor, limit) if stat.S_ISREG(os.fstat(descriptor).st_mode) else b""
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def _too_large(where: str, limit: int) -> Problem:
    return Problem("too-large", where, f"is larger than {limit // MEGABYTE} MB, which is more than clawtop reads")


def _open_problem(where: str, error: OSError | ValueError) -> Problem:
    number = error.errno if isinstance(error, OSError) else None
    if number in {errno.EACCES, errno.EPERM}:
        return Problem("no-permission", where, "may not be read by this user")
    if number == errno.ELOOP:
        return Problem("symlink-loop", where, "is a loop of symbolic links")
    reason = error.strerror if isinstance(error, OSError) and error.strerror else "not a usable path"
    return Problem("unreadable", where, f"cannot be read ({reason})")


def parse(content: bytes, where: str, *, pairs: Callable[[list[tuple[str, Any]]], Any] | None = None) -> Any:
    """The JSON value that `content` is. Numbers that Python would refuse become what JavaScript makes of them.

    Args:
        pairs: builds each object from its members in order (to notice duplicate keys).

    Raises:
        UnreadableError: empty, not UTF-8, or not JSON; codes "empty", "not-utf8", "not-json".
    """
    text = _decoded(content, where)
    try:
        return json.loads(text, object_pairs_hook=pairs, parse_constant=_no_constant)
    except RecursionError:
        raise UnreadableError(Problem("not-json", where, "is nested too deeply to be JSON of OpenClaw's")) from None
    except ValueError as error:
        first = error
    try:
        return json.loads(text, object_pairs_hook=pairs, parse_constant=_no_constant, parse_int=_whole_number)
    except (ValueError, RecursionError):
        raise UnreadableError(_syntax_problem(first, where)) from None


def parse_json5(content: bytes, where: str) -> Any:
    """The JSON5 value that `content` is; plain JSON is tried first.

    Raises:
        UnreadableError: as `parse`, with the code "not-json5".
    """
    text = _decoded(content, where).removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    if len(content) > MAX_JSON5_BYTES:
        raise UnreadableError(Problem("not-json", where, "is not JSON, and too large to be read as JSON5"))
    import json5

    try:
        return json5.loads(text)
    except RecursionError:
        raise UnreadableError(Problem("not-json5", where, "is nested too deeply")) from None
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
