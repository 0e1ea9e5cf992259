"""Every state directory with databases (2026.6.11 to 2026.9.6) reads as its manifest says, and stays as it was."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clawtop.core.cooldown.profile_state import profile_state
from clawtop.core.generations import Generation
from clawtop.core.health.judgement import Level, judge
from clawtop.core.model import (
    EMPTY_KEY,
    NOT_IMPORTED,
    SHARED,
    AuthStore,
    EventKind,
    GatewayState,
    LockKind,
    Snapshot,
    TurnOutcome,
    VerdictKind,
    Witness,
    WitnessKind,
)
from clawtop.core.session.disk_witness import SETTLED
from clawtop.core.session.openclaw_runs import heard_sessions, openclaw_holders
from clawtop.store.auth.migration import leftovers
from clawtop.store.locks.processes import UncheckedProcesses
from clawtop.store.provider.credentials import load_credential
from clawtop.store.provider.secrets import SecretSources, SecretUnavailableError
from tests.support.databases import SHARED_STATE, run, state_database, stored
from tests.support.databases import store as write_row
from tests.support.samples import Sample, packed, unpacked

pytestmark = pytest.mark.slow

KINDS = {"gateway": LockKind.GATEWAY, "session": LockKind.SESSION}


@pytest.fixture(params=packed(), ids="-".join)
def sample(request: pytest.FixtureRequest, tmp_path: Path) -> Sample:
    version, scenario = request.param
    return unpacked(version, scenario, tmp_path)


def read(sample: Sample) -> Snapshot:
    return sample.reader().read()


def store(snapshot: Snapshot, agent: str) -> AuthStore:
    found = next(info.store for info in snapshot.agents if info.id == agent)
    assert found is not None
    return found


def test_generation_and_version(sample: Sample) -> None:
    snapshot = read(sample)
    assert snapshot.generation is sample.generation
    assert snapshot.openclaw_version == sample.version
    assert snapshot.agents[0].is_default


def test_profiles(sample: Sample) -> None:
    snapshot = read(sample)
    found = store(snapshot, "main")
    assert found.problem is None
    owner = SHARED if sample.generation is Generation.D else "main"
    profiles = {profile.id: profile for profile in found.profiles}
    assert set(profiles) == {wanted["id"] for wanted in sample.expect["profiles"]}
    for wanted in sample.expect["profiles"]:
        profile = profiles[wanted["id"]]
        state, until = profile_state(profile, sample.captured_at, snapshot.semantics.cooling)
        assert (profile.provider, profile.credential.type) == (wanted["provider"], wanted["type"])
        assert (profile.owner_agent, profile.path) == (owner, str(sample.root / sample.expect["auth_source"]))
        assert profile.stats_owner == (owner if wanted["has_stats"] else None)
        stats = profile.stats
        assert state.value == wanted["state"]
        assert until == (wanted.get("until") if wanted["state"] != "usable" else None)
        assert stats.error_count == wanted.get("errorCount")
        assert dict(stats.failure_counts) == wanted.get("failureCounts", {})
        assert stats.last_used == wanted.get("lastUsed")
        assert stats.last_failure_at == wanted.get("lastFailureAt")
        assert stats.last_probe_at == wanted.get("lastProbeAt")
    assert dict(found.last_good) == sample.expect["lastGood"]
    assert {name: list(ids) for name, ids in found.order.items()} == sample.expect["store_order"]


def test_an_agents_own_store_wins_by_whole_entries(sample: Sample) -> None:
    snapshot = read(sample)
    for other in sample.expect["other_stores"]:
        found = store(snapshot, other["owner"])
        own = {wanted["id"]: wanted for wanted in other["profiles"]}
        inherited = {profile.id for profile in store(snapshot, "main").profiles}
        assert {profile.id for profile in found.profiles} == inherited | own.keys()
        for profile in found.profiles:
            assert (profile.owner_agent == other["owner"]) is (profile.id in own)
        assert found.parts[0].owner == other["owner"]
        assert found.parts[0].profiles == own.keys()
    assert all(len(info.store.parts) <= 2 for info in snapshot.agents if info.store)


def test_a_commit_of_something_else_leaves_a_store_as_it_was(tmp_path: Path) -> None:
    """A gateway commits to the shared database every few seconds; what is unchanged is not judged and drawn again."""
    sample = unpacked("2026.9.6", "rate-limited", tmp_path)
    reader = sample.reader()
    before = store(reader.read(), "main")
    database = state_database(sample.state_dir)
    table, key, _, value, at = SHARED_STATE
    run(database, f"INSERT INTO {table}({key},{value},{at}) VALUES('something.else','{{}}',1)")
    assert reader.has_changed()
    assert store(reader.read(), "main") == before
    document = stored(database, SHARED_STATE)
    write_row(database, SHARED_STATE, {**(document or {}), "x-more": 1}, 2)
    after = store(reader.read(), "main")
    assert after.profiles == before.profiles
    assert after.fingerprint != before.fingerprint


def test_statistics_of_an_inherited_id_count_for_an_own_profile_of_the_same_id(tmp_path: Path) -> None:
    """OpenClaw merges statistics by id: a 402 of main's key puts the other agent's own key out of use, too."""
    sample = unpacked("2026.6.11", "multi-agent", tmp_path)
    snapshot = read(sample)
    profile = next(p for p in store(snapshot, "ops").profiles if p.id == "fakeai:one")
    assert (profile.owner_agent, profile.stats_owner) == ("ops", "main")
    state, _ = profile_state(profile, sample.captured_at, snapshot.semantics.cooling)
    assert state.value == "disabled"


def test_sessions(sample: Sample) -> None:
    snapshot = read(sample)
    sessions = {(session.agent, session.key): session for session in snapshot.sessions}
    assert snapshot.counting == 0
    assert set(sessions) == {(wanted["agent"], wanted["key"]) for wanted in sample.expect["sessions"]}
    for wanted in sample.expect["sessions"]:
        session = sessions[wanted["agent"], wanted["key"]]
        assert session.session_id == wanted["sessionId"]
        assert session.status == wanted.get("row_status", wanted.get("status"))
        assert session.updated_at == wanted["updatedAt"]
        assert session.started_at == wanted.get("startedAt")
        assert session.ended_at == wanted.get("endedAt")
        assert session.aborted_last_run == wanted.get("abortedLastRun")
        assert session.provider == wanted.get("modelProvider")
        assert session.model == wanted.get("model")
    running = [session.key for session in snapshot.sessions if session.status == "running"]
    assert sorted(running) == sorted(sample.expect["sessions_running"])


def test_pins(sample: Sample) -> None:
    pins = [
        {"key": session.key, "profile": session.profile, "source": session.profile_source}
        for session in read(sample).sessions
        if session.profile is not None
    ]
    assert pins == sample.expect["session_pins"]


def test_what_really_runs_and_what_was_left_behind(sample: Sample) -> None:
    sessions = read(sample).sessions
    active = [session.key for session in sessions if session.active]
    assert active == sample.expect["truly_active_sessions"]
    codes = {session.key: {problem.code for problem in session.problems} for session in sessions}
    named = [key for key, found in codes.items() if {"ghost", "unsettled", "interrupted"} & found]
    left = set(sample.expect["sessions_running"]) | {claim["session_key"] for claim in sample.expect["turn_claims"]}
    assert set(named) == left - set(active)


def test_the_end_that_a_row_dates_ends_what_was_told_before_it(sample: Sample) -> None:
    """A log of the default level may tell of a run's retry, and of nothing after it."""
    snapshot = read(sample)
    if snapshot.storage.session_files or snapshot.gateway.state is not GatewayState.LIVE:
        return  # a lock that is not there, or a gateway that is gone, ends it as well
    over = [row for row in snapshot.sessions if row.status in SETTLED and row.ended_at and row.active is False]
    for after_ms, active in ((-1_000, False), (1_000, True)):
        told = {row.key: (Witness(WitnessKind.LOG, True, "retrying", (row.ended_at or 0) + after_ms),) for row in over}
        heard = heard_sessions(replace(snapshot, sessions=tuple(over)), told)
        assert [row.active for row in heard] == [active] * len(over)


