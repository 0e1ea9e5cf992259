"""Movement, sorting and filtering for any screen of tables. The screen itself says what its tables show."""

from __future__ import annotations

from textual.screen import Screen

from clawtop.ui.messages import FilterChanged
from clawtop.ui.widgets.line_bar import LineBar
from clawtop.ui.widgets.live_table import LiveTable
from clawtop.view.columns import Sorting


class TableControl(Screen[None]):
    """A mixin for a screen of tables, one of them in use.

    The screen sets `tables`, from top to bottom, before it calls anything here; `foot` is its last widget.
    """

    tables: tuple[LiveTable, ...]
    foot: LineBar
    _last: LiveTable | None = None

    @property
    def current(self) -> LiveTable:
        """The focused table; while a filter is typed, the last focused one; else the first."""
        return self.focused if isinstance(self.focused, LiveTable) else self._last or self.tables[0]

    def moved(self) -> None:
        """Called when the operator moves the cursor."""

    def rows_changed(self) -> None:
        """Called when rows were filtered or sorted: draw what depends on them."""

    def move_rows(self, rows: int) -> None:
        """Move the cursor by a number of rows."""
        self.moved()
        self.current.move_by(rows)

    def move_pages(self, pages: int) -> None:
        """Move the cursor by a number of pages."""
        self.moved()
        self.current.move_by(pages * self.current.page)

    def move_to_edge(self, direction: int) -> None:
        """Move to the first row (negative) or the last."""
        self.moved()
        self.current.move_to(0 if direction < 0 else self.current.last)

    def sort_next(self) -> None:
        """Sort the table in use by its next column; after the last column, in its default order."""
        table = self.current
        if table.table is not None:
            order = table.table.sortable()
            column = table.sorting.column if table.sorting is not None else None
            place = order.index(column) + 1 if column in order else 0
            table.rearrange(sorting=Sorting(order[place]) if place < len(order) else None)

    def sort_reverse(self) -> None:
        """Reverse the sort order; from the default order, sort by the first column, descending."""
        table = self.current
        if table.table is not None and (order := table.table.sortable()):
            sorting = table.sorting or Sorting(order[0])
            table.rearrange(sorting=Sorting(sorting.column, descending=not sorting.descending))

    def open_filter(self) -> None:
        """Open the filter line, which filters every table of the screen."""
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
        """Clear the filter. False if there is none."""
        filtered = any(table.filter_text for table in self.tables)
        if filtered:
            self.filter_rows("")
        return filtered

    def filter_rows(self, text: str) -> None:
        """Show only rows that match, in every table of the screen."""
        for table in self.tables:
            table.rearrange(filter_text=text, sorting=table.sorting)
        self.rows_changed()
