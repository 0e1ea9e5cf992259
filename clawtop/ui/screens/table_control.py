"""Controlling any screen of tables: movement, sorting, filter. The screen itself says what its tables show."""

from __future__ import annotations

from textual.screen import Screen

from clawtop.ui.messages import FilterChanged
from clawtop.ui.widgets.line_bar import LineBar
from clawtop.ui.widgets.live_table import LiveTable
from clawtop.view.columns import Sorting


class TableControl(Screen[None]):
    """A screen with tables from top to bottom, one of them in use. A base beside the screen's own.

    `tables` are set by the screen before anything else is asked; `foot` is its last line, under which nothing stands.
    """

    tables: tuple[LiveTable, ...]
    foot: LineBar
    _last: LiveTable | None = None

    @property
    def current(self) -> LiveTable:
        """The focused table; while a filter is typed, the one that was; else the first."""
        return self.focused if isinstance(self.focused, LiveTable) else self._last or self.tables[0]

    def moved(self) -> None:
        """The operator moves the cursor."""

    def rows_changed(self) -> None:
        """Rows were filtered or sorted: draw what depends on them."""

    def move_rows(self, rows: int) -> None:
        """Move the cursor by rows."""
        self.moved()
        self.current.move_by(rows)

    def move_pages(self, pages: int) -> None:
        """Move the cursor by pages."""
        self.moved()
        self.current.move_by(pages * self.current.page)

    def move_to_edge(self, direction: int) -> None:
        """To the first row (negative) or the last."""
        self.moved()
        self.current.move_to(0 if direction < 0 else self.current.last)

    def sort_next(self) -> None:
        """Sort the table in use by its next column; after the last: its own order."""
        table = self.current
        if table.table is not None:
            order = table.table.sortable()
            column = table.sorting.column if table.sorting is not None else None
            place = order.index(column) + 1 if column in order else 0
            table.rearrange(sorting=Sorting(order[place]) if place < len(order) else None)

    def sort_reverse(self) -> None:
        """Sort the other way round; what is in its own order, by its first column downwards."""
        table = self.current
        if table.table is not None and (order := table.table.sortable()):
            sorting = table.sorting or Sorting(order[0])
            table.rearrange(sorting=Sorting(sorting.column, descending=not sorting.descending))

    def open_filter(self) -> None:
        """Type a filter for every table of the screen."""
        from clawtop.ui.widgets.filter_line import FilterLine  # not needed for the first paint

        if not self.query(FilterLine):
            self._last = self.current
            self.mount(FilterLine(self.current.filter_text), before=self.foot)

    def on_filter_changed(self, message: FilterChanged) -> None:
        """Filter every table while the operator types."""
        self.filter_rows(message.text)
        if message.done:
            self.set_focus(self.current)
            self.query("FilterLine").remove()

    def clear_filter(self) -> bool:
        """Show every row again; False where every row is shown."""
        filtered = any(table.filter_text for table in self.tables)
        if filtered:
            self.filter_rows("")
        return filtered

    def filter_rows(self, text: str) -> None:
        """Show only rows that match, in every table."""
        for table in self.tables:
            table.rearrange(filter_text=text, sorting=table.sorting)
        self.rows_changed()
