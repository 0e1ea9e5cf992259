"""Columns are data: a title, how a cell is rendered, how rows sort by it, and how it shares the width."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import field, replace
from datetime import tzinfo
from functools import cached_property
from typing import Any, Generic, NamedTuple, TypeVar

from clawtop.cells import cells, headed
from clawtop.values import dataclass
from clawtop.view.facts import Facts
from clawtop.view.fitting import cut, fitted
from clawtop.view.line import EMPTY, Line, Piece, Tone, text_of, width_of
from clawtop.view.long_rows import LongRows, TableRow

A = TypeVar("A")
T = TypeVar("T")

MEASURED = 150
"""Rows, from the first, whose cells decide how wide a column is."""

GAP = 1
"""Blank cells between two columns."""

DIGITS = 3
"""Cells beyond its own width that a column of numbers gets before others grow: a count without a digit is another."""

_MINOR = 2
"""From this rank on, columns give way to prose."""

FLOOR = 12
"""Width to which a growing column shrinks where even the columns that always stay do not fit."""


@dataclass(frozen=True, slots=True)
class Env:
    """What a cell may use besides its row: the facts, the current time (ms since epoch) and the time zone.

    Attributes:
        grouped: rows are under their group's heading and need not repeat it.
    """

    facts: Facts
    now: int
    zone: tzinfo | None = None
    grouped: bool = True


class Column(NamedTuple, Generic[T]):
    """One column of a table of `T`.

    Attributes:
        width: its minimum width, where its rows need it.
        grow: extra cells it gets before others get all they need; spare width goes from left to right.
        live: whether its cells can change with time alone.
        middle: long values are elided in the middle: for ids, which differ at the end.
        words: with `middle`: between words, and only ids within one. Without, values end on a whole word.
        rank: the higher, the sooner it is dropped when space is short, with those of the same rank; 0 stays. A column
            that is empty in every row is dropped before all others.
        of_group: what its group's heading says: it is shown where rows stand without one.
        sort: the value rows sort by; None values come last.
    """

    id: str
    title: str
    width: int
    render: Callable[[T, Env], Line]
    sort: Callable[[T, Env], Any] | None = None
    grow: int = 0
    rank: int = 0
    right: bool = False
    live: bool = True
    middle: bool = False
    words: bool = False
    of_group: bool = False


Placed = tuple[Column[T], int]

MARGIN: Piece = (" ", Tone.PLAIN)
"""Precedes each row, and any other line of a table."""
CURSOR: Piece = ("▌", Tone.ACCENT)
"""Precedes the row under the cursor instead."""
MARGIN_WIDTH = 1


@dataclass(frozen=True, slots=True)
class Sorting:
    """Which column a table is sorted by."""

    column: str
    descending: bool = False

    @classmethod
    def parse(cls, text: str) -> Sorting | None:
        """From `age`, or `-age` for descending; none for an empty string."""
        column = text.removeprefix("-")
        return cls(column, descending=text.startswith("-")) if column else None

    def __str__(self) -> str:
        return f"-{self.column}" if self.descending else self.column


@dataclass(frozen=True)
class Table(Generic[T]):
    """A table of one snapshot: rows in natural order, how to draw them, and what to say when there are none.

    `band` draws the heading of a group; `ids` gives the exact ids of a row, which the filter finds too where a cell
    elides them or shows another name; `thing` identifies what a row shows, if several rows may show the same thing.
    """

    id: str
    title: str
    columns: tuple[Column[T], ...]
    rows: Sequence[TableRow[T]]
    env: Env
    band: Callable[[T, Env], Line]
    ids: Callable[[T], str]
    empty: Line = EMPTY
    title_note: Line = EMPTY
    thing: Callable[[T], Hashable] | None = None
    _fixed: dict[bool, Mapping[str, int]] = field(default_factory=dict, repr=False)
    """Whether rows are grouped -> column id -> the width of its widest row, for columns that time alone cannot change.
    Filled when it is first asked for; shared by the table at other times.
    """

    def at(self, env: Env) -> Table[T]:
        """The same rows, of the same snapshot, at another time."""
        return replace(self, env=env)

    def arranged(self, filter_text: str = "", sorting: Sorting | None = None) -> Sequence[TableRow[T]]:
        """Rows that show `filter_text` (in any case), in natural or sorted order; sorting dissolves the groups.

        A group whose heading shows it is kept whole.
        """
        needle = " ".join(filter_text.casefold().split())
        asked = needle, sorting
        if asked not in self._arranged:
            rows = _without_empty_bands(self._matching(needle)) if needle else self.rows
            column = next((c for c in self.columns if sorting and c.id == sorting.column), None)
            if sorting is not None and column is not None and column.sort is not None:
                rows = self._sorted(rows, column.sort, descending=sorting.descending)
            self._arranged[asked] = rows
        return self._arranged[asked]

    @cached_property
    def _arranged(self) -> dict[tuple[str, Sorting | None], Sequence[TableRow[T]]]:
        """Arranged rows by filter and sorting, so that they can be computed before they are shown."""
        return {}

    def _sorted(
        self, rows: Sequence[TableRow[T]], key: Callable[[T, Env], Any], *, descending: bool
    ) -> Sequence[TableRow[T]]:
        if isinstance(rows, LongRows):
            return rows.of(_by_value(rows.items, [key(item, self.env) for item in rows.items], descending=descending))
        plain = [row for row in rows if not row.band]
        return tuple(_by_value(plain, [key(row.item, self.env) for row in plain], descending=descending))

    def _matching(self, needle: str) -> list[TableRow[T]]:
        kept: list[TableRow[T]] = []
        whole_group = False
        for row, text in zip(self.rows, self.texts, strict=True):
            if row.band:
                whole_group = needle in text
            if row.band or whole_group or needle in text:
                kept.append(row)
        return kept

    @cached_property
    def texts(self) -> tuple[str, ...]:
        """What each row shows, at any width, and its ids; lower case, single spaces."""
        return tuple(" ".join(self._text(row).casefold().split()) for row in self.rows)

    def _text(self, row: TableRow[T]) -> str:
        if row.band:
            return text_of(self.band(row.item, self.env))
        cells_of = (text_of(column.render(row.item, self.env)) for column in self.columns)
        return " ".join((*cells_of, self.ids(row.item)))

    @cached_property
    def needs(self) -> Mapping[str, int]:
        """Column id -> the width of its widest row, for columns that time alone cannot change and for columns that are
        empty in every row.
        """
        return self._measured(self.env)

    def needs_in(self, env: Env) -> Mapping[str, int]:
        """The same for cells that are drawn with `env`: without their group's heading they may need more."""
        return self.needs if env.grouped == self.env.grouped else self._measured(env)

    def _measured(self, env: Env) -> Mapping[str, int]:
        rows = [row for row in self.rows[:MEASURED] if not row.band]
        if not rows:
            return {}
        fixed = self._fixed.get(env.grouped)
        if fixed is None:
            still = (column for column in self.columns if not column.live)
            fixed = {c.id: max(width_of(c.render(row.item, env)) for row in rows) for c in still}
            self._fixed[env.grouped] = fixed
        live = (column for column in self.columns if column.live)
        silent = {c.id: 0 for c in live if not any(width_of(c.render(row.item, env)) for row in rows)}
        return {**fixed, **silent}

    def sortable(self) -> tuple[str, ...]:
        """Ids of the columns that rows can be sorted by."""
        return tuple(column.id for column in self.columns if column.sort is not None)

    def count(self, rows: Sequence[TableRow[T]] | None = None) -> int:
        """How many things these rows (default: all) show, without headings; several rows of one thing count once."""
        every = self.rows if rows is None else rows
        if isinstance(every, LongRows):
            return len(every)
        return len({self.thing(row.item) if self.thing else row.key for row in every if not row.band})


