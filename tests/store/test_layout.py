"""Discovery by OpenClaw's own rules (docs/formats.md 1)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from clawtop.core.model import Generation
from clawtop.errors import RefusedError, StateUnreadableError
from clawtop.store.place import temporary
from clawtop.store.place.layout import Layout
from clawtop.store.place.locating import locate


def made(path: Path, config: Mapping[str, Any] | None = None, agents: tuple[str, ...] = ("main",)) -> Path:
    for agent in agents:
        (path / "agents" / agent / "agent").mkdir(parents=True)
        (path / "agents" / agent / "sessions").mkdir()
    path.mkdir(parents=True, exist_ok=True)
    if config is not None:
        (path / "openclaw.json").write_text(json.dumps(config))
    return path


def found(home: Path, **env: str) -> Layout:
    return locate(env=env, home=home)


def test_the_usual_directory(tmp_path: Path) -> None:
    made(tmp_path / ".openclaw", {})
    made(tmp_path / ".clawdbot", {})
    assert found(tmp_path).state_dir == tmp_path / ".openclaw"


@pytest.mark.parametrize("name", [".clawdbot", ".moldbot"])
def test_a_legacy_directory_serves_where_there_is_no_other(tmp_path: Path, name: str) -> None:
    made(tmp_path / name)
    (tmp_path / name / "clawdbot.json").write_text("{}")
    layout = found(tmp_path)
    assert layout.state_dir == tmp_path / name
    assert layout.config_path == tmp_path / name / "clawdbot.json"


def test_environment_variables(tmp_path: Path) -> None:
    here = made(tmp_path / "somewhere" / "state", {})
    made(tmp_path / "other" / ".openclaw", {})
    assert found(tmp_path, OPENCLAW_STATE_DIR=str(here)).state_dir == here
    assert found(tmp_path, OPENCLAW_STATE_DIR="~/somewhere/state").state_dir == here
    assert found(tmp_path, OPENCLAW_HOME=str(tmp_path / "other")).state_dir == tmp_path / "other" / ".openclaw"
    assert found(tmp_path, OPENCLAW_HOME="~/other").state_dir == tmp_path / "other" / ".openclaw"


@pytest.mark.parametrize("profile", ["default", "work"])
def test_a_profile_in_the_environment_alone_moves_no_directory(tmp_path: Path, profile: str) -> None:
    usual, here = made(tmp_path / ".openclaw", {}), made(tmp_path / ".openclaw-work", {})
    assert found(tmp_path, OPENCLAW_PROFILE=profile).state_dir == usual
    assert found(tmp_path, OPENCLAW_PROFILE=profile, OPENCLAW_STATE_DIR="~/.openclaw-work").state_dir == here


def test_a_named_directory_beats_the_environment(tmp_path: Path) -> None:
    here, other = made(tmp_path / "here", {}), made(tmp_path / "other", {})
    layout = locate(here, env={"OPENCLAW_STATE_DIR": str(other)}, home=tmp_path)
    assert layout.state_dir == here


def test_what_was_tried_is_named(tmp_path: Path) -> None:
    with pytest.raises(StateUnreadableError) as caught:
        found(tmp_path)
    assert str(tmp_path / ".openclaw") in caught.value.title
    assert "OPENCLAW_STATE_DIR" in caught.value.hint


def test_the_configuration_may_be_elsewhere(tmp_path: Path) -> None:
    made(tmp_path / ".openclaw", {"gateway": {"port": 1}})
    elsewhere = tmp_path / "etc.json"
    elsewhere.write_text('{"gateway": {"port": 2}}')
    layout = found(tmp_path, OPENCLAW_CONFIG_PATH=str(elsewhere))
    assert layout.config_path == elsewhere
    assert layout.config.raw == {"gateway": {"port": 2}}
    assert not layout.is_copy


def test_the_environments_configuration_is_not_another_directorys(tmp_path: Path) -> None:
    made(tmp_path / ".openclaw", {})
    copy = made(tmp_path / "copy", {"gateway": {"port": 3}})
    elsewhere = tmp_path / "etc.json"
    elsewhere.write_text("{}")
    layout = locate(copy, env={"OPENCLAW_CONFIG_PATH": str(elsewhere)}, home=tmp_path)
    assert layout.config_path == copy / "openclaw.json"


@pytest.mark.parametrize("name", ["OPENCLAW_AGENT_DIR", "PI_CODING_AGENT_DIR"])
def test_the_main_agents_directory_may_be_elsewhere(tmp_path: Path, name: str) -> None:
    made(tmp_path / ".openclaw", {"agents": {"list": [{"id": "main"}, {"id": "ops"}]}})
    layout = found(tmp_path, **{name: str(tmp_path / "elsewhere")})
    assert [agent.agent_dir for agent in layout.agents] == [
        tmp_path / "elsewhere",
        tmp_path / ".openclaw" / "agents" / "ops" / "agent",
    ]
    assert layout.main_agent_dir == tmp_path / "elsewhere"


def test_agents_are_those_of_the_configuration_and_those_with_a_directory(tmp_path: Path) -> None:
    config = {
        "agents": {
            "defaults": {"model": {"primary": "p/one", "fallbacks": ["q/two"]}, "heartbeat": {"isolatedSession": True}},
            "list": [
                {"id": "Ops Team", "model": "r/three", "heartbeat": {"isolatedSession": False}},
                {"id": "main", "default": True},
                {"id": "main", "agentDir": "/ignored"},
                "nonsense",
            ],
        }
    }
    layout = locate(made(tmp_path / "s", config, ("main", "left-over")), env={}, home=tmp_path)
    assert [(agent.id, agent.is_default, agent.configured) for agent in layout.agents] == [
        ("ops-team", False, True),
        ("main", True, True),
        ("left-over", False, False),
    ]
    assert [str(model) for model in layout.agents[0].models] == ["r/three", "q/two"]
    assert [str(model) for model in layout.agents[1].models] == ["p/one", "q/two"]
    assert [agent.heartbeat_isolated for agent in layout.agents] == [False, True, None]


def test_a_configuration_without_agents_means_main(tmp_path: Path) -> None:
    state = tmp_path / "s"
    state.mkdir()
    (state / "openclaw.json").write_text("{}")
    layout = locate(state, env={}, home=tmp_path)
    assert [(agent.id, agent.is_default) for agent in layout.agents] == [("main", True)]


def test_moved_agent_directories_and_session_stores(tmp_path: Path) -> None:
    config = {
        "agents": {"list": [{"id": "main"}, {"id": "ops", "agentDir": "~/agents/ops"}]},
        "session": {"store": str(tmp_path / "stores" / "{agentId}" / "all.json")},
    }
    layout = locate(made(tmp_path / "s", config), env={}, home=tmp_path)
    ops = layout.agent("ops")
    assert ops is not None
    assert ops.agent_dir == tmp_path / "agents" / "ops"
    assert ops.sessions_store == tmp_path / "stores" / "ops" / "all.json"
    assert ops.sessions_dir == tmp_path / "stores" / "ops"


def test_gateway_locks_are_looked_for_by_the_hash_of_the_configurations_path(tmp_path: Path) -> None:
    state = made(tmp_path / ".openclaw", {})
    layout = locate(state, env={"TMPDIR": "/var/tmp/"}, home=tmp_path, uids=(1000,))
    name = f"gateway.{sha256(str(state / 'openclaw.json').encode()).hexdigest()[:8]}.lock"
    assert name in layout.gateway_lock_names
    places = (Path("/var/tmp/openclaw-1000"), state / "tmp" / "openclaw-1000", temporary.SYSTEM / "openclaw-1000")
    assert layout.lock_dirs == places


# --- copies ------------------------------------------------------------------------------------------------------


def with_session(state: Path, root: str) -> Path:
    entry = {"sessionId": "x", "sessionFile": f"{root}/agents/main/sessions/x.jsonl"}
    (state / "agents" / "main" / "sessions" / "sessions.json").write_text(json.dumps({"agent:main:main": entry}))
    return state


def test_paths_in_a_copy_lead_into_the_copy(tmp_path: Path) -> None:
    state = with_session(made(tmp_path / "home" / ".openclaw", {}), "/home/op/.openclaw")
    layout = locate(state, env={}, home=tmp_path)
    assert layout.foreign_roots == ("/home/op/.openclaw",)
    assert layout.map_path("/home/op/.openclaw/logs/x") == state / "logs" / "x"
    assert layout.map_path("/home/op/.openclaw") == state
    assert layout.map_path("/home/op/ws") == tmp_path / "home" / "ws"
    assert layout.map_path("/home/op/.openclaw/../../../etc/passwd") is None
    assert layout.map_path(str(state / "x")) == state / "x"
    assert layout.map_path("relative") is None
    assert layout.map_path("/nul\0") is None


def test_a_living_directory_maps_nothing(tmp_path: Path) -> None:
    state = made(tmp_path / ".openclaw", {})
    layout = locate(with_session(state, str(state)), env={}, home=tmp_path)
    assert not layout.is_copy
    assert layout.map_path("/var/log/openclaw.log") == Path("/var/log/openclaw.log")


def test_a_directory_under_another_name_is_no_copy(tmp_path: Path) -> None:
    state = made(tmp_path / "data" / ".openclaw", {})
    link = tmp_path / "link"
    link.symlink_to(state)
    with_session(state, str(state))
    layout = locate(link, env={}, home=tmp_path)
    assert layout.state_dir == link
    assert not layout.is_copy


def test_a_directory_that_moved_is_still_read(tmp_path: Path) -> None:
    state = made(tmp_path / ".openclaw", {})
    logs = state / "logs"
    logs.mkdir()
    (logs / "config-health.json").write_text(json.dumps({"entries": {str(state / "openclaw.json"): {}}}))
    layout = locate(with_session(state, "/old/.clawdbot"), env={}, home=tmp_path)
    assert not layout.is_copy


# --- what may be used --------------------------------------------------------------------------------------------


def test_only_known_files_of_known_directories_may_be_used(tmp_path: Path) -> None:
    state = made(tmp_path / ".openclaw", {})
    layout = locate(state, env={}, home=tmp_path)
    agent, sessions = state / "agents" / "main" / "agent", state / "agents" / "main" / "sessions"
    good = [
        agent / "auth-profiles.json",
        agent / "auth-state.json",
        agent / "auth-profiles.json.lock",
        sessions / "sessions.json",
        sessions / "x.jsonl",
        sessions / "x.jsonl.lock",
    ]
    bad = [state / "openclaw.json", agent / "other.json", sessions / "x.txt", tmp_path / "x.jsonl"]
    for path in (*good, *bad):
        path.touch()
    (sessions / "deep").mkdir()
    (sessions / "deep" / "y.jsonl").touch()
    outside = sessions / "out.jsonl"
    outside.symlink_to(tmp_path / "x.jsonl")
    inside = tmp_path / "in.jsonl"
    inside.symlink_to(sessions / "x.jsonl")
    assert [layout.resolve_inside(path) for path in good] == good
    assert layout.resolve_inside(inside) == sessions / "x.jsonl"
    assert layout.resolve_inside(sessions / "deep" / ".." / "x.jsonl") == sessions / "x.jsonl"
    missing = sessions / "none.jsonl"
    for path in (*bad, sessions / "deep" / "y.jsonl", outside, missing, sessions, Path("/etc/passwd")):
        with pytest.raises(RefusedError):
            layout.resolve_inside(path)


# --- generations -------------------------------------------------------------------------------------------------


def generation(state: Path) -> tuple[Generation | None, bool]:
    layout = locate(state, env={}, home=state.parent)
    return layout.generation, layout.writable_generation


STORE = {"version": 1, "profiles": {"p:one": {"type": "api_key", "provider": "p", "key": "k"}}}
EMBEDDED = STORE | {"usageStats": {"p:one": {"lastUsed": 1}}}


@pytest.mark.parametrize(
    ("version", "store", "state_file", "expected"),
    [
        ("2026.3.28", STORE, None, (Generation.A, True)),
        ("2026.5.20", STORE, None, (Generation.B, True)),
        ("2026.6.1", EMBEDDED, None, (Generation.B, True)),
        ("2026.6.11", STORE, None, (Generation.C, True)),
        ("2026.9.6-beta.1", None, None, (Generation.D, True)),
        (None, EMBEDDED, None, (Generation.A, True)),
        (None, STORE, {"version": 1, "order": {"p": ["p:one"]}}, (Generation.B, True)),
        ("2026.3.28", STORE, {"version": 1}, (Generation.A, True)),
        ("2026.3.28", STORE, {"version": 1, "order": {"p": ["p:one"]}}, (Generation.A, False)),
        ("2026.3.28", EMBEDDED, {"version": 1}, (Generation.A, True)),
        (None, EMBEDDED, {"version": 1}, (Generation.B, True)),
        (None, STORE, None, (Generation.B, False)),
        ("2026.4.2", STORE, None, (Generation.B, False)),
        ("nonsense", STORE, None, (Generation.B, False)),
        (None, None, None, (None, False)),
    ],
)
def test_generation(
    tmp_path: Path, version: str | None, store: Any, state_file: Any, expected: tuple[Generation | None, bool]
) -> None:
    state = made(tmp_path / "s", {"meta": {"lastTouchedVersion": version}} if version else {})
    agent = state / "agents" / "main" / "agent"
    if store is not None:
        (agent / "auth-profiles.json").write_text(json.dumps(store))
    if state_file is not None:
        (agent / "auth-state.json").write_text(json.dumps(state_file))
    assert generation(state) == expected


def test_files_that_merely_exist_decide_nothing(tmp_path: Path) -> None:
    state = made(tmp_path / "s", {"meta": {"lastTouchedVersion": "2026.3.28"}})
    agent = state / "agents" / "main" / "agent"
    (agent / "auth-profiles.json").write_text(json.dumps(EMBEDDED))
    (agent / "auth-profiles.json.migrated-2026-11-20-abc").write_text("{}")
    (agent / "openclaw-agent.sqlite").write_bytes(b'SQLite format 3\0 CREATE TABLE auth_profile_store {"profiles":{')
    (state / "state").mkdir()
    (state / "state" / "openclaw.sqlite").write_bytes(b"SQLite format 3\0")
    (agent / "auth-state.json").write_text("")
    assert generation(state) == (Generation.A, True)


def test_a_linked_trajectory_tells_no_version(tmp_path: Path) -> None:
    """OpenClaw links none: it would be another file's beginning."""
    state = made(tmp_path / ".openclaw", {})
    recorded = '{"data": {"harness": {"version": "2026.5.20", "gitSha": "e510042"}}}\n'
    (tmp_path / "elsewhere").write_text(recorded)
    sessions = state / "agents/main/sessions"
    (sessions / "x.trajectory.jsonl").symlink_to(tmp_path / "elsewhere")
    assert found(tmp_path).version is None
    (sessions / "y.trajectory.jsonl").write_text(recorded)
    assert found(tmp_path).version == "2026.5.20"


def test_a_guess_is_said(tmp_path: Path) -> None:
    state = made(tmp_path / "s", {})
    (state / "agents" / "main" / "agent" / "auth-profiles.json").write_text(json.dumps(STORE))
    layout = locate(state, env={}, home=tmp_path)
    assert [problem.code for problem in layout.problems] == ["generation-guessed"]
    assert "writes nothing" in layout.problems[0].text
