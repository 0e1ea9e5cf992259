"""`clawtop doctor`: findings about configuration and machine, exit codes, and that it changes nothing."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
import setproctitle

from clawtop.cli.main import run
from clawtop.clock import SystemClock
from clawtop.core.model import Gateway, GatewayState, Snapshot
from clawtop.engine.prompt import process_title
from clawtop.store.place import environment
from clawtop.store.place.environment import environment_problems
from clawtop.store.place.layout import Layout
from clawtop.store.place.locating import locate
from tests.support.samples import unpacked

QUIET = {
    "meta": {"lastTouchedVersion": "2026.5.20"},
    "agents": {"defaults": {"heartbeat": {"isolatedSession": True}}},
    "channels": {"telegram": {"enabled": True}},
    "gateway": {"port": 9},
}


@pytest.fixture
def state(tmp_path: Path) -> Path:
    for place in ("agents/main/agent", "agents/main/sessions"):
        (tmp_path / place).mkdir(parents=True)
    (tmp_path / "agents/main/agent/auth-profiles.json").write_text('{"version":1,"profiles":{}}')
    configure(tmp_path, QUIET)
    return tmp_path


def configure(state: Path, config: object) -> None:
    (state / "openclaw.json").write_text(json.dumps(config))


def doctor(state: Path, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, str]:
    code = run(["doctor", "--state-dir", str(state), *options])
    return code, capsys.readouterr().out


def test_nothing_found_is_said_beside_the_health_and_nothing_is_created(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted((str(path), path.lstat().st_mtime_ns) for path in state.rglob("*"))
    code, out = doctor(state, capsys)
    *_, found, health = out.splitlines()
    assert (code, found) == (0, "no problems found in the configuration or on this machine"), out
    assert health.startswith("health now: "), out
    assert sorted((str(path), path.lstat().st_mtime_ns) for path in state.rglob("*")) == before


def test_a_jammed_store_is_a_finding_with_what_to_do(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lock = state / "agents/main/agent/auth-profiles.json.lock"
    lock.write_text("")
    os.utime(lock, (1, 1))
    code, out = doctor(state, capsys)
    assert code == 1, out
    found = next(line for line in out.splitlines() if "store-jammed" in line)
    assert str(lock) in found
    assert "only then remove it by hand" in found


def test_which_log_is_followed_or_why_none_is(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out = doctor(state, capsys)
    assert out.splitlines()[1].startswith("log: none is followed: the configuration names no log"), out
    log = state / "gateway.log"
    log.write_text("")
    configure(state, {**QUIET, "logging": {"file": str(log)}})
    _, out = doctor(state, capsys)
    assert out.splitlines()[1] == f"log: {log} (logging.file)"
    _, out = doctor(state, capsys, "--json")
    assert json.loads(out)["log"] == {"paths": [str(log)], "how": "logging.file"}


def test_a_shared_heartbeat_is_named_with_its_path(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configure(state, {**QUIET, "agents": {}})
    code, out = doctor(state, capsys, "--json")
    report = json.loads(out)
    assert (code, report["exit_code"], report["generation"]) == (1, 1, "B")
    (warning,) = report["warnings"]
    assert (warning["code"], warning["where"]) == (
        "heartbeat-shares-session",
        "agents.defaults.heartbeat.isolatedSession",
    )
    assert warning["agent"] == "main"
    code, out = doctor(state, capsys)
    assert (code, out.splitlines()[-2]) == (1, "1 warning")
    run(["status", "--json", "--state-dir", str(state)])
    shown = json.loads(capsys.readouterr().out)
    assert "heartbeat-shares-session" in {item["code"] for item in shown["warnings"]}


def test_a_directory_that_is_not_there_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _ = doctor(tmp_path / "nowhere", capsys)
    assert code == 3


def test_without_a_process_title_locks_would_be_lost(
    state: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert process_title.can_look_like_openclaw()
    monkeypatch.setattr(setproctitle, "setproctitle", lambda _title: None)
    assert not process_title.can_look_like_openclaw()
    code, out = doctor(state, capsys)
    assert code == 1
    assert "no-process-title" in out


@pytest.fixture
def layout(state: Path) -> Layout:
    return locate(state, env={}, home=state)


def snapshot(state: Path, gateway: Gateway = Gateway()) -> Snapshot:  # noqa: B008 - frozen
    return Snapshot(1, SystemClock().now_ms(), "host", str(state), None, None, gateway)


def codes(layout: Layout, state: Path, *, gateway: Gateway = Gateway(), watched: int = 5, **seams: object) -> list[str]:  # noqa: B008 - frozen
    problems = environment_problems(layout, snapshot(state, gateway), watched, **seams)  # type: ignore[arg-type]
    return [problem.code for problem in problems]


def test_each_obstacle_of_the_machine_is_found(
    layout: Layout, state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert codes(layout, state) == []
    assert codes(layout, state, euid=os.geteuid() + 1) == ["other-user"]
    unseen = Gateway(GatewayState.LIVE, pid=None, port=9)
    assert codes(layout, state, gateway=unseen) == ["other-namespace"]
    foreign = Gateway(GatewayState.UNKNOWN, distrust="process 7 belongs to bob, and the state directory to alice")
    assert codes(layout, state, gateway=foreign) == ["gateway-distrusted"]
    limits = tmp_path / "proc/sys/fs/inotify"
    limits.mkdir(parents=True)
    (limits / "max_user_watches").write_text("9\n")
    (limits / "max_user_instances").write_text("128\n")
    assert codes(layout, state, proc=tmp_path / "proc") == ["inotify-limit"]
    assert codes(layout, state, proc=tmp_path / "proc", watched=2) == []
    with monkeypatch.context() as patched:
        patched.setattr(environment, "mount_obstacles", lambda _path: ("network-mount",))
        assert codes(layout, state) == ["network-mount"]
    monkeypatch.setattr(os, "pathconf", lambda _path, _name: 1)
    assert codes(layout, state) == ["no-hard-links", "no-hard-links"]


def test_a_setup_without_a_problem_does_not_hide_an_outage(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    profile = {"type": "api_key", "provider": "coral", "key": "sk-coral-1234567890"}
    store = {"version": 1, "profiles": {"coral:larry": profile}}
    (state / "agents/main/agent/auth-profiles.json").write_text(json.dumps(store))
    ends = (int(time.time()) + 3600) * 1000
    usage = {"usageStats": {"coral:larry": {"disabledUntil": ends, "disabledReason": "billing", "errorCount": 1}}}
    (state / "agents/main/agent/auth-state.json").write_text(json.dumps({"version": 1, **usage}))
    models = {"defaults": {"model": {"primary": "coral/crab-1"}}}
    configure(state, {**QUIET, "agents": models})
    _, out = doctor(state, capsys)
    assert out.splitlines()[-1].startswith("health now: 2 "), out


@pytest.mark.parametrize("version", ["2026.6.11", "2026.8.2"])
def test_what_a_finished_import_left_is_no_warning(
    version: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sample = unpacked(version, "migrated", tmp_path)
    _, out = doctor(sample.state_dir, capsys, "--json")
    found = json.loads(out)
    assert {item["code"] for item in found["notes"]} == {"import-leftovers"}
    assert "import-leftovers" not in {item["code"] for item in found["warnings"]}
    assert found["exit_code"] == (1 if found["warnings"] else 0)
    _, out = doctor(sample.state_dir, capsys)
    assert out.index("import-leftovers") < out.index("health now: ")
