"""The current fingerprint of a session file, for the fence."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from clawtop.core.session.fence import MISSING, FileFingerprint
from clawtop.store import door


def fingerprint(path: Path) -> FileFingerprint:
    """The file's fingerprint, symlinks followed. OSError when it is there and cannot be checked."""
    try:
        return fingerprint_of(os.stat(path))  # noqa: PTH116 - several times a turn
    except FileNotFoundError:
        return MISSING


def fingerprint_of(facts: os.stat_result) -> FileFingerprint:
    """The fingerprint from a file's stat."""
    return FileFingerprint(True, facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)


def read_range(path: Path, start: int, end: int) -> bytes | None:
    """The bytes from `start` up to `end`; None when they cannot be read."""
    try:
        with door.reader(path) as file:
            file.seek(start)
            return file.read(end - start)
    except OSError:
        return None


def digest(path: Path, size: int) -> bytes | None:
    """A digest of the first `size` bytes; None when they are not there."""
    content = read_range(path, 0, size)
    return hashlib.blake2b(content).digest() if content is not None and len(content) == size else None
