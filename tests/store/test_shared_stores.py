"""One store behind links is one store; one account under two names is told; a login has one owner."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clawtop.clock import SystemClock
from clawtop.core.model import Gateway, GatewayState, Snapshot
from clawtop.core.operations.clear import clear_profile
from clawtop.core.operations.unlock import oauth_lock_name
from clawtop.store.auth.backends import auth_backend
from clawtop.store.auth.machine import Machine
from clawtop.store.sqlite.pool import Databases
from tests.support.auth_changes import profile_change
from tests.support.states_made import StateDir, write_json
from tests.support.store_update import update

LOGIN = {"type": "oauth", "provider": "codex", "access": "at-1", "refresh": "rt-fake-1", "accountId": "acct-1"}
KEY = {"type": "api_key", "provider": "fakeai", "key": "sk-fake-same"}


@pytest.fixture
def linked(tmp_path: Path) -> StateDir:
    state = StateDir(tmp_path)
    for name in ("ops", "coder"):
        directory, _ = state.agent(name)
        for file in ("auth-profiles.json", "auth-state.json"):
            (directory / file).unlink(missing_ok=True)
            (directory / file).symlink_to(state.agent_dir / file)
    state.state(usageStats={"fakeai:one": {"errorCount": 3, "cooldownUntil": 4_000_000_000_000}})
    return state


def test_a_store_behind_links_is_one_store(linked: StateDir) -> None:
    snapshot = linked.reader().read()
    for agent in snapshot.agents:
        assert agent.store is not None
        assert {profile.owner_agent for profile in agent.store.profiles} == {"main"}
        assert next(p for p in agent.store.profiles if p.id == "fakeai:one").stats.cooldown_until == 4_000_000_000_000
        assert len(agent.store.parts) == 1
    plan = clear_profile(replace(snapshot, gateway=Gateway(GatewayState.DEAD)), "fakeai:one")
    assert [step.owner for step in plan.steps] == ["main"]


def test_a_lock_by_another_agents_path_is_waited_for_and_then_told(linked: StateDir) -> None:
    reader = linked.reader()
    reader.read()
    place = auth_backend(reader.layout, Databases(SystemClock())).place("coder")
    assert place is not None
    assert place.owner == "main"
    lock = linked.path / "agents" / "ops" / "agent" / "auth-profiles.json.lock"
    lock.write_text(json.dumps({"pid": os.getpid(), "createdAt": "2999-01-01T00:00:00.000Z"}))
    updated = update(place, profile_change("fakeai:one", lambda s: replace(s, error_count=0)), Machine(), wait=0.2)
    assert updated.waited_s + 0.2 >= 0.2
    assert updated.danger is not None
    assert "agents/ops/agent/auth-profiles.json.lock" in updated.danger
    lock.unlink()
    again = update(place, profile_change("fakeai:one", lambda s: replace(s, error_count=1)), Machine(), wait=5)
    assert again.danger is None
    assert (linked.path / "agents" / "ops" / "agent" / "auth-profiles.json").is_symlink()


def warnings(snapshot: Snapshot) -> dict[str, str]:
    return {problem.code: problem.text for problem in snapshot.warnings}


def profiles(state: StateDir, directory: Path, entries: dict[str, Any]) -> None:
    write_json(directory / "auth-profiles.json", {"version": 1, "profiles": entries})


def test_two_names_of_one_account_are_told_without_the_key(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    profiles(state, state.agent_dir, {"fakeai:one": KEY, "fakeai:two": KEY, "fakeai:three": {**KEY, "key": "other"}})
    text = warnings(state.reader().read())["same-account"]
    assert text == "fakeai:one and fakeai:two are the same account: rotating between them changes nothing"


def test_one_key_in_several_agents_stores_is_fine_and_one_login_is_not(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    ops, _ = state.agent("ops")
    profiles(state, state.agent_dir, {"fakeai:one": KEY, "codex:a": LOGIN})
    profiles(state, ops, {"fakeai:one": KEY, "codex:a": LOGIN})
    found = warnings(state.reader().read())
    assert "same-account" not in found
    assert found["copied-login"].startswith("agents main and ops each hold a copy of this login")


def test_a_refresh_lock_is_named_as_openclaw_names_it() -> None:
    digest = hashlib.sha256(b"codex\0codex:a").hexdigest()
    assert oauth_lock_name("codex", "codex:a") == f"sha256-{digest}"


@pytest.mark.parametrize("there", [True, False], ids=["there", "gone"])
def test_a_transcript_under_the_former_name_is_the_one_that_counts(tmp_path: Path, *, there: bool) -> None:
    """After the move to ~/.openclaw OpenClaw goes on writing the file that sessions.json names."""
    state = StateDir(tmp_path)
    former = state.path.parent / ".clawdbot" / "agents" / "main" / "sessions"
    if there:
        former.mkdir(parents=True)
        (former / "s.jsonl").write_text("{}\n")
        (former / "s.jsonl.lock").write_text(json.dumps({"pid": 77}))
    state.sessions({"agent:main:main": {"sessionId": "s", "sessionFile": str(former / "s.jsonl"), "status": "done"}})
    snapshot = state.reader().read()
    (session,) = snapshot.sessions
    assert session.file == str(former / "s.jsonl")
    assert "former-place" in {problem.code for problem in session.problems}
    assert [lock.file.path for lock in snapshot.locks] == ([str(former / "s.jsonl.lock")] if there else [])


def test_a_former_name_that_links_to_the_new_one_is_the_same_place(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    (state.path.parent / ".clawdbot").symlink_to(state.path)
    stored = state.path.parent / ".clawdbot" / "agents" / "main" / "sessions" / "s.jsonl"
    state.sessions({"agent:main:main": {"sessionId": "s", "sessionFile": str(stored), "status": "done"}})
    (session,) = state.reader().read().sessions
    assert session.file == str(state.sessions_dir / "s.jsonl")
