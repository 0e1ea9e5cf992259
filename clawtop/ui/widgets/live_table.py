"""A table drawn line by line: only visible rows are rendered, only changed lines are written.

DataTable renders all its visible cells again at any change; at four changes a second that is most of a core.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from textual import events
from textual.geometry import Region, Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from clawtop.commands import Target, TargetKind
from clawtop.ui.messages import CommandRequested, TargetChanged
from clawtop.ui.shell import shell
from clawtop.ui.widgets.drawn import Drawn
from clawtop.ui.widgets.strips import changed_region, strip
from clawtop.view.columns import (
    CURSOR,
    MARGIN,
    MARGIN_WIDTH,
    Env,
    Placed,
    Sorting,
    Table,
    chosen,
    column_at,
    heading,
    joined,
    placed,
    render_cells,
)
from clawtop.view.fitting import wrapped
from clawtop.view.line import Line, Piece, Tone, piece
from clawtop.view.long_rows import TableRow, place_of
from clawtop.view.ordering import keep_order
from clawtop.view.plain import table_title
from clawtop.view.steady import SteadyNeeds

_MARKED: Piece = ("◆", Tone.ACCENT)
_MARKED_CURSOR: Piece = ("◆", Tone.KEY)
FREEZE_SECONDS = 4.0
"""After the operator moved, rows keep their places for this long."""


class LiveTable(Drawn, ScrollView, can_focus=True, inherit_bindings=False):
    """Shows a `Table`. The cursor stays on its row by key; rows keep their order while the operator moves.

    Keys are the screen's: those of ScrollView would scroll a long table and leave the cursor behind.
    """

    DEFAULT_CSS = """
    LiveTable { overflow-x: hidden; overflow-y: auto; scrollbar-size-vertical: 1; height: 1fr; }
    """

    def __init__(self, *, id: str) -> None:  # noqa: A002 - Textual's name for it
        super().__init__(id=id)
        self.table: Table[Any] | None = None
        self.sorting: Sorting | None = None
        self.filter_text = ""
        self.wanted: Sequence[str] = ()
        self._rows: Sequence[TableRow[Any]] = ()
        self._cursor = 0
        self._now = 0
        self._env: Env | None = None
        self._columns: tuple[Placed[Any], ...] = ()
        self._placed_for = -1
        self._drawn: dict[int, Line] = {}
        self._cells: dict[int, tuple[TableRow[Any], Sequence[Line], Line]] = {}
        self._moved_at: float | None = None
        self._marks: set[str] = set()
        self._steady = SteadyNeeds()
        self._clicked: tuple[int, str] | None = None

    # --- content -------------------------------------------------------------------------------------------------

    def show(self, table: Table[Any], now: int) -> None:
        """Show this table; `now` (ms since epoch) is the present for its countdowns.

        One with the rows of the one before (`Table.at`) keeps the cells that time alone cannot change.
        """
        before, self.table, self._now = self.table, table, now
        self._placed_for = -1
        if before is None or before.rows is not table.rows:
            self._cells.clear()
        self._arrange()
        self.redraw()

    def _forget(self) -> None:
        """Discard rendered lines."""
        self._cells.clear()
        self._placed_for = -1

    def tick(self, now: int) -> None:
        """Draw the lines whose ages and countdowns have changed."""
        self._now = now
        if self._moved_at is not None and not self._frozen():
            self._moved_at = None
            self._arrange()
        self.redraw()

    def rearrange(self, *, filter_text: str | None = None, sorting: Sorting | None = None) -> None:
        """Filter and sort the rows again."""
        self.sorting = sorting
        if filter_text is not None:
            self.filter_text = filter_text
        self._moved_at = None
        self._steady.forget()
        self._forget()
        self._arrange()
        self.redraw(everything=True)

    def _arrange(self) -> None:
        if self.table is None:
            return
        key = self.cursor_key
        rows = self.table.arranged(self.filter_text, self.sorting)
        if self._frozen():
            rows = keep_order(self._rows, rows)
        self._rows = rows
        found = place_of(rows, key, self._cursor) if key is not None else None
        if found is not None:
            offset = self._cursor - round(self.scroll_y)
            self._cursor = found
            if self.scroll_y and offset >= 0:
                self.scroll_to(y=max(0, found - offset), animate=False)
        else:
            first = next((i for i, row in enumerate(rows) if not row.band), 0) if key is None else self._cursor
            self._cursor = max(0, min(first, len(rows) - 1))
        size = Size(1, len(rows) + 1)
        if size != self.virtual_size:
            self.virtual_size = size
        self._announce()

    def _frozen(self) -> bool:
        return self._moved_at is not None and shell(self).clock.monotonic() - self._moved_at < FREEZE_SECONDS

    # --- drawing -------------------------------------------------------------------------------------------------

    def redraw(self, *, everything: bool = False) -> None:
        """Write the lines that changed."""
        if everything or not self._drawn:
            self._drawn.clear()
            self.refresh()
            return
        width, (whole, height) = self._width, self.outer_size
        for y in range(height):
            before, line = self._drawn.get(y), self._line(y, width)
            if before is None:
                self.refresh(Region(0, y, whole, 1))
            elif before != line:
                self.refresh(changed_region(before, line, y, width))

    def on_resize(self) -> None:
        self._forget()
        self._reveal()
        self.redraw(everything=True)

    @property
    def _width(self) -> int:
        """The width of a line in cells: the widget has no border and no padding."""
        return self.outer_size.width - (self.scrollbar_size_vertical if self.show_vertical_scrollbar else 0)

    def _present(self, table: Table[Any]) -> Env:
        """The values that cells are made from, the same for all rows drawn together."""
        env, grouped = self._env, self.sorting is None
        if env is None or env.now != self._now or env.facts is not table.env.facts or env.grouped != grouped:
            env = self._env = Env(table.env.facts, self._now, table.env.zone, grouped=grouped)
        return env

    def _row_line(self, table: Table[Any], index: int) -> Line:
        """The row's line; cells that only a new snapshot can change are kept from before."""
        row = self._rows[index]
        here = index == self._cursor and self.has_focus
        plain, marked = (CURSOR, _MARKED_CURSOR) if here else (MARGIN, _MARKED)
        margin = marked if row.key in self._marks else plain
        known = self._cells.get(index)
        before = known[1] if known is not None and known[0] is row else ()
        cells = render_cells(row, table, self._columns, self._present(table), before)
        if known is not None and cells == before and known[2][0] is margin:
            return known[2]
        line = (margin, *joined(cells))
        self._cells[index] = (row, cells, line)
        return line

    def _line(self, y: int, width: int) -> Line:
        table = self.table
        if table is None:
            return ()
        if self._placed_for != width:
            self._placed_for = width
            env = self._present(table)
            wanted = chosen(table.columns, self.wanted, grouped=env.grouped)
            needs = self._steady.of(table.needs_in(env), self._now)
            columns = placed(wanted, width - MARGIN_WIDTH, needs)
            if columns != self._columns:
                self._columns = columns
                self._cells.clear()
        if y == 0:
            tone = Tone.ACCENT if self.has_focus else Tone.TITLE
            title = table_title(table, tone)
            if self.filter_text:
                shown = f"{table.count(self._rows)} of {table.count()} /{self.filter_text}"
                title = ((f"{table.title} ", tone), (shown, Tone.WARN))
            return (MARGIN, *heading(self._columns, self.sorting, title, filtered=bool(self.filter_text)))
        index = round(self.scroll_y) + y - 1
        if index < len(self._rows):
            return self._row_line(table, index)
        if not self._rows:
            words = piece(f"No row contains “{self.filter_text}”.") if self.filter_text else table.empty
            lines = wrapped(words, width - MARGIN_WIDTH)
            return (MARGIN, *lines[y - 1]) if y <= len(lines) else ()
        return ()

    def render_line(self, y: int) -> Strip:
        look = shell(self).look
        width = self._width
        line = self._drawn[y] = self._line(y, width)
        index = round(self.scroll_y) + y - 1
        if y == 0:
            surface = look.head_focused if self.has_focus else look.head
        elif index == self._cursor and self._rows:
            surface = look.cursor if self.has_focus else look.cursor_idle
        else:
            surface = look.base
        return strip(line, width, surface, ascii_glyphs=shell(self).ascii_glyphs)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self._drawn.clear()
        self._cells.clear()

    # --- cursor --------------------------------------------------------------------------------------------------

    @property
    def cursor_key(self) -> str | None:
        """The key of the row under the cursor."""
        return self._rows[self._cursor].key if self._cursor < len(self._rows) else None

    @property
    def target(self) -> Target | None:
        """The profile, session or lock of the row under the cursor."""
        return self._rows[self._cursor].target if self._cursor < len(self._rows) else None

    def move_to(self, index: int) -> None:
        """Move the cursor to this row for the operator: rows keep their places for a while."""
        if self._rows:
            self._moved_at = shell(self).clock.monotonic()
            self.point_at(index)

    def point_at(self, index: int) -> None:
        """Put the cursor on this row without the operator: rows need not keep their places."""
        if not self._rows:
            return
        before = self._cursor
        self._cursor = max(0, min(index, len(self._rows) - 1))
        if before != self._cursor:
            self._refresh_row(before)
            self._refresh_row(self._cursor)
            self._reveal()
            self._announce()

    def select(self, key: str) -> bool:
        """Move the cursor to the row with this key. False if there is none."""
        found = place_of(self._rows, key, self._cursor)
        if found is not None:
            self.move_to(found)
        return found is not None

    def select_target(self, target: Target) -> bool:
        """Move the cursor to the row of `target`, of its agent if that is given.

        Where sorting dissolved a provider's group, the first of its profiles stands for it.
        """
        of_provider = None
        for row in self._rows:
            found = row.target
            if found is None or target.agent not in (None, found.agent):
                continue
            if (found.kind, found.id) == (target.kind, target.id):
                return self.select(row.key)
            if of_provider is None and target.kind is TargetKind.PROVIDER and found.provider == target.id:
                of_provider = row.key
        return of_provider is not None and self.select(of_provider)

    def toggle_mark(self) -> None:
        """Mark or unmark the row under the cursor."""
        key = self.cursor_key
        if key is not None and not self._rows[self._cursor].band:
            self._marks ^= {key}
            self._refresh_row(self._cursor)

    def unmark(self) -> None:
        """Remove every mark."""
        self._marks.clear()
        self.redraw(everything=True)

    @property
    def marked(self) -> tuple[Target, ...]:
        """The targets of the marked rows that still exist, in the table's order."""
        rows = self.table.rows if self.table is not None and self._marks else ()
        return tuple(row.target for row in rows if row.key in self._marks and row.target is not None)

    def move_by(self, rows: int) -> None:
        """Move the cursor by a number of rows."""
        self.move_to(self._cursor + rows)

    @property
    def page(self) -> int:
        """How many rows are visible at once."""
        return max(1, self.size.height - 1)

    @property
    def last(self) -> int:
        """The index of the last row."""
        return len(self._rows) - 1

    def _refresh_row(self, index: int) -> None:
        self.refresh(Region(0, index + 1 - round(self.scroll_y), self.size.width, 1))

    def _reveal(self) -> None:
        top = round(self.scroll_y)
        if self._cursor < top:
            self.scroll_to(y=self._cursor, animate=False)
        elif self._cursor >= top + self.page:
            self.scroll_to(y=self._cursor - self.page + 1, animate=False)

    def _announce(self) -> None:
        if self.has_focus:
            self.post_message(TargetChanged(self.target))

    def on_focus(self) -> None:
        self.refresh()
        self._announce()

    def on_blur(self) -> None:
        self.refresh()

    def on_click(self, event: events.Click) -> None:
        if event.y == 0:
            self._sort_at(event.x)
        elif event.y > 0:
            self.move_to(round(self.scroll_y) + event.y - 1)
            if event.chain > 1:
                self.post_message(CommandRequested("detail"))

    def _sort_at(self, x: int) -> None:
        """Sort by the column whose heading is here; a second click reverses the order, even if sorting has moved that
        heading from under a pointer that stayed where it was.
        """
        column = column_at(self._columns, x - MARGIN_WIDTH)
        wanted = column.id if column is not None and column.sort is not None else None
        if self._clicked is not None and self._clicked[0] == x and self.sorting is not None:
            wanted = self._clicked[1] if self._clicked[1] == self.sorting.column else wanted
        if wanted is None or self.table is None:
            return
        self._clicked = (x, wanted)
        again = self.sorting is not None and self.sorting.column == wanted
        descending = again and self.sorting is not None and not self.sorting.descending
        self.rearrange(sorting=Sorting(wanted, descending=descending))
