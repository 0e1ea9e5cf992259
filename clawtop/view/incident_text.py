"""An incident as text for pasting into an issue: the state, what blocks what, what led up to it."""

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
MOST_CHARACTERS = 45_000
"""Maximum characters of the text: GitHub takes 65,536 in all, and the recording follows it."""

ROWS = (200, 100, 60, 40, 25, 15, 8, 4)
"""Rows of each table, fewer until the text is short enough; the longest tables lose first."""


def incident_text(snapshot: Snapshot, now: int, versions: Iterable[tuple[str, str]]) -> str:
    """Markdown of about `MOST_CHARACTERS`, a section for each screen. Times are UTC. `versions`: what ran, by name."""
    ran = tuple(versions)
    text = ""
    for rows in ROWS:
        text = "\n".join(_lines(snapshot, now, ran, rows))
        if len(text) <= MOST_CHARACTERS:
            break
    return text


def _lines(snapshot: Snapshot, now: int, versions: Iterable[tuple[str, str]], most_rows: int) -> Iterator[str]:
    env = Env(Facts(snapshot, now), now, UTC)
    yield f"# clawtop incident · {safe(snapshot.host)} · {time_near(now, 0, UTC)} UTC"
    yield ""
    yield from _fenced(f"{safe(name)}: {shown(version)}" for name, version in versions)
    yield from _section("Status", plain_lines(snapshot, now, WIDTH, zone=UTC, most_rows=most_rows))
    tables: tuple[tuple[str, Table[Any]], ...] = (
        ("Who waits for whom", tree_table(env)),
        ("Forecast", forecast_table(env)),
        ("Pinned to unusable profiles", stranded_table(env)),
        ("Lanes", lane_table(env)),
        ("Worst sessions", worst_table(env)),
        ("Timeline", timeline_table(env)),
    )
    for title, table in tables:
        yield from _section(title, table_lines(table, most_rows))
    warnings = [f"{safe(item.code)}  {safe(item.where)}\n    {shown(item.text)}" for item in snapshot.warnings]
    more = [f"and {len(warnings) - most_rows} more"] if len(warnings) > most_rows else []
    yield from _section("Warnings", [*warnings[:most_rows], *more] or ["none"])


def table_lines(table: Table[Any], most_rows: int) -> Iterator[str]:
    """A table as text: its heading and at most so many rows."""
    columns = placed(table.columns, WIDTH, table.needs)
    yield text_of(heading(columns, None, table_title(table))).rstrip()
    if not table.rows:
        yield text_of(table.empty)
    for row in table.rows[:most_rows]:
        yield plain_row(row, table, columns, table.env)
    if len(table.rows) > most_rows:
        yield f"and {len(table.rows) - most_rows} more"


def _section(title: str, lines: Iterable[str]) -> Iterator[str]:
    yield f"## {title}"
    yield ""
    yield from _fenced(lines)


def _fenced(lines: Iterable[str]) -> Iterator[str]:
    yield "~~~~text"
    yield from lines
    yield "~~~~"
    yield ""