def _by_value(things: Sequence[A], values: Sequence[Any], *, descending: bool) -> list[A]:
    """Rows without a value come last."""
    known = sorted((n for n, value in enumerate(values) if value is not None), key=values.__getitem__)
    if descending:
        known.reverse()
    return [things[n] for n in (*known, *(n for n, value in enumerate(values) if value is None))]


def _without_empty_bands(rows: Sequence[TableRow[T]]) -> tuple[TableRow[T], ...]:
    following = (*rows[1:], None)
    return tuple(row for row, after in zip(rows, following, strict=False) if not row.band or (after and not after.band))


def chosen(columns: tuple[Column[T], ...], wanted: Sequence[str], *, grouped: bool) -> tuple[Column[T], ...]:
    """The wanted columns, in that order; all of them if none is wanted or none of the wanted exist.

    `grouped`: without those that only repeat the heading of the rows' group.
    """
    columns = tuple(column for column in columns if not (grouped and column.of_group))
    by_id = {column.id: column for column in columns}
    return tuple(by_id[name] for name in dict.fromkeys(wanted) if name in by_id) or columns


def placed(columns: Sequence[Column[T]], width: int, needs: Mapping[str, int] | None = None) -> tuple[Placed[T], ...]:
    """The columns that fit into `width` cells, each with its share.

    Args:
        needs: column id -> the cells that its rows need; a column gets no more, and spare cells until it has them.
    """
    needs = needs or {}
    kept = list(columns)
    while len(kept) > 1 and _taken(kept, needs) > width:
        silent, rank, weakest = max((needs.get(column.id) == 0, column.rank, n) for n, column in enumerate(kept) if n)
        if not silent and rank == 0:
            break
        pair = rank and not silent
        kept = [c for n, c in enumerate(kept) if n != weakest and not (pair and n and c.rank == rank)]
    kept = _room_for_prose(_without_silent(kept, width, needs), width, needs)
    spare = width - _taken(kept, needs)
    widths = [_least(column, needs, first=not place) for place, column in enumerate(kept)]
    while spare < 0:
        room, widest = max((widths[n], n) for n, column in enumerate(kept) if column.grow or not n)
        if room <= FLOOR:
            break
        widths[widest] -= 1
        spare += 1
    spare = max(0, spare)
    for first_round in (True, False):
        for place, column in enumerate(kept):
            wanted = needs.get(column.id, column.width + column.grow) - widths[place]
            more = max(0, min(wanted, spare, column.grow if first_round else spare))
            if column.grow or not first_round:
                spare -= more
                widths[place] += more
    if kept and not any(column.grow for column in kept):
        widths[0] += spare
    return tuple(zip(kept, widths, strict=True))


