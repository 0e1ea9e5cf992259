"""Rules for every table at every size: what fits stands whole, and rows that differ look different."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest

from clawtop.cells import ELLIPSIS
from clawtop.core.model import Lock, LockFile, LockKind, Problem, Snapshot, VerdictKind
from clawtop.core.settings import VIEWS
from clawtop.view.columns import Env, Table, heading, placed, plain_row, render_cells
from clawtop.view.facts import Facts
from clawtop.view.forecast_rows import forecast_table, stranded_table
from clawtop.view.headline import headline
from clawtop.view.lane_rows import lane_table, worst_table
from clawtop.view.line import text_of, width_of
from clawtop.view.plain import plain_lines
from clawtop.view.report import report
from clawtop.view.rows import lock_table, profile_table, session_table, trouble_table, warning_table
from clawtop.view.tabs import tab_at, tabs_line
from clawtop.view.timeline_rows import timeline_table
from clawtop.view.tree_rows import tree_table
from clawtop.view.warning_columns import all_problems, every_problem, trouble
from clawtop.view.words import VERDICTS
from tests.support.worlds import CALM, INCIDENT, NOW, OUT, TOLD

Maker = Callable[[Env], Table[Any]]
MAKERS: tuple[Maker, ...] = (
    *(profile_table, session_table, lock_table, warning_table),
    *(tree_table, lane_table, worst_table, timeline_table, forecast_table, stranded_table),
)
WORLDS = {"calm": CALM, "incident": INCIDENT, "out": OUT, "told": TOLD}
WIDTHS = (57, 77, 117, 197)
"""What a table has of 60, 80, 120 and 200 cells, beside the margin and a scrollbar."""


def env_of(snapshot: Snapshot) -> Env:
    return Env(Facts(snapshot, NOW), NOW, UTC)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("maker", MAKERS, ids=lambda maker: maker.__name__)
def test_columns_take_no_more_than_there_is_and_their_titles_stand_whole(maker: Maker, world: str, width: int) -> None:
    table = maker(env_of(WORLDS[world]))
    columns = placed(table.columns, width, table.needs)
    line = heading(columns, None, ())
    assert width_of(line) <= width
    assert ELLIPSIS not in text_of(line)
    for row in table.rows:
        if not row.band:
            assert len(plain_row(row, table, columns, table.env)) <= width


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("world", WORLDS)
def test_the_tree_says_the_remedy_at_every_width(world: str, width: int) -> None:
    table = tree_table(env_of(WORLDS[world]))
    kept = {column.id for column, _ in placed(table.columns, width, table.needs)}
    assert {"what", "since"} <= kept
    assert "remedy" in kept or not table.needs["remedy"]


def crowd() -> Snapshot:
    """Agents whose sessions have the same keys, as agents of one template do; each session under a lock."""
    agent = INCIDENT.agents[0]
    names = tuple(f"reef-keeper-{number}" for number in range(1, 21))
    session, lock = INCIDENT.sessions[0], next(k for k in INCIDENT.locks if k.file.kind is LockKind.SESSION)
    sessions, locks = [], []
    for name in names:
        file = f"/s/{name}/one.jsonl"
        sessions.append(replace(session, agent=name, key=f"agent:{name}:main", file=file))
        locks.append(_lock_on(lock, file, name))
    problems = tuple(Problem("ghost", f"agent:{name}:main", "stored as running, but no gateway runs") for name in names)
    agents = tuple(replace(agent, id=name) for name in names)
    return replace(INCIDENT, agents=agents, sessions=tuple(sessions), locks=tuple(locks), warnings=problems)


def _lock_on(lock: Lock, file: str, agent: str) -> Lock:
    made: LockFile = replace(lock.file, path=f"{file}.lock", agent=agent)
    return replace(lock, file=made)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("maker", [session_table, lock_table, warning_table], ids=lambda maker: maker.__name__)
def test_rows_of_different_agents_look_different(maker: Maker, width: int) -> None:
    table = maker(env_of(crowd()))
    columns = placed(table.columns, width, table.needs)
    shown = [plain_row(row, table, columns, table.env) for row in table.rows]
    assert len(shown) >= 20
    assert len(set(shown)) == len(shown)


@pytest.mark.parametrize("world", WORLDS)
def test_the_headline_and_the_tables_count_alike(world: str) -> None:
    env = env_of(WORLDS[world])
    told = " ".join(text_of(line) for line in headline(env))
    usable = re.search(r"(\d+) of (\d+) profiles usable", told)
    assert usable is not None
    assert text_of(profile_table(env).title_note) == f"{usable[1]}/{usable[2]}"
    warnings = re.search(r"⚠ (\d+) warning", told)
    general = int(warnings[1]) if warnings else 0
    count = len(all_problems(env.facts))
    expected = f"{count}, {general} general" if 0 < general < count else f"{count}"
    assert text_of(warning_table(env).title_note) == expected
    stale = re.search(r"✗ (\d+) stale", told)
    shown = sum("stale" in text for text in lock_table(env).texts)
    assert shown == (int(stale[1]) if stale else 0)


@pytest.mark.parametrize("width", [60, 80, 120, 200])
@pytest.mark.parametrize("view", VIEWS)
def test_every_screen_is_named_and_can_be_clicked(view: str, width: int) -> None:
    text = text_of(tabs_line(view, env_of(INCIDENT), width))
    assert ELLIPSIS not in text
    for name in VIEWS:
        assert tab_at(view, text.index(name.capitalize()), width) == name


NAMED = replace(
    TOLD,
    agents=tuple(replace(a, name={"coder": "Ada the coder"}.get(a.id)) for a in TOLD.agents),
    events=(*TOLD.events, replace(TOLD.events[-1], session_key="agent:coder:main", profile=None)),
)
"""The same night, with a name for one agent in OpenClaw's configuration."""


