"""`clawtop explain`: errors and profiles, for people and as JSON."""

from __future__ import annotations

import argparse
import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from clawtop.cli import explain
from clawtop.errors import RefusedError, StateUnreadableError, UsageError
from clawtop.store.own.accounts import AccountNote, AccountNotes
from tests.support.samples import Sample, copy, sample

RATE_LIMITED = '429 {"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}'


def arguments(*words: str, state: Sample | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    explain.add_arguments(parser)
    found = parser.parse_args(words)
    found.state_dir = str(state.state_dir) if state else None
    found.agent = None
    found.at = state.captured_at if state else None
    return found


def told(capsys: pytest.CaptureFixture[str], *words: str, state: Sample | None = None) -> str:
    assert explain.run(arguments(*words, state=state)) == 0
    return capsys.readouterr().out


def reported(capsys: pytest.CaptureFixture[str], *words: str, state: Sample | None = None) -> dict[str, Any]:
    text = told(capsys, *words, "--json", state=state)
    assert text.isascii()
    report: dict[str, Any] = json.loads(text)
    assert report.pop("schema") in {1, 2}
    return report


# --- errors ------------------------------------------------------------------------------------------------------


def test_a_rate_limit_is_told_with_rule_mark_and_all_four_sides(capsys: pytest.CaptureFixture[str]) -> None:
    text = told(capsys, "error", RATE_LIMITED)
    assert "rate_limit, HTTP 429" in text
    assert "the profile is marked (rate_limit)" in text
    assert text.count("rotates to the next profile; when none is left") == 8
    assert text.count("the next model is tried") == 4


@pytest.mark.parametrize(
    ("version", "requests", "seconds"), [("2026.5.20", 0, 0), ("2026.8.2", 3, 60), ("2026.9.6", 9, 151)]
)
def test_how_long_an_openclaw_is_silent_before_it_rotates(
    capsys: pytest.CaptureFixture[str], version: str, requests: int, seconds: int
) -> None:
    error = reported(capsys, "error", RATE_LIMITED, "--openclaw", version)["error"]
    assert error["openclaw"]["version"] == version
    assert error["openclaw"]["note"] is None
    assert error["asked_again"] == {"requests": requests, "waits_ms": seconds * 1000}
    text = told(capsys, "error", RATE_LIMITED, "--openclaw", version)
    assert ("rotates at once" in text) is (requests == 0)
    assert (f"{seconds} s of waiting" in text) is (requests > 0)


def test_a_version_that_nobody_looked_at_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert "treated as 2026.9.6" in told(capsys, "error", RATE_LIMITED, "--openclaw", "2027.1.1")


@pytest.mark.parametrize(
    ("text", "options", "classes", "difference"),
    [
        ("400 This organization has been disabled.", (), ("format", "auth_permanent"), "account-sent-as-400"),
        ("400 Billing hard limit has been reached", (), ("format", "billing"), "account-sent-as-400"),
        ("400 The model `gpt-4-32k` has been retired", (), ("format", "model_not_found"), "model-sent-as-400"),
        ("You've hit your session limit", (), (None, "rate_limit"), "subscription-limit"),
        ("429 Your account is not active", (), ("rate_limit", "billing"), "empty-account"),
        ("403 Your token was revoked", (), ("auth", "auth_permanent"), "revoked"),
        ("403 This content was flagged by our safety system", (), ("auth", "moderation"), "good-key"),
        ("connect ECONNREFUSED 127.0.0.1:1", (), ("timeout", "network"), "failed-at-once"),
        ("503 upstream connect error", (), ("timeout", "server_error"), "failed-at-once"),
        (
            "400 Input is too long for requested model.",
            (),
            ("format", "context_overflow"),
            "conversation-sent-as-400",
        ),
        ("400 User location is not supported", (), ("format", "network"), "place-sent-as-400"),
        ("403 You don't have access to the model with this ID", (), ("auth", "model_not_found"), "good-key"),
        ("ENOSPC: no space left on device, write", (), (None, None), "local-trouble"),
        ("SqliteError: database is locked", (), (None, None), "local-trouble"),
        ("429 slow down, try again in 30s", (), ("rate_limit", "rate_limit"), "provider-time"),
        (
            '{"name":"ThrottlingException","message":"slow","$metadata":{"httpStatusCode":429}}',
            ("--provider", "amazon-bedrock"),
            (None, "rate_limit"),
            "sdk-status",
        ),
        (
            '429 {"error":{"type":"FreeUsageLimitError","message":"try again later"}}',
            ("--openclaw", "2026.9.6"),
            ("billing", "rate_limit"),
            "free-usage",
        ),
    ],
)
def test_each_deliberate_difference_is_told(
    capsys: pytest.CaptureFixture[str],
    text: str,
    options: tuple[str, ...],
    classes: tuple[str | None, str | None],
    difference: str,
) -> None:
    asked = ("error", text, *(options if "--openclaw" in options else (*options, "--openclaw", "2026.5.20")))
    error = reported(capsys, *asked)["error"]
    assert (error["reason"], error["engine"]["reason"]) == classes
    assert difference in [each["id"] for each in error["differences"]]
    assert difference in told(capsys, *asked)


def test_where_both_agree_nothing_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert reported(capsys, "error", RATE_LIMITED, "--openclaw", "2026.5.20")["error"]["differences"] == []


def test_json_tells_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    error = reported(capsys, "error", RATE_LIMITED)["error"]
    assert (error["reason"], error["status"], error["marked"], error["coordination"]) == (
        "rate_limit",
        429,
        "rate_limit",
        False,
    )
    assert error["rule"]
    assert error["moves_on"] is True
    assert error["engine"]["chain"] == {"kind": "provider", "moves_on": True}
    assert error["engine"]["follows"][0] == {
        "stage": "prompt",
        "fallback_configured": True,
        "action": "rotate_profile",
        "reason": "rate_limit",
        "without_profile": {"action": "fallback_model", "reason": "rate_limit", "waits_for_mark": False},
    }


def test_contention_is_local_and_ends_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    lock = "session file locked (timeout 10000ms): pid=1 /s/a.jsonl.lock"
    code = ("--code", "OPENCLAW_SESSION_WRITE_LOCK_TIMEOUT")
    text = told(capsys, "error", lock, *code)
    assert text.count("yes: the run ends with") == 2
    assert "no other profile, no other model, nothing recorded" in text
    error = reported(capsys, "error", lock, *code)["error"]
    assert (error["coordination"], error["marked"], error["engine"]["follows"]) == (True, None, [])


def test_a_timeout_follows_the_setting(capsys: pytest.CaptureFixture[str]) -> None:
    ended = reported(capsys, "error", "Request timed out")["error"]["engine"]
    assert {side["action"] for side in ended["follows"]} == {"surface_error"}
    falling = reported(capsys, "error", "Request timed out", "--timeouts", "rotate")["error"]["engine"]
    assert [side["action"] for side in falling["follows"]] == [
        "fallback_model",
        "surface_error",
        "rotate_profile",
        "rotate_profile",
    ]


def test_status_code_and_provider_can_be_given(capsys: pytest.CaptureFixture[str]) -> None:
    assert reported(capsys, "error", "nope", "--status", "402")["error"]["reason"] == "billing"
    assert reported(capsys, "error", "nope", "--code", "RESOURCE_EXHAUSTED")["error"]["reason"] == "rate_limit"
    kimi = ("error", "insufficient balance", "--status", "429")
    assert reported(capsys, *kimi)["error"]["reason"] == "rate_limit"
    assert reported(capsys, *kimi, "--provider", "moonshot")["error"]["reason"] == "billing"


def test_an_unknown_text_has_no_class(capsys: pytest.CaptureFixture[str]) -> None:
    text = told(capsys, "error", "mystery")
    assert "not a failure of a provider" in text
    assert "the profile stays as it is" in text


def test_what_openclaw_marks_and_what_clawtop_marks_stand_apart(capsys: pytest.CaptureFixture[str]) -> None:
    error = reported(capsys, "error", "503 overloaded", "--openclaw", "2026.9.6")["error"]
    assert error["marked"] is None
    old = reported(capsys, "error", "500 internal server error", "--openclaw", "2026.3.28")["error"]
    assert (old["reason"], old["marked"], old["engine"]["marked"]) == ("timeout", None, None)


def test_stdin_is_read_on_a_dash(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("invalid api key\n"))
    assert reported(capsys, "error", "-")["error"]["reason"] == "auth"


def test_secrets_and_control_characters_stay_out(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "invalid api key sk-abcdefghijklmnopqrstuv \x1b[31m"
    for text in (told(capsys, "error", hostile), told(capsys, "error", hostile, "--json")):
        assert "sk-abc" not in text
        assert "\x1b" not in text


def test_a_key_of_the_store_stays_out_whichever_version_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It looks like no key: only who has read the store knows it."""
    state = copy(sample("2026.5.20", "rate-limited"), tmp_path)
    (store,) = Path(state.state_dir).glob("agents/main/agent/auth-profiles.json")
    document = json.loads(store.read_text())
    profile = next(one for one in document["profiles"].values() if "key" in one)
    profile["key"] = "seven plain herrings"
    store.write_text(json.dumps(document))
    for words in ([], ["--openclaw", "2026.9.6"]):
        text = told(capsys, "error", "401 no such key: seven plain herrings", *words, state=state)
        assert "401" in text
        assert "herrings" not in text


def test_an_empty_text_is_a_wrong_command_line() -> None:
    with pytest.raises(UsageError):
        explain.run(arguments("error", "  "))


# --- profiles ----------------------------------------------------------------------------------------------------


def test_a_cooling_profile_says_until_when_and_what_comes_next(capsys: pytest.CaptureFixture[str]) -> None:
    state = sample("2026.5.20", "rate-limited")
    text = told(capsys, "profile", "fakeai:one", state=state)
    assert "cooling until" in text
    assert "provider back" in text
    assert "fakeai:two" in text
    report = reported(capsys, "profile", "fakeai:one", state=state)["profile"]
    assert (report["state"], report["shown_state"], report["is_next"]) == ("cooling", "cooling", False)
    assert report["until"] == report["windows"][0]["until"]
    assert report["next_failure"]["rate_limit"]["keeps_window"] is True
    assert report["provider_recovery"]["usable"] == ["fakeai:two", "fakeai:three"]


def test_what_the_provider_itself_said_stands_beside_the_windows(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    state = copy(sample("2026.5.20", "rate-limited"), tmp_path)
    at = state.captured_at
    AccountNotes(state.state_dir).note(
        "main", "fakeai:one", AccountNote(at, at + 90_000, "rate_limit", None, at + 60_000)
    )
    text = told(capsys, "profile", "fakeai:one", state=state)
    (line,) = [line for line in text.splitlines() if line.startswith("its provider")]
    assert "says not before" in line
    assert line.endswith("(in 1m00s): rate_limit, all models")
    report = reported(capsys, "profile", "fakeai:one", state=state)["profile"]
    assert report["provider_time"] == {"until": at + 60_000, "at": at, "reason": "rate_limit", "model": None}
    assert "its provider" not in told(capsys, "profile", "fakeai:two", state=state)


def test_the_next_profile_is_told_as_such(capsys: pytest.CaptureFixture[str]) -> None:
    report = reported(capsys, "profile", "fakeai:two", state=sample("2026.5.20", "rate-limited"))["profile"]
    assert (report["is_next"], report["place"]["rank"], report["rejection"]) == (True, 1, None)


def test_an_unknown_profile_is_refused_with_the_known_ones() -> None:
    with pytest.raises(RefusedError) as refused:
        explain.run(arguments("profile", "nope\x1b", state=sample("2026.5.20", "rate-limited")))
    assert "fakeai:one" in refused.value.hint
    assert "\x1b" not in str(refused.value)
    assert refused.value.exit_code == 1


def test_a_missing_state_directory_is_named(tmp_path: Path) -> None:
    words = arguments("profile", "x")
    words.state_dir = str(tmp_path / "nowhere")
    with pytest.raises(StateUnreadableError, match="nowhere"):
        explain.run(words)
