"""The little that is read of transcripts and trajectories: a bounded look at their last line.

A trajectory says when a run began and ended (2026.5.20 writes it as it goes, 2026.6.11 when the run is over).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from clawtop.core.javascript import parse_date
from clawtop.core.session.activity import TrajectoryEnd
from clawtop.store import door
from clawtop.store.json_text import UnreadableError, parse
from clawtop.store.wire import mapping, text

TAIL_BYTES = 64 * 1024
MAX_TAIL_BYTES = 1024 * 1024
TRAJECTORY_SUFFIX = ".trajectory.jsonl"


def trajectory_path(session_file: str) -> str:
    """The trajectory beside a transcript."""
    return session_file.removesuffix(".jsonl") + TRAJECTORY_SUFFIX


def trajectory_end(path: str) -> TrajectoryEnd | None:
    """The last event of a trajectory; None where there is none or it cannot be read."""
    event = last_entry(path)
    at = parse_date(event["ts"]) if event is not None and isinstance(event.get("ts"), str) else None
    if event is None or at is None:
        return None
    return TrajectoryEnd(at, text(event.get("type")) or "", text(mapping(event.get("data")).get("status")))


def last_entry(path: str) -> Mapping[str, Any] | None:
    """The last complete line of a JSONL file as an object, looking back at most 1 MB."""
    try:
        descriptor = door.open_file(path)
    except (OSError, ValueError):
        return None
    try:
        size = os.fstat(descriptor).st_size
        want = TAIL_BYTES
        while True:
            start = max(0, size - want)
            lines = os.pread(descriptor, want, start).split(b"\n")
            complete = lines[:-1] if start == 0 else lines[1:-1]
            whole = [line for line in complete if line.strip()]
            if whole:
                return _object(whole[-1], path)
            if start == 0 or want >= MAX_TAIL_BYTES:
                return None
            want *= 4
    except OSError:
        return None
    finally:
        os.close(descriptor)


def _object(line: bytes, path: str) -> Mapping[str, Any] | None:
    try:
        value = parse(line, path)
    except UnreadableError:
        return None
    return value if isinstance(value, dict) else None
