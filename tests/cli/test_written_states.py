"""What is said of states that no capture has: each is written by hand; what is right follows from OpenClaw's rules."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from clawtop.core.health.judgement import judge
from clawtop.core.model import ProcessEvidence, Snapshot, VerdictKind
from clawtop.view.check import check_line
from clawtop.view.columns import Env
from clawtop.view.facts import Facts
from clawtop.view.headline import headline
from clawtop.view.line import text_of
from tests.support.incident_made import (
    DAY,
    HOUR,
    MINUTE,
    PID,
    SECOND,
    TICKS,
    Made,
    bot,
    causes,
    iso,
    log_line,
    rows,
    tool_call,
    tool_result,
    user,
)
from tests.support.processes import FixedProcesses, alive
from tests.support.states_made import NOW, write_json

DIRECT, MAIN = "agent:main:telegram:direct:1", "agent:main:main"


def first_line(snapshot: Snapshot) -> str:
    return text_of(headline(Env(Facts(snapshot, NOW), NOW, UTC))[0])


def window(until: int, reason: str, **more: Any) -> dict[str, Any]:
    kind = "disabled" if reason == "billing" else "cooldown"
    return {
        f"{kind}Until": until, f"{kind}Reason": reason, "errorCount": 1, "lastFailureAt": NOW - 5 * SECOND,
        "failureCounts": {reason: 1}, **more,
    }  # fmt: skip


# --- does anybody wait? -------------------------------------------------------------------------------------------


def test_a_message_waits_although_a_tool_was_called_for_it(tmp_path: Path) -> None:
    """No run covers it any more, and a tool's result is no answer."""
    made = Made(tmp_path)
    said = (user(9 * MINUTE), tool_call(8 * MINUTE + 30 * SECOND), tool_result(8 * MINUTE))
    made.session(DIRECT, *said, startedAt=NOW - HOUR, endedAt=NOW - HOUR + SECOND)
    told = made.told()
    assert causes(told)["unanswered"] == "1 message without an answer, the oldest for 9 min"
    assert told["health"]["level"] == 2
    assert "1 message without an answer" in first_line(made.seen())


def test_a_tool_that_runs_for_minutes_is_a_run_that_hangs_and_nobody_waits_twice(tmp_path: Path) -> None:
    made = Made(tmp_path)
    said = (user(9 * MINUTE), tool_call(8 * MINUTE + 30 * SECOND), tool_result(8 * MINUTE))
    made.session(DIRECT, *said, status="running", startedAt=NOW - 9 * MINUTE)
    told = made.told()
    assert set(causes(told)) == {"hung"}
    assert [(one["key"], one["why"]) for one in told["blocked"]] == [(DIRECT, "hung")]


GROUP = "agent:main:telegram:group:7"


@pytest.mark.parametrize(
    ("text", "level", "unanswered", "untold"),
    [
        pytest.param("who brings bread?", 1, 0, 1, id="it says nothing about itself"),
        pytest.param('{"is_group_chat": true}\nwho brings bread?', 1, 0, 1, id="a group's"),
        pytest.param('{"is_group_chat": true, "was_mentioned": true}\n@bot hello', 2, 1, 0, id="to the bot"),
        pytest.param("[OpenClaw room event]\n\nCurrent event:\n#1 Ann: who brings bread?", 0, 0, 0, id="to others"),
    ],
)
def test_a_group_message_waits_only_if_it_was_meant_for_the_bot(
    tmp_path: Path, text: str, level: int, unanswered: int, untold: int
) -> None:
    made = Made(tmp_path)
    made.session(GROUP, user(30 * MINUTE, text), chatType="group", startedAt=NOW - HOUR, endedAt=NOW - HOUR + SECOND)
    told = made.told()
    health = told["health"]
    assert (health["level"], len(health["unanswered"]), health["cannot_be_told"]) == (level, unanswered, untold)
    if untold:
        assert causes(told) == {"untold": "1 group message without an answer, perhaps not meant for the bot"}


def test_a_group_message_whose_turn_failed_was_to_be_answered(tmp_path: Path) -> None:
    made = Made(tmp_path)
    made.session(GROUP, user(9 * MINUTE), bot(8 * MINUTE, "", "error", errorMessage="503"), chatType="group")
    assert "unanswered" in causes(made.told())


