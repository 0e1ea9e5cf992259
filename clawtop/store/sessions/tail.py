"""The end of a file of lines that may be very long: a bounded read, and objects from its complete lines."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from clawtop.core.model import Problem
from clawtop.store import door
from clawtop.store.json_text import UnreadableError, open_problem, parse

TAIL_BYTES = 64 * 1024
MAX_TAIL_BYTES = 1024 * 1024


def last_lines(path: str, *, least: int = 1) -> list[bytes]:
    """The last complete lines of a file, oldest first: all within 64 KB, looking back up to 1 MB for `least` of them.

    A line that is still being written does not count. A non-file, or an unreadable one, has no lines.
    """
    try:
        descriptor = door.open_file(path)
    except (OSError, ValueError):
        return []
    try:
        size = os.fstat(descriptor).st_size
        want = TAIL_BYTES
        while True:
            start = max(0, size - want)
            lines = os.pread(descriptor, want, start).split(b"\n")
            complete = lines[:-1] if start == 0 else lines[1:-1]
            whole = [line for line in complete if line.strip()]
            if len(whole) >= least or start == 0 or want >= MAX_TAIL_BYTES:
                return whole
            want *= 4
    except OSError:
        return []
    finally:
        os.close(descriptor)


def why_closed(path: str) -> Problem | None:
    """Why a file that is there cannot be opened; None where it can, or is gone."""
    try:
        os.close(door.open_file(path))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        return open_problem(path, error)
    return None


def entry_of(line: bytes, path: str) -> Mapping[str, Any] | None:
    """A line as an object; None where it is none."""
    try:
        value = parse(line, path)
    except (UnreadableError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
