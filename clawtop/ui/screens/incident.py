"""The incident views: who waits for whom, lanes, the timeline, the forecast."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from textual.app import ComposeResult
from textual.containers import Vertical

from clawtop.commands import Target
from clawtop.core.incident.timeline import KIND_GROUPS, Filter, narrowings
from clawtop.core.model import Event
from clawtop.ui.screens.tables import TablesScreen
from clawtop.values import dataclass
from clawtop.view.columns import Env, Table
from clawtop.view.forecast_rows import forecast_table, stranded_table
from clawtop.view.lane_rows import lane_table, worst_table
from clawtop.view.long_rows import TableRow
from clawtop.view.ordering import shared_heights
from clawtop.view.timeline_rows import about, timeline_table
from clawtop.view.tree_rows import cause_key, tree_table

LEAST_HEIGHT = 4


class StackedScreen(TablesScreen):
    """Stacked tables, each as high as its rows need while there is room."""

    def body(self) -> ComposeResult:
        with Vertical(id="tables"):
            yield from self.tables

    def show_state(self, env: Env) -> None:
        tables = self.tables
        for table, maker in zip(tables, self.makers, strict=True):
            table.show(env.facts.once(maker, env), env.now)
        wants = tuple(1 + max(1, len(table.table.rows) if table.table else 1) for table in tables)
        room = self.app.size.height - self.bars
        heights = shared_heights(room, wants, (LEAST_HEIGHT,) * len(tables), roomy=0)
        for table, lines in zip(tables, heights, strict=True):
            table.styles.height = lines

    def tick(self, env: Env) -> None:
        for table in self.tables:
            table.tick(env.now)

    @property
    def row(self) -> TableRow[Any] | None:
        """The row under the cursor."""
        table = self.current.table
        return next((row for row in table.rows if row.key == self.current.cursor_key), None) if table else None

    @property
    def subject(self) -> Target | None:
        """The profile, session or lane that the row under the cursor is about."""
        return self.target


class TreeScreen(StackedScreen):
    """Who waits for whom. It opens with the cursor on the first root cause, one key from its remedy."""

    view_id = "tree"
    table_ids = ("tree",)
    makers = (tree_table,)

    def __init__(self) -> None:
        super().__init__()
        self._placed = False

    def show_state(self, env: Env) -> None:
        super().show_state(env)
        table = self.tables[0]
        if not self._placed and table.table is not None and table.table.rows:
            self._placed = True
            table.select(cause_key(table.table.rows[0]))

    def to_cause(self) -> bool:
        """Move to the root cause of this chain. False if the cursor is there already."""
        row = self.row
        cause = cause_key(row) if row is not None and self.current.cursor_key else None
        if row is None or cause is None or cause == row.key:
            return False
        return self.current.select(cause)


class LanesScreen(StackedScreen):
    """The lanes, and the sessions on which they collide."""

    view_id = "lanes"
    table_ids = ("lanes", "worst")
    makers = (lane_table, worst_table)


class ForecastScreen(StackedScreen):
    """When agents can answer again, and the sessions that are pinned to an unusable profile."""

    view_id = "forecast"
    table_ids = ("forecast", "stranded")
    makers = (forecast_table, stranded_table)


@dataclass(frozen=True, slots=True)
class ChosenTimeline:
    """Makes the timeline's rows through a filter. Two makers with equal filters are equal."""

    chosen: Filter

    def __call__(self, env: Env) -> Table[Any]:
        return timeline_table(env, self.chosen)


class TimelineScreen(StackedScreen):
    """The events that led up to this, newest first. Its state: the filter, and the entry that it was narrowed from."""

    view_id = "timeline"
    table_ids = ("timeline",)

    def __init__(self, chosen: Filter | None = None) -> None:
        super().__init__()
        self._filter = chosen or Filter()
        self._narrowings: list[tuple[str, str]] = []

    @property
    def makers(self) -> tuple[Callable[[Env], Table[Any]], ...]:  # type: ignore[override]
        return (ChosenTimeline(self._filter),)

    @property
    def subject(self) -> Target | None:
        event = self.row.item if self.row is not None else None
        return about(event) if isinstance(event, Event) else None

    def step_back(self) -> bool:
        if super().step_back():
            return True
        if self._filter == Filter():
            return False
        self._narrowings = []
        self._choose(Filter())
        return True

    def toggle_background(self) -> None:
        """Show or hide routine events."""
        self._choose(replace(self._filter, background=not self._filter.background))

    def next_kinds(self) -> None:
        """Show only the next group of kinds; after the last group, all kinds."""
        groups = [frozenset(), *KIND_GROUPS.values()]
        place = groups.index(self._filter.kinds) + 1
        self._choose(replace(self._filter, kinds=groups[place % len(groups)]))

    def narrow(self) -> bool:
        """Show only events of the entry's profile; again: of its session; again: of its lane. False if the entry
        names none of them.
        """
        if self._filter.narrowed() == self._filter:
            row = self.row
            self._narrowings = list(narrowings(row.item)) if row is not None else []
            if not self._narrowings:
                return False
        self._choose(self._filter.narrowed(*(self._narrowings.pop(0) if self._narrowings else ())))
        return True

    def _choose(self, chosen: Filter) -> None:
        self._filter = chosen
        self.refresh_state()
