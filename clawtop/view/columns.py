"""Columns are data: a title, how a cell is rendered, how rows sort by it, and how it shares the width."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any, Generic, NamedTuple, TypeVar

from clawtop.commands import Target
from clawtop.view.facts import Facts
from clawtop.view.line import EMPTY, Line, Piece, Tone, cut, fitted, text_of

T = TypeVar("T")

GAP = 1
"""Blank cells between two columns."""


@dataclass(frozen=True, slots=True)
class Env:
    """What a cell may look at besides its row: the facts, the present (ms since epoch) and the time zone."""

    facts: Facts
    now: int
    zone: tzinfo | None = None


class Column(NamedTuple, Generic[T]):
    """One column of a table of `T`.

    Attributes:
        width: cells it needs.
        grow: cells more that it can use; spare width goes to columns from left to right.
        live: whether its cells can change with time alone.
        rank: the higher, the sooner it gives way when the width is short; 0 stays.
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


class Row(NamedTuple, Generic[T]):
    """A row: `key` is stable across snapshots; `band` marks the heading of a group."""

    key: str
    item: T
    target: Target | None = None
    band: bool = False


Placed = tuple[Column[T], int]


@dataclass(frozen=True, slots=True)
class Sorting:
    """Which column a table is sorted by."""

    column: str
    descending: bool = False


@dataclass(frozen=True)
class Table(Generic[T]):
    """A table of one snapshot: rows in natural order, how to draw them, and what to say when there are none.

    `band` draws the heading of a group; `search` gives the text that the filter looks through.
    """

    id: str
    title: str
    columns: tuple[Column[T], ...]
    rows: tuple[Row[T], ...]
    env: Env
    band: Callable[[T, Env], Line]
    search: Callable[[T], str]
    empty: Line = EMPTY
    title_note: Line = EMPTY

    def arranged(self, filter_text: str = "", sorting: Sorting | None = None) -> tuple[Row[T], ...]:
        """Rows that contain `filter_text` (in any case), in natural or sorted order; sorting dissolves the groups."""
        rows = self.rows
        needle = filter_text.casefold().strip()
        if needle:
            rows = _without_empty_bands([r for r in rows if r.band or needle in self.search(r.item).casefold()])
        column = next((c for c in self.columns if sorting and c.id == sorting.column), None)
        if sorting is None or column is None or column.sort is None:
            return rows
        key, env = column.sort, self.env
        valued = [(key(row.item, env), row) for row in rows if not row.band]
        known = sorted((pair for pair in valued if pair[0] is not None), key=lambda pair: pair[0])
        if sorting.descending:
            known.reverse()
        return (*(row for _, row in known), *(row for value, row in valued if value is None))

    def sortable(self) -> tuple[str, ...]:
        """Ids of the columns that rows can be sorted by."""
        return tuple(column.id for column in self.columns if column.sort is not None)

    def count(self) -> int:
        """Rows without group headings."""
        return sum(not row.band for row in self.rows)


def _without_empty_bands(rows: Sequence[Row[T]]) -> tuple[Row[T], ...]:
    following = (*rows[1:], None)
    return tuple(row for row, after in zip(rows, following, strict=False) if not row.band or (after and not after.band))


def chosen(columns: tuple[Column[T], ...], wanted: Sequence[str]) -> tuple[Column[T], ...]:
    """The wanted columns, in that order; all of them where none is wanted, or none of the wanted is there."""
    by_id = {column.id: column for column in columns}
    return tuple(by_id[name] for name in dict.fromkeys(wanted) if name in by_id) or columns


def placed(columns: Sequence[Column[T]], width: int) -> tuple[Placed[T], ...]:
    """The columns that fit into `width` cells, each with its share of it."""
    kept = list(columns)
    while len(kept) > 1 and _needed(kept) > width:
        weakest = max(kept, key=lambda column: column.rank)
        if weakest.rank == 0:
            break
        kept.remove(weakest)
    spare = max(0, width - _needed(kept))
    widths = []
    for column in kept:
        more = min(column.grow, spare)
        spare -= more
        widths.append(column.width + more)
    if kept and not any(column.grow for column in kept):
        widths[0] += spare
    return tuple(zip(kept, widths, strict=True))


def _needed(columns: Sequence[Column[T]]) -> int:
    return sum(column.width for column in columns) + GAP * (len(columns) - 1)


_GAP: Piece = (" " * GAP, Tone.PLAIN)


def heading(columns: Sequence[Placed[T]], sorting: Sorting | None, title: Line) -> Line:
    """The line of column titles; the first column, and those without a title next to it, carry the table's own."""
    out: list[Piece] = []
    untitled = next((n for n, (column, _) in enumerate(columns) if n and column.title), len(columns))
    if untitled > 1:
        first = (columns[0][0], sum(width + GAP for _, width in columns[:untitled]) - GAP)
        columns = (first, *columns[untitled:])
    for position, (column, width) in enumerate(columns):
        if position:
            out.append(_GAP)
        line = title if position == 0 else ((column.title, Tone.HEAD),)
        if sorting is not None and sorting.column == column.id:
            arrow: Piece = ("▼" if sorting.descending else "▲", Tone.ACCENT)
            line = (*cut(line, width - 1), arrow)
        out.extend(fitted(line, width, right=column.right))
    return tuple(out)


def render_cells(
    row: Row[T], table: Table[T], columns: Sequence[Placed[T]], env: Env, before: Sequence[Line] = ()
) -> Sequence[Line]:
    """The cells of a row, each in its column's width; of `before`, what time alone cannot change is kept."""
    if row.band:
        width = sum(w for _, w in columns) + GAP * (len(columns) - 1)
        return (fitted(table.band(row.item, env), width),)
    if before:
        return [
            fitted(column.render(row.item, env), cells, right=column.right) if column.live else known
            for (column, cells), known in zip(columns, before, strict=True)
        ]
    return [fitted(column.render(row.item, env), cells, right=column.right) for column, cells in columns]


def joined(cells: Sequence[Line]) -> Line:
    """Cells as one line."""
    out: list[Piece] = []
    for cell in cells:
        if out:
            out.append(_GAP)
        out.extend(cell)
    return tuple(out)


def render_row(row: Row[T], table: Table[T], columns: Sequence[Placed[T]], env: Env) -> Line:
    """One row as a line of the columns' width."""
    return joined(render_cells(row, table, columns, env))


def plain_row(row: Row[T], table: Table[T], columns: Sequence[Placed[T]], env: Env) -> str:
    """The same as text without trailing blanks."""
    return text_of(render_row(row, table, columns, env)).rstrip()
