"""The overview as text: `clawtop status`, dumb terminals, golden tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import tzinfo
from typing import Any

from clawtop.commands import Arming
from clawtop.core.health.judgement import Health
from clawtop.core.model import Snapshot
from clawtop.core.session.key import short_key
from clawtop.text import safe, shown
from clawtop.view.columns import Env, Table, chosen, full, heading, placed, render_row
from clawtop.view.facts import NO_LABELS, Facts
from clawtop.view.fitting import cut
from clawtop.view.headline import first_line, headline
from clawtop.view.humanize import duration
from clawtop.view.line import Line, Tone, text_of
from clawtop.view.provider_times import provider_time_words
from clawtop.view.rows import lock_table, profile_table, session_table, warning_table
from clawtop.view.words import log_words

MOST_ROWS = 40
"""Rows shown of each table; the rest is counted."""

MESSAGE_CHARS = 1_000


def plain_lines(
    snapshot: Snapshot,
    now: int,
    width: int,
    *,
    agent: str | None = None,
    zone: tzinfo | None = None,
    most_rows: int = MOST_ROWS,
    wide: bool = False,
    labels: Mapping[str, str] = NO_LABELS,
    health: Health | None = None,
) -> list[str]:
    """The overview as lines of at most `width` cells without trailing blanks.

    Args:
        now: what countdowns and ages count from (ms since epoch).
        wide: every column and every id in full, however long the lines get.
        labels: session key -> the operator's label.
        health: if all agents were already judged.
        zone: of the clock times; None is this machine's.
    """
    env = Env(Facts(snapshot, now, agent, labels=labels, health=health), now, zone, grouped=not wide)
    tables: list[Table[Any]] = [profile_table(env), session_table(env), lock_table(env)]
    warnings = warning_table(env)
    if warnings.rows:
        tables.append(warnings)
    lines: list[Line] = [first_line(env, width, Arming.READ_ONLY), *headline(env, None if wide else width)]
    for table in tables:
        lines.extend([(), *_table(table, None if wide else width, most_rows)])
    lines.extend(_provider_times(env))
    if snapshot.log_how:
        lines.extend([(), ((f" {log_words(snapshot.log_paths, snapshot.log_how)}", Tone.DIM),)])
    texts = (text_of(line if wide else cut(line, width)).rstrip() for line in lines)
    return list(texts)


def _provider_times(env: Env) -> list[Line]:
    """One line per account of which its provider said when it may be asked again."""
    told = ((profile.id, provider_time_words(profile, env.now, env.zone)) for profile in env.facts.snapshot.profiles)
    lines: list[Line] = [((f" {safe(id_)}: its provider {words}", Tone.WARN),) for id_, words in told if words]
    return [(), *lines] if lines else []


def message_lines(health: Health, now: int, texts: Mapping[tuple[str, str], str | None]) -> list[str]:
    """One line per unanswered message: how long it has waited, where, and its text by agent and session."""
    lines: list[str] = []
    for one in health.waiting.unanswered:
        said = texts.get((one.agent, one.session))
        words = shown(said, MESSAGE_CHARS) if said is not None else "its text is no longer at the end of the transcript"
        where = f"{safe(one.agent, 40)}, {safe(short_key(one.session), 80)}"
        lines.append(f" unanswered for {duration(now - one.since)}: {where}: {words}")
    return ["", *lines] if lines else []


def table_title(table: Table[Any], tone: Tone = Tone.TITLE) -> Line:
    """A table's name and count."""
    return ((f"{table.title} ", tone), *table.title_note)


def _table(table: Table[Any], width: int | None, most_rows: int) -> Sequence[Line]:
    shown = chosen(table.columns, (), grouped=table.env.grouped)
    columns = full(shown, table.needs) if width is None else placed(shown, width, table.needs)
    lines: list[Line] = [heading(columns, None, table_title(table))]
    if not table.rows:
        return [*lines, ((" ", Tone.PLAIN), *table.empty)]
    lines.extend(render_row(row, table, columns, table.env) for row in table.rows[:most_rows])
    if len(table.rows) > most_rows:
        lines.append(((f" and {len(table.rows) - most_rows} more", Tone.DIM),))
    return lines
