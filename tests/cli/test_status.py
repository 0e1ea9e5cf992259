"""`clawtop status`: the JSON of schema 1 on real state, exit codes, options on both sides of the verb."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from clawtop.cli import common
from clawtop.cli.main import run
from clawtop.cli.output import MOST_COLUMNS
from clawtop.clock import SystemClock
from clawtop.core.model import Gateway, GatewayHealth, GatewayState, Generation, LaneStats, Serving
from clawtop.engine.gateway import watch
from clawtop.engine.gateway.rounds import GatewayReport
from clawtop.engine.gateway.watch import GatewayWatch
from clawtop.store.own.accounts import AccountNote, AccountNotes
from clawtop.store.place.layout import Layout
from tests.support.samples import Sample, copy, sample, samples
from tests.support.worlds import CALM, NOW

KEYS: dict[str, set[str]] = {
    "": {
        "schema", "taken_at", "state_dir", "generation", "openclaw_version", "gateway", "agents", "sessions",
        "counting", "locks", "holders", "lanes", "warnings", "health", "next", "usable_again_at",
        "asks_again", "behaves_as", "blocked", "log",
    },
    "gateway": {
        "state", "pid", "port", "how", "serving", "distrust", "clock_offset", "silent_since", "usage", "backends",
        "memory_kill",
    },
    "health": {
        "level", "badge", "text", "causes", "turns", "unanswered", "silent_by_design", "cannot_be_told",
    },
    "causes": {
        "code", "level", "text", "evidence", "remedy", "command", "since", "until", "agents", "sessions",
    },
    "log": {"paths", "how"},
    "turns": {"last_10_min", "last_24_h"},
    "unanswered": {"agent", "key", "since", "length", "outcome"},
    "next": {"agent", "profile", "provider", "model", "on_disk", "unknown", "loaded", "loads"},
    "blocked": {"agent", "key", "why", "since", "until"},
    "agents": {"id", "name", "store", "profiles"},
    "profiles": {
        "id", "provider", "type", "owner_agent", "state", "shown_state", "until", "windows", "provider_time",
        "error_count", "failure_counts",
        "last_used", "last_failure_at", "order", "problems", "loaded", "stats_owner",
    },
    "windows": {"kind", "until", "reason", "model"},
    "sessions": {
        "agent", "key", "session_id", "file", "status", "active", "active_how", "active_since", "witnesses", "retry",
        "problems", "updated_at", "started_at", "provider",
        "model", "profile", "profile_source", "lane_class", "name", "label",
    },
    "locks": {
        "path", "kind", "agent", "session_id", "pid", "created_at", "age_ms", "verdict", "reasons",
        "openclaw_would_remove", "owner", "leaked",
    },
    "backends": {"pid", "backend", "session", "since", "memory", "stays"},
    "witnesses": {"kind", "running", "what", "at", "since", "run_id"},
    "holders": {
        "session_file", "session_key", "agent", "lane", "run_id", "profile", "phase", "since", "pid", "source",
    },
    "lanes": {"lane", "class", "active", "limit", "queued", "wait_p50_ms", "wait_max_ms", "source"},
    "warnings": {"code", "where", "text", "agent"},
}  # fmt: skip

PROFILE_STATES = {"usable", "cooling", "disabled", "blocked", "expired", "invalid"}


def status(capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, dict[str, Any]]:
    code = run(["status", "--json", *options])
    out = capsys.readouterr().out
    assert out.isascii()
    parsed: dict[str, Any] = json.loads(out)
    return code, parsed


def options_for(chosen: Sample) -> list[str]:
    return ["--state-dir", str(chosen.state_dir), "--at", str(chosen.captured_at)]


def check_keys(name: str, value: dict[str, Any]) -> None:
    assert set(value) == KEYS[name], name
    for key, part in value.items():
        if key in KEYS:
            for item in part if isinstance(part, list) else [part]:
                if isinstance(item, dict):
                    check_keys(key, item)


@pytest.mark.parametrize("chosen", samples(), ids=str)
def test_every_sample_has_the_whole_schema(chosen: Sample, capsys: pytest.CaptureFixture[str]) -> None:
    code, report = status(capsys, *options_for(chosen))
    assert code == 0
    check_keys("", report)
    assert report["schema"] == 1
    assert report["generation"] == chosen.generation
    assert {lock["verdict"] for lock in report["locks"]} <= {"unknown"}
    assert all(lock["reasons"] for lock in report["locks"])
    assert report["gateway"]["state"] == "unknown"


@pytest.mark.parametrize("chosen", samples(Generation.A, Generation.B), ids=str)
def test_profiles_and_sessions_are_those_of_the_manifest(chosen: Sample, capsys: pytest.CaptureFixture[str]) -> None:
    _, report = status(capsys, *options_for(chosen))
    expect = chosen.expect
    for agent in report["agents"]:
        found = {profile["id"]: profile for profile in agent["profiles"]}
        assert sorted(found) == sorted(wanted["id"] for wanted in expect["profiles"])
        for wanted in expect["profiles"]:
            profile = found[wanted["id"]]
            scoped = wanted.get("model_scope") if wanted["state"] == "cooling" else None
            assert profile["state"] == wanted["state"], "its only model cools, so the profile does"
            if wanted["state"] != "usable":
                assert [window["until"] for window in profile["windows"]] == [wanted["until"]]
                assert [window["reason"] for window in profile["windows"]] == [wanted["reason"]]
                assert [window["model"] for window in profile["windows"]] == [scoped]
            else:
                assert profile["windows"] == []
        ranks = sorted(p["order"] for p in agent["profiles"] if p["provider"] == "fakeai" and p["order"] is not None)
        assert ranks == list(range(len(ranks)))
    stored = {session["key"]: session["status"] for session in report["sessions"]}
    for wanted in expect["sessions"]:
        assert stored[wanted["key"]] == wanted["status"]


def test_what_a_provider_itself_said_of_an_account(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    chosen = copy(sample("2026.5.20", "rate-limited"), tmp_path)
    at = chosen.captured_at
    note = AccountNote(at, at + 90_000, "rate_limit", "small", at + 60_000)
    AccountNotes(chosen.state_dir).note("main", "fakeai:one", note)
    _, report = status(capsys, *options_for(chosen))
    times = {profile["id"]: profile["provider_time"] for agent in report["agents"] for profile in agent["profiles"]}
    assert times.pop("fakeai:one") == {"until": at + 60_000, "at": at, "reason": "rate_limit", "model": "small"}
    assert set(times.values()) == {None}
    assert run(["status", *options_for(chosen)]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "its provider" in line]
    assert line.startswith(" fakeai:one: its provider says not before")
    assert line.endswith("(in 1m00s): rate_limit, model small only")
    assert run(["status", "--state-dir", str(chosen.state_dir), "--at", str(at + 60_000)]) == 0
    assert "its provider" not in capsys.readouterr().out


def test_options_stand_before_or_after_the_verb(capsys: pytest.CaptureFixture[str]) -> None:
    chosen = sample("2026.5.20", "rate-limited")
    _, after = status(capsys, *options_for(chosen))
    assert run([*options_for(chosen), "status", "--json"]) == 0
    before = json.loads(capsys.readouterr().out)
    assert run(["--state-dir", str(chosen.state_dir), "status", "--at", str(chosen.captured_at), "--json"]) == 0
    mixed = json.loads(capsys.readouterr().out)
    for report in (after, before, mixed):
        del report["taken_at"]
    assert after == before == mixed


def test_one_agent(capsys: pytest.CaptureFixture[str]) -> None:
    chosen = sample("2026.5.20", "running")
    _, report = status(capsys, *options_for(chosen), "--agent", "ops")
    assert [agent["id"] for agent in report["agents"]] == ["ops"]
    assert {session["agent"] for session in report["sessions"]} == {"ops"}


@pytest.mark.parametrize("at", ["2026-11-20T22:34:27.763Z", "2026-11-20T23:34:27.763+01:00", "1795214067763"])
def test_a_time_is_epoch_or_iso(at: str, capsys: pytest.CaptureFixture[str]) -> None:
    chosen = sample("2026.5.20", "rate-limited")
    assert run(["status", "--json", "--state-dir", str(chosen.state_dir), "--at", at]) == 0
    windows = [p["windows"] for p in json.loads(capsys.readouterr().out)["agents"][0]["profiles"]]
    assert sum(map(len, windows)) == 1
    assert run(["status", "--json", "--state-dir", str(chosen.state_dir), "--at", "2026-11-21T00:00:00"]) == 0
    profiles = json.loads(capsys.readouterr().out)["agents"][0]["profiles"]
    assert sum(len(p["windows"]) for p in profiles) == 0
    assert any("lapsed-window" in problem for p in profiles for problem in p["problems"])


@pytest.mark.parametrize(
    "wrong",
    [
        ["status", "--at", "yesterday"],
        ["nonsense"],
        ["status", "--jsom"],
        ["--agent"],
        ["status", "--state"],
        ["status", "x"],
    ],
)
def test_usage_errors_are_64(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(wrong) == 64
    assert "usage:" in capsys.readouterr().err


def test_help_and_version_exit_well(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("clawtop ")
    assert run(["--help"]) == 0
    assert run(["status", "--help"]) == 0
    assert "--watch" in capsys.readouterr().out


def test_a_current_directory_that_is_gone_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert run(["status", "--state-dir", "here"]) == 3
    assert capsys.readouterr().err == "clawtop: the current directory is gone. Change to one that is there\n"


def test_lines_are_no_wider_than_terminals_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "99999999")
    assert run(["status", "--state-dir", str(sample("2026.5.20", "healthy").state_dir)]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= MOST_COLUMNS


def test_what_cannot_be_read_is_3_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["status", "--state-dir", str(tmp_path / "missing")]) == 3
    assert "missing" in capsys.readouterr().err
    code, error = status(capsys, "--check", "--state-dir", str(tmp_path / "missing"))
    assert code == 3
    assert error["exit_code"] == 3
    assert run(["status", "--check", "--state-dir", str(tmp_path)]) == 3


@pytest.mark.parametrize(
    ("version", "scenario", "code"),
    [
        ("2026.5.20", "healthy", 0),
        ("2026.5.20", "rate-limited", 1),
        ("2026.5.20", "jammed", 1),
        ("2026.3.28", "rate-limited", 1),
    ],
)
def test_check_says_how_it_stands(version: str, scenario: str, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["status", "--check", "--json", *options_for(sample(version, scenario))]) == code
    assert json.loads(capsys.readouterr().out)["schema"] == 1


def test_check_knows_when_nothing_is_usable(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chosen = copy(sample("2026.5.20", "healthy"), tmp_path)
    at = chosen.captured_at
    names = ("fakeai:one", "fakeai:two", "fakeai:three", "backupai:default")
    stats = {name: {"cooldownUntil": at + 60_000, "cooldownReason": "overloaded", "errorCount": 1} for name in names}
    state = chosen.state_dir / "agents" / "main" / "agent" / "auth-state.json"
    state.write_text(json.dumps({"version": 1, "usageStats": stats}))
    assert run(["status", "--check", *options_for(chosen)]) == 2
    del stats["backupai:default"]
    state.write_text(json.dumps({"version": 1, "usageStats": stats}))
    assert run(["status", "--check", *options_for(chosen)]) == 1
    assert "fakeai" in capsys.readouterr().out


def test_the_first_line_of_a_check_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chosen = copy(sample("2026.5.20", "healthy"), tmp_path)
    assert run(["status", "--check", *options_for(chosen)]) == 0
    not_seen = "nothing needs attention; whether the gateway was running is not known"
    assert capsys.readouterr().out.splitlines()[0] == f"0 OK: 4 turns answered in the last 10 min, and {not_seen}"
    later = ["--state-dir", str(chosen.state_dir), "--at", str(chosen.captured_at + 3_600_000), "--no-gateway"]
    assert run(["status", "--check", *later]) == 0
    assert capsys.readouterr().out.startswith("0 OK: nothing needs attention; no turn ended in the last 10 min; ")
    (chosen.state_dir / "agents" / "main" / "agent" / "auth-profiles.json").write_text('{"profiles"')
    assert run(["status", "--check", *options_for(chosen)]) == 3
    assert capsys.readouterr().out.startswith("3 BLIND: no auth profile can be read")


class Lanes:
    """Asked once, a gateway says that its lane is full."""

    def __init__(self) -> None:
        self.asked = 0

    async def all_at_once(self, gateway: Gateway, seconds: float) -> GatewayReport:
        assert seconds <= 2
        self.asked += 1
        full = LaneStats("cron", "cron", "gateway", active=8, queued=6, limit=8)
        return GatewayReport(GatewayHealth(NOW, live=True), (full,))


@pytest.mark.parametrize(
    ("words", "serving", "wanted"),
    [
        pytest.param(("--check",), Serving.ANSWERS, (1, 1), id="check"),
        pytest.param(("--check", "--no-gateway"), Serving.ANSWERS, (0, 0), id="check without"),
        pytest.param(("--check",), Serving.SILENT, (2, 0), id="check beside a frozen one"),
        pytest.param((), Serving.ANSWERS, (0, 1), id="text"),
        pytest.param(("--json",), Serving.ANSWERS, (0, 1), id="json"),
        pytest.param(("--json", "--no-gateway"), Serving.ANSWERS, (0, 0), id="json without"),
        pytest.param(("--watch",), Serving.ANSWERS, (130, 1), id="watch"),
        pytest.param(("--watch", "--no-gateway"), Serving.ANSWERS, (130, 0), id="watch without"),
    ],
)
def test_status_asks_a_gateway_that_answers_in_every_form(
    words: tuple[str, ...],
    serving: Serving,
    wanted: tuple[int, int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What waits for a lane is known to the gateway alone."""
    lanes = Lanes()
    live = Gateway(GatewayState.LIVE, 7, 18789, NOW - 3_600_000, serving=serving, silent_since=NOW - 600_000)

    def opened(*_args: object, **_more: object) -> Any:
        snapshot = replace(CALM, gateway=live, warnings=(), sessions=())
        return SimpleNamespace(read=lambda: snapshot, layout=cast("Layout", None))

    went_on = threading.Event()

    async def go_on(_watch: GatewayWatch, _changed: Callable[[], None]) -> None:
        went_on.set()

    def over(_clock: SystemClock, _seconds: float) -> None:
        assert went_on.wait(30) if lanes.asked else not went_on.is_set()
        raise KeyboardInterrupt

    monkeypatch.setattr(common, "open_reader", opened)
    monkeypatch.setattr(watch, "_asker", lambda _watch: lanes)
    monkeypatch.setattr(SystemClock, "pause", over)
    monkeypatch.setattr(GatewayWatch, "run", go_on)
    assert (run(["status", *words]), lanes.asked) == wanted
    assert ("lane cron is full" in capsys.readouterr().out) is bool(lanes.asked)