def _without_silent(kept: list[Column[T]], width: int, needs: Mapping[str, int]) -> list[Column[T]]:
    """The columns, without those that are empty in every row if others need the space."""
    silent = sorted((c for c in kept[1:] if c.rank and needs.get(c.id) == 0), key=lambda c: c.rank)
    while silent:
        least = (_least(column, needs, first=not place) for place, column in enumerate(kept))
        wanted = sum(max(room, needs.get(c.id, 0)) for room, c in zip(least, kept, strict=True))
        if wanted + GAP * (len(kept) - 1) <= width:
            break
        kept = [column for column in kept if column is not silent[-1]]
        silent.pop()
    return kept


def _room_for_prose(kept: list[Column[T]], width: int, needs: Mapping[str, int]) -> list[Column[T]]:
    """The columns, without the least important ones as long as prose in `words` columns would be cut."""
    prose = next((column for column in kept if column.words), None)
    if prose is None or prose.id not in needs:
        return kept
    while True:
        others = [column for column in kept if column is not prose]
        weakest = max(others, key=lambda column: column.rank, default=None)
        if weakest is None or weakest.rank < _MINOR or _taken(others, needs) + GAP + needs[prose.id] <= width:
            return kept
        kept = [column for column in kept if column is not weakest]


def full(columns: Sequence[Column[T]], needs: Mapping[str, int]) -> tuple[Placed[T], ...]:
    """Every column as wide as its widest row."""
    return tuple(
        (column, max(needs.get(column.id, column.width), column.width if not place else cells(column.title)))
        for place, column in enumerate(columns)
    )


def _least(column: Column[T], needs: Mapping[str, int], *, first: bool) -> int:
    """A column's minimum width; the first also holds the table's title, and numbers are not cut."""
    if first or column.id not in needs:
        return column.width
    most = column.width + (DIGITS if column.right else 0)
    return min(most, max(needs[column.id], cells(column.title)))


