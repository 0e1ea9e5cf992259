"""All known problems, on the whole screen."""

from __future__ import annotations

from textual.app import ComposeResult

from clawtop.ui.screens.tables import TablesScreen
from clawtop.view.columns import Env
from clawtop.view.rows import trouble_table


class WarningsScreen(TablesScreen):
    """The problems as one table."""

    view_id = "warnings"
    table_ids = ("warnings",)
    makers = (trouble_table,)

    def body(self) -> ComposeResult:
        yield from self.tables

    def show_state(self, env: Env) -> None:
        self.tables[0].show(env.facts.once(trouble_table, env), env.now)

    def tick(self, env: Env) -> None:
        self.tables[0].tick(env.now)
