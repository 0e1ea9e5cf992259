"""Every sample reads as its manifest says; those of 2026.6 and later in `test_database_samples` too, more of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from clawtop.core.cooldown.profile_state import profile_state
from clawtop.core.cooldown.schedules import Schedules
from clawtop.core.model import GatewayState, Generation, LockKind, Snapshot, VerdictKind
from clawtop.store.locks.processes import UncheckedProcesses
from tests.support.samples import Sample, copy, samples

READ = samples(Generation.A, Generation.B)
ALL = READ + samples(Generation.C, Generation.D)

KINDS = {
    "gateway": LockKind.GATEWAY,
    "session": LockKind.SESSION,
    "auth-store": LockKind.AUTH,
}


def by_name(found: list[Sample]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("sample", found, ids=str)


@by_name(ALL)
def test_generation_and_agents(sample: Sample) -> None:
    snapshot = sample.reader().read()
    assert snapshot.generation is sample.generation
    assert [agent.id for agent in snapshot.agents] == ["main", "ops"]
    assert snapshot.agents[0].is_default
    assert [str(model) for model in snapshot.agents[1].models] == ["fakeai/fake-model", "backupai/backup-model"]
    assert snapshot.state_dir == str(sample.state_dir)
    assert snapshot.openclaw_version in {None, sample.version}


@by_name(READ)
def test_profiles(sample: Sample) -> None:
    snapshot = sample.reader().read()
    for agent in snapshot.agents:
        assert agent.store is not None
        assert agent.store.problem is None
        profiles = {profile.id: profile for profile in agent.store.profiles}
        assert len(profiles) == sample.expect["profiles_total"]
        for wanted in sample.expect["profiles"]:
            profile = profiles[wanted["id"]]
            state, until = profile_state(profile, sample.captured_at, Schedules(snapshot)[profile.provider])
            stats = profile.stats
            assert (profile.provider, profile.credential.type) == (wanted["provider"], wanted["type"])
            assert state.value == wanted["state"]
            assert profile.owner_agent == "main"
            assert profile.path == str(sample.state_dir / "agents" / "main" / "agent" / "auth-profiles.json")
            assert stats.error_count == wanted.get("errorCount")
            assert dict(stats.failure_counts) == wanted.get("failureCounts", {})
            assert stats.last_used == wanted.get("lastUsed")
            assert stats.last_failure_at == wanted.get("lastFailureAt")
            assert stats.cooldown_model == (wanted.get("model_scope") or stats.cooldown_model)
            if state.value == "cooling":
                assert until == wanted["until"]
                assert stats.cooldown_reason == wanted["reason"]
        assert dict(agent.store.last_good) == sample.expect["lastGood"]
        assert dict(agent.store.order) == sample.expect["store_order"]
    assert {name: list(ids) for name, ids in snapshot.config.auth.order.items()} == sample.expect["config_order"]


@by_name(READ)
def test_sessions(sample: Sample) -> None:
    sessions = {session.key: session for session in sample.reader().read().sessions}
    assert set(sessions) == {wanted["key"] for wanted in sample.expect["sessions"]}
    for wanted in sample.expect["sessions"]:
        session = sessions[wanted["key"]]
        assert session.agent == wanted["agent"]
        assert session.session_id == wanted["sessionId"]
        assert session.status == wanted.get("status")
        assert session.updated_at == wanted["updatedAt"]
        assert session.started_at == wanted.get("startedAt")
        assert session.ended_at == wanted.get("endedAt")
        assert session.aborted_last_run == wanted.get("abortedLastRun")
        assert (session.provider, session.model) == (wanted["modelProvider"], wanted["model"])
        assert session.file is not None
        assert str(Path(session.file).relative_to(sample.root)) in sample.expect["transcripts"]
    running = [session.key for session in sessions.values() if session.status == "running"]
    assert running == sample.expect["sessions_running"]


@by_name(ALL)
def test_runs_that_are_really_going_on(sample: Sample) -> None:
    sessions = sample.reader().read().sessions
    active = [session.key for session in sessions if session.active]
    assert active == sample.expect["truly_active_sessions"]
    ghosts = [
        session.key for session in sessions if {problem.code for problem in session.problems} & {"ghost", "unsettled"}
    ]
    assert ghosts == (sample.expect["sessions_running"] if "ghost_running" in sample.expect else [])


@by_name(READ)
def test_pins(sample: Sample) -> None:
    sessions = sample.reader().read().sessions
    pins = [
        {"key": session.key, "profile": session.profile, "source": session.profile_source}
        for session in sessions
        if session.profile_source == "user"
    ]
    assert pins == [pin for pin in sample.expect["session_pins"] if pin["source"] == "user"]


@by_name(ALL)
def test_locks(sample: Sample, tmp_path: Path) -> None:
    copied = copy(sample, tmp_path)
    snapshot = copied.reader().read()
    locks = {str(Path(lock.file.path).relative_to(copied.root)): lock for lock in snapshot.locks}
    assert set(locks) == {wanted["path"] for wanted in sample.expect["locks"]}
    for wanted in sample.expect["locks"]:
        lock = locks[wanted["path"]]
        is_store = wanted["path"].endswith("sessions.json.lock")
        assert lock.file.kind is (LockKind.SESSIONS_STORE if is_store else KINDS[wanted["kind"]])
        assert lock.pid == wanted["owner_pid"]
        assert (lock.file.payload is not None) == wanted["valid_json"]
        assert lock.verdict.kind is expected_verdict(wanted["owner_live_at_capture"])
        if lock.created_at is not None:
            assert sample.captured_at - lock.created_at == pytest.approx(wanted["age_ms_at_capture"], abs=20)


def expected_verdict(live: bool | None) -> VerdictKind:
    if live is None:
        return VerdictKind.UNKNOWN
    return VerdictKind.HELD if live else VerdictKind.STALE


@by_name(ALL)
def test_gateway(sample: Sample) -> None:
    gateway = sample.reader().read().gateway
    live = sample.manifest["gateway"]["live_at_capture"]
    assert gateway.state is (GatewayState.LIVE if live else GatewayState.DEAD)
    if live:
        assert gateway.pid == sample.manifest["gateway"]["pid"]
    assert gateway.port is not None


@by_name(ALL)
def test_judged_as_of_then_nothing_is_asked(sample: Sample) -> None:
    processes = UncheckedProcesses()
    snapshot = sample.reader(processes=processes, at=sample.captured_at).read()
    assert snapshot.judged_at == sample.captured_at
    assert snapshot.gateway.state is GatewayState.UNKNOWN
    for lock in snapshot.locks:
        assert lock.verdict.kind is VerdictKind.UNKNOWN
        assert lock.verdict.reasons in {("not-checked",), ("unparsable",)}
    unproven = [session for session in snapshot.sessions if session.status == "running" and session.active]
    assert unproven == []


def tree(root: Path) -> dict[str, tuple[int, int, int, int]]:
    return {
        str(path): (facts.st_mode, facts.st_size, facts.st_mtime_ns, facts.st_ino)
        for path in (root, *root.rglob("*"))
        if (facts := path.lstat())
    }


@by_name(ALL)
def test_reading_changes_nothing(sample: Sample, tmp_path: Path) -> None:
    copied = copy(sample, tmp_path)
    before = tree(tmp_path)
    reader = copied.reader()
    first, second = reader.read(), reader.read()
    assert tree(tmp_path) == before
    assert second.number == first.number + 1
    assert without_number(first) == without_number(second)


def without_number(snapshot: Snapshot) -> tuple[object, ...]:
    return (snapshot.agents, snapshot.sessions, snapshot.locks, snapshot.gateway, snapshot.config, snapshot.warnings)


@by_name(READ)
def test_paths_lie_in_the_copy(sample: Sample) -> None:
    snapshot = sample.reader().read()
    assert snapshot.config.log_file == str(sample.state_dir / "gateway.log")
    assert all(
        session.file is not None and session.file.startswith(str(sample.state_dir)) for session in snapshot.sessions
    )


@by_name(READ)
def test_no_secret_gets_into_a_snapshot(sample: Sample) -> None:
    text = repr(sample.reader().read())
    assert "sk-fake" not in text
    assert "tok-fake" not in text
    assert "fake-gateway-token" not in text