def _taken(columns: Sequence[Column[T]], needs: Mapping[str, int]) -> int:
    least = sum(_least(column, needs, first=not place) for place, column in enumerate(columns))
    return least + GAP * (len(columns) - 1)


_GAP: Piece = (" " * GAP, Tone.PLAIN)


def heading(columns: Sequence[Placed[T]], sorting: Sorting | None, title: Line, *, filtered: bool = False) -> Line:
    """The line of column titles; the first column, and those without a title next to it, carry the table's own.

    The table's title gives the number of rows and the filter: rather than being cut, it takes the place of further
    titles, of which the arrow of the sorted one stays.
    """
    out: list[Piece] = []
    title = (*title, MARGIN) if filtered and sorting is not None else title  # parts an arrow from the words of a filter
    taken = _under_title(columns, sorting, title)
    own = _is_sorted(columns[:taken], sorting)
    if taken > 1:
        columns = ((columns[0][0], _over(columns[:taken])), *columns[taken:])
    for position, (column, width) in enumerate(columns):
        if position:
            out.append(_GAP)
        line = title if position == 0 else ((column.title, Tone.HEAD),)
        if sorting is not None and (sorting.column == column.id if position else own):
            arrow: Piece = ("▼" if sorting.descending else "▲", Tone.ACCENT)
            line = cut(line, width - 1) if not position else ((headed(column.title, width - 1), Tone.HEAD),)
            line = (*line, arrow)
        out.extend(fitted(cut(line, width) if filtered else line, width, right=column.right))
    return tuple(out)


def _under_title(columns: Sequence[Placed[T]], sorting: Sorting | None, title: Line) -> int:
    """How many columns, from the first, the table's title stands over."""
    taken = next((n for n, (column, _) in enumerate(columns) if n and column.title), len(columns))
    wanted = width_of(title)
    while taken < len(columns) and _over(columns[:taken]) < wanted + _is_sorted(columns[:taken], sorting):
        taken += 1
    return taken


def _is_sorted(columns: Sequence[Placed[T]], sorting: Sorting | None) -> bool:
    """Whether the rows are sorted by one of these columns."""
    return sorting is not None and any(column.id == sorting.column for column, _ in columns)


def _over(columns: Sequence[Placed[T]]) -> int:
    """Cells from the first of these columns to the end of the last."""
    return sum(width + GAP for _, width in columns) - GAP


def column_at(columns: Sequence[Placed[T]], cell: int) -> Column[T] | None:
    """The column that is below this cell of the heading."""
    place = 0
    for column, width in columns:
        if place <= cell < place + width:
            return column
        place += width + GAP
    return None


def render_cells(
    row: TableRow[T], table: Table[T], columns: Sequence[Placed[T]], env: Env, before: Sequence[Line] = ()
) -> Sequence[Line]:
    """The cells of a row, each in its column's width; cells of `before` that time alone cannot change are kept."""
    if row.band:
        width = sum(w for _, w in columns) + GAP * (len(columns) - 1)
        return (fitted(table.band(row.item, env), width),)
    if before:
        return [
            _cell(column, row.item, env, room) if column.live else known
            for (column, room), known in zip(columns, before, strict=True)
        ]
    return [_cell(column, row.item, env, room) for column, room in columns]


def _cell(column: Column[T], item: T, env: Env, room: int) -> Line:
    return fitted(column.render(item, env), room, right=column.right, middle=column.middle, words=column.words)


def joined(cells: Sequence[Line]) -> Line:
    """Cells as one line."""
    out: list[Piece] = []
    for cell in cells:
        if out:
            out.append(_GAP)
        out.extend(cell)
    return tuple(out)


def render_row(row: TableRow[T], table: Table[T], columns: Sequence[Placed[T]], env: Env) -> Line:
    """One row as a line of the columns' width."""
    return joined(render_cells(row, table, columns, env))


def plain_row(row: TableRow[T], table: Table[T], columns: Sequence[Placed[T]], env: Env) -> str:
    """The same as text without trailing blanks."""
    return text_of(render_row(row, table, columns, env)).rstrip()