@pytest.mark.parametrize("refused", [False, True], ids=["deleted", "deleted in a file that is not in force"])
def test_a_message_to_an_agent_that_was_deleted_is_told_apart(tmp_path: Path, refused: bool) -> None:
    """Its directory is left, and no gateway answers it; the bots that are left are not silent."""
    made = Made(tmp_path)
    made.session("agent:ops:main", user(9 * MINUTE), agent="ops", startedAt=NOW - HOUR, endedAt=NOW - HOUR + SECOND)
    made.session(MAIN, user(4 * MINUTE), bot(3 * MINUTE))
    written = json.loads(made.openclaw_json.read_text())
    written["agents"]["list"] = [{"id": "main", "default": True}]
    write_json(made.openclaw_json, written)
    if refused:
        made.logged((15 * SECOND, "gateway/reload", REFUSAL))
        os.utime(made.openclaw_json, ((NOW - 16 * SECOND) / 1000,) * 2)
    told = made.told()
    assert told["health"]["level"] == (2 if refused else 1)
    lost = "1 message without an answer: openclaw.json does not name agent ops"
    assert causes(told).get("to-nobody") == (None if refused else lost)
    assert ("unanswered" in causes(told)) is refused


def test_a_message_that_no_run_took_is_a_failed_turn(tmp_path: Path) -> None:
    """As 2026.6.11 logs it after a message to others in the same group: the next one to the bot is lost."""
    made = Made(tmp_path)
    made.session(GROUP, chatType="group")
    error = f'error="Error: reply session initialization conflicted for {GROUP}"'
    line = f"message processed: channel=telegram chatId=1 messageId=2 sessionId=s sessionKey={GROUP} outcome="
    made.logged(
        (2 * SECOND, "diagnostic", f"{line}error duration=35ms {error}"),
        (1 * SECOND, "diagnostic", f"{line}completed duration=9ms"),
    )
    told = made.told()
    assert causes(told)["turn-failed"] == "1 turn of main failed recently (not accepted: reply session initializat…)"


@pytest.mark.parametrize(("times", "code", "level"), [(1, "turn-failed", 1), (2, "turns-failing", 2)])
def test_a_full_disk_is_seen_although_no_session_can_be_stored(
    tmp_path: Path, times: int, code: str, level: int
) -> None:
    """As 2026.5.20 logs it; nothing but its log shows that anybody wrote."""
    made = Made(tmp_path)
    made.session(MAIN, user(9 * MINUTE), bot(8 * MINUTE))
    for n in range(times):
        line = f"message processed: channel=webchat chatId=unknown messageId=r{n} sessionId=unknown "
        error = "Error: ENOSPC: no space left on device, write"
        made.logged(
            (n * MINUTE + SECOND, "diagnostic", f'{line}sessionKey={DIRECT} outcome=error duration=9ms error="{error}"')
        )
    told = made.told()
    assert "ENOSPC: no space left" in causes(told)[code]
    assert "make room" in (remedies(told)[code] or "")
    assert told["health"]["level"] == level


def test_what_is_silent_on_purpose_waits_for_nothing(tmp_path: Path) -> None:
    made = Made(tmp_path)
    made.session(MAIN, user(20 * MINUTE, "Read HEARTBEAT.md if it exists."), bot(19 * MINUTE, "HEARTBEAT_OK"))
    made.session("agent:main:discord:direct:5", user(40 * MINUTE), bot(39 * MINUTE, "NO_REPLY"))
    group = '{"is_group_chat": true, "explicitly_mentioned_bot": false}\nAnn: who brings bread?'
    made.session("agent:main:telegram:group:7", user(30 * MINUTE, group), chatType="group")
    made.session(
        DIRECT, user(9 * MINUTE), bot(8 * MINUTE, "", "aborted"), status="killed", abortedLastRun=True,
        startedAt=NOW - 9 * MINUTE, endedAt=NOW - 8 * MINUTE,
    )  # fmt: skip
    made.session("agent:main:cron:nightly", user(10 * MINUTE, "[cron:nightly x] do it"))
    told = made.told()
    assert told["health"]["level"] == 0, told["health"]
    assert causes(told) == {}


