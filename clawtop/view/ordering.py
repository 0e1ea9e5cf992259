"""Keeping rows in place while the operator moves, and sharing the height between tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clawtop.view.long_rows import LongRows, TableRow


def keep_order(before: Sequence[TableRow[Any]], after: Sequence[TableRow[Any]]) -> Sequence[TableRow[Any]]:
    """`after` in the order of `before`; new rows follow their new predecessor."""
    if isinstance(before, LongRows) and isinstance(after, LongRows):
        kept_rows = after.in_order_of(before)
        if kept_rows is not None:
            return kept_rows
    fresh = {row.key: row for row in after}
    kept = [fresh[row.key] for row in before if row.key in fresh]
    if len(kept) == len(after):
        return tuple(kept)
    known = {row.key for row in kept}
    places = {row.key: place for place, row in enumerate(kept)}
    followers: dict[int, list[TableRow[Any]]] = {}
    place = -1
    for row in after:
        if row.key in known:
            place = places[row.key]
        else:
            followers.setdefault(place, []).append(row)
    out = list(followers.get(-1, ()))
    for place, row in enumerate(kept):
        out.append(row)
        out.extend(followers.get(place, ()))
    return tuple(out)


def shared_heights(total: int, wants: Sequence[int], least: Sequence[int], roomy: int) -> tuple[int, ...]:
    """Heights of stacked tables: what each wants, if there is room.

    Otherwise each gets its minimum, then the rest goes to the tables in turn, one at a time, none getting more than it
    wants. Any surplus goes to the table with index `roomy`.
    """
    heights = [min(want, low) for want, low in zip(wants, least, strict=True)]
    spare = total - sum(heights)
    while spare > 0 and any(height < want for height, want in zip(heights, wants, strict=True)):
        for position, want in enumerate(wants):
            if heights[position] < want and spare > 0:
                heights[position] += 1
                spare -= 1
    heights[roomy] += max(0, spare)
    for _ in range(-spare):
        tallest = max(range(len(heights)), key=heights.__getitem__)
        heights[tallest] -= 1
    return tuple(heights)
