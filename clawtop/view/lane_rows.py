"""Lanes as a table, and their collisions: takeovers and collisions by class, the worst sessions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from clawtop.commands import Target, TargetKind
from clawtop.core.incident.lane_sources import WORD_EVENTS, WORDS
from clawtop.core.incident.lane_stats import ENGINES, Contention, WorstSession, contention
from clawtop.core.incident.metrics import SOURCE as METRICS
from clawtop.core.model import GATEWAY_LOG, GatewayState, LaneStats, Snapshot, counted
from clawtop.text import safe, shown
from clawtop.values import dataclass
from clawtop.view.columns import Column, Env, Table
from clawtop.view.humanize import age, span, sparkline
from clawtop.view.line import EMPTY, Line, Tone, piece
from clawtop.view.long_rows import TableRow

SPARK_WIDTH = 20
SLOW_MS = 2_000
"""A wait long enough for OpenClaw to warn about."""


def _lane(lane: LaneStats, _env: Env) -> Line:
    return piece(safe(lane.lane), Tone.STRONG)


def _class(lane: LaneStats, _env: Env) -> Line:
    return piece(safe(lane.lane_class), Tone.DIM)


def _load(lane: LaneStats, _env: Env) -> Line:
    if lane.active is None:
        return piece("-", Tone.FAINT)
    full = lane.limit is not None and lane.active >= lane.limit
    limit = "" if lane.limit is None else f"/{lane.limit}"
    return piece(f"{lane.active}{limit}", Tone.WARN if full and lane.queued else Tone.PLAIN)


def _queued(lane: LaneStats, _env: Env) -> Line:
    if lane.queued is None:
        return piece("-", Tone.FAINT)
    return piece(str(lane.queued), Tone.WARN if lane.queued else Tone.FAINT)


def _wait(ms: int | None) -> Line:
    if ms is None:
        return piece("-", Tone.FAINT)
    return piece(span(ms), Tone.WARN if ms >= SLOW_MS else Tone.PLAIN)


def _spark(lane: LaneStats, _env: Env) -> Line:
    return piece(sparkline(lane.waits, SPARK_WIDTH), Tone.INFO) if lane.waits else EMPTY


def _source(lane: LaneStats, _env: Env) -> Line:
    return piece(safe(lane.source), Tone.FAINT)


LANE_COLUMNS: tuple[Column[LaneStats], ...] = (
    Column("lane", "LANE", 28, _lane, lambda lane, _env: lane.lane, grow=40, middle=True),
    Column("class", "CLASS", 11, _class, lambda lane, _env: lane.lane_class, rank=3),
    Column("load", "RUNS", 5, _load, lambda lane, _env: lane.active, right=True),
    Column("queued", "QUEUED", 6, _queued, lambda lane, _env: lane.queued, right=True),
    Column(
        "p50", "P50", 6, lambda lane, _env: _wait(lane.wait_p50_ms), lambda lane, _env: lane.wait_p50_ms, right=True
    ),
    Column(
        "p95", "P95", 6, lambda lane, _env: _wait(lane.wait_p95_ms), lambda lane, _env: lane.wait_p95_ms, right=True
    ),
    Column(
        "max", "MAX", 6, lambda lane, _env: _wait(lane.wait_max_ms), lambda lane, _env: lane.wait_max_ms, right=True
    ),
    Column("spark", "WAITS", SPARK_WIDTH, _spark, rank=2),
    Column("source", "FROM", 15, _source, lambda lane, _env: lane.source, rank=1),
)


def lane_table(env: Env) -> Table[Any]:
    """Every lane that a source reports, busiest first, and below them what each source can report."""
    snapshot = env.facts.snapshot
    lanes = snapshot.lanes
    queued = sum(lane.queued or 0 for lane in lanes)
    rows: list[TableRow[Any]] = [
        TableRow(f"{lane.source}:{lane.lane}", lane, Target(TargetKind.LANE, lane.lane)) for lane in lanes
    ]
    rows += [TableRow(f"note:{note.source}", note, band=True) for note in source_notes(snapshot)]
    return Table(
        "lanes",
        "LANES",
        LANE_COLUMNS,
        tuple(rows),
        env,
        band=_note,
        ids=lambda _lane: "",
        title_note=((f"{len(lanes)}, {queued} queued", Tone.DIM),),
    )


@dataclass(frozen=True, slots=True)
class SourceNote:
    """What one source reports about lanes, or why it reports nothing."""

    source: str
    lanes: int
    text: str


def source_notes(snapshot: Snapshot) -> tuple[SourceNote, ...]:
    """A note for each source, in an operator's words; for the gateway, once it was queried."""
    counts = Counter(lane.source for lane in snapshot.lanes)
    return (
        SourceNote(ENGINES, counts[ENGINES], "prompts held and waiting; queues inside a process are not shown"),
        SourceNote(GATEWAY_LOG, counts[GATEWAY_LOG], _log_text(snapshot, counts[GATEWAY_LOG])),
        SourceNote(METRICS, counts[METRICS], _metrics_text(snapshot)),
        *_words_notes(snapshot, counts),
    )