def test_another_agents_heartbeat_hangs_and_a_person_waits_at_this_one(tmp_path: Path) -> None:
    made = Made(tmp_path, agents=[{"id": "main", "default": True}, {"id": "ops"}])
    made.session(MAIN, user(10 * MINUTE, "Read HEARTBEAT.md"), status="running", startedAt=NOW - 10 * MINUTE)
    made.session("agent:ops:telegram:direct:9", user(70 * SECOND), agent="ops")
    told = made.told()
    assert set(causes(told)) == {"hung", "unanswered"}
    assert [one["agent"] for one in told["blocked"]] == ["main"]
    assert check_line(judge(made.seen(), NOW)).startswith("2 ")


# --- which model of whom can be served ----------------------------------------------------------------------------


def test_a_window_of_one_model_leaves_the_other_model_of_the_chain(tmp_path: Path) -> None:
    made = Made(tmp_path, model={"primary": "fakeai/m", "fallbacks": ["fakeai/mini"]})
    limited = window(NOW + 40 * SECOND, "rate_limit", cooldownModel="m")
    made.accounts("fakeai:one", stats={"fakeai:one": limited})
    told = made.told()
    assert [(one["profile"], one["model"]) for one in told["next"]] == [("fakeai:one", "mini")]
    assert told["health"]["level"] == 1
    (shared,) = [one["text"] for one in told["warnings"] if one["code"] == "fallbacks-share-provider"]
    assert "none of them is usable now" not in shared
    made.accounts("fakeai:one", stats={"fakeai:one": window(NOW + HOUR, "billing")})
    out = made.told()
    assert out["health"]["level"] == 2
    (shared,) = [one["text"] for one in out["warnings"] if one["code"] == "fallbacks-share-provider"]
    assert "none of them is usable now" in shared


def test_one_of_two_agents_is_out_and_is_named(tmp_path: Path) -> None:
    made = Made(tmp_path, agents=[{"id": "main", "default": True}, {"id": "ops", "model": "otherai/x"}])
    made.agent("ops")
    made.accounts("fakeai:one", "otherai:a", stats={"otherai:a": window(NOW + HOUR, "billing")})
    told = made.told()
    assert causes(told)["models-out"] == "nothing is usable for ops"
    assert [(one["agent"], one["profile"]) for one in told["next"]] == [("main", "fakeai:one"), ("ops", None)]
    assert told["usable_again_at"] == NOW + HOUR


@pytest.mark.parametrize(
    ("order", "level", "following"),
    [(["fakeai:gone", "fakeai:two", "fakeai:lost"], 1, "fakeai:two"), (["fakeai:gone"], 2, None)],
)
def test_an_order_of_missing_accounts_is_named_and_rules_out_what_it_leaves_out(
    tmp_path: Path, order: list[str], level: int, following: str | None
) -> None:
    made = Made(tmp_path)
    made.accounts("fakeai:one", "fakeai:two", order={"fakeai": order})
    told = made.told()
    assert told["health"]["level"] == level
    assert [one["profile"] for one in told["next"]] == [following]
    (named,) = [one["text"] for one in told["warnings"] if one["code"] == "order-of-missing"]
    assert "fakeai:gone" in named
    assert "leaves out fakeai:one" in named


def test_a_store_behind_links_is_one_store_and_one_count(tmp_path: Path) -> None:
    made = Made(tmp_path, agents=[{"id": name, "default": name == "main"} for name in ("main", "a", "b")])
    made.accounts("fakeai:one", "fakeai:two", stats={"fakeai:one": window(NOW + HOUR, "billing")})
    for name in ("a", "b"):
        directory, _sessions = made.agent(name)
        for file in (made.auth_profiles, made.auth_state):
            (directory / file.name).symlink_to(file)
    told = made.told()
    assert causes(told)["profiles-resting"].startswith("1 profile ")
    assert len(made.seen().profiles) == 2
    assert [agent["profiles"][0]["state"] for agent in told["agents"]] == ["disabled"] * 3


# --- is a run going on? -------------------------------------------------------------------------------------------


def test_an_end_before_the_start_ends_nothing(tmp_path: Path) -> None:
    made = Made(tmp_path)
    said = (user(3 * MINUTE), bot(2 * MINUTE))
    made.session(MAIN, *said, startedAt=NOW - 5 * SECOND, endedAt=NOW - 9 * SECOND)
    (row,) = made.told()["sessions"]
    assert (row["active"], row["active_how"]) == (None, "stored as done, with an end before its start")
    made.session(MAIN, *said, startedAt=NOW - 9 * SECOND, endedAt=NOW - 5 * SECOND)
    (row,) = made.told()["sessions"]
    assert row["active"] is False


