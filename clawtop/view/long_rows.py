"""The rows of a table that may have 100,000 of them: each is made when it is looked at."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from itertools import compress, count, repeat
from operator import is_
from typing import Generic, NamedTuple, TypeVar, overload

from clawtop.commands import Target
from clawtop.core.carried import changes

T = TypeVar("T")


class TableRow(NamedTuple, Generic[T]):
    """A row: `key` is stable across snapshots; `band` marks the heading of a group."""

    key: str
    item: T
    target: Target | None = None
    band: bool = False


class LongRows(Sequence[TableRow[T]]):
    """Rows of `items`, none of which is a heading.

    Attributes:
        items: what the rows are of, in the rows' order.
        listed: the same as the snapshot lists them, by which two tables are compared.
    """

    def __init__(
        self,
        items: Sequence[T],
        listed: Sequence[T],
        make: Callable[[T], TableRow[T]],
        find: Callable[[str], T | None],
    ) -> None:
        """`make` makes a row from an item; `find` finds the item of a row's key."""
        self.items = items
        self.listed = listed
        self._make = make
        self._find = find
        self._made: dict[int, TableRow[T]] = {}

    def __len__(self) -> int:
        return len(self.items)

    @overload
    def __getitem__(self, index: int) -> TableRow[T]: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[TableRow[T], ...]: ...
    def __getitem__(self, index: int | slice) -> TableRow[T] | tuple[TableRow[T], ...]:
        if isinstance(index, slice):
            return tuple(map(self.__getitem__, range(*index.indices(len(self.items)))))
        item = self.items[index]
        row = self._made.get(id(item))
        if row is None:
            row = self._made[id(item)] = self._make(item)
        return row

    def __iter__(self) -> Iterator[TableRow[T]]:
        return map(self.__getitem__, range(len(self.items)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(is_equal, self, other))

    __hash__ = None  # type: ignore[assignment]

    def of(self, items: Sequence[T]) -> LongRows[T]:
        """The rows of some of these items, or of all in another order."""
        rows = LongRows(items, self.listed, self._make, self._find)
        rows._made = self._made
        return rows

    def place_of(self, key: str) -> int | None:
        """The place of the row with this key."""
        item = self._find(key)
        return _place(self.items, item) if item is not None else None

    def in_order_of(self, before: LongRows[T]) -> LongRows[T] | None:
        """These rows in the order of earlier ones; new rows follow their new predecessor. None if too much has changed
        for that to be quick.
        """
        edits = changes(before.listed, self.listed)
        if edits is None:
            return None
        fresh = {self._key(row): row for edit in edits for row in self.listed[edit.begin : edit.end]}
        old = {id(row): fresh.pop(self._key(row), None) for e in edits for row in before.listed[e.start : e.stop]}
        items = list(before.items)
        for place in [*compress(count(), map(old.__contains__, map(id, items)))][::-1]:
            now = old[id(items[place])]
            if now is None:
                del items[place]
            else:
                items[place] = now
        added = {id(item) for item in fresh.values()}
        for place in compress(count(), map(added.__contains__, map(id, self.items))):
            earlier = _place(items, self.items[place - 1]) if place else None
            items.insert(earlier + 1 if earlier is not None else 0, self.items[place])
        return self.of(items) if len(items) == len(self.items) else None

    def _key(self, item: T) -> Hashable:
        return self._make(item).key


def is_equal(one: object, other: object) -> bool:
    """Whether two rows are equal."""
    return one is other or one == other


def _place(items: Sequence[T], item: T) -> int | None:
    return next(compress(count(), map(is_, items, repeat(item))), None)


def place_of(rows: Sequence[TableRow[T]], key: str, near: int) -> int | None:
    """The place of the row with this key, which is probably `near`."""
    if 0 <= near < len(rows) and rows[near].key == key:
        return near
    if isinstance(rows, LongRows):
        return rows.place_of(key)
    return next((place for place, row in enumerate(rows) if row.key == key), None)
