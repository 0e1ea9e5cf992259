"""The overview: profiles, sessions and locks as stacked tables, with the detail of the row under the cursor."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical

from clawtop.commands import Target
from clawtop.ui.messages import TargetChanged
from clawtop.ui.screens.tables import Maker, TablesScreen
from clawtop.ui.shell import shell
from clawtop.ui.widgets.line_scroll import LineScroll
from clawtop.view.columns import Env
from clawtop.view.detail import detail_lines
from clawtop.view.overview import TABLES, detail_width, table_heights


class OverviewScreen(TablesScreen):
    """The view that opens first."""

    view_id = "overview"
    table_ids = ("profiles", "sessions", "locks")
    makers: ClassVar[tuple[Maker, ...]] = TABLES

    def on_mount(self) -> None:
        """Show the first snapshot, if there is one already, in the first frame."""
        self.refresh_state()

    def body(self) -> ComposeResult:
        with Horizontal(id="body"):
            with Vertical(id="tables"):
                yield from self.tables
            yield self._detail

    def __init__(self) -> None:
        super().__init__()
        self._detail = LineScroll(id="detail", raised=True)
        self._detail_of: Target | None = None

    def show_state(self, env: Env) -> None:
        for table, maker in zip(self.tables, self.makers, strict=True):
            table.show(env.facts.once(maker, env), env.now)
        self._lay_out()
        self._draw_detail(env)

    def tick(self, env: Env) -> None:
        for table in self.tables:
            table.tick(env.now)
        self._draw_detail(env)

    def select(self, target: Target) -> bool:
        """Put the cursor on the row of this target. False if there is none."""
        table = next((table for table in self.tables if table.select_target(target)), None)
        if table is not None:
            self.set_focus(table)
        return table is not None

    def step_back(self) -> bool:
        if super().step_back():
            return True
        if self.zoomed:
            self.toggle_zoom()
            return True
        return False

    def toggle_zoom(self) -> None:
        """Give the focused table the whole height, or share it again."""
        self.zoomed = not self.zoomed
        self.refresh_state()

    def _lay_out(self) -> None:
        width, height = self.app.size
        detail = self._detail
        beside = detail_width(width)
        detail.display = beside > 0
        if beside:
            detail.styles.width = beside
        tables = self.tables
        room = height - self.bars
        if self.zoomed:
            heights = tuple(room if table is self.current else 0 for table in tables)
        else:
            heights = table_heights(room, [len(table.table.rows) if table.table else 1 for table in tables])
        for table, lines in zip(tables, heights, strict=True):
            table.display = lines > 0
            table.styles.height = lines

    def _draw_detail(self, env: Env) -> None:
        pane = self._detail
        beside = detail_width(self.app.size.width)
        if pane.display and beside:
            target = self.target
            pane.show(detail_lines(target, env, pane.text_width_of(beside)), from_top=target != self._detail_of)
            self._detail_of = target

    def on_target_changed(self, _message: TargetChanged) -> None:
        env = shell(self).env
        if env is not None:
            self._draw_detail(env)
            self.draw_footer()
