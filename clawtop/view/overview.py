"""The overview as a whole: the layout of its parts, and its first frame, drawn before any widget exists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from enum import StrEnum
from itertools import zip_longest
from typing import Any, NamedTuple

from clawtop.commands import Arming, Context, Target
from clawtop.core.incident.blocking import Severity
from clawtop.values import dataclass
from clawtop.view.columns import CURSOR, MARGIN, MARGIN_WIDTH, Env, Sorting, Table, chosen, heading, placed, render_row
from clawtop.view.detail import detail_lines
from clawtop.view.facts import Facts
from clawtop.view.fitting import fitted, wrapped
from clawtop.view.footer import footer_line
from clawtop.view.headline import first_line, headline, reading_lines
from clawtop.view.line import EMPTY, Line, Tone, scroll_mark
from clawtop.view.ordering import shared_heights
from clawtop.view.plain import table_title
from clawtop.view.rows import lock_table, profile_table, session_table
from clawtop.view.tabs import tabs_line

TABLES = (profile_table, session_table, lock_table)
"""From top to bottom."""

BAR_LINES = 5
"""Lines of first line, headline, names of screens and footer."""
DETAIL_FROM = 112
"""Terminal width from which the detail stands beside the tables."""
DETAIL_WIDTHS = (40, 64)
TABLE_WIDTH = 80
LEAST_HEIGHTS = (6, 5, 3)
MANY = 1_000
"""More rows than any screen has lines."""


def detail_width(width: int) -> int:
    """Cells of the detail on a screen of `width` cells; 0: there is no room for it."""
    return max(DETAIL_WIDTHS[0], min(DETAIL_WIDTHS[1], width - TABLE_WIDTH)) if width >= DETAIL_FROM else 0


def table_heights(room: int, rows: Sequence[int]) -> tuple[int, ...]:
    """The lines that each table gets of `room`, by the number of its rows."""
    return shared_heights(room, tuple(1 + max(1, count) for count in rows), LEAST_HEIGHTS, roomy=1)


def first_view(facts: Facts) -> str:
    """The view that opens first if none was asked for."""
    return "tree" if any(node.severity is not Severity.BUSY for node in facts.tree) else "overview"


class Surface(StrEnum):
    """The background of a line."""

    BASE = "base"
    RAISED = "raised"
    HEAD = "head"
    HEAD_FOCUSED = "head_focused"
    CURSOR = "cursor"
    CURSOR_IDLE = "cursor_idle"


class Stretch(NamedTuple):
    """A line of so many cells."""

    line: Line
    width: int
    surface: Surface = Surface.BASE


@dataclass(frozen=True, slots=True)
class FrameWishes:
    """How the operator wants the dashboard.

    Attributes:
        columns, sorting: table -> the columns to show, and the one to sort by.
        tour: lines above the footer.
        scroll_bars: whether tables that do not fit have one.
    """

    arming: Arming = Arming.READ_ONLY
    columns: Mapping[str, Sequence[str]] = field(default_factory=dict)
    sorting: Mapping[str, str] = field(default_factory=dict)
    tour: Sequence[Line] = ()
    scroll_bars: bool = True


def first_frame(
    env: Env, width: int, height: int, wishes: FrameWishes, *, whole: bool = True
) -> tuple[tuple[Stretch, ...], ...]:
    """The overview as it opens, line by line from the top of the screen: exactly what the widgets will show.

    `whole`: False while only the accounts have been read; then nothing is said that depends on anything else.
    """
    tables = [make(env) for make in TABLES]
    target = _target(tables[0], wishes)
    said = headline(env, width - 1) if whole else reading_lines(env.facts)
    bars = [
        Stretch(first_line(env, width, wishes.arming), width, Surface.RAISED),
        *(Stretch(((" ", Tone.PLAIN), *line), width) for line in said),
        Stretch(tabs_line("overview", env if whole else None, width), width),
    ]
    undoable = whole and env.facts.undoable
    context = Context(env.facts.snapshot, target, wishes.arming, undoable=undoable, view="overview")
    foot = [Stretch(line, width, Surface.RAISED) for line in (*wishes.tour, footer_line(context, width))]
    room = height - len(bars) - len(foot)
    beside = detail_width(width)
    rows = [len(table.rows) for table in tables] if whole else [len(tables[0].rows), MANY, MANY]
    left: list[Stretch] = []
    for place, (table, lines) in enumerate(zip(tables, table_heights(room, rows), strict=True)):
        if place and not whole:
            left += _unread(table, width - beside, lines)
        else:
            left += _table(table, width - beside, lines, wishes, focused=not place)
    right = list(_detail(env, target, beside, len(left))) if beside and whole else []
    filler = Stretch(EMPTY, beside, Surface.RAISED)
    body = ((block, *((other,) if beside else ())) for block, other in zip_longest(left, right, fillvalue=filler))
    return (*((bar,) for bar in bars), *body, *((line,) for line in foot))[:height]


def _target(table: Table[Any], wishes: FrameWishes) -> Target | None:
    return next((row.target for row in table.arranged(sorting=_sorting(table, wishes)) if not row.band), None)


def _sorting(table: Table[Any], wishes: FrameWishes) -> Sorting | None:
    return Sorting.parse(wishes.sorting.get(table.id, ""))


def _table(table: Table[Any], width: int, height: int, wishes: FrameWishes, *, focused: bool) -> Iterator[Stretch]:
    if height < 1:
        return
    sorting = _sorting(table, wishes)
    rows = table.arranged(sorting=sorting)
    inner = width - (wishes.scroll_bars and len(rows) + 1 > height) - MARGIN_WIDTH
    env = Env(table.env.facts, table.env.now, table.env.zone, grouped=sorting is None)
    columns = chosen(table.columns, wishes.columns.get(table.id, ()), grouped=env.grouped)
    across = placed(columns, inner, table.needs_in(env))
    title = table_title(table, Tone.ACCENT if focused else Tone.TITLE)
    surface = Surface.HEAD_FOCUSED if focused else Surface.HEAD
    yield Stretch((MARGIN, *heading(across, sorting, title)), width, surface)
    here = next((index for index, row in enumerate(rows) if not row.band), 0)
    empty = wrapped(table.empty, inner) if not rows else []
    for index in range(height - 1):
        if index < len(rows):
            margin = CURSOR if focused and index == here else MARGIN
            surface = (Surface.CURSOR if focused else Surface.CURSOR_IDLE) if index == here else Surface.BASE
            yield Stretch((margin, *render_row(rows[index], table, across, env)), width, surface)
        else:
            yield Stretch((MARGIN, *empty[index]) if index < len(empty) else EMPTY, width)


def _unread(table: Table[Any], width: int, height: int) -> Iterator[Stretch]:
    if height > 0:
        yield Stretch((MARGIN, (table.title, Tone.TITLE), (" …", Tone.DIM)), width, Surface.HEAD)
    yield from (Stretch(EMPTY, width) for _ in range(height - 1))


def _detail(env: Env, target: Target | None, width: int, height: int) -> Iterator[Stretch]:
    room = max(10, width - 2)
    lines = detail_lines(target, env, room)
    for y, line in enumerate(lines[:height]):
        yield Stretch((MARGIN, *fitted(line, room), scroll_mark(y, 0, height, len(lines))), width, Surface.RAISED)