def test_ids_are_exact_and_text_is_safe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chosen = copy(sample("2026.5.20", "healthy"), tmp_path)
    hostile = "fakeai:[/red]\x1b[31m\u202e" + "x" * 10_000
    store = chosen.state_dir / "agents" / "main" / "agent" / "auth-profiles.json"
    content = json.loads(store.read_text())
    content["profiles"][hostile] = {"type": "api_key", "provider": "fakeai", "key": "sk-secret-value-123456"}
    store.write_text(json.dumps(content))
    _, report = status(capsys, *options_for(chosen))
    assert hostile in {profile["id"] for profile in report["agents"][0]["profiles"]}
    assert "sk-secret" not in json.dumps(report)
    assert run(["status", "--output", "fit", *options_for(chosen)]) == 0
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert max(map(len, shown.splitlines())) < 200


def test_a_read_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chosen = copy(sample("2026.3.28", "crash"), tmp_path)

    def tree() -> dict[str, tuple[int, int]]:
        return {str(path): (path.lstat().st_size, path.lstat().st_mtime_ns) for path in sorted(chosen.root.rglob("*"))}

    before = tree()
    run(["status", "--json", *options_for(chosen)])
    run(["status", "--json", "--state-dir", str(chosen.state_dir)])
    run(["status"])
    capsys.readouterr()
    assert tree() == before


