"""What is said of real incidents, whose truth the provider's own log has told."""

from __future__ import annotations

import json
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest

from clawtop.cli.main import run
from clawtop.core.health.judgement import Level, judge
from clawtop.core.model import Session, Snapshot, TurnOutcome
from clawtop.view.columns import Env
from clawtop.view.facts import Facts
from clawtop.view.forecast_rows import forecast_table, stranded_table
from clawtop.view.headline import headline
from clawtop.view.incident_text import table_lines
from clawtop.view.line import text_of
from clawtop.view.report import report
from clawtop.view.tree_rows import tree_table
from tests.support.golden import assert_golden
from tests.support.live import Live, live

GOLDEN = Path(__file__).parent / "golden"


def screen(here: Live, snapshot: Snapshot) -> str:
    env = Env(Facts(snapshot, here.at), here.at, UTC)
    lines = [text_of(line).rstrip() for line in headline(env)]
    for table in (tree_table(env), forecast_table(env), stranded_table(env)):
        lines += ["", *(line.rstrip() for line in table_lines(table, 12))]
    return "\n".join(lines) + "\n"


def by_key(snapshot: Snapshot, part: str) -> Session:
    return next(session for session in snapshot.sessions if part in session.key)


def causes(snapshot: Snapshot, at: int) -> dict[str, Any]:
    return {cause.code: cause for cause in judge(snapshot, at).causes}


@pytest.mark.parametrize("name", ["local-run", "cron-hung", "all-429", "cleared-not-loaded", "one-takeover", "killed"])
def test_the_screen(name: str, tmp_path: Path) -> None:
    here = live(name, tmp_path)
    assert_golden(GOLDEN / f"live-{name}.txt", screen(here, here.read()))


def test_a_run_of_the_command_line_is_seen_though_its_session_is_stored_as_done(tmp_path: Path) -> None:
    snapshot = live("local-run", tmp_path).read()
    session = by_key(snapshot, "explicit:999")
    assert (session.status, session.active) == ("done", True)
    assert [holder.session_key for holder in snapshot.holders] == [session.key]


def test_a_cron_run_that_hangs_is_seen_and_told(tmp_path: Path) -> None:
    here = live("cron-hung", tmp_path)
    snapshot = here.read()
    session = by_key(snapshot, ":cron:")
    assert session.active is True
    assert [holder.session_key for holder in snapshot.holders] == [session.key]
    hung = causes(snapshot, here.at)["hung"]
    assert (hung.level, hung.sessions) == (Level.ATTENTION, (session.key,))
    assert "stalled session" in hung.evidence[0]


def test_every_key_answers_429(tmp_path: Path) -> None:
    here = live("all-429", tmp_path)
    snapshot = here.read()
    found = causes(snapshot, here.at)
    assert judge(snapshot, here.at).level is Level.SILENT
    assert found["turns-failing"].text == "the last 5 turns of main failed (rate_limit)"
    assert "backupai is out" in found["provider-out"].text
    states = {p["id"]: p["state"] for p in report(snapshot)["agents"][0]["profiles"]}
    assert [states[name] for name in ("fakeai:two", "backupai:default", "backupai:spare")] == ["cooling"] * 3
    assert not any(session.active for session in snapshot.sessions)


def test_all_of_every_chain_cools(tmp_path: Path) -> None:
    here = live("all-429", tmp_path)
    path = here.state_dir / "agents" / "main" / "agent" / "auth-state.json"
    state = json.loads(path.read_text())
    for name in ("fakeai:one", "fakeai:three"):
        state["usageStats"].setdefault(name, {}).update(
            cooldownUntil=here.at + 19_800, cooldownReason="rate_limit", cooldownModel="fake-model", errorCount=1
        )
    path.write_text(json.dumps(state))
    snapshot = here.read()
    assert_golden(GOLDEN / "live-all-cooling.txt", screen(here, snapshot))
    shown = report(snapshot)
    assert (shown["health"]["level"], shown["health"]["badge"]) == (2, "OUT")
    assert {item["profile"] for item in shown["next"]} == {None}
    assert shown["usable_again_at"] - here.at < 20_000


def test_a_clear_that_the_gateway_has_not_loaded(tmp_path: Path) -> None:
    here = live("cleared-not-loaded", tmp_path)
    snapshot = here.read()
    shown = report(snapshot)
    main = next(item for item in shown["next"] if item["agent"] == "main")
    assert (main["profile"], main["on_disk"], main["loaded"]) == (None, "fakeai:one", False)
    assert "reload" in main["loads"]
    rows = {p["id"]: p["loaded"] for p in shown["agents"][0]["profiles"]}
    assert rows["fakeai:one"] is False
    assert rows["backupai:default"] is True
    left = by_key(snapshot, "aa012307")
    assert (left.status, left.active) == ("running", False)
    assert shown["blocked"] == []


def test_one_takeover_is_counted_once_and_blames_one_session(tmp_path: Path) -> None:
    here = live("one-takeover", tmp_path)
    snapshot = here.read()
    dropped = [
        (session.key, turn.at)
        for session in snapshot.sessions
        for turn in session.turns
        if turn.outcome is TurnOutcome.DROPPED
    ]
    assert [key for key, _ in dropped] == ["agent:main:explicit:99999999-2222-4333-8444-555555555555"]
    assert causes(snapshot, here.at)["turn-failed"].sessions == (dropped[0][0],)


def test_a_gateway_that_was_killed(tmp_path: Path) -> None:
    here = live("killed", tmp_path)
    snapshot = here.read()
    health = judge(snapshot, here.at)
    assert (health.level, health.badge) == (Level.SILENT, "DEAD")
    assert "restart" in (health.causes[0].remedy or "")
    assert [one.session for one in health.waiting.unanswered] == ["agent:main:main"]
    assert not health.blocked


def test_the_text_of_a_message_without_an_answer_is_shown_to_who_asks_for_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here = live("all-429", tmp_path)
    words = ["status", "--state-dir", str(here.state_dir), "--at", str(here.at), "--no-gateway"]
    snapshot = here.read()
    asked = judge(snapshot, here.at).waiting.unanswered[0]
    (session,) = (row for row in snapshot.sessions if row.key == asked.session)
    assert session.file is not None
    *_, line = (line for line in Path(session.file).read_text().splitlines() if '"role":"user"' in line)
    secret, text = f"sk-ant-api03-{'a1B2' * 20}", "are you \x1b[2Jthere?"
    entry = json.loads(line)
    said = entry["message"]["content"][0]["text"]
    written = Path(session.file).read_text().replace(json.dumps(said), json.dumps(f"{text} {secret}"))
    Path(session.file).write_text(written)

    assert run(words) == 0
    assert "are you" not in capsys.readouterr().out
    assert run([*words, "--show-text"]) == 0
    shown = capsys.readouterr().out
    assert "are you \\x1b[2Jthere?" in shown
    assert secret not in shown
    assert run([*words, "--show-text", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["health"]["unanswered"]
    (told,) = (one for one in found if one["key"] == asked.session)
    assert told["text"].startswith(text)
    assert secret not in told["text"]
    assert run([*words, "--json"]) == 0
    assert "text" not in json.loads(capsys.readouterr().out)["health"]["unanswered"][0]