def test_holders_are_the_claims_of_the_living_gateway(sample: Sample) -> None:
    snapshot = read(sample)
    holders = list(openclaw_holders(snapshot, lambda _file: False))
    assert [holder.session_key for holder in holders] == sample.expect["truly_active_sessions"]
    live = [c for c in sample.expect["turn_claims"] if c["session_key"] in sample.expect["truly_active_sessions"]]
    for claim, holder in zip(live, holders, strict=False):
        assert holder.run_id == claim["turn_claim_run_id"]
        assert holder.since is not None
        assert claim["updated_at_ms"] <= holder.since <= sample.captured_at
        assert (holder.source, holder.pid) == ("claim", sample.manifest["gateway"]["pid"])
    tasks = {task["run_id"] for task in sample.expect["open_tasks"]}
    for holder in holders:
        assert holder.run_id in tasks


def test_the_queue(sample: Sample) -> None:
    """2026.6.11 shows a waiting turn nowhere on the disk."""
    snapshot = read(sample)
    waiting = [waiter for session in snapshot.sessions for waiter in session.waiters]
    seen = 0 if sample.version == "2026.6.11" else sample.expect.get("turns_queued_behind", 0)
    assert len(waiting) == seen
    lanes = {lane.lane: (lane.active, lane.limit, lane.queued) for lane in snapshot.lanes}
    if sample.generation is Generation.D:
        assert lanes == {f"session:{key}": (1, 1, seen) for key in sample.expect["truly_active_sessions"]}


