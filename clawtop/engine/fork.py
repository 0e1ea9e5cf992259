"""Carrying a conversation over to a fresh session id.

The new transcript holds the old one's lines under a header of its own that names the parent. The old file is only
read. A last line that is still being written is left out.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

from clawtop.errors import OperationFailedError
from clawtop.text import safe


def fork_session(parent: Path, session_id: str, now: int) -> Path:
    """Write `<session_id>.jsonl` beside `parent` and return its path. `now` in ms since the epoch.

    Raises:
        OperationFailedError: the parent cannot be read, or the new file cannot be written; nothing is left behind.
    """
    child = parent.parent / f"{session_id}.jsonl"
    temporary = parent.parent / f".{session_id}.clawtop.{os.getpid()}.tmp"
    try:
        lines, mode = _complete_lines(parent)
        header = _header(lines[0] if lines else b"", parent, session_id, now)
        body = lines[1:] if lines and _is_header(lines[0]) else lines
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(header)
            file.writelines(body)
        child.hardlink_to(temporary)
    except OSError as error:
        raise OperationFailedError(
            f"the session {safe(parent.name)} could not be carried over: {error.strerror}",
            unchanged="the old session is as it was",
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
    return child


def _complete_lines(path: Path) -> tuple[list[bytes], int]:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode & 0o777
            return [line for line in file if line.endswith(b"\n")], mode
    except FileNotFoundError:
        return [], 0o600


def _header(first: bytes, parent: Path, session_id: str, now: int) -> bytes:
    header = _parsed(first) if _is_header(first) else {"type": "session", "version": 3, "cwd": os.fspath(parent.parent)}
    moment = datetime.fromtimestamp(now / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    header = {**header, "id": session_id, "timestamp": moment, "parentSession": os.fspath(parent)}
    return json.dumps(header, separators=(",", ":")).encode() + b"\n"


def _is_header(line: bytes) -> bool:
    return _parsed(line).get("type") == "session"


def _parsed(line: bytes) -> dict[str, object]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
