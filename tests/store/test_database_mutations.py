"""Real databases, changed to what was not captured: other owners of values, other agents, other leftovers.

What is right is what OpenClaw's merging, claims and migrations make of them.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from clawtop.core.cooldown.profile_state import profile_state
from clawtop.core.health.judgement import judge
from clawtop.core.model import NOT_IMPORTED, SHARED, Profile, Session, Snapshot
from clawtop.core.session.openclaw_runs import openclaw_holders
from tests.support.databases import (
    NO_CREDENTIALS,
    OWN_STATE,
    OWN_STORE,
    SHARED_STATE,
    agent_database,
    run,
    state_database,
    store,
)
from tests.support.samples import Sample, unpacked

MAIN = "agent:main:main"


def made(tmp_path: Path, scenario: str, version: str = "2026.9.6") -> Sample:
    return unpacked(version, scenario, tmp_path)


def profile_of(snapshot: Snapshot, agent: str, id_: str) -> Profile:
    found = next(info.store for info in snapshot.agents if info.id == agent)
    assert found is not None
    return next(profile for profile in found.profiles if profile.id == id_)


def session_of(snapshot: Snapshot, key: str = MAIN) -> Session:
    return next(session for session in snapshot.sessions if session.key == key)


def own_stats(sample: Sample, agent: str, stats: dict[str, Any]) -> None:
    """Statistics in an agent's own database; OpenClaw reads them only beside a row of credentials."""
    path = agent_database(sample.state_dir, agent)
    store(path, OWN_STORE, NO_CREDENTIALS, sample.captured_at)
    store(path, OWN_STATE, {"version": 1, "usageStats": stats}, sample.captured_at)


def cooled(sample: Sample) -> None:
    """The first account cools, for all agents."""
    stats = {"fakeai:one": {"cooldownUntil": sample.captured_at + 900_000, "cooldownReason": "rate_limit"}}
    shared = {"version": 1, "usageStats": stats}
    store(state_database(sample.state_dir), SHARED_STATE, shared, sample.captured_at)


def test_an_agents_own_entry_of_a_shared_profile_blocks_it_for_that_agent_alone(tmp_path: Path) -> None:
    """By hand in the agent's database: the whole entry counts there, and the shared one elsewhere."""
    sample = made(tmp_path, "running")
    until = sample.captured_at + 900_000
    own_stats(sample, "ops", {"fakeai:two": {"cooldownUntil": until, "cooldownReason": "rate_limit"}})
    snapshot = sample.reader().read()
    for agent, owner, state in (("ops", "ops", "cooling"), ("main", None, "usable")):
        profile = profile_of(snapshot, agent, "fakeai:two")
        assert (profile.owner_agent, profile.stats_owner) == (SHARED, owner)
        found, _ = profile_state(profile, sample.captured_at, snapshot.semantics.cooling)
        assert found.value == state


def test_an_own_clean_entry_hides_a_shared_cooldown(tmp_path: Path) -> None:
    sample = made(tmp_path, "running")
    cooled(sample)
    own_stats(sample, "main", {"fakeai:one": {"errorCount": 0}})
    snapshot = sample.reader().read()
    states = {
        agent: profile_state(profile_of(snapshot, agent, "fakeai:one"), sample.captured_at, snapshot.semantics.cooling)[
            0
        ].value
        for agent in ("main", "ops")
    }
    assert states == {"main": "usable", "ops": "cooling"}


def test_an_own_credential_of_a_shared_id_keeps_the_shared_statistics(tmp_path: Path) -> None:
    sample = made(tmp_path, "running")
    cooled(sample)
    own = {"version": 1, "profiles": {"fakeai:one": {"type": "api_key", "provider": "fakeai", "key": "sk-own-9999"}}}
    store(agent_database(sample.state_dir, "ops"), OWN_STORE, own, sample.captured_at)
    snapshot = sample.reader().read()
    profile = profile_of(snapshot, "ops", "fakeai:one")
    assert (profile.owner_agent, profile.stats_owner) == ("ops", SHARED)
    assert profile.stats.cooldown_until is not None
    assert profile_of(snapshot, "main", "fakeai:one").owner_agent == SHARED