def test_half_a_line_of_the_log_says_nothing_until_it_is_whole(tmp_path: Path) -> None:
    made = Made(tmp_path)
    made.session(MAIN, user(20 * SECOND), status="running", startedAt=NOW - 20 * SECOND)
    made.logged((19 * SECOND, "diagnostic", f'session state: sessionKey={MAIN} prev=idle new=processing reason="x"'))
    whole = log_line(SECOND, "diagnostic", f'session state: sessionKey={MAIN} prev=processing new=idle reason="x"')
    with made.log.open("a") as log:
        log.write(whole[:150])
    half = made.seen()
    assert half.sessions[0].active is True
    assert not [one for one in half.warnings if one.code == "log-odd-lines"]
    with made.log.open("a") as log:
        log.write(whole[150:] + "\n")
    assert made.seen().sessions[0].active is False


def test_yesterdays_log_is_followed_while_it_is_written(tmp_path: Path) -> None:
    made = Made(tmp_path)
    logs = tmp_path / "logs"
    logs.mkdir()
    today, yesterday = (
        logs / f"openclaw-{datetime.fromtimestamp((NOW - ago) / 1000, UTC).date()}.log" for ago in (0, DAY)
    )
    made.configure(logging={"file": str(today)})
    line = f"lane dequeue: lane=session:{MAIN} waitMs=1 queueSize=0"
    yesterday.write_text(log_line(30 * SECOND, "diagnostic", line) + "\n")
    today.write_text(log_line(90 * SECOND, "gateway", "a command wrote this") + "\n")
    made.session(MAIN, user(40 * SECOND), startedAt=NOW - HOUR, endedAt=NOW - HOUR + SECOND)
    told = made.told()
    assert told["log"]["paths"] == [str(yesterday), str(today)]
    assert rows(told)[MAIN]["active"] is True, "only yesterday's file tells of the turn"
    os.utime(yesterday, (0, 0))
    assert made.told()["log"]["paths"] == [str(today)]


# --- whose lock is it? --------------------------------------------------------------------------------------------


def locked(made: Made, *, pid: int, ago: int, ticks: int) -> Path:
    file = made.session(MAIN, user(ago), bot(ago - SECOND), startedAt=NOW - ago, endedAt=NOW - ago + SECOND)
    lock = Path(f"{file}.lock")
    lock.write_text(json.dumps({"pid": pid, "createdAt": iso(ago), "starttime": ticks}))
    return lock


@pytest.mark.parametrize(("ago", "blocked", "ends"), [(20 * MINUTE, True, "30 min"), (3 * HOUR, False, "a turn")])
def test_a_lock_of_the_gateways_former_life_blocks_until_openclaw_takes_it(
    tmp_path: Path, ago: int, blocked: bool, ends: str
) -> None:
    made = Made(tmp_path)
    made.processes.known[PID] = alive(PID, ticks=TICKS, started_at=NOW - 5 * HOUR, boot_at=NOW - 9 * DAY)
    made.gateway_lock(began=10 * MINUTE)
    locked(made, pid=PID, ago=ago, ticks=TICKS)
    told = made.told()
    assert ends in causes(told)["leaked-lock"]
    assert [one["why"] for one in told["blocked"]] == (["leaked lock"] if blocked else [])


def test_pids_prove_nothing_where_a_gateway_answers_and_none_is_seen(tmp_path: Path) -> None:
    """It is in a container: its pid is that of nobody here, or of somebody else."""
    made = Made(tmp_path)
    made.processes.known = {}
    made.gateway_lock(pid=8, ticks=55)
    locked(made, pid=8, ago=25 * SECOND, ticks=55)
    seen = made.seen(port_probe=lambda _port: True)
    assert {lock.verdict.kind for lock in seen.locks} == {VerdictKind.UNKNOWN}
    assert [session.active for session in seen.sessions] == [None]
    assert made.seen().locks[-1].verdict.kind is VerdictKind.STALE, "nobody answers: its owner is gone"


def test_entries_that_are_no_entries_hide_none(tmp_path: Path) -> None:
    made = Made(tmp_path)
    made.session(MAIN, user(2 * MINUTE))
    entries = json.loads(made.sessions_json.read_text())
    write_json(made.sessions_json, {**entries, "agent:main:odd": 7, "agent:main:none": None, "": {}})
    assert causes(made.told())["unanswered"].startswith("1 message")