def test_messages_and_what_followed_them(sample: Sample) -> None:
    """From transcripts that are files, and from those that are rows."""
    snapshot = read(sample)
    for session in snapshot.sessions:
        if session.status == "done":
            assert session.exchanges, session.key
            assert session.exchanges[-1].outcome in {TurnOutcome.ANSWERED, TurnOutcome.SILENT}
    if sample.scenario in {"running", "queued"}:
        active = next(session for session in snapshot.sessions if session.active)
        assert active.exchanges[-1].outcome is TurnOutcome.OPEN


def test_the_text_of_a_message_is_found_when_it_is_asked_for(sample: Sample) -> None:
    reader = sample.reader()
    asked = [(session, exchange) for session in reader.read().sessions for exchange in session.exchanges]
    texts = [reader.message_text(session, exchange.asked_at) for session, exchange in asked]
    assert [len(text or "") for text in texts] == [exchange.length for _, exchange in asked]
    assert any(texts) == bool(asked)
    assert {reader.message_text(session, 1) for session, _ in asked} <= {None}


def test_inputs_that_no_turn_will_take_are_told(sample: Sample) -> None:
    snapshot = read(sample)
    stale = {s.key for s in snapshot.sessions for problem in s.problems if problem.code == "stale-input"}
    began = snapshot.gateway.started_at if snapshot.gateway.state is GatewayState.LIVE else None
    wanted = {
        item["session_key"] for item in sample.expect["pending_inputs"] if began is None or item["accepted_at"] < began
    }
    assert stale == wanted


def test_runs_of_the_audit_are_events(sample: Sample) -> None:
    events = [event for event in read(sample).events if event.source == "audit"]
    began = {event.run_id for event in events if event.kind is EventKind.RUN_START}
    ended = {event.run_id for event in events if event.kind is EventKind.RUN_END}
    assert ended <= began
    told = {event.run_id: event.data["outcome"] for event in events if event.kind is EventKind.RUN_END}
    turns = {turn.run_id: str(turn.outcome) for row in read(sample).sessions for turn in row.turns}
    assert all(turns.get(run, outcome) == outcome for run, outcome in told.items())
    if sample.scenario in {"running", "queued", "crash"} and sample.version != "2026.6.11":
        first = min(sample.expect["open_tasks"], key=lambda task: task["created_at"])
        assert began - ended == {first["run_id"]}
    assert events or sample.version == "2026.6.11" or "migrated" in sample.scenario


def test_locks(sample: Sample) -> None:
    locks = {str(Path(lock.file.path).relative_to(sample.root)): lock for lock in read(sample).locks}
    assert set(locks) == {wanted["path"] for wanted in sample.expect["locks"]}
    for wanted in sample.expect["locks"]:
        lock = locks[wanted["path"]]
        assert lock.file.kind is KINDS[wanted["kind"]]
        assert lock.pid == wanted["owner_pid"]
        live = wanted["owner_live_at_capture"]
        assert lock.verdict.kind is (VerdictKind.HELD if live else VerdictKind.STALE)


