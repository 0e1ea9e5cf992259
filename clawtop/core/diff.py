"""Whether two snapshots differ, and in which of their parts."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import replace
from itertools import compress
from typing import TypeVar

from clawtop.core.model import Snapshot

T = TypeVar("T")


def same_content(before: Snapshot | None, after: Snapshot) -> bool:
    """Whether two snapshots look the same: everything equal but their number and the time of reading."""
    if before is None:
        return False
    return replace(before, number=after.number, taken_at=after.taken_at) == after


def others_than(before: Sequence[T], after: Sequence[T]) -> list[T]:
    """What in `after` is not the same object as any in `before`; quick for long lists of which little has changed."""
    if len(before) == len(after):
        differ = [*map(operator.is_not, before, after)]
        before, after = [*compress(before, differ)], [*compress(after, differ)]
    known = {*map(id, before)}
    return [item for item in after if id(item) not in known]
