"""Whether two snapshots differ."""

from __future__ import annotations

from dataclasses import replace

from clawtop.core.model import Snapshot


def same_content(before: Snapshot | None, after: Snapshot) -> bool:
    """Whether a reader of the screen could not tell the two apart: all but the number and the time of reading."""
    if before is None:
        return False
    return replace(before, number=after.number, taken_at=after.taken_at) == after
