"""What follows from a long list of rows, carried from list to list by the rows that changed.

A directory may have 100,000 sessions of which one changes, and a dozen questions are asked about all of them for each
snapshot: which are working, which have a problem, how they are ordered. `derived` answers each as if it had looked at
every row; for a list that is one of a `Lineage` it looks only at those that differ from the list for which it was asked
last. All values are immutable: an answer is never changed, the next one is a copy of it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

T = TypeVar("T")
R_contra = TypeVar("R_contra", contravariant=True)
V = TypeVar("V")
E = TypeVar("E")
K = TypeVar("K", bound=Hashable)

CHUNK = 512
"""How many rows are compared at once."""

FEW = 64
SHARE = 16
"""A list counts as little changed if at most `FEW` rows differ, or at most one in this many."""


class Splice(NamedTuple):
    """Rows `start` to `stop` of one list are replaced by rows `begin` to `end` of another."""

    start: int
    stop: int
    begin: int
    end: int


def edits(before: Sequence[T], after: Sequence[T]) -> tuple[Splice, ...] | None:
    """The splices that turn one list into another, in ascending order; None if too much differs for that to pay off.

    Equal rows count as the same. Quick where most of them are the same objects.
    """
    most = max(FEW, len(after) // SHARE)
    shared = min(len(before), len(after))
    unlike = _unlike(before, after, shared, most)
    if unlike is not None and abs(len(before) - len(after)) <= most:
        found = [Splice(place, place + 1, place, place + 1) for place in unlike]
        if len(before) != len(after):
            found.append(Splice(shared, len(before), shared, len(after)))
        return tuple(found)
    first = _alike(before, after, shared)
    last = _alike(before[::-1], after[::-1], shared - first)
    edit = Splice(first, len(before) - last, first, len(after) - last)
    return (edit,) if max(edit.stop - edit.start, edit.end - edit.begin) <= most else None


def _unlike(before: Sequence[T], after: Sequence[T], count: int, most: int) -> list[int] | None:
    """The places, of the first `count`, at which the lists differ; None if they are more than `most`."""
    found: list[int] = []
    for start in range(0, count, CHUNK):
        stop = min(start + CHUNK, count)
        if before[start:stop] != after[start:stop]:
            found += [n for n in range(start, stop) if before[n] is not after[n] and before[n] != after[n]]
            if len(found) > most:
                return None
    return found


def _alike(before: Sequence[T], after: Sequence[T], count: int) -> int:
    """How many of the first `count` rows are alike, up to the first that is not."""
    start = 0
    while start < count and before[start : start + CHUNK] == after[start : start + CHUNK]:
        start += CHUNK
    return next((n for n in range(start, count) if before[n] != after[n]), count)


class Lineage(Generic[T]):
    """Lists that follow each other, with the latest answer to each question about any of them.

    Asked from several threads it may answer twice; what is stored is replaced whole.
    """

    def __init__(self) -> None:
        self.latest: dict[Any, tuple[Rows[T], Any]] = {}
        self._compared: tuple[Sequence[T], Sequence[T], tuple[Splice, ...] | None] = (), (), ()

    def rows(self, rows: Iterable[T]) -> Rows[T]:
        """These rows as the next list of this lineage."""
        found = Rows(rows)
        found.line = self
        return found

    def edits(self, before: Sequence[T], after: Sequence[T]) -> tuple[Splice, ...] | None:
        """`edits`, compared once for all questions."""
        compared = self._compared
        if compared[0] is not before or compared[1] is not after:
            compared = self._compared = before, after, edits(before, after)
        return compared[2]

    def knows(self, before: Sequence[T], after: Sequence[T], found: tuple[Splice, ...]) -> None:
        """Note that these are their `edits`."""
        self._compared = before, after, found


class Rows(tuple[T, ...]):
    """A list of a lineage; equal to a tuple of the same rows, and copied as one."""

    line: Lineage[T]

    def __reduce__(self) -> tuple[type[tuple[T, ...]], tuple[tuple[T, ...]]]:
        return tuple, (tuple(self),)


class Derivation(Protocol[R_contra, V]):
    """A question about a list of rows. One that is asked again must be the same or an equal object."""

    def whole(self, rows: Sequence[R_contra], /) -> V:
        """The answer, computed from every row."""

    def after(self, known: V, before: Sequence[R_contra], rows: Sequence[R_contra], changes: Sequence[Splice], /) -> V:
        """The same answer, computed from that for the previous list and from what changed."""


def derived(rows: Sequence[T], how: Derivation[T, V]) -> V:
    """The answer for these rows."""
    if not isinstance(rows, Rows):
        return how.whole(rows)
    latest = rows.line.latest
    known = latest.get(how)
    if known is not None and known[0] is rows:
        same: V = known[1]
        return same
    changes = rows.line.edits(known[0], rows) if known is not None else None
    if known is None or changes is None:
        value = how.whole(rows)
    else:
        value = how.after(known[1], known[0], rows, changes) if changes else known[1]
    latest[how] = rows, value
    return value


def replaced(rows: tuple[T, ...], others: Mapping[int, T]) -> tuple[T, ...]:
    """The rows with others at these places, as a list of the same lineage."""
    others = {place: row for place, row in others.items() if rows[place] is not row}
    if not others:
        return rows
    found = list(rows)
    for place, row in others.items():
        found[place] = row
    if not isinstance(rows, Rows):
        return tuple(found)
    after = rows.line.rows(found)
    if len(others) <= max(FEW, len(rows) // SHARE):
        rows.line.knows(rows, after, tuple(Splice(n, n + 1, n, n + 1) for n in sorted(others)))
    return after


def changes(before: Sequence[T], after: Sequence[T]) -> tuple[Splice, ...] | None:
    """`edits`; for two lists of one lineage they are known as long as these are its latest."""
    return after.line.edits(before, after) if isinstance(after, Rows) else edits(before, after)


def others_than(before: Sequence[T], after: Sequence[T]) -> list[T]:
    """What in `after` is not in `before` as the same object; quick for long lists of which little has changed."""
    known = changes(before, after)
    if known is not None:
        gone = {id(row) for edit in known for row in before[edit.start : edit.stop]}
        return [row for edit in known for row in after[edit.begin : edit.end] if id(row) not in gone]
    gone = {*map(id, before)}
    return [row for row in after if id(row) not in gone]


class Selection(Generic[T]):
    """The rows that are `wanted`, by their place, in the list's order."""

    def __init__(self, wanted: Callable[[T], object]) -> None:
        self._wanted = wanted

    def whole(self, rows: Sequence[T]) -> Mapping[int, T]:
        wanted = self._wanted
        return {place: row for place, row in enumerate(rows) if wanted(row)}

    def after(
        self, known: Mapping[int, T], before: Sequence[T], rows: Sequence[T], changes: Sequence[Splice]
    ) -> Mapping[int, T]:
        new = {n: rows[n] for edit in changes for n in range(edit.begin, edit.end) if self._wanted(rows[n])}
        gone = {place for edit in changes for place in range(edit.start, edit.stop) if place in known}
        if len(before) != len(rows):
            kept = dict(_moved({place: row for place, row in known.items() if place not in gone}, changes))
            return dict(sorted({**kept, **new}.items()))
        if not gone and not new:
            return known
        kept = {**known, **new}
        for place in gone - new.keys():
            del kept[place]
        return kept if new.keys() <= gone else {place: kept[place] for place in sorted(kept)}


