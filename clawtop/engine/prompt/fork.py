"""Copying a conversation to a fresh session id.

The new transcript holds the old one's lines under a new header that names the parent. The old file is only
read. A last line that is still being written is left out.
"""

from __future__ import annotations

import asyncio
import json
import os
from datetime import UTC, datetime
from io import BufferedWriter, BytesIO
from pathlib import Path
from typing import BinaryIO

from clawtop.engine.operations.locked import settled
from clawtop.errors import OperationFailedError
from clawtop.nested import loads, mapping
from clawtop.store import door
from clawtop.store.disk import DiskFile, disk
from clawtop.text import safe


async def fork_session(parent: Path, session_id: str, now: int) -> Path:
    """Write `<session_id>.jsonl` beside `parent` and return its path. `now` in ms since the epoch.

    Cancelling it leaves no file.

    Raises:
        OperationFailedError: the parent cannot be read, or the new file cannot be written; nothing is left behind.
    """
    child = parent.parent / f"{session_id}.jsonl"
    try:
        await settled(asyncio.to_thread(_write, parent, child, now))
    except OSError as error:
        raise OperationFailedError(
            f"session {safe(parent.name)} could not be copied: {error.strerror}",
            unchanged="the old session is unchanged",
        ) from error
    except asyncio.CancelledError:
        disk.unlink_if_there(child)
        raise
    return child


def _write(parent: Path, child: Path, now: int) -> None:
    temporary = child.parent / f".{child.stem}.clawtop.{os.getpid()}.tmp"
    try:
        with _opened(parent) as old:
            mode = 0o644 if isinstance(old, BytesIO) else os.fstat(old.fileno()).st_mode & 0o666
            with BufferedWriter(DiskFile(door.create(temporary, mode))) as new:
                first = old.readline()
                new.write(_header(first, parent, child.stem, now))
                if not _is_header(first):
                    old.seek(0)
                new.writelines(line for line in old if line.endswith(b"\n"))
        disk.rename(temporary, child)
    finally:
        disk.unlink_if_there(temporary)


def _opened(parent: Path) -> BinaryIO:
    """The parent, or nothing if there is no file yet."""
    try:
        return door.reader(parent)
    except FileNotFoundError:
        return BytesIO()


def _header(first: bytes, parent: Path, session_id: str, now: int) -> bytes:
    header = _parsed(first) if _is_header(first) else {"type": "session", "version": 3, "cwd": os.fspath(parent.parent)}
    moment = datetime.fromtimestamp(now / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    header = {**header, "id": session_id, "timestamp": moment, "parentSession": os.fspath(parent)}
    return json.dumps(header, separators=(",", ":")).encode() + b"\n"


def _is_header(line: bytes) -> bool:
    return _parsed(line).get("type") == "session"


def _parsed(line: bytes) -> dict[str, object]:
    try:
        value = loads(line)
    except (ValueError, RecursionError):
        return {}
    return mapping(value)