@pytest.mark.parametrize(
    ("ago", "owner", "said"),
    [
        (20 * SECOND, PID, None),
        (5 * MINUTE, PID, f"process {PID} has held its lock for more than 30 s"),
        (5 * MINUTE, PID + 1, f"its lock names process {PID + 1}, and whether that is alive is not known"),
    ],
)
def test_a_store_whose_lock_is_held_for_long_is_not_calm(
    tmp_path: Path, ago: int, owner: int, said: str | None
) -> None:
    made = Made(tmp_path)
    made.session("agent:main:main", user(2 * MINUTE), bot(MINUTE))
    held = made.path / "agents/main/agent/auth-profiles.json.lock"
    held.write_text(json.dumps({"pid": owner, "createdAt": iso(ago)}))
    os.utime(held, ((NOW - ago) / 1000, (NOW - ago) / 1000))
    unseen = ProcessEvidence(PID + 1, alive=None, why_unknown="not-visible")
    made.processes = FixedProcesses({**made.processes.known, PID + 1: unseen})
    told = made.told()
    assert causes(told).get("store-jammed") == (None if said is None else f"the auth store of main is jammed: {said}")
    assert told["health"]["level"] == (0 if said is None else 1)


def test_a_transcript_that_cannot_be_read_is_not_calm(tmp_path: Path) -> None:
    made = Made(tmp_path)
    transcript = made.session("agent:main:main", user(5 * MINUTE))
    transcript.unlink()
    transcript.mkdir()
    told = made.told()
    assert told["health"]["level"] == 1
    assert "whether a message is unanswered is not known" in told["health"]["text"]
    transcript.rmdir()
    made.session("agent:main:main", user(5 * MINUTE), bot(4 * MINUTE))
    assert made.told()["health"]["level"] == 0


# --- what an operator is told to do ---------------------------------------------------------------------------------


def remedies(told: dict[str, Any]) -> dict[str, str | None]:
    return {cause["code"]: cause["remedy"] for cause in told["health"]["causes"]}


def test_a_login_that_expired_is_told_in_the_providers_words(tmp_path: Path) -> None:
    made = Made(tmp_path)
    error = {"type": "error", "error": {"type": "authentication_error", "message": "OAuth token has expired."}}
    made.session(DIRECT, user(4 * MINUTE), bot(3 * MINUTE, "", "error", errorMessage=f"401 {json.dumps(error)}"))
    told = made.told()
    assert causes(told)["turn-failed"] == "1 turn of main failed recently (401 OAuth token has expired.)"
    assert "renew the key or the login" in (remedies(told)["turn-failed"] or "")


def test_a_host_without_dns_is_told_to_look_at_its_network_not_at_the_provider(tmp_path: Path) -> None:
    """OpenClaw calls it a timeout; the transcript has the true words."""
    made = Made(tmp_path)
    made.session(DIRECT, user(4 * MINUTE), bot(3 * MINUTE, "", "error", errorMessage="Connection error."))
    facts = {
        "event": "model_fallback_decision", "decision": "candidate_failed", "reason": "timeout", "runId": "r",
        "sessionKey": DIRECT, "attempt": 1, "total": 1, "nextCandidateProvider": None,
    }  # fmt: skip
    made.logged((3 * MINUTE - SECOND, "model-fallback/decision", facts))
    told = made.told()
    assert "timeout: Connection error." in causes(told)["turn-failed"]
    assert "DNS" in (remedies(told)["turn-failed"] or "")


@pytest.mark.parametrize("everything", [True, False])
def test_windows_from_a_clock_that_was_set_back_are_named_as_such(tmp_path: Path, everything: bool) -> None:
    made = Made(tmp_path)
    ahead = window(NOW + 3 * HOUR, "rate_limit", lastFailureAt=NOW + 3 * HOUR - 30 * SECOND)
    names = ("fakeai:one", "fakeai:two")
    made.accounts(*names, stats=dict.fromkeys(names if everything else names[:1], ahead))
    told = made.told()
    assert remedies(told)["models-out" if everything else "profiles-resting"] == (
        "the clock was set back, or another machine's is ahead: clear the windows"
    )


def test_accounts_that_rest_for_one_model_are_not_called_unusable(tmp_path: Path) -> None:
    made = Made(tmp_path)
    made.configure(model={"primary": "fakeai/big", "fallbacks": ["fakeai/small"]})
    names = ("fakeai:one", "fakeai:two")
    made.accounts(*names, stats={name: window(NOW + 20 * SECOND, "rate_limit", cooldownModel="big") for name in names})
    told = made.told()
    assert causes(told)["profiles-resting"] == "2 profiles limited for big: fakeai:one, fakeai:two"
    assert told["health"]["level"] == 1


