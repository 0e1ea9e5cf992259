"""An incident as text made to be pasted into an issue: the state, what blocks what, how it came to this."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC
from typing import Any

from clawtop.core.model import Snapshot
from clawtop.text import safe, shown
from clawtop.view.columns import Env, Table, heading, placed, plain_row
from clawtop.view.facts import Facts
from clawtop.view.forecast_rows import forecast_table, stranded_table
from clawtop.view.humanize import time_near
from clawtop.view.lane_rows import lane_table, worst_table
from clawtop.view.line import text_of
from clawtop.view.plain import plain_lines, table_title
from clawtop.view.timeline_rows import timeline_table
from clawtop.view.tree_rows import tree_table

WIDTH = 118
MOST_ROWS = 200


def incident_lines(snapshot: Snapshot, now: int, versions: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Markdown, one section for each screen. Times are UTC. `versions`: what ran, by name."""
    env = Env(Facts(snapshot, now), now, UTC)
    yield f"# clawtop incident · {safe(snapshot.host)} · {time_near(now, 0, UTC)} UTC"
    yield ""
    yield from _fenced(f"{safe(name)}: {safe(version)}" for name, version in versions)
    yield from _section("Status", plain_lines(snapshot, now, WIDTH, zone=UTC, most_rows=MOST_ROWS))
    tables: tuple[tuple[str, Table[Any]], ...] = (
        ("Who waits for whom", tree_table(env)),
        ("Forecast", forecast_table(env)),
        ("Pinned to what cannot serve", stranded_table(env)),
        ("Lanes", lane_table(env)),
        ("Worst sessions", worst_table(env)),
        ("Timeline", timeline_table(env)),
    )
    for title, table in tables:
        yield from _section(title, _rows(table))
    warnings = [f"{safe(item.code)}  {safe(item.where)}\n    {shown(item.text)}" for item in snapshot.warnings]
    yield from _section("Warnings", warnings or ["none"])


def _rows(table: Table[Any]) -> Iterator[str]:
    columns = placed(table.columns, WIDTH)
    yield text_of(heading(columns, None, table_title(table))).rstrip()
    if not table.rows:
        yield text_of(table.empty)
    for row in table.rows[:MOST_ROWS]:
        yield plain_row(row, table, columns, table.env)
    if len(table.rows) > MOST_ROWS:
        yield f"and {len(table.rows) - MOST_ROWS} more"


def _section(title: str, lines: Iterable[str]) -> Iterator[str]:
    yield f"## {title}"
    yield ""
    yield from _fenced(lines)


def _fenced(lines: Iterable[str]) -> Iterator[str]:
    yield "~~~~text"
    yield from lines
    yield "~~~~"
    yield ""