def test_a_claim_of_a_worker_elsewhere_is_a_holder_like_any_other(tmp_path: Path) -> None:
    sample = made(tmp_path, "running")
    run(
        state_database(sample.state_dir),
        "UPDATE worker_session_placements SET turn_claim_owner='worker', state='active', environment_id='e',"
        " execution_mode='worker-turn', active_owner_epoch=1, turn_claim_owner_epoch=1, worker_bundle_hash='h',"
        " workspace_base_manifest_ref='m', remote_workspace_dir='d' WHERE turn_claim_owner='local'",
    )
    session = session_of(sample.reader().read())
    assert session.active is True
    assert session.active_how == "its turn is claimed by a worker elsewhere"


def test_a_claim_of_before_the_gateway_holds_nothing_for_another_agent_too(tmp_path: Path) -> None:
    """`ops` was claimed by the gateway that ended; `main` is claimed by this one."""
    sample = made(tmp_path, "running")
    run(
        state_database(sample.state_dir),
        "UPDATE worker_session_placements SET turn_claim_owner='local', turn_claim_id='c', turn_claim_run_id='old',"
        " turn_claim_generation=1,"
        " updated_at_ms=(SELECT min(started_at_ms) - 1000 FROM gateway_boot_lifecycle) WHERE agent_id='ops'",
    )
    snapshot = sample.reader().read()
    assert [holder.session_key for holder in openclaw_holders(snapshot, lambda _file: False)] == [MAIN]
    assert session_of(snapshot, "agent:ops:main").active is False


@pytest.mark.parametrize("before", [True, False], ids=["before this gateway", "under it"])
def test_an_input_waits_only_under_the_gateway_that_took_it(tmp_path: Path, *, before: bool) -> None:
    sample = made(tmp_path, "running")
    ((began,),) = run(state_database(sample.state_dir), "SELECT max(started_at_ms) FROM gateway_boot_lifecycle")
    at = began - 5_000 if before else sample.captured_at - 3_000
    path = agent_database(sample.state_dir)
    ((session_id,),) = run(path, "SELECT current_session_id FROM session_nodes WHERE session_key=?", (MAIN,))
    row = ("made", MAIN, session_id, "made", "made-run", "h", "{}", "g", "queued", at)
    run(
        path,
        "INSERT INTO session_pending_inputs(input_id, session_key, session_id, idempotency_key, run_id, request_hash,"
        " message_json, lifecycle_generation, state, accepted_at) VALUES(?,?,?,?,?,?,?,?,?,?)",
        row,
    )
    session = session_of(sample.reader().read())
    assert [waiter.run_id for waiter in session.waiters] == ([] if before else ["made-run"])
    assert ("stale-input" in {problem.code for problem in session.problems}) is before


def test_a_store_that_was_moved_but_not_imported_is_not_empty(tmp_path: Path) -> None:
    """The shared place is named, its credentials never came: nothing may be told of no profiles."""
    sample = made(tmp_path, "half-migrated")
    run(state_database(sample.state_dir), "DELETE FROM config_machine_state WHERE state_key LIKE 'authProfiles.%'")
    snapshot = sample.reader().read()
    assert NOT_IMPORTED in {problem.code for problem in snapshot.warnings}
    codes = {cause.code for cause in judge(snapshot, sample.captured_at).causes}
    assert "not-imported" in codes
    assert "no-profiles" not in codes


def test_what_the_files_of_before_left_beside_a_filled_table_is_no_lock_and_no_session(tmp_path: Path) -> None:
    sample = made(tmp_path, "running")
    before = sample.reader().read()
    directory = sample.state_dir / "agents" / "main" / "sessions"
    directory.mkdir(exist_ok=True)
    entry = {"agent:main:left": {"sessionId": "left", "updatedAt": int(time.time() * 1000), "status": "running"}}
    (directory / "sessions.json").write_text(json.dumps(entry))
    (directory / "left.jsonl").write_text("")
    (directory / "left.jsonl.lock").write_text(json.dumps({"pid": 1, "createdAt": "2026-11-20T22:20:00.000Z"}))
    after = sample.reader().read()
    assert after.sessions == before.sessions
    assert [lock.file.path for lock in after.locks] == [lock.file.path for lock in before.locks]