def _moved(known: Mapping[int, T], changes: Sequence[Splice]) -> Iterable[tuple[int, T]]:
    """Rows that did not change, by their new places."""
    starts = [edit.start for edit in changes]
    for place, row in known.items():
        last = bisect_left(starts, place + 1) - 1
        yield place + (changes[last].end - changes[last].stop if last >= 0 else 0), row


class Grouping(Generic[T, K]):
    """The rows by a key, then as `Selection`; a row whose key is None is in no group."""

    def __init__(self, key: Callable[[T], K | None]) -> None:
        self._key = key

    def whole(self, rows: Sequence[T]) -> Mapping[K, Mapping[int, T]]:
        found: dict[K, dict[int, T]] = {}
        for place, row in enumerate(rows):
            key = self._key(row)
            if key is not None:
                found.setdefault(key, {})[place] = row
        return found

    def after(
        self, known: Mapping[K, Mapping[int, T]], before: Sequence[T], rows: Sequence[T], changes: Sequence[Splice]
    ) -> Mapping[K, Mapping[int, T]]:
        if len(before) != len(rows):
            return self.whole(rows)
        old = [before[place] for edit in changes for place in range(edit.start, edit.stop)]
        new = [rows[place] for edit in changes for place in range(edit.begin, edit.end)]
        concerned = {key for row in (*old, *new) if (key := self._key(row)) is not None}
        found = dict(known)
        for key in concerned:
            chosen = Selection[T](lambda row, key=key: self._key(row) == key)  # type: ignore[misc]
            group = chosen.after(known.get(key, {}), before, rows, changes)
            if group:
                found[key] = group
            else:
                del found[key]
        return found