@pytest.mark.parametrize(
    "maker", [profile_table, session_table, lock_table, tree_table, timeline_table, forecast_table]
)
def test_an_agent_is_called_what_the_configuration_calls_it(maker: Maker) -> None:
    """And is found by its id as well."""
    table = maker(env_of(NAMED))
    assert any("ada the coder" in text for text in table.texts)
    assert {row.key for row in table.arranged("ada the")} <= {row.key for row in table.arranged("coder")}


def test_two_agents_of_one_name_keep_their_ids() -> None:
    facts = Facts(replace(TOLD, agents=tuple(replace(agent, name="Bot") for agent in TOLD.agents)), NOW)
    assert {facts.agent_name(agent.id) for agent in TOLD.agents} == {f"Bot ({agent.id})" for agent in TOLD.agents}


def test_json_tells_names_and_labels() -> None:
    key = NAMED.sessions[0].key
    told = report(NAMED, {key: "the loud group"})
    assert {agent["id"]: agent["name"] for agent in told["agents"]}["coder"] == "Ada the coder"
    assert [session["label"] for session in told["sessions"] if session["key"] == key] == ["the loud group"]
    assert report(NAMED)["sessions"][0]["label"] is None
    assert "the loud group" in "\n".join(plain_lines(NAMED, NOW, 120, labels={key: "the loud group"}))


@pytest.mark.parametrize("leaked", [None, "a run that ended left it"])
@pytest.mark.parametrize("verdict", VerdictKind)
@pytest.mark.parametrize("kind", LockKind)
def test_calm_is_never_said_beside_a_lock_that_needs_a_hand(
    kind: LockKind, verdict: VerdictKind, leaked: str | None
) -> None:
    dead = next(lock for lock in INCIDENT.locks if lock.verdict.kind is VerdictKind.STALE)
    file = replace(dead.file, kind=kind, path=f"/s/{kind}.lock")
    lock = replace(dead, file=file, leaked=leaked, verdict=replace(dead.verdict, kind=verdict))
    env = env_of(replace(CALM, locks=(lock,)))
    first, second = (text_of(line) for line in headline(env))
    calm = "nothing needs attention" in f"{first} {second}"
    assert calm == (verdict is not VerdictKind.STALE and leaked is None)
    assert VERDICTS[verdict][1] in lock_table(env).texts[0].split()


def test_warnings_are_found_by_their_agent_and_limited_to_one() -> None:
    """By its id and by its name; what is about no single agent is shown for each."""
    about = [Problem("heartbeat", "agents.list[1].heartbeat", "a sentence", agent=name) for name in ("coder", "main")]
    state = replace(NAMED, sessions=(), warnings=(*about, Problem("disk", "/claw", "a sentence")))
    table = warning_table(env_of(state))
    assert {row.item.agent for row in table.arranged("ada the")} == {"coder"}
    columns = placed(table.columns, 77, table.needs)
    assert len({plain_row(row, table, columns, table.env) for row in table.rows}) == len(table.rows)
    facts = Facts(state, NOW, "coder")
    assert [problem.agent for problem in facts.warnings] == ["coder", None]
    assert [p.agent for p in all_problems(facts) if p.code == "heartbeat"] == ["coder"]
    assert [item["agent"] for item in report(state)["warnings"]] == ["coder", "main", None]