def _words_notes(snapshot: Snapshot, counts: Mapping[str, int]) -> tuple[SourceNote, ...]:
    words = snapshot.gateway.words
    if words is None:
        return ()
    if words.problem is not None:
        return (SourceNote(WORDS, 0, safe(words.problem, 200)),)
    load = "load of its global lanes; from 2026.8 on"
    waits = "latest queue events; lanes idle since then are missing"
    return (SourceNote(WORDS, counts[WORDS], load), SourceNote(WORD_EVENTS, counts[WORD_EVENTS], waits))


def _log_text(snapshot: Snapshot, lanes: int) -> str:
    odd = next((problem.text for problem in snapshot.warnings if problem.code == "log-unreadable"), None)
    if odd is not None:
        return odd
    if lanes:
        return "its last runs and waits; logged once a wait is over"
    return "needs logging.level debug, 2026.5 or later"


def _metrics_text(snapshot: Snapshot) -> str:
    health = snapshot.gateway.health
    if health is None:
        live = snapshot.gateway.state is GatewayState.LIVE
        return "not asked yet" if live else "asked only while a gateway is live"
    if health.metrics:
        return "queue sizes and waits; no running turns, no limits"
    return health.problem or "diagnostics-prometheus is off, or no token is known"


def _note(item: LaneStats | SourceNote, _env: Env) -> Line:
    if isinstance(item, LaneStats):
        return EMPTY
    return (
        (f"{item.source:<16} ", Tone.BAND),
        (counted(item.lanes, "lane"), Tone.PLAIN),
        (f": {shown(item.text)}", Tone.DIM),
    )


def _worst_session(row: WorstSession, _env: Env) -> Line:
    return piece(safe(row.session))


WORST_COLUMNS: tuple[Column[WorstSession], ...] = (
    Column("session", "SESSION", 40, _worst_session, lambda row, _env: row.session, grow=60, middle=True),
    Column(
        "takeovers",
        "TAKEOVERS",
        9,
        lambda row, _env: _count(row.takeovers),
        lambda row, _env: row.takeovers,
        right=True,
    ),
    Column(
        "collisions",
        "COLLISIONS",
        10,
        lambda row, _env: _count(row.collisions),
        lambda row, _env: row.collisions,
        right=True,
    ),
    Column(
        "longest", "LONGEST", 8, lambda row, _env: _wait(row.longest_ms), lambda row, _env: row.longest_ms, right=True
    ),
    Column("last", "LAST", 7, lambda row, env: piece(age(row.last_at, env.now), Tone.DIM), right=True),
)


def _count(number: int) -> Line:
    return piece(str(number), Tone.BAD if number else Tone.FAINT)


def worst_table(env: Env) -> Table[WorstSession]:
    """The sessions on which lanes collide most."""
    counted_events = contention(env.facts.snapshot.events)
    return Table(
        "worst",
        "WORST SESSIONS",
        WORST_COLUMNS,
        tuple(
            TableRow(row.session, row, Target(TargetKind.SESSION, row.session, session_key=row.session))
            for row in counted_events.worst
        ),
        env,
        band=lambda _item, _env: EMPTY,
        ids=lambda row: safe(row.session),
        empty=_no_session(counted_events),
        title_note=histogram(counted_events),
    )


def _no_session(counted_events: Contention) -> Line:
    """The text for an empty list: none collided, or it is not known which sessions did."""
    if counted_events.takeovers or counted_events.collisions:
        return (("The sessions are not known.", Tone.DIM),)
    return (("No lane has collided with another.", Tone.OK),)


def histogram(counted_events: Contention) -> Line:
    """Takeovers and collisions by lane class in one line, most first."""
    parts = []
    for word, counts in (("takeover", counted_events.takeovers), ("collision", counted_events.collisions)):
        if counts:
            ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
            shares = ", ".join(f"{lane_class} {count}" for lane_class, count in ranked)
            parts.append(f"{counted(sum(counts.values()), word)} ({shares})")
    return ((" · ".join(parts), Tone.DIM),) if parts else ()
