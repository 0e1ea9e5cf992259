"""A table of many rows keeps its order by what changed as one that is compared row by row does."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from clawtop.core.carried import Lineage, Rows
from clawtop.view.long_rows import LongRows, TableRow
from clawtop.view.ordering import keep_order


class Thing(NamedTuple):
    name: str
    size: int


def row(thing: Thing) -> TableRow[Thing]:
    return TableRow(thing.name, thing)


def table(listed: Rows[Thing]) -> LongRows[Thing]:
    named = {thing.name: thing for thing in listed}
    return LongRows(sorted(listed, key=lambda thing: (-thing.size, thing.name)), listed, row, named.get)


def listed(line: Lineage[Thing], sizes: dict[str, int], known: dict[Thing, Thing]) -> Rows[Thing]:
    """Equal rows of two lists are the same object, as in snapshots."""
    return line.rows(known.setdefault(thing, thing) for thing in map(Thing._make, sizes.items()))


SIZES = st.dictionaries(st.sampled_from("abcdefghij"), st.integers(0, 3), max_size=10)


@given(SIZES, st.lists(SIZES, min_size=1, max_size=4))
def test_rows_keep_the_order_that_a_comparison_of_all_rows_gives(
    first: dict[str, int], later: list[dict[str, int]]
) -> None:
    line, known = Lineage[Thing](), dict[Thing, Thing]()
    before = table(listed(line, first, known))
    shown = tuple(before)
    for sizes in later:
        after = table(listed(line, sizes, known))
        shown = tuple(keep_order(shown, tuple(after)))
        kept = after.in_order_of(before)
        assert kept is not None
        assert tuple(kept) == shown
        before = kept


def test_a_table_in_which_most_rows_changed_is_compared_row_by_row() -> None:
    line, known = Lineage[Thing](), dict[Thing, Thing]()
    names = [f"{number:04}" for number in range(400)]
    before = table(listed(line, dict.fromkeys(names, 1), known))
    after = table(listed(line, {name: int(name) % 3 for name in names}, known))
    assert after.in_order_of(before) is None
    assert [row.key for row in keep_order(before, after)] == names


def test_a_row_is_made_when_it_is_looked_at_and_once_in_whatever_order() -> None:
    made: list[str] = []

    def counted(thing: Thing) -> TableRow[Thing]:
        made.append(thing.name)
        return row(thing)

    things = [Thing(name, 0) for name in "abc"]
    rows = LongRows(things, things, counted, lambda _: None)
    assert made == []
    assert rows.of(things[::-1])[0] is rows[2]
    assert made == ["c"]
