"""Equal values stay the same object, so that comparing two snapshots, and keeping both, is cheap."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Generic, TypeVar

from clawtop.core.carried import changes, replaced

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class Interned(Generic[K, T]):
    """The values of the last call, by key."""

    def __init__(self) -> None:
        self._last: dict[K, T] = {}

    def interned(self, values: Iterable[tuple[K, T]]) -> tuple[T, ...]:
        """These values; those that are equal to the last ones are the same objects as before."""
        last = self._last
        now: dict[K, T] = {}
        out: list[T] = []
        for key, value in values:
            before = last.get(key)
            if before is not None and before is not value and before == value:
                value = before  # noqa: PLW2901 - the older of two equal ones
            now[key] = value
            out.append(value)
        self._last = now
        return tuple(out)

    def altered(self, before: tuple[T, ...], after: tuple[T, ...], key: Callable[[T], K]) -> tuple[T, ...]:
        """`after`, which is `before` with some values replaced, few of them: only these are compared."""
        known = changes(before, after)
        every = range(len(after)) if known is None else [n for edit in known for n in range(edit.begin, edit.end)]
        places = [place for place in every if known is not None or before[place] is not after[place]]
        interned = self.interned((key(after[place]), after[place]) for place in places)
        return replaced(after, dict(zip(places, interned, strict=True)))