class Places(Generic[T, K]):
    """The places of rows, by a key: one place, or several in ascending order. A row whose key is None is left out."""

    def __init__(self, key: Callable[[T], K | None]) -> None:
        self._key = key

    def whole(self, rows: Sequence[T]) -> Mapping[K, int | tuple[int, ...]]:
        found: dict[K, int | tuple[int, ...]] = {}
        for place, row in enumerate(rows):
            key = self._key(row)
            if key is not None:
                earlier = found.setdefault(key, place)
                if earlier is not place:
                    found[key] = (*(earlier if isinstance(earlier, tuple) else (earlier,)), place)
        return found

    def after(
        self,
        known: Mapping[K, int | tuple[int, ...]],
        before: Sequence[T],
        rows: Sequence[T],
        changes: Sequence[Splice],
    ) -> Mapping[K, int | tuple[int, ...]]:
        same = len(before) == len(rows) and all(
            self._key(before[edit.start + n]) == self._key(rows[edit.begin + n])
            for edit in changes
            for n in range(edit.stop - edit.start)
        )
        return known if same else self.whole(rows)

    def of(self, rows: Sequence[T], key: K) -> list[T]:
        """The rows with this key, in the list's order."""
        return [rows[place] for place in self.places(rows, key)]

    def places(self, rows: Sequence[T], key: K) -> tuple[int, ...]:
        """The places of the rows with this key."""
        found = derived(rows, self).get(key, ())
        return found if isinstance(found, tuple) else (found,)


class Sorted(list[E]):
    """Entries in their order, with the key of each beside them, so that a place is found without computing keys."""

    def __init__(self, entries: Iterable[E], keys: list[Any]) -> None:
        super().__init__(entries)
        self.keys = keys


class Ordering(Generic[T, E]):
    """Entries of the rows, sorted by `key`, which must differ for different entries."""

    def __init__(self, entries: Callable[[T], Iterable[E]], key: Callable[[E], Any]) -> None:
        self._entries = entries
        self.key = key

    def whole(self, rows: Sequence[T]) -> Sorted[E]:
        found = sorted((entry for row in rows for entry in self._entries(row)), key=self.key)
        return Sorted(found, [*map(self.key, found)])

    def after(self, known: Sorted[E], before: Sequence[T], rows: Sequence[T], changes: Sequence[Splice]) -> Sorted[E]:
        """An entry whose key stays takes its predecessor's place; around all others the list is joined anew, once."""
        gone = self._keyed(before[place] for edit in changes for place in range(edit.start, edit.stop))
        new = self._keyed(rows[place] for edit in changes for place in range(edit.begin, edit.end))
        found, moved = [*known], []
        for key in {**gone, **new}:
            place, entries = bisect_left(known.keys, key), new.get(key, [])
            stop = place + len(gone.get(key, ()))
            if stop - place == len(entries):
                found[place:stop] = entries
            else:
                moved.append((key, place, stop, entries))
        if not moved:
            return Sorted(found, known.keys)
        joined: list[E] = []
        keys: list[Any] = []
        start = 0
        for key, place, stop, entries in sorted(moved, key=itemgetter(0)):
            joined += found[start:place]
            joined += entries
            keys += known.keys[start:place]
            keys += [key] * len(entries)
            start = stop
        return Sorted([*joined, *found[start:]], [*keys, *known.keys[start:]])

    def _keyed(self, rows: Iterable[T]) -> dict[Any, list[E]]:
        found: dict[Any, list[E]] = {}
        for row in rows:
            for entry in self._entries(row):
                found.setdefault(self.key(entry), []).append(entry)
        return found
