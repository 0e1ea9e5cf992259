"""Labels and texts, one under the other: how `explain` prints facts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator


def aligned(facts: Iterable[tuple[str, str]], indent: str = "") -> Iterator[str]:
    """Names and texts, the texts under one another."""
    rows = list(facts)
    width = max((len(name) for name, _ in rows), default=0)
    return (f"{indent}{name:<{width}}  {text}" for name, text in rows)
