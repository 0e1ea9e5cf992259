"""Whether two snapshots differ."""

from __future__ import annotations

from dataclasses import replace

from clawtop.core.model import Snapshot


def same_content(before: Snapshot | None, after: Snapshot) -> bool:
    """Whether two snapshots look the same: everything equal but their number and the time of reading."""
    if before is None:
        return False
    return replace(before, number=after.number, taken_at=after.taken_at) == after