def test_gateway(sample: Sample) -> None:
    gateway = read(sample).gateway
    if not sample.expect["locks"]:
        kernel = sample.generation is Generation.D  # its kernel lock is free; before, only the port could tell
        assert gateway.state is (GatewayState.ABSENT if kernel else GatewayState.UNKNOWN)
    elif sample.manifest["gateway"]["live_at_capture"]:
        assert (gateway.state, gateway.pid) == (GatewayState.LIVE, sample.manifest["gateway"]["pid"])
    else:
        assert gateway.state is GatewayState.DEAD


def test_migration(sample: Sample) -> None:
    reader = sample.reader()
    codes = [problem.code for problem in reader.read().warnings if problem.code != "same-account"]
    pending = str(sample.expect.get("migration", "")).startswith("pending")
    wanted = EMPTY_KEY if sample.generation is Generation.C else NOT_IMPORTED
    assert codes == ([wanted] if pending else [])
    causes = {cause.code: cause for cause in judge(sample.reader().read(), sample.captured_at).causes}
    assert "no-profiles" not in causes, "they are there, and not in use"
    told = causes.get("empty-key" if sample.generation is Generation.C else "not-imported")
    assert (told is not None) is pending
    if told is not None:
        assert (told.level, told.remedy) == (Level.SILENT, "openclaw doctor --fix")
        assert told.agents[0] == "main"
    if sample.scenario == "migrated":
        assert {problem.code for problem in leftovers(reader.layout)} == {"import-leftovers"}


def test_judged_as_of_then_nothing_is_asked(sample: Sample) -> None:
    snapshot = sample.reader(processes=UncheckedProcesses(), at=sample.captured_at).read()
    assert snapshot.gateway.state is GatewayState.UNKNOWN
    assert [session.key for session in snapshot.sessions if session.active] == []
    unsure = {session.key for session in snapshot.sessions if session.active is None}
    assert set(sample.expect["truly_active_sessions"]) <= unsure


def tree(root: Path) -> dict[str, tuple[int, ...]]:
    return {
        str(path): (facts.st_mode, facts.st_size, facts.st_mtime_ns, facts.st_ino)
        for path in (root, *root.rglob("*"))
        if (facts := path.lstat())
    }


def test_reading_leaves_no_trace(sample: Sample) -> None:
    before = tree(sample.root)
    reader = sample.reader()
    first, second = reader.read(), reader.read()
    assert tree(sample.root) == before
    assert parts(first) == parts(second)


def parts(snapshot: Snapshot) -> tuple[Any, ...]:
    return (snapshot.agents, snapshot.sessions, snapshot.locks, snapshot.gateway, snapshot.lanes, snapshot.warnings)


def test_no_secret_gets_into_a_snapshot(sample: Sample) -> None:
    text = repr(read(sample))
    assert "sk-fake" not in text
    assert "tok-fake" not in text


def test_a_credential_is_read_from_the_row_that_holds_it(tmp_path: Path) -> None:
    sources = SecretSources.of({}, {})
    for version, scenario in (("2026.6.11", "multi-agent"), ("2026.8.2", "multi-agent")):
        sample = unpacked(version, scenario, tmp_path)
        snapshot = read(sample)
        secrets = {
            (agent, profile.id): load_credential(profile, sources, sample.captured_at).secret.reveal()
            for agent in ("main", "ops")
            for profile in store(snapshot, agent).profiles
        }
        assert secrets["main", "fakeai:one"] == "sk-fake-one-1111"
        assert secrets["ops", "fakeai:one"] != secrets["main", "fakeai:one"], "its own key of the same id"
        assert secrets["ops", "fakeai:two"] == secrets["main", "fakeai:two"], "inherited"
        gone = replace(store(snapshot, "main").profiles[0], id="fakeai:gone")
        with pytest.raises(SecretUnavailableError, match="no longer in"):
            load_credential(gone, sources, sample.captured_at)


def test_a_copy_without_side_files_is_read_through_a_private_copy(sample: Sample) -> None:
    """A backup that took databases and logs, but not the shared memory files."""
    for path in sample.root.rglob("*-shm"):
        path.unlink()
    before = tree(sample.root)
    found = read(sample)
    assert tree(sample.root) == before
    assert [session.key for session in found.sessions if session.active] == sample.expect["truly_active_sessions"]
    assert len(store(found, "main").profiles) == sample.expect["profiles_total"]
