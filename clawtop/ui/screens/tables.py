"""A view that is made of tables: movement, filter, sort."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from clawtop.commands import Target
from clawtop.ui.messages import FilterChanged
from clawtop.ui.screens.base import DashboardScreen
from clawtop.ui.shell import shell
from clawtop.ui.widgets.live_table import LiveTable
from clawtop.view.columns import Env, Sorting, Table

Maker = Callable[[Env], Table[Any]]


class TablesScreen(DashboardScreen):
    """A view of tables with one of them focused: movement, filter, sort.

    `table_ids` name them from top to bottom, `makers` fill them.
    """

    table_ids: ClassVar[tuple[str, ...]] = ()
    makers: ClassVar[tuple[Maker, ...]] = ()
    zoomed: bool = False

    def prepare(self, env: Env) -> None:
        super().prepare(env)
        for maker in self.makers:
            env.facts.once(maker, env)

    def __init__(self) -> None:
        super().__init__()
        self.tables: tuple[LiveTable, ...] = tuple(LiveTable(id=table_id) for table_id in self.table_ids)
        self._last = self.tables[0]

    @property
    def current(self) -> LiveTable:
        """The focused table; while a filter is typed, the one that was; else the first."""
        return self.focused if isinstance(self.focused, LiveTable) else self._last

    @property
    def target(self) -> Target | None:
        return self.current.target

    def on_mount(self) -> None:
        for table in self.tables:
            table.wanted = shell(self).options.columns.get(table.id or "", ())
            table.sorting = Sorting.parse(shell(self).options.sorting.get(table.id or "", ""))
        self.set_focus(self.tables[0])

    # --- what commands ask ---------------------------------------------------------------------------------------

    def move_rows(self, rows: int) -> None:
        """Move the cursor by rows."""
        self.current.move_by(rows)

    def move_pages(self, pages: int) -> None:
        """Move the cursor by pages."""
        self.current.move_by(pages * self.current.page)

    def move_to_edge(self, direction: int) -> None:
        """To the first row (negative) or the last."""
        self.current.move_to(0 if direction < 0 else self.current.last)

    def focus_pane(self, step: int) -> None:
        """To the next table, or the one before."""
        tables = self.tables
        following = tables[(tables.index(self.current) + step) % len(tables)]
        following.display = True  # a hidden one, beside a zoomed table, takes no focus
        self.set_focus(following)  # at once: the next key may be typed already
        self.call_after_refresh(self.refresh_state)

    def sort_next(self) -> None:
        """Sort the focused table by its next column; after the last: its own order."""
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

    def toggle_mark(self) -> int:
        """Mark the row under the cursor, or unmark it, and go on to the next; how many are marked."""
        table = self.current
        table.toggle_mark()
        table.move_by(1)
        return len(table.marked)

    @property
    def marked(self) -> tuple[Target, ...]:
        """The marked rows of the focused table."""
        return self.current.marked

    def step_back(self) -> bool:
        """Undo the last thing that narrows the view: filter, then marks; False where nothing does."""
        filtered = [table for table in self.tables if table.filter_text]
        for table in filtered:
            table.rearrange(filter_text="", sorting=table.sorting)
        if filtered:
            return True
        marking = [table for table in self.tables if table.marked]
        for table in marking:
            table.unmark()
        return bool(marking)

    def open_filter(self) -> None:
        """Type a filter for every table of the view."""
        from clawtop.ui.widgets.filter_line import FilterLine  # not needed for the first paint

        if not self.query(FilterLine):
            self._last = self.current
            self.mount(FilterLine(self.current.filter_text), before=self._foot)

    def on_filter_changed(self, message: FilterChanged) -> None:
        """Filter every table of the view while the operator types."""
        for table in self.tables:
            table.rearrange(filter_text=message.text, sorting=table.sorting)
        self.refresh_time()
        if message.done:
            self.set_focus(self.current)
            self.query("FilterLine").remove()
