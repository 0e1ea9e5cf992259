"""Reading a lock file: strictly, bounded, and never through a symlink.

All of OpenClaw's locks are one JSON object (docs/formats.md 3 and 4). Whitespace after it is part of the format:
2026.9.6 hides an ownership nonce there.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path
from typing import Any, NoReturn

from clawtop.core.model import LockFile, LockIdentity, LockKind
from clawtop.nested import loads
from clawtop.store import door
from clawtop.store.ways import NotAllowedError

MAX_LOCK_BYTES = 64 * 1024

UNTRACED: int = getattr(os, "O_NOATIME", 0)
"""Opens a file without changing its access time, which works for its owner only: a lock's access time shows that others
wait for it.
"""


def read_lock(
    path: str | Path, kind: LockKind, *, agent: str | None = None, session_id: str | None = None
) -> LockFile | None:
    """The current lock at `path`, or None if there is none.

    A lock that cannot be understood is a `LockFile` without payload, whose `content_problem` says why: "empty",
    "not JSON", "not an object", "too large", "not a regular file", "unreadable". Its identity still tells two of them
    apart.
    """
    text_path = os.fspath(path)
    problem: str | None
    try:
        descriptor = _opened(text_path)
    except FileNotFoundError:
        return None
    except NotAllowedError:
        return _unopened(text_path, kind, "not a regular file", agent, session_id)
    except OSError:
        return _unopened(text_path, kind, "unreadable", agent, session_id)
    try:
        facts = os.fstat(descriptor)
        content, problem = _content(descriptor)
    finally:
        with contextlib.suppress(OSError):  # the content has been read
            os.close(descriptor)
    payload = None
    if problem is None:
        payload, problem = _payload(content)
    return LockFile(
        path=text_path,
        kind=kind,
        identity=LockIdentity(facts.st_dev, facts.st_ino, hashlib.sha256(content).hexdigest()),
        mtime=facts.st_mtime_ns // 1_000_000,
        payload=payload,
        content_problem=problem,
        agent=agent,
        session_id=session_id,
    )


def _opened(path: str) -> int:
    try:
        return door.open_file(path, os.O_RDONLY | UNTRACED)
    except PermissionError:  # another user's
        return door.open_file(path)


def _content(descriptor: int) -> tuple[bytes, str | None]:
    chunks: list[bytes] = []
    left = MAX_LOCK_BYTES + 1
    while left > 0:
        try:
            chunk = os.read(descriptor, left)
        except OSError:
            return b"", "unreadable"
        if not chunk:
            break
        chunks.append(chunk)
        left -= len(chunk)
    content = b"".join(chunks)
    return content, "too large" if len(content) > MAX_LOCK_BYTES else None


def _payload(content: bytes) -> tuple[dict[str, Any] | None, str | None]:
    if not content.strip():
        return None, "empty"
    try:
        value = loads(content.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return None, "not JSON"
    return (value, None) if isinstance(value, dict) else (None, "not an object")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _unopened(path: str, kind: LockKind, problem: str, agent: str | None, session_id: str | None) -> LockFile | None:
    try:
        facts = os.lstat(path)
    except FileNotFoundError:
        return None
    except OSError:
        return LockFile(path, kind, LockIdentity(0, 0, ""), 0, None, problem, agent, session_id)
    identity = LockIdentity(facts.st_dev, facts.st_ino, "")
    return LockFile(path, kind, identity, facts.st_mtime_ns // 1_000_000, None, problem, agent, session_id)