# --- a changed openclaw.json ----------------------------------------------------------------------------------------

REFUSAL = 'config reload skipped (invalid config): agents.defaults.model: Unrecognized key: "primry"'


@pytest.mark.parametrize(
    ("lines", "changed", "refused"),
    [
        pytest.param((), 20, False, id="nothing was said"),
        pytest.param(((15, REFUSAL),), 16, True, id="refused"),
        pytest.param(((15, REFUSAL), (5, "config change detected; evaluating reload (agents)")), 6, False, id="mended"),
        pytest.param(((60, REFUSAL),), 30, False, id="mended to what is in force: not a word"),
        pytest.param(((15, REFUSAL),), 3, True, id="changed again, not looked at yet"),
        pytest.param(((3 * 3_600, REFUSAL),), 3 * 3_600, False, id="before this gateway started"),
    ],
)
def test_a_configuration_that_the_gateway_refused_is_not_in_force(
    tmp_path: Path, lines: tuple[tuple[int, str], ...], changed: int, refused: bool
) -> None:
    made = Made(tmp_path)
    made.logged(*((ago * SECOND, "gateway/reload", text) for ago, text in lines))
    written = (NOW - changed * SECOND) / 1000
    os.utime(made.openclaw_json, (written, written))
    told = made.told()
    words = "the gateway refused openclaw.json and keeps its previous configuration: "
    why = REFUSAL.partition(": ")[2]
    assert causes(told).get("config-refused") == (words + why if refused else None)
    assert all((row["unknown"] is not None) is refused for row in told["next"])


# --- how a turn ended -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "failed"),
    [
        pytest.param(bot(8 * SECOND, ""), True, id="the model gave no words"),
        pytest.param(bot(8 * SECOND, "", "aborted"), False, id="a person stopped it"),
    ],
)
def test_a_run_that_is_stored_as_killed_failed_if_its_model_gave_an_empty_answer(
    tmp_path: Path, said: tuple[int, dict[str, Any]], failed: bool
) -> None:
    """2026.9.6 stores it so where its user is told that no response could be generated."""
    made = Made(tmp_path)
    ends: dict[str, Any] = {"status": "killed", "abortedLastRun": True, "endedAt": NOW - 7 * SECOND}
    made.session(DIRECT, user(12 * SECOND), said, startedAt=NOW - 11 * SECOND, **ends)
    told = made.told()
    assert told["health"]["level"] == (1 if failed else 0)
    assert ("turn-failed" in causes(told)) is failed


# --- a gateway that ends ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "level"),
    [
        pytest.param(((9, "received SIGTERM; shutting down"),), 2, id="told to end"),
        pytest.param(((9, "received SIGUSR1; restarting"),), 1, id="about to restart"),
        pytest.param(((200, "received SIGUSR1; restarting"),), 2, id="about to restart for long"),
        pytest.param(((9, "received SIGUSR1; restarting"), (5, "gateway ready")), 0, id="restarted in its process"),
        pytest.param(((3 * 3_600, "received SIGTERM; shutting down"),), 0, id="before this gateway started"),
    ],
)
def test_a_gateway_that_finishes_its_runs_before_it_ends_takes_no_messages(
    tmp_path: Path, lines: tuple[tuple[int, str], ...], level: int
) -> None:
    made = Made(tmp_path)
    made.logged(*((ago * SECOND, "gateway", text) for ago, text in lines))
    told = made.told()
    assert told["health"]["level"] == level
    assert ("gateway-stopping" in causes(told)) is (level > 0)


# --- two gateways ---------------------------------------------------------------------------------------------------


def test_two_gateways_of_one_directory_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """2026.5.20 lets a second one start on another port, which takes the lock."""
    monkeypatch.setattr("clawtop.store.gateway.rivals.RivalWatch.look", lambda *_: (PID + 1,))
    made = Made(tmp_path)
    made.session(MAIN, user(4 * MINUTE), bot(3 * MINUTE))
    told = made.told()
    assert told["health"]["level"] == 1
    assert f"processes {PID} and {PID + 1} are both gateways of it" in causes(told)["problems"]