@pytest.mark.parametrize(
    "where", ["agent:coder:telegram:group:-1002388410023884", f"{CALM.state_dir}/agents/coder/agent/auth-profiles.json"]
)
def test_a_narrow_warning_still_names_its_agent(where: str) -> None:
    table = warning_table(env_of(replace(CALM, warnings=(Problem("ghost", where, "a sentence of some words " * 4),))))
    columns = placed(table.columns, 79, table.needs)
    assert "coder:" in plain_row(table.rows[0], table, columns, table.env)
    assert where in table.texts[0]


def test_a_narrow_warning_says_what_is_wrong_rather_than_its_code() -> None:
    words = [f"1 turn of {name} failed recently (timeout)" for name in ("agent-20", "agent-38")]
    warnings = tuple(Problem("turn-failed", f"agent:{text.split()[3]}:cron:job-34:34", text) for text in words)
    table = warning_table(env_of(replace(CALM, warnings=warnings)))
    for width, code in ((57, False), (77, True)):
        columns = placed(table.columns, width, table.needs)
        for row, text in zip(table.rows, words, strict=True):
            shown = plain_row(row, table, columns, table.env)
            assert ("turn-failed" in shown) == code
            assert text.removesuffix(" (timeout)") in shown
    assert [row.key for row in table.arranged("turn-failed")] == [row.key for row in table.rows]


LOOSE = frozenset(
    re.findall(
        r"\w+",
        "a an the of in on at to for from by with without or and but as is are was its their his that which while "
        "after before during since until than per via into over back",
    )
)
CUT = re.compile(r"(\S+?) ?(?:…|(?<=[\w ])\+)(?= |$)", re.MULTILINE)
"""The word before an ellipsis at the end of a text; in ASCII the ellipsis is a plus."""
GOLDEN = sorted(
    path for part in ("view", "ui") for path in (Path(__file__).parents[1] / part / "golden").rglob("*.txt")
)


def says_something(word: str) -> bool:
    """Whether a text may be cut after this word."""
    bare = word.lstrip("([{")
    return bare not in LOOSE and re.fullmatch(r"[\d.,+~%]*", bare) is None


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.name)
def test_no_text_on_a_golden_screen_is_cut_where_it_says_nothing(path: Path) -> None:
    """Not on a number without what it counts, nor on an open bracket or a preposition."""
    text = path.read_text("utf-8")
    ends = CUT.findall(text.replace("+", " ") if "ascii" not in path.name else text)
    assert [word for word in ends if not says_something(word)] == []


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("maker", MAKERS, ids=lambda maker: maker.__name__)
def test_a_cell_is_cut_between_words_or_within_an_id(maker: Maker, world: str, width: int) -> None:
    table = maker(env_of(WORLDS[world]))
    for row in table.rows:
        if row.band:
            continue
        for column, room in placed(table.columns, width, table.needs):
            whole = text_of(column.render(row.item, table.env))
            short = text_of(render_cells(row, table, ((column, room),), table.env)[0]).strip()
            head, mark, tail = short.partition(ELLIPSIS)
            if not mark or ELLIPSIS in whole:
                continue
            assert whole.startswith(head.rstrip(" ")), (whole, short)
            if tail.strip():
                continue  # an id, or the end of a sentence
            assert not whole[len(head) : len(head) + 1].strip(" ,;"), (whole, short)
            assert says_something(head.split()[-1]), (whole, short)


def test_warnings_begin_with_what_the_headline_is_judged_by() -> None:
    facts = env_of(OUT).facts
    causes = trouble(facts)
    assert causes, "a state in which nothing is usable"
    told = every_problem(facts)
    assert told[: len(causes)] == causes
    assert [row.item for row in trouble_table(env_of(OUT)).rows][: len(causes)] == list(causes)


def test_the_same_warning_of_two_agents_is_two() -> None:
    twice = tuple(Problem("heartbeat", "openclaw.json", "not isolated", agent=name) for name in ("main", "ops"))
    facts = env_of(replace(CALM, warnings=twice)).facts
    assert [each.agent for each in all_problems(facts) if each.code == "heartbeat"] == ["main", "ops"]
