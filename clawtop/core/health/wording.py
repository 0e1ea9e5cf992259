"""Helpers for wording causes: spans and lists of names."""

from __future__ import annotations

from collections.abc import Iterable

from clawtop.cells import elided_middle
from clawtop.text import safe

GATEWAY_NOT_SEEN = "whether the gateway was running is not known"
"""A copy or a past time has no process table."""
NAME_CELLS = 40
SHOWN = 3
"""How many items of a list are named."""


def some_names(names: Iterable[str]) -> str:
    """The first few names, each in at most `NAME_CELLS` cells with both its ends, and how many others there are."""
    listed = list(dict.fromkeys(names))
    some = ", ".join(elided_middle(safe(name), NAME_CELLS) for name in listed[:SHOWN])
    return f"{some} and {len(listed) - SHOWN} more" if len(listed) > SHOWN else some
