"""Columns share the width, rows are filtered, sorted and kept in their places."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clawtop.view.columns import FLOOR, Column, Env, Sorting, Table, heading, placed, render_row
from clawtop.view.facts import Facts
from clawtop.view.line import piece, text_of, width_of
from clawtop.view.long_rows import TableRow
from clawtop.view.ordering import keep_order, shared_heights
from clawtop.view.session_columns import SESSION_COLUMNS
from clawtop.view.steady import KEPT_MS, SteadyNeeds
from tests.support.worlds import CALM, NOW

ENV = Env(Facts(CALM, NOW), NOW)


def column(column_id: str, width: int, *, grow: int = 0, rank: int = 0) -> Column[str]:
    return Column(column_id, column_id.upper(), width, lambda item, _env: piece(item), grow=grow, rank=rank)


NAME, EXTRA, LAST = column("name", 6, grow=4), column("extra", 5, rank=2), column("last", 4, rank=1)


def ids(width: int) -> list[str]:
    return [c.id for c, _ in placed((NAME, EXTRA, LAST), width)]


@pytest.mark.parametrize(
    ("width", "kept"),
    [
        (40, ["name", "extra", "last"]),
        (17, ["name", "extra", "last"]),
        (16, ["name", "last"]),
        (10, ["name"]),
        (1, ["name"]),
    ],
)
def test_columns_give_way_by_rank(width: int, kept: list[str]) -> None:
    assert ids(width) == kept


def test_columns_that_always_stay_share_what_is_missing() -> None:
    long, longer, fixed = column("long", 30, grow=9), column("longer", 40, grow=9), column("fixed", 6)
    assert [w for _, w in placed((long, longer, fixed), 60)] == [26, 26, 6]
    assert [w for _, w in placed((long, longer, fixed), 20)] == [FLOOR, FLOOR, 6]


def test_what_says_nothing_gives_way_first() -> None:
    columns = (NAME, EXTRA, column("silent", 4))
    assert [c.id for c, _ in placed(columns, 12, {"silent": 0, "extra": 5})] == ["name", "extra"]
    assert [c.id for c, _ in placed(columns, 12, {"extra": 5})] == ["name", "silent"]


def test_what_says_nothing_gives_its_cells_to_what_is_cut() -> None:
    columns = (NAME, column("silent", 6, rank=1), LAST)
    assert [(c.id, w) for c, w in placed(columns, 20, {"name": 15, "silent": 0, "last": 4})] == [
        ("name", 15),
        ("last", 4),
    ]
    kept = placed(columns, 40, {"name": 15, "silent": 0, "last": 4})
    assert [c.id for c, _ in kept] == ["name", "silent", "last"]


def test_numbers_get_their_digits_before_others_grow() -> None:
    count = Column[str]("count", "N", 3, lambda item, _env: piece(item), right=True)
    columns = (NAME, column("reason", 5, grow=9), count)
    assert [w for _, w in placed(columns, 20, {"name": 6, "count": 3})] == [6, 9, 3]
    assert [w for _, w in placed(columns, 20, {"name": 6, "count": 5})] == [6, 7, 5]
    assert [w for _, w in placed(columns, 20, {"name": 6, "count": 99})] == [6, 6, 6]


def test_spare_width_goes_to_columns_that_can_use_it() -> None:
    assert [w for _, w in placed((NAME, EXTRA, LAST), 19)] == [8, 5, 4]
    assert [w for _, w in placed((NAME, EXTRA, LAST), 99)] == [10, 5, 4]


def table(rows: Sequence[TableRow[str]]) -> Table[str]:
    columns: tuple[Column[str], ...] = (
        Column("name", "NAME", 6, lambda item, _env: piece(item), lambda item, _env: item or None),
        Column("size", "SIZE", 4, lambda item, _env: piece(str(len(item))), lambda item, _env: len(item), right=True),
    )
    return Table("t", "THINGS", columns, tuple(rows), ENV, lambda item, _env: piece(f"== {item}"), lambda item: item)


BAND_A, BAND_B = TableRow("a", "group a", band=True), TableRow("b", "group b", band=True)
ROWS = (BAND_A, TableRow("1", "pear"), TableRow("2", "Fig"), BAND_B, TableRow("3", "kiwi"))


def keys(rows: Sequence[TableRow[str]]) -> list[str]:
    return [row.key for row in rows]


def test_a_filter_ignores_case_and_drops_groups_that_became_empty() -> None:
    assert keys(table(ROWS).arranged("fIG ")) == ["a", "2"]
    assert keys(table(ROWS).arranged("nothing")) == []
    assert keys(table(ROWS).arranged("")) == ["a", "1", "2", "b", "3"]


def test_a_filter_keeps_every_hit_the_last_row_too() -> None:
    assert keys(table(ROWS).arranged("i")) == ["a", "2", "b", "3"]
    for row in (ROWS[1], ROWS[2], ROWS[4]):
        assert row in table(ROWS).arranged(row.item)


def test_sorting_dissolves_groups_and_puts_unknown_values_last() -> None:
    rows = (*ROWS, TableRow("4", ""))
    assert keys(table(rows).arranged(sorting=Sorting("name"))) == ["2", "3", "1", "4"]
    assert keys(table(rows).arranged(sorting=Sorting("name", descending=True))) == ["1", "3", "2", "4"]
    assert keys(table(rows).arranged(sorting=Sorting("no such column"))) == keys(rows)


def test_a_row_and_its_heading_are_as_wide_as_the_columns() -> None:
    things = table(ROWS)
    columns = placed(things.columns, 20)
    assert text_of(render_row(ROWS[1], things, columns, ENV)) == "pear               4"
    assert text_of(render_row(BAND_A, things, columns, ENV)) == "== group a          "
    assert text_of(heading(columns, Sorting("size"), piece("THINGS"))) == "THINGS          SIZ▲"
    assert {width_of(render_row(row, things, columns, ENV)) for row in ROWS} == {20}


def test_a_tables_own_title_takes_the_place_of_further_ones_rather_than_being_cut() -> None:
    columns = [(column(name, width), width) for name, width in (("name", 8), ("size", 5), ("age", 6))]
    title = piece("THINGS 1 of 9 /sea")
    assert text_of(heading(columns, None, piece("THINGS"))) == "THINGS   SIZE  AGE   "
    assert text_of(heading(columns, None, piece("THINGS 1 of 9"))) == "THINGS 1 of 9  AGE   "
    assert text_of(heading(columns, None, title, filtered=True)).rstrip() == "THINGS 1 of 9 /sea"
    assert text_of(heading(columns, Sorting("age"), title, filtered=True)) == "THINGS 1 of 9 /sea ▲ "
    assert text_of(heading(columns, Sorting("size"), piece("THINGS 1 of 9"))) == "THINGS 1 of 9▲ AGE   "


def test_columns_grow_at_once_and_shrink_only_a_while_after_the_last_row_that_was_wide() -> None:
    steady = SteadyNeeds()
    idle, running = {"name": 8, "held": 0, "age": 3}, {"name": 6, "age": 4}
    assert steady.of({}, 0) == {}
    assert steady.of(idle, 0) == idle
    assert steady.of(running, 10) == {"name": 8, "age": 4}
    for now in (20, KEPT_MS - 1, KEPT_MS, 2 * KEPT_MS - 1):
        assert steady.of(idle, now) == {"name": 8, "age": 4}
        assert steady.of({}, now) == {"name": 8, "age": 4}
    assert steady.of(idle, 2 * KEPT_MS) == idle
    assert steady.of(running, 2 * KEPT_MS + 1) == {"name": 8, "age": 4}
    steady.forget()
    assert steady.of(idle, 2 * KEPT_MS + 2) == idle


def test_a_clock_that_went_back_keeps_no_width_for_ever() -> None:
    steady = SteadyNeeds()
    steady.of({"name": 30}, 10 * KEPT_MS)
    steady.of({"name": 5}, 5 * KEPT_MS)
    assert steady.of({"name": 5}, 6 * KEPT_MS) == {"name": 5}


def rows_of(names: Sequence[str]) -> list[TableRow[str]]:
    return [TableRow(name, name) for name in names]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("abc", "cab", "abc"),
        ("abc", "cb", "bc"),
        ("abc", "xcab", "xabc"),
        ("abc", "caxyb", "axybc"),
        ("", "ab", "ab"),
        ("ab", "xy", "xy"),
    ],
)
def test_rows_keep_their_places_and_new_ones_follow_their_neighbours(before: str, after: str, expected: str) -> None:
    assert "".join(keys(keep_order(rows_of(before), rows_of(after)))) == expected


@given(st.permutations("abcdefgh"), st.permutations("cdefghij"))
def test_keeping_the_order_loses_and_invents_nothing(before: list[str], after: list[str]) -> None:
    kept = keys(keep_order(rows_of(before), rows_of(after)))
    assert sorted(kept) == sorted(after)
    assert [k for k in kept if k in before] == [k for k in before if k in after]


@pytest.mark.parametrize(
    ("total", "wants", "expected"),
    [
        (30, (5, 8, 3), (5, 22, 3)),
        (20, (40, 40, 40), (8, 7, 5)),
        (20, (6, 40, 2), (6, 12, 2)),
        (8, (40, 40, 40), (2, 3, 3)),
        (3, (40, 40, 40), (1, 1, 1)),
    ],
)
def test_height_is_shared(total: int, wants: tuple[int, ...], expected: tuple[int, ...]) -> None:
    assert shared_heights(total, wants, (6, 5, 3), roomy=1) == expected


@given(st.integers(3, 80), st.tuples(*[st.integers(1, 60)] * 3))
def test_shared_heights_use_the_room_exactly(total: int, wants: tuple[int, int, int]) -> None:
    heights = shared_heights(total, wants, (6, 5, 3), roomy=1)
    assert sum(heights) == total
    assert min(heights) >= 1


@pytest.mark.parametrize("sorting", [Sorting("name"), Sorting("name", descending=True)])
def test_a_sort_that_is_kept_comes_back_with_its_direction(sorting: Sorting) -> None:
    assert Sorting.parse(str(sorting)) == sorting


def test_no_sort_is_kept_as_nothing() -> None:
    assert Sorting.parse("") is None


@pytest.mark.parametrize("width", range(40, 220))
def test_columns_that_belong_together_are_dropped_together(width: int) -> None:
    kept = {column.id for column, _ in placed(SESSION_COLUMNS, width)}
    assert ("asked" in kept) == ("answered" in kept)


@pytest.mark.parametrize(
    ("width", "kept"),
    [(60, ["what", "when", "minor", "least"]), (50, ["what", "when", "minor"]), (40, ["what", "when"])],
)
def test_prose_is_not_cut_for_columns_that_matter_little(width: int, kept: list[str]) -> None:
    columns = (
        column("what", 10, grow=40)._replace(words=True),
        column("when", 8, rank=1),
        column("minor", 8, rank=2),
        column("least", 8, rank=3),
    )
    needs = {"what": 32, "when": 8, "minor": 8, "least": 8}
    assert [each.id for each, _ in placed(columns, width, needs)] == kept


def test_a_table_without_rows_keeps_the_width_of_its_columns() -> None:
    empty = table([])
    assert placed(empty.columns, 60, empty.needs) == placed(empty.columns, 60)
