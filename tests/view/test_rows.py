"""Rows of the overview, cell by cell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC
from typing import Any

import pytest

from clawtop.commands import Context, Target, TargetKind, command, why_not
from clawtop.core.carried import Lineage
from clawtop.core.incident.timeline import Filter
from clawtop.core.model import (
    NOT_IMPORTED,
    Event,
    EventKind,
    ModelRef,
    Problem,
    Profile,
    Session,
    Snapshot,
    UsageStats,
    VerdictKind,
)
from clawtop.core.operations.edit import FieldChange
from clawtop.view.columns import Env, Sorting, Table, chosen, placed, render_cells, render_row
from clawtop.view.detail import detail_lines
from clawtop.view.facts import Facts, Memory
from clawtop.view.line import Line, Tone, text_of
from clawtop.view.ordering import keep_order
from clawtop.view.row_sessions import events_of, overview_row
from clawtop.view.rows import lock_table, profile_table, session_table, trouble_table, warning_table
from tests.support import worlds
from tests.support.worlds import CALM, HOUR, INCIDENT, MINUTE, NOW, SECOND, agent, cooling, profile

WIDE = 400


def env_of(snapshot: Snapshot, *, now: int = NOW, only: str | None = None) -> Env:
    return Env(Facts(snapshot, now, only), now, UTC)


def cells(table: Table[Any], key: str, now: int | None = None) -> dict[str, str]:
    row = next(row for row in table.rows if row.key == key)
    env = table.env if now is None else replace(table.env, now=now)
    return {column.id: text_of(column.render(row.item, env)).strip() for column in table.columns}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("is missing, although sessions ran", "Not read: openclaw-agent.sqlite is missing, although sessions ran."),
        ("no permission to read it", "Not read: no permission to read it."),
    ],
)
def test_a_list_that_was_not_read_names_the_file_that_its_problem_is_about(text: str, said: str) -> None:
    unread = (Problem("missing", "/state/agents/main/agent/openclaw-agent.sqlite", text, agent="main"),)
    table = session_table(env_of(replace(CALM, sessions=(), sessions_unread=unread)))
    assert text_of(table.empty) == said


def test_a_provider_counts_and_heads_its_profiles_as_the_gateway_knows_them() -> None:
    changes = [FieldChange("usageStats", "openai:a", "cooldownUntil", NOW + HOUR, None).to_json()]
    undo = {"agent": "main", "changes": changes}
    data = {"id": "op-1", "kind": "clear", "title": "clear", "outcome": "done", "undo": undo}
    cleared = Event(NOW - SECOND, EventKind.OPERATION, "operation", "done", data=data)
    profiles = (profile("openai:a"), profile("openai:b"))
    table = profile_table(env_of(replace(CALM, agents=(agent("main", profiles),), events=(cleared,))))
    heading = next(row for row in table.rows if row.band)
    assert text_of(table.title_note) == "1/2"
    assert "1 of 2 usable, 1 not loaded by the gateway yet" in text_of(table.band(heading.item, table.env))


@pytest.mark.parametrize(
    ("warnings", "said"),
    [
        ((), "paste-token` adds one"),
        (
            (Problem(NOT_IMPORTED, "/s/auth-profiles.json", "2 profiles were never imported"),),
            "`openclaw doctor --fix`",
        ),
    ],
)
def test_why_there_are_no_profiles(warnings: tuple[Problem, ...], said: str) -> None:
    table = profile_table(env_of(replace(CALM, agents=(agent("main", ()),), warnings=warnings)))
    assert said in text_of(table.empty)


def one(stats: UsageStats, **facts: Any) -> Table[Any]:
    return profile_table(env_of(replace(CALM, agents=(agent("main", (profile("openai:x", stats, **facts),)),))))


@pytest.mark.parametrize(
    ("stats", "expected"),
    [
        (UsageStats(), {"state": "● usable", "left": "", "window": "", "reason": "", "errors": "-", "used": "-"}),
        (
            cooling(22 * SECOND, since=8 * SECOND),
            {"state": "◐ cooling", "left": "22s", "window": "━━━━━━──", "reason": "rate_limit", "model": "all"},
        ),
        (
            cooling(17 * SECOND, model="gpt-5.2"),
            {"state": "◐ cooling", "left": "17s", "reason": "rate_limit", "model": "gpt-5.2"},
        ),
        (
            UsageStats(disabled_until=NOW + 7 * HOUR, disabled_reason="billing", error_count=2),
            {"state": "✗ disabled", "left": "7h00m", "window": "━━━━━━━━", "reason": "billing", "errors": "×2"},
        ),
        (
            UsageStats(blocked_until=NOW + HOUR, blocked_reason="subscription_limit"),
            {"state": "‖ blocked", "left": "1h00m", "reason": "subscription_limit"},
        ),
        (
            UsageStats(cooldown_until=NOW - MINUTE, cooldown_reason="rate_limit"),
            {"state": "● usable", "left": "", "reason": "lapsed-window"},
        ),
        (
            UsageStats(cooldown_until=NOW // 1000 + 60, cooldown_reason="rate_limit"),
            {"state": "● usable", "left": "", "reason": "seconds-not-ms"},
        ),
        (UsageStats(last_used=NOW + 2 * HOUR), {"state": "● usable", "reason": "clock-skew", "used": "+2h00m"}),
    ],
    ids=["fresh", "cooling", "scoped", "disabled", "blocked", "lapsed", "seconds", "skewed"],
)
def test_a_profile(stats: UsageStats, expected: dict[str, str]) -> None:
    shown = cells(one(stats), "openai:x@main")
    assert {name: shown[name] for name in expected} == expected


def test_rows_without_their_heading_name_their_agents() -> None:
    several = tuple(
        agent(name, (profile("anthropic:work", cooling(hours * HOUR)),)) for hours, name in ((1, "main"), (2, "ops"))
    )
    table = profile_table(env_of(replace(CALM, agents=several)))

    def rows(*, grouped: bool) -> list[str]:
        env = replace(table.env, grouped=grouped)
        columns = placed(chosen(table.columns, (), grouped=grouped), 79, table.needs_in(env))
        return [text_of(render_row(row, table, columns, env)) for row in table.rows if not row.band]

    assert [text.split()[1:3] for text in rows(grouped=False)] == [
        ["anthropic:work", "main"],
        ["anthropic:work", "ops"],
    ]
    assert not any(name in text for text in rows(grouped=True) for name in ("anthropic", "main", "ops"))


@pytest.mark.parametrize(("count", "shown"), [(99, "×99"), (100, "×100"), (9_999, "×9999"), (10_000, "×9999+")])
@pytest.mark.parametrize("width", [60, 80, 100, 104, 120, 200])
def test_no_count_loses_a_digit(count: int, shown: str, width: int) -> None:
    table = one(replace(cooling(22 * SECOND), error_count=count))
    columns = placed(table.columns, width, table.needs)
    (row,) = [row for row in table.rows if row.key == "openai:x@main"]
    cell = dict(zip((column.id for column, _ in columns), render_cells(row, table, columns, table.env), strict=True))
    assert text_of(cell["errors"]).strip() == shown


def test_countdowns_move_without_a_new_snapshot() -> None:
    table = one(cooling(22 * SECOND, since=8 * SECOND))
    later = cells(table, "openai:x@main", NOW + 12 * SECOND)
    assert (later["left"], later["window"]) == ("10s", "━━╸─────")


def test_facts_say_when_they_must_be_judged_anew() -> None:
    snapshot = replace(CALM, sessions=(), agents=(agent("main", (profile("openai:x", cooling(22 * SECOND)),)),))
    facts = Facts(snapshot, NOW)
    assert facts.changes_at == NOW + 22 * SECOND
    after = Facts(snapshot, NOW + 22 * SECOND)
    assert after.changes_at is None
    assert after.providers[0].usable == 1


def drawn(table: Table[Any]) -> tuple[object, ...]:
    """All that a table says."""
    rows = [(row.key, row.target, row.band) for row in table.rows]
    return rows, table.texts, table.needs, table.title_note, table.arranged("", Sorting("state", descending=True))


@pytest.mark.parametrize("make", [profile_table, session_table, lock_table])
def test_a_table_that_was_kept_says_what_a_new_one_would(make: Callable[[Env], Table[Any]]) -> None:
    memory, before, kept = Memory(), None, 0
    for later in (0, SECOND, 20 * SECOND, 23 * SECOND, 2 * MINUTE, 5 * MINUTE, HOUR, HOUR + SECOND, 30 * HOUR):
        now = NOW + later
        table = make(Env(Facts(INCIDENT, now, memory=memory), now, UTC))
        assert drawn(table) == drawn(make(env_of(INCIDENT, now=now)))
        kept += before is table.rows
        before = table.rows
    assert kept > 1, "none was kept"


def test_a_table_is_not_kept_for_other_labels_or_another_snapshot() -> None:
    memory = Memory()
    label = "the session that the whole reef asks about"

    def facts(snapshot: Snapshot, labels: dict[str, str]) -> Env:
        return Env(Facts(snapshot, NOW, memory=memory, labels=labels), NOW, UTC)

    assert session_table(facts(INCIDENT, {})).needs["session"] < len(label)
    assert session_table(facts(INCIDENT, {INCIDENT.sessions[0].key: label})).needs["session"] == len(label)
    assert lock_table(facts(INCIDENT, {})).rows
    assert not lock_table(facts(replace(INCIDENT, locks=()), {})).rows


def test_profiles_stand_in_the_order_of_trying_below_their_provider() -> None:
    table = profile_table(env_of(INCIDENT, only="main"))
    assert [row.key for row in table.rows if row.item and "anthropic" in row.key] == [
        "anthropic@main",
        "anthropic:max-reef@main",
        "anthropic:max-tide@main",
        "anthropic:team-key@main",
    ]
    marked = [row.key for row in table.rows if not row.band and cells(table, row.key)["profile"].startswith("▸")]
    assert marked == ["openai:legacy@main", "google:vertex@main"]


def test_a_provider_whose_only_usable_profile_cools_for_the_model_asked_first_says_so() -> None:
    scoped = profile("openai:a", cooling(17 * SECOND, model="gpt-5.2"))
    out = profile("openai:b", cooling(90 * SECOND))
    models = (ModelRef("openai", "gpt-5.2"), ModelRef("openai", "gpt-5.2-mini"))
    both = replace(agent("main", (scoped, out)), models=models)
    assert text_of(row_line(replace(CALM, agents=(both,)), "openai@main")).rstrip() == "openai · 1 of 2 usable"
    assert cells(profile_table(env_of(replace(CALM, agents=(both,)))), "openai:a@main")["state"] == "◐ scoped"


def test_a_provider_whose_only_model_cools_is_out() -> None:
    scoped = profile("openai:a", cooling(17 * SECOND, model="gpt-5.2"))
    out = profile("openai:b", cooling(90 * SECOND))
    only = replace(agent("main", (scoped, out)), models=(ModelRef("openai", "gpt-5.2"),))
    snapshot = replace(CALM, agents=(only,))
    assert text_of(row_line(snapshot, "openai@main")).rstrip() == "openai · none usable, first back in 17s"


def test_rows_of_a_store_that_cannot_be_read_any_more_are_said_to_be_of_the_last_reading() -> None:
    main = agent("main", (profile("openai:a"),))
    assert main.store is not None
    broken = replace(main, store=replace(main.store, problem=Problem("corrupt", "/x", "is damaged")))
    assert text_of(row_line(replace(CALM, agents=(main,)), "openai@main")).rstrip() == "openai · 1 of 1 usable"
    told = text_of(row_line(replace(CALM, agents=(broken,)), "openai@main")).rstrip()
    assert told == "openai · 1 of 1 usable · as last read"


def test_agents_that_see_a_provider_alike_share_its_rows() -> None:
    bands = [text_of(row_line(INCIDENT, key)).rstrip() for key in ("anthropic@main", "anthropic@coder", "google@main")]
    assert bands == [
        "anthropic · none usable, first back in 22s · main, ops",
        "anthropic · none usable, first back in 22s · coder",
        "google · 1 of 2 usable · all agents",
    ]


def row_line(snapshot: Snapshot, key: str) -> Line:
    table = profile_table(env_of(snapshot))
    row = next(row for row in table.rows if row.key == key)
    return render_row(row, table, placed(table.columns, WIDE), table.env)


def test_an_inherited_profile_names_its_owner_and_a_stored_order_leaves_profiles_out() -> None:
    table = profile_table(env_of(INCIDENT))
    assert cells(table, "openai:prod@coder")["owner"] == "← main"
    assert cells(table, "anthropic:coder-own@coder")["owner"] == ""
    assert cells(table, "openai:legacy@coder")["state"] == "○ unlisted"
    assert "owner" not in cells(profile_table(env_of(CALM)), "openai:prod@main")


def test_targets_carry_exact_ids() -> None:
    hostile = "openai:\x1b[31m[/red]\u202e" + "x" * 10_000
    table = profile_table(env_of(replace(CALM, agents=(agent("main", (profile(hostile),)),))))
    target = table.rows[1].target
    assert target is not None
    assert (target.kind, target.id, target.agent, target.provider) == (TargetKind.PROFILE, hostile, "main", "openai")
    line = text_of(render_row(table.rows[1], table, placed(table.columns, 100), table.env))
    assert "\x1b" not in line
    assert "\u202e" not in line


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (
            0,
            {
                "status": "▶ running",
                "age": "12m",
                "holder": "4711 prompt",
                "waiters": "2",
                "trouble": "long turn, 2 waiting",
            },
        ),
        (1, {"status": "▶ running", "age": "51s", "holder": "", "trouble": ""}),
        (2, {"status": "○ ghost", "age": "42m", "holder": "dead 3120", "trouble": ""}),
        (3, {"status": "✗ failed", "trouble": "", "profile": "⊙anthropic:max-reef"}),
        (6, {"status": "‖ suspended", "trouble": "quota"}),
        (7, {"status": "⧗ timeout", "age": "17m"}),
        (8, {"status": "⊘ killed", "lane": "subagent"}),
        (9, {"status": "◌ running?"}),
        (12, {"status": "· idle", "age": "3d00h"}),
        (13, {"session": "matrix:group:[/red]\\x1b[31m!\\u202eroom"}),
    ],
)
def test_a_session(number: int, expected: dict[str, str]) -> None:
    session = INCIDENT.sessions[number]
    shown = cells(session_table(env_of(INCIDENT)), f"{session.agent}|{session.key}")
    assert {name: shown[name] for name in expected} == expected


def test_sessions_that_need_a_hand_come_first_then_running_ones_then_recent_ones() -> None:
    items: list[Session] = [row.item for row in session_table(env_of(INCIDENT)).rows]
    assert [INCIDENT.sessions.index(item) for item in items] == [0, 6, 2, 5, 1, 9, 3, 4, 7, 8, 10, 11, 13, 12]


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (0, {"verdict": "✗ stale", "proof": "owner is dead", "owner": "3120", "openclaw": "removes it"}),
        (1, {"verdict": "● held", "age": "6m12s", "owner": "4711 openclaw", "openclaw": "keeps it", "traffic": "34"}),
        (2, {"verdict": "● held", "age": "0.3s", "limit": "╸───── 5m00s", "lock": "discord:channel:deploys"}),
        (3, {"verdict": "◌ unknown", "proof": "empty file", "owner": "unknown", "lock": "coder: auth store"}),
        (4, {"kind": "gateway", "limit": "", "lock": "gateway.5be1c6d0.lock"}),
    ],
)
def test_a_lock(number: int, expected: dict[str, str]) -> None:
    shown = cells(lock_table(env_of(INCIDENT)), INCIDENT.locks[number].file.path)
    assert {name: shown[name] for name in expected} == expected


def test_a_lock_over_its_limit_is_loud() -> None:
    table = lock_table(env_of(INCIDENT))
    ages = next(column for column in table.columns if column.id == "age")
    tones = {row.key: ages.render(row.item, table.env)[0][1] for row in table.rows}
    assert [tones[lock.file.path] for lock in INCIDENT.locks] == [Tone.BAD, Tone.BAD, Tone.PLAIN, Tone.BAD, Tone.PLAIN]


def test_sessions_of_two_agents_with_one_key_are_two_rows_and_stay_two() -> None:
    twins = tuple(Session(name, "global", f"of-{name}", None, updated_at=NOW) for name in ("main", "ops"))
    world = replace(CALM, agents=(agent("main", ()), agent("ops", ())), sessions=twins)
    rows = session_table(env_of(world)).rows
    assert {row.target.agent for row in rows if row.target} == {"main", "ops"}
    assert len({row.key for row in rows}) == 2
    assert len(keep_order(rows, tuple(reversed(rows)))) == 2


def test_of_two_agents_with_one_key_the_asked_ones_session_is_found() -> None:
    twins = tuple(Session(name, "global", f"of-{name}", None, updated_at=NOW) for name in ("main", "ops"))
    facts = env_of(replace(CALM, agents=(agent("main", ()), agent("ops", ())), sessions=twins)).facts
    assert [facts.session("global", name) for name in ("main", "ops", None)] == [*twins, twins[0]]
    assert facts.session("global", "coder") is None


def test_one_agent_alone() -> None:
    env = env_of(INCIDENT, only="coder")
    assert {row.item.agent for row in session_table(env).rows} == {"coder"}
    assert [row.item.file.agent for row in lock_table(env).rows] == ["coder", None, "coder"]
    assert "agent" not in [column.id for column in session_table(env).columns]


def test_the_warnings_table_holds_each_problem_once() -> None:
    table = warning_table(env_of(INCIDENT))
    codes = [row.item.code for row in table.rows]
    assert codes == ["heartbeat-not-isolated", "jammed-auth-lock", "seconds-not-ms", "lapsed-window", "ghost"]


def test_lock_traffic_is_told_even_when_no_lock_stands() -> None:
    table = lock_table(env_of(replace(CALM, locks=(), lock_traffic={"/x.lock": 7})))
    assert text_of(table.empty) == "No locks now. 7 locks came and went within a minute."


def test_every_column_sorts_or_says_that_it_does_not() -> None:
    makers: tuple[Callable[[Env], Table[Any]], ...] = (profile_table, session_table, lock_table, warning_table)
    for table in (make(env_of(INCIDENT)) for make in makers):
        for column in table.columns:
            values = [column.sort(row.item, table.env) for row in table.rows if column.sort and not row.band]
            sorted(value for value in values if value is not None)


def test_profiles_of_ten_thousand_characters_stay_on_their_line() -> None:
    item: Profile = profile("openai:" + "y" * 10_000)
    table = profile_table(env_of(replace(worlds.CALM, agents=(agent("main", (item,)),))))
    line = text_of(render_row(table.rows[1], table, placed(table.columns, 78), table.env))
    assert len(line) == 78


def test_a_session_is_called_by_its_label_else_its_own_name_else_its_key() -> None:
    plain = INCIDENT.sessions[0]
    named = replace(plain, name="Tide talk")
    world = replace(INCIDENT, sessions=(named, *INCIDENT.sessions[1:]))
    key = f"{plain.agent}|{plain.key}"
    assert cells(session_table(env_of(INCIDENT)), key)["session"] == "telegram:group:-100238841"
    assert cells(session_table(env_of(world)), key)["session"] == "Tide talk"
    labelled = Env(Facts(world, NOW, labels={plain.key: "the family"}), NOW, UTC)
    assert cells(session_table(labelled), key)["session"] == "the family"


def test_the_warnings_screen_says_first_what_the_headline_says() -> None:
    for snapshot in (INCIDENT, worlds.OUT):
        env = env_of(snapshot)
        rows = [row.item for row in trouble_table(env).rows]
        told = [cause.code for cause in env.facts.health.causes if cause.code not in {"problems", "profiles-resting"}]
        assert [row.code for row in rows[: len(told)]] == told
        assert rows[len(told) :] == [row.item for row in warning_table(env).rows]
    table = trouble_table(env_of(INCIDENT))
    (stale,) = (row for row in table.rows if row.item.code == "stale-lock")
    session = next(lock.file for lock in INCIDENT.locks if lock.verdict.kind is VerdictKind.STALE)
    assert session.session_id is not None
    assert stale.target is not None
    assert stale.target.session_key in {s.key for s in INCIDENT.sessions if s.session_id == session.session_id}


def test_a_warning_that_names_a_session_leads_to_it() -> None:
    named = [row.target for row in trouble_table(env_of(INCIDENT)).rows if row.item.code == "ghost"]
    assert [(target.session_key, target.agent) for target in named if target] == [
        (session.key, session.agent) for session in INCIDENT.sessions if "ghost" in {p.code for p in session.problems}
    ]
    for target in named:
        assert target is not None
        assert target.session_key is not None
        row = overview_row(INCIDENT, target)
        assert row is not None
        assert (row.kind, row.id) == (TargetKind.SESSION, target.session_key)
        assert events_of(INCIDENT, target) == Filter(session=target.session_key, background=True)
        for command_id in ("jump", "only"):
            assert why_not(command(command_id), Context(INCIDENT, target, view="warnings")) is None
    silent = Target(TargetKind.WARNING, "heartbeat-not-isolated: x: y")
    for command_id in ("jump", "only"):
        assert why_not(command(command_id), Context(INCIDENT, silent, view="warnings")) == "this row names no session"


def test_sessions_are_sorted_by_the_names_that_are_shown() -> None:
    labels = {session.key: f"{'Aa'[n % 2]}{9 - n}" for n, session in enumerate(INCIDENT.sessions)}
    for named in (labels, {}):
        table = session_table(Env(Facts(INCIDENT, NOW, labels=named), NOW, UTC))
        column = next(column for column in table.columns if column.id == "session")
        by = column.sort
        assert by is not None
        ordered = sorted(table.rows, key=lambda row, by=by, env=table.env: by(row.item, env))  # type: ignore[misc]
        shown = [cells(table, row.key)["session"].casefold() for row in ordered]
        assert shown == sorted(shown)


def test_a_warning_of_two_agents_opens_the_page_of_the_row_it_was_opened_from() -> None:
    told = [Problem("heartbeat-not-isolated", "openclaw.json", "shares its session", agent=name) for name in "ab"]
    env = env_of(replace(INCIDENT, warnings=tuple(told)))
    rows = [row for row in warning_table(env).rows if row.item in told]
    pages = ["\n".join(map(text_of, detail_lines(row.target, env, 80))) for row in rows]
    assert [page.count("agent      a") for page in pages] == [1, 0]
    assert [page.count("agent      b") for page in pages] == [0, 1]


def test_of_several_places_the_first_is_whole_and_the_others_are_counted() -> None:
    places = "agent:main:telegram:direct:1, agent:ops:telegram:direct:2, agent:coder:telegram:direct:3"
    env = env_of(replace(INCIDENT, warnings=(Problem("blocked", places, "3 sessions blocked"),)))
    row = next(row for row in warning_table(env).rows if row.item.where == places)
    assert cells(warning_table(env), row.key)["where"] == "main:telegram:direct:1 +2"
    page = [text_of(line) for line in detail_lines(row.target, env, 80)]
    assert [line.split()[-1] for line in page if "telegram" in line] == places.split(", ")


def test_a_lock_from_the_future_says_how_far_ahead_it_is_wherever_it_stands() -> None:
    lock = replace(INCIDENT.locks[0], created_at=NOW + 3 * HOUR)
    env = env_of(replace(INCIDENT, locks=(lock,)))
    (row,) = lock_table(env).rows
    assert cells(lock_table(env), row.key)["age"] == "+3h00m"
    assert "3h00m ahead of the clock" in "\n".join(map(text_of, detail_lines(row.target, env, 100)))


@pytest.mark.parametrize("held", [1, 2, 40])
def test_held_sessions_stand_among_those_that_run_however_many_they_are(held: int) -> None:
    idle = replace(INCIDENT.sessions[0], problems=(), active=False, status="done", suspension=None, witnesses=())
    line = Lineage[Session]()

    def listed() -> tuple[Session, ...]:
        rows = (replace(idle, key=f"s{n}", file=f"/s{n}", updated_at=NOW - n, ended_at=None) for n in range(130))
        return line.rows(rows)

    world = replace(CALM, sessions=listed())
    before = [row.item.key for row in session_table(env_of(world)).rows]
    holders = tuple(replace(INCIDENT.holders[0], session_file=f"/s{129 - n}", waiters=()) for n in range(held))
    world = replace(world, sessions=listed(), holders=holders)  # equal rows, which are other objects
    after = [row.item.key for row in session_table(env_of(world)).rows]
    assert sorted(after) == sorted(before)
    assert sorted(after[:held]) == sorted(before[-held:])
    assert after[held:] == before[:-held]
