"""What follows from a list is the same, whether it was found from every row or from the rows that changed."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clawtop.core import carried
from clawtop.core.carried import (
    Derivation,
    Grouping,
    Lineage,
    Ordering,
    Places,
    Rows,
    Selection,
    derived,
    edits,
    others_than,
    replaced,
)

A, B, C, D = ([name] for name in "abcd")


class Row(NamedTuple):
    name: str
    size: int


ROWS = st.builds(Row, st.sampled_from("abcdef"), st.integers(0, 3))
LISTS = st.lists(ROWS, max_size=12)
QUESTIONS: tuple[Derivation[Row, Any], ...] = (
    Selection[Row](lambda row: row.size == 1),
    Grouping[Row, str](lambda row: row.name if row.size else None),
    Places[Row, str](lambda row: row.name if row.size != 2 else None),
    Ordering[Row, Row](lambda row: (row,), lambda row: (-row.size, row.name)),
    Ordering[Row, int](lambda row: range(row.size), lambda number: number),
)


@pytest.mark.parametrize(
    ("before", "after", "new", "gone"),
    [
        ([A, B, C], [A, B, C], [], []),
        ([A, B, C], [A, D, C], [D], [B]),
        ([A, B, C], [C, A, B], [], []),
        ([A, B], [A, B, C], [C], []),
        ([A, B, C], [A, C], [], [B]),
        ([], [A, B], [A, B], []),
        ([A, B], [["a"], B], [], []),
    ],
)
def test_what_is_in_one_list_and_not_in_the_other(
    before: list[list[str]], after: list[list[str]], new: list[list[str]], gone: list[list[str]]
) -> None:
    assert others_than(before, after) == new
    assert others_than(after, before) == gone
    assert others_than(tuple(before), tuple(before)) == []


@given(before=LISTS, after=LISTS, few=st.integers(0, 4), chunk=st.integers(1, 5))
def test_edits_make_one_list_of_the_other(before: list[Row], after: list[Row], few: int, chunk: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(carried, "FEW", few)
        patch.setattr(carried, "CHUNK", chunk)
        found = edits(before, after)
    if found is None:
        return
    made: list[Row] = []
    last = 0
    for edit in found:
        made += before[last : edit.start]
        assert len(made) == edit.begin
        made += after[edit.begin : edit.end]
        last = edit.stop
    assert [*made, *before[last:]] == after


def test_lists_that_differ_in_much_have_no_edits() -> None:
    before = [Row("a", number) for number in range(2_000)]
    assert edits(before, [Row("b", row.size) for row in before]) is None
    assert edits(before, before[1_000:]) is None


@pytest.mark.parametrize("place", [0, 700, 1_500])
def test_a_row_that_is_put_in_or_taken_out_anywhere_is_one_edit(place: int) -> None:
    before = [Row("a", number) for number in range(2_000)]  # more than a sixteenth of them stands behind it
    after = [*before[:place], Row("b", 0), *before[place:]]
    assert edits(before, after) == ((place, place, place, place + 1),)
    assert edits(after, before) == ((place, place + 1, place, place),)


def _after(before: Sequence[Row], data: st.DataObject) -> list[Row]:
    """A list that follows `before`: some rows are others, some are gone, some are new."""
    after = list(before)
    for _ in range(data.draw(st.integers(0, 3))):
        what, place = data.draw(st.sampled_from("rid")), data.draw(st.integers(0, max(0, len(after) - 1)))
        if what == "i" or not after:
            after.insert(place, data.draw(ROWS))
        elif what == "r":
            after[place] = data.draw(ROWS)
        else:
            del after[place]
    return after


@given(first=LISTS, data=st.data())
def test_an_answer_from_what_changed_is_the_whole_answer(first: list[Row], data: st.DataObject) -> None:
    line: Lineage[Row] = Lineage()
    lists = [line.rows(first)]
    for _ in range(data.draw(st.integers(1, 6))):
        before = data.draw(st.sampled_from(lists))  # a screen may still show an older one
        if data.draw(st.booleans()):
            lists.append(line.rows(_after(before, data)))
        elif before:
            one = replaced(before, {data.draw(st.integers(0, len(before) - 1)): data.draw(ROWS)})
            assert isinstance(one, Rows)
            lists.append(one)
        asked = data.draw(st.sampled_from(lists))
        for question in data.draw(st.lists(st.sampled_from(QUESTIONS), unique_by=id)):
            found, whole = derived(asked, question), question.whole(tuple(asked))
            assert found == whole
            if isinstance(found, dict) and not isinstance(question, (Grouping, Places)):
                assert [*found] == [*whole]  # in the list's order


def test_an_entry_whose_key_stays_is_the_new_one() -> None:
    by_size = Ordering[Row, Row](lambda row: (row,), lambda row: row.size)
    line: Lineage[Row] = Lineage()
    before = line.rows([Row("a", 3), Row("b", 1), Row("c", 2)])
    assert [row.name for row in derived(before, by_size)] == ["b", "c", "a"]
    after = line.rows([Row("A", 3), Row("b", 1), Row("c", 4)])
    assert [row.name for row in derived(after, by_size)] == ["b", "A", "c"]
    assert [row.name for row in derived(line.rows([*after, Row("d", 0)]), by_size)] == ["d", "b", "A", "c"]


@given(rows=st.lists(ROWS, min_size=1, max_size=12), other=ROWS)
def test_an_answer_is_not_changed_by_the_next_one(rows: list[Row], other: Row) -> None:
    line: Lineage[Row] = Lineage()
    before = line.rows(rows)
    known = [(derived(before, question), question.whole(tuple(rows))) for question in QUESTIONS]
    after = line.rows([*rows[1:], other])
    for question in QUESTIONS:
        derived(after, question)
    assert all(found == whole for found, whole in known)


def test_only_the_rows_that_changed_are_looked_at() -> None:
    looked: list[Row] = []

    def wanted(row: Row) -> bool:
        looked.append(row)
        return row.size > 0

    question = Selection(wanted)
    line: Lineage[Row] = Lineage()
    before = line.rows(Row("a", 0) for _ in range(10_000))
    assert derived(before, question) == {}
    looked.clear()
    after = replaced(before, {7_000: Row("b", 1)})
    assert derived(after, question) == {7_000: Row("b", 1)}
    assert derived(after, question) == {7_000: Row("b", 1)}
    again = line.rows(after)
    assert derived(again, question) == {7_000: Row("b", 1)}
    assert looked == [Row("b", 1)]


def test_rows_are_equal_to_a_tuple_and_copied_as_one() -> None:
    rows = Lineage[Row]().rows([Row("a", 1), Row("b", 2)])
    assert rows == (Row("a", 1), Row("b", 2))
    assert copy.copy(rows) == rows
    assert type(copy.copy(rows)) is type(pickle.loads(pickle.dumps(rows))) is tuple
    assert replaced(rows, {0: rows[0]}) is rows
    assert replaced((1, 2), {1: 3}) == (1, 3)
    where = Places[Row, str](lambda row: row.name)
    assert where.of(rows, "b") == [Row("b", 2)]
    assert where.of(rows, "c") == []