def test_watch_streams_one_object_per_change(tmp_path: Path) -> None:
    chosen = copy(sample("2026.5.20", "healthy"), tmp_path)
    state = chosen.state_dir / "agents" / "main" / "agent" / "auth-state.json"
    command = [sys.executable, "-m", "clawtop", "status", "--watch", "--json", "--state-dir", str(chosen.state_dir)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first = json.loads(process.stdout.readline())
        fresh = state.with_name("auth-state.json.1.tmp")
        fresh.write_text(json.dumps({"version": 1, "usageStats": {"fakeai:one": {"errorCount": 3, "lastUsed": 7}}}))
        fresh.rename(state)
        while (second := json.loads(process.stdout.readline())) and _errors(second) != 3:
            assert _errors(second) == _errors(first)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130


def _errors(report: dict[str, Any]) -> int:
    (found,) = (p["error_count"] for p in report["agents"][0]["profiles"] if p["id"] == "fakeai:one")
    return int(found)


def test_a_closed_pipe_is_no_error() -> None:
    chosen = sample("2026.5.20", "healthy")
    command = [sys.executable, "-m", "clawtop", "status", "--json", *options_for(chosen)]
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


UNLOADED = {
    *("textual", "rich", "httpx", "watchfiles", "websockets", "filelock", "psutil", "json5", "pydantic", "asyncio"),
    *("concurrent", "email", "ssl", "http", "logging", "subprocess", "tempfile", "traceback", "platform", "uuid"),
    *("clawtop.engine", "clawtop.fleet", "clawtop.ui", "clawtop.export", "clawtop.demo", "clawtop.crash"),
    *("clawtop.core.failure", "clawtop.core.fleet", "clawtop.core.operations.plan", "clawtop.core.operations.receipt"),
    *("clawtop.core.session.drain", "clawtop.core.session.recovery", "clawtop.core.session.admission"),
    *("clawtop.core.failover.steps", "clawtop.core.failover.fallback", "clawtop.core.failover.decision"),
    *("clawtop.store.atomic", "clawtop.store.own.holders", "clawtop.store.own.presence"),
    *("clawtop.store.own.journal", "clawtop.store.own.recording"),
    *("clawtop.store.sqlite.database", "clawtop.store.sqlite.writing", "clawtop.view.plain", "clawtop.view.columns"),
}
"""What one reading of a state in files, told as JSON, has no use for: each would cost its start."""


def test_status_loads_only_what_one_reading_needs() -> None:
    code = (
        "import sys; from clawtop.cli.main import run; run(sys.argv[1:]);"
        "names = {'.'.join(name.split('.')[:n]) for name in sys.modules for n in range(1, 5)}; print(*sorted(names))"
    )
    arguments = ["status", "--json", *options_for(sample("2026.5.20", "healthy"))]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.splitlines()[-1].split())
    assert [name for name in UNLOADED if name.startswith("clawtop") and importlib.util.find_spec(name) is None] == []
    assert loaded & UNLOADED == set()
    assert "clawtop.store.snapshot" in loaded


def test_the_console_script_is_installed() -> None:
    script = shutil.which("clawtop", path=str(Path(sys.executable).parent))
    assert script is not None
    done = subprocess.run([script, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("clawtop ")
