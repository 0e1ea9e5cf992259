"""Details of runs, lanes and events; what sources of lanes say; where a replay stands; the text of an incident."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC

import pytest

from clawtop.commands import Target, TargetKind
from clawtop.core.incident.lane_stats import ENGINES
from clawtop.core.incident.metrics import SOURCE as METRICS
from clawtop.core.incident.timeline import KIND_GROUPS, Filter
from clawtop.core.model import (
    GATEWAY_LOG,
    Credential,
    Event,
    EventKind,
    Gateway,
    GatewayHealth,
    GatewayState,
    LaneStats,
    ModelRef,
    Problem,
    ProviderTime,
    Snapshot,
)
from clawtop.view.columns import Env, heading, placed
from clawtop.view.detail import detail_lines
from clawtop.view.facts import Facts
from clawtop.view.forecast_rows import forecast_table
from clawtop.view.incident_text import incident_text
from clawtop.view.lane_rows import lane_table, source_notes, worst_table
from clawtop.view.line import Tone, text_of
from clawtop.view.plain import table_title
from clawtop.view.replay_words import replay_words
from clawtop.view.timeline_rows import about, event_of, timeline_table
from clawtop.view.tree_rows import tree_table
from tests.support.worlds import CALM, HOLDERS, INCIDENT, LOCKS, MINUTE, NOW, SECOND, agent, cooling, profile, saying

WIDTH = 90
TAKEOVER = Event(
    NOW - 9 * SECOND,
    EventKind.TAKEOVER,
    "engine",
    "session file changed",
    agent="main",
    session_key=HOLDERS[0].session_key,
    session_file=HOLDERS[0].session_file,
    lane="heartbeat",
    run_id="run-7c1e",
    provider="anthropic",
    model="claude",
    duration_ms=1_303_727,
    data={"fence": "mtime", "evil": "\x1b[2J"},
)
EARLIER = replace(TAKEOVER, at=NOW - 5 * MINUTE, kind=EventKind.RUN_START, text="run on telegram", data={})
TOLD = replace(INCIDENT, events=(EARLIER, TAKEOVER))


def env(snapshot: Snapshot = TOLD, now: int = NOW) -> Env:
    return Env(Facts(snapshot, now), now, UTC)


def detail(kind: TargetKind, name: str, snapshot: Snapshot = TOLD) -> str:
    return "\n".join(text_of(line) for line in detail_lines(Target(kind, name), env(snapshot), WIDTH))


# --- details -----------------------------------------------------------------------------------------------------


def test_a_run_says_who_holds_since_when_who_waits_and_what_may_go_wrong() -> None:
    text = detail(TargetKind.RUN, "run-7c1e")
    for part in (
        "run run-7c1e",
        "pid 4711, seen by trajectory",
        "12m",
        "heartbeat run run-8810 for 3m00s",
        "gives up in 2m00s",
    ):
        assert part in text
    assert "risk       heartbeat is not isolated" in text
    assert "Its events: 2" in text
    assert HOLDERS[0].session_file[-20:] in text.replace("\n", "")


def test_a_run_of_openclaw_is_found_by_its_transcript() -> None:
    unnamed = replace(INCIDENT, holders=(replace(HOLDERS[1], run_id=None),))
    text = detail(TargetKind.RUN, HOLDERS[1].session_file, unnamed)
    assert text.startswith("a run of OpenClaw")


def test_a_lane_says_what_each_source_tells_and_what_it_does_not() -> None:
    lanes = (
        LaneStats("main", "main", GATEWAY_LOG, 3, 4, 2, 180, 2_400, 61_000),
        LaneStats("main", "main", METRICS, queued=2),
    )
    text = detail(TargetKind.LANE, "main", replace(TOLD, lanes=lanes))
    assert "As reported by gateway-log" in text
    assert "3 at once, 4 places" in text
    assert "half 0.2s, 95 of 100 2.4s, longest 1m01s" in text
    assert "As reported by gateway-metrics" in text
    assert "not reported by this source" in text


def test_a_lane_that_only_events_name_has_a_detail() -> None:
    text = detail(TargetKind.LANE, "heartbeat")
    assert "Its events: 2" in text
    assert "session file changed" in text


def test_an_event_says_everything_about_itself_and_its_run() -> None:
    text = detail(TargetKind.EVENT, f"{TAKEOVER.at}:0")
    for part in (
        "kind       takeover",
        "03:11:58  9s ago",
        "model      anthropic/claude",
        "took       21m43s",
        "fence mtime",
    ):
        assert part in text
    assert "The same run: 1 more" in text
    assert "run on telegram" in text
    assert "\x1b" not in text


@pytest.mark.parametrize("kind", [TargetKind.RUN, TargetKind.LANE, TargetKind.EVENT])
def test_what_is_gone_is_said_to_be_gone(kind: TargetKind) -> None:
    assert "is gone." in detail(kind, "gone:0")


# --- timeline ----------------------------------------------------------------------------------------------------


def test_a_row_keeps_its_key_whatever_else_is_shown() -> None:
    twins = tuple(replace(TAKEOVER, text=f"event {n}", kind=kind) for n, kind in enumerate(list(EventKind)[:9]))
    snapshot = replace(INCIDENT, events=twins)
    for chosen in (Filter(), Filter(background=True), Filter(kinds=frozenset({EventKind.FAILURE}))):
        for row in timeline_table(env(snapshot), chosen).rows:
            assert event_of(snapshot, row.key) == row.item


@pytest.mark.parametrize(
    ("facts", "kind", "name"),
    [
        ({"profile": "p"}, TargetKind.PROFILE, "p"),
        ({"session_key": "s", "lane": "l"}, TargetKind.SESSION, "s"),
        ({"kind": EventKind.LOCK, "session_file": "/s.lock"}, TargetKind.LOCK, "/s.lock"),
        ({"lane": "l"}, TargetKind.LANE, "l"),
    ],
)
def test_what_an_entry_is_about(facts: dict[str, object], kind: TargetKind, name: str) -> None:
    event = replace(Event(NOW, EventKind.NOTICE, "x", "y"), **facts)  # type: ignore[arg-type]
    target = about(event)
    assert target is not None
    assert (target.kind, target.id) == (kind, name)


def test_an_entry_about_nothing() -> None:
    assert about(Event(NOW, EventKind.GATEWAY, "x", "y")) is None


def test_an_empty_timeline_says_where_events_come_from_and_a_filtered_one_that_it_is() -> None:
    assert "Nothing has happened yet" in text_of(timeline_table(env(CALM)).empty)
    assert "of this kind" in text_of(timeline_table(env(), Filter(lane="none")).empty)
    assert "0 · only lane none" in text_of(timeline_table(env(CALM), Filter(lane="none")).title_note)


def test_the_newest_entry_stands_first() -> None:
    assert [row.item.at for row in timeline_table(env(), Filter(background=True)).rows] == [TAKEOVER.at, EARLIER.at]


# --- lanes -------------------------------------------------------------------------------------------------------


def notes(snapshot: Snapshot) -> dict[str, str]:
    return {note.source: note.text for note in source_notes(snapshot)}


def test_the_sources_have_one_name_everywhere() -> None:
    assert [note.source for note in source_notes(CALM)] == [ENGINES, GATEWAY_LOG, METRICS]


def test_each_source_says_why_it_tells_nothing() -> None:
    live = replace(CALM, gateway=Gateway(GatewayState.LIVE, 7, 1))
    dead = replace(CALM, gateway=Gateway(GatewayState.DEAD, 7, 1))
    assert notes(dead)[METRICS] == "asked only while a gateway is live"
    assert notes(live)[METRICS] == "not asked yet"
    refused = replace(
        live, gateway=replace(live.gateway, health=GatewayHealth(NOW, problem="the gateway refuses its token"))
    )
    assert notes(refused)[METRICS] == "the gateway refuses its token"
    silent = replace(live, gateway=replace(live.gateway, health=GatewayHealth(NOW, live=True)))
    assert "diagnostics-prometheus is off" in notes(silent)[METRICS]
    unreadable = replace(CALM, warnings=(Problem("log-unreadable", "/l", "the gateway's log cannot be read: no"),))
    assert notes(unreadable)[GATEWAY_LOG] == "the gateway's log cannot be read: no"
    assert "logging.level debug" in notes(CALM)[GATEWAY_LOG]


def test_notes_stand_below_the_lanes_and_are_no_lanes() -> None:
    table = lane_table(env())
    assert [row.band for row in table.rows] == [False, False, True, True, True]
    assert table.count() == 2
    assert all(row.target is None for row in table.rows if row.band)
    assert [row.key for row in table.arranged("cron")] == ["gateway-log:cron"]


def test_each_figure_of_a_lane_stands_in_its_column_and_an_unknown_one_is_no_zero() -> None:
    lanes = (
        LaneStats("main", "main", GATEWAY_LOG, 3, 4, 2, 180, 2_400, 61_000),
        LaneStats("cron", "cron", METRICS, 0, None, 0, 5, 6, 7),
        LaneStats("channel", "channel", ENGINES),
    )
    table = lane_table(env(replace(TOLD, lanes=lanes)))
    shown = [
        {column.id: text_of(column.render(row.item, table.env)) for column in table.columns}
        for row in table.rows
        if not row.band
    ]
    names = ("load", "queued", "p50", "p95", "max")
    assert [[each[name] for name in names] for each in shown] == [
        ["3/4", "2", "0.2s", "2.4s", "1m01s"],
        ["0", "0", "5ms", "6ms", "7ms"],
        ["-", "-", "-", "-", "-"],
    ]


def test_the_worst_session_and_the_histogram() -> None:
    wait = replace(TAKEOVER, kind=EventKind.WAIT, at=NOW - 1, lane="channel")
    table = worst_table(env(replace(INCIDENT, events=(TAKEOVER, wait))))
    assert text_of(table.title_note) == "1 takeover (heartbeat 1) · 1 collision (channel 1)"
    (row,) = table.rows
    assert (row.item.takeovers, row.item.collisions, row.item.longest_ms) == (1, 1, 1_303_727)


# --- forecast ----------------------------------------------------------------------------------------------------


def test_the_forecast_says_what_the_next_rate_limit_costs() -> None:
    table = forecast_table(env())
    links = [row for row in table.rows if not row.band]
    shown = [text_of(table.columns[0].render(row.item, table.env)).strip() for row in links]
    assert [row.target.named for row in links if row.target is not None] == shown
    cost = next(column for column in table.columns if column.id == "cost")
    cells = {
        (row.item.chain.agent, row.item.link.provider): text_of(cost.render(row.item, table.env))
        for row in table.rows
        if row.item.link is not None
    }
    assert cells["main", "openai"] == "+30s"
    assert cells["main", "anthropic"] == "", "none of it can fail now"


def waves(snapshot: Snapshot, now: int = NOW) -> dict[tuple[str, str], str]:
    table = forecast_table(env(snapshot, now))
    column = next(column for column in table.columns if column.id == "waves")
    return {
        (row.item.chain.agent, row.item.link.provider): text_of(column.render(row.item, table.env))
        for row in table.rows
        if row.item.link is not None
    }


def test_the_forecast_names_every_wave_and_says_what_never_comes_back() -> None:
    first, later = profile("acme:a", cooling(20 * SECOND)), profile("acme:b", cooling(3 * MINUTE))
    gone = profile("dead:a", credential=Credential("token", expires=NOW - MINUTE))
    models = (ModelRef("acme", "m"), ModelRef("dead", "m"), ModelRef("none", "m"))
    snapshot = replace(CALM, agents=(replace(agent("main", (first, later, gone)), models=models),))
    table = forecast_table(env(snapshot))
    shown = [
        {column.id: text_of(column.render(row.item, table.env)).strip() for column in table.columns}
        for row in table.rows
        if not row.band
    ]
    assert [each["back"] for each in shown] == ["20s at 03:12:27", "not by itself", "no account"]
    assert shown[0]["waves"] == "20s: acme:a  3m00s: acme:b"
    assert [each["now"] for each in shown] == ["○ none"] * 3


def test_the_forecast_says_what_a_provider_itself_said() -> None:
    plain = waves(INCIDENT)["main", "anthropic"]
    told = ProviderTime(NOW + 59 * MINUTE, NOW - MINUTE, "rate_limit")
    assert waves(saying(told))["main", "anthropic"] == f"{plain}  its provider says 59m00s: anthropic:max-tide"
    scoped = replace(told, model="of-nobody")
    assert waves(saying(scoped))["main", "anthropic"] == plain, "the link asks another model"
    assert "its provider" not in waves(saying(told), told.until)["main", "anthropic"]


# --- replay ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stands:
    at: int
    end: int = 59 * 60_000 + 58_000
    speed: float = 1
    playing: bool = True
    start: int = 0

    def now_ms(self) -> int:
        return self.at


@pytest.mark.parametrize(
    ("position", "words"),
    [
        (Stands(723_400, speed=4), "REPLAY ▶ 12:03/59:58 ×4"),
        (Stands(0, playing=False), "REPLAY ‖ 00:00/59:58"),
        (Stands(5_000, end=3_723_000, speed=0.25), "REPLAY ▶ 00:05/1:02:03 ×0.25"),
        (Stands(-5), "REPLAY ▶ 00:00/59:58"),
    ],
)
def test_where_a_replay_stands(position: Stands, words: str) -> None:
    assert replay_words(position) == words


# --- the text of an incident -------------------------------------------------------------------------------------


def test_an_incident_tells_everything_and_no_byte_of_it_is_hidden() -> None:
    text = incident_text(TOLD, NOW, (("clawtop", "9.9"), ("openclaw", "2026.5.20 (generation B)")))
    for part in (
        "# clawtop incident · reef-01 · 2026-11-20 03:12 UTC",
        "clawtop: 9.9",
        ": owner is dead",
        "session file changed",
        "heartbeat-not-isolated",
        "gateway-metrics",
    ):
        assert part in text
    assert all(char.isprintable() or char == "\n" for char in text)
    assert text.count("~~~~") % 2 == 0


def test_a_long_incident_loses_rows_of_its_longest_tables_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clawtop.view.incident_text.MOST_CHARACTERS", 20_000)
    events = tuple(replace(TAKEOVER, at=NOW - n, text=f"event {n}") for n in range(900, 0, -1))
    text = incident_text(replace(INCIDENT, events=events), NOW, ())
    assert len(text) <= 20_000
    assert "more" in text.partition("## Timeline")[2]
    assert "## Warnings" in text


def test_the_heading_of_the_timeline_names_the_last_operation_or_what_it_shows_only() -> None:
    before = Event(NOW - 2 * MINUTE, EventKind.OPERATION, "operation", "done: clear openai:old")
    last = Event(NOW - MINUTE, EventKind.OPERATION, "operation", "done: clear openai:spare")
    told = replace(TOLD, events=(before, last, Event(NOW, EventKind.MARK, "journal", "marked")))
    assert text_of(timeline_table(env(told)).title_note) == "3 · 03:11:07 done: clear openai:spare"
    only = Filter(kinds=KIND_GROUPS["gateway"])
    empty = timeline_table(env(told), only)
    title = heading(placed(empty.columns, 79, empty.needs), None, table_title(empty, Tone.TITLE))
    assert "TIMELINE 0 of 3 · only gateway" in text_of(title)


def test_an_entry_about_a_sessions_own_lane_is_about_that_session() -> None:
    waited = Event(NOW, EventKind.WAIT, "gateway-log", "waited", lane=f"session:{HOLDERS[0].session_key}")
    table = timeline_table(env(replace(TOLD, events=(waited,))))
    about_column = next(column for column in table.columns if column.id == "about")
    name = table.env.facts.session_name(HOLDERS[0].session_key or "")
    assert text_of(about_column.render(table.rows[0].item, table.env)) == name


def test_the_tree_says_of_a_lock_from_the_future_how_far_ahead_it_is() -> None:
    lock = replace(LOCKS[3], file=replace(LOCKS[3].file, mtime=NOW + 3 * 3_600_000), created_at=None)
    table = tree_table(env(replace(CALM, locks=(lock,))))
    since = next(column for column in table.columns if column.id == "since")
    assert "+3h00m" in [text_of(since.render(row.item, table.env)) for row in table.rows]
