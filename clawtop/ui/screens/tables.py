"""A view made of tables: movement, filter, sort."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from textual.app import ComposeResult

from clawtop.commands import Target
from clawtop.ui.screens.base import DashboardScreen
from clawtop.ui.screens.table_control import TableControl
from clawtop.ui.shell import shell
from clawtop.ui.widgets.live_table import LiveTable
from clawtop.view.columns import Env, Sorting, Table

Maker = Callable[[Env], Table[Any]]


class TablesScreen(TableControl, DashboardScreen):
    """A view of tables with one of them focused: movement, filter, sort.

    `table_ids` name them from top to bottom, `makers` fill them.
    """

    table_ids: ClassVar[tuple[str, ...]] = ()
    makers: ClassVar[tuple[Maker, ...]] = ()
    zoomed: bool = False

    def prepare(self, env: Env) -> None:
        super().prepare(env)
        for shown, maker in zip(self.tables, self.makers, strict=True):
            table = env.facts.once(maker, env)
            _ = table.needs, table.arranged(shown.filter_text, shown.sorting)  # kept by the table

    def __init__(self) -> None:
        super().__init__()
        self.tables: tuple[LiveTable, ...] = tuple(LiveTable(id=table_id) for table_id in self.table_ids)

    def rows_changed(self) -> None:
        self.refresh_time()

    @property
    def target(self) -> Target | None:
        return self.current.target

    def compose(self) -> ComposeResult:
        options = shell(self).options
        for table in self.tables:  # before rows are shown, so that the cursor starts on the first of the sorted rows
            table.wanted = options.columns.get(table.id or "", ())
            table.sorting = Sorting.parse(options.sorting.get(table.id or "", ""))
        yield from super().compose()

    def on_mount(self) -> None:
        self.set_focus(self.tables[0])

    # --- what commands ask ---------------------------------------------------------------------------------------

    def focus_pane(self, step: int) -> None:
        """Focus the next table that has rows, or the previous one; stay if no other has any."""
        tables, place = self.tables, self.tables.index(self.current)
        others = (tables[(place + step * n) % len(tables)] for n in range(1, len(tables)))
        following = next((table for table in others if table.last >= 0), self.current)
        following.display = True  # beside a zoomed table the others are hidden, and a hidden one takes no focus
        self.set_focus(following)  # at once: the next key may be typed already
        self.call_after_refresh(self.refresh_state)

    def toggle_mark(self) -> int:
        """Mark or unmark the row under the cursor and move to the next row. Returns how many are marked."""
        table = self.current
        table.toggle_mark()
        table.move_by(1)
        return len(table.marked)

    @property
    def marked(self) -> tuple[Target, ...]:
        """The marked rows of the focused table."""
        return self.current.marked

    def step_back(self) -> bool:
        """Clear the filter, or else the marks. False if there is neither."""
        if self.clear_filter():
            return True
        marking = [table for table in self.tables if table.marked]
        for table in marking:
            table.unmark()
        return bool(marking)
