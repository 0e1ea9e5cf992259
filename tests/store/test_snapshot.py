"""Snapshots, one after another: what changed is read again, what did not is not."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from clawtop.core.model import AuthStore, Generation, LockKind, Problem, Snapshot, VerdictKind
from clawtop.core.session import activity
from clawtop.engine.live.hub import GLANCE_SECONDS, Hub
from clawtop.errors import StateUnreadableError
from clawtop.store.auth import json_files as auth_json
from clawtop.store.incident import IncidentPart
from clawtop.store.locks import lockfile
from clawtop.store.locks.processes import SystemProcesses
from clawtop.store.place import locating
from clawtop.store.place.layout import Layout
from clawtop.store.sessions import index as sessions
from tests.support.states_made import NOW, StateDir, codes, write_json
from tests.support.waiting import until


@pytest.fixture
def state(tmp_path: Path) -> StateDir:
    made = StateDir(tmp_path)
    made.sessions({"agent:main:main": {"sessionId": "s", "status": "done", "updatedAt": NOW}})
    (made.sessions_dir / "s.jsonl").write_text("{}\n")
    return made


def store(snapshot: Snapshot, agent: int = 0) -> AuthStore:
    found = snapshot.agents[agent].store
    assert found is not None
    return found


def test_numbers_rise_and_equal_states_are_equal(state: StateDir) -> None:
    reader = state.reader()
    first, second = reader.read(), reader.read()
    assert (first.number, second.number) == (1, 2)
    assert replace(second, number=1) == first
    assert first.taken_at == NOW
    assert first.host == os.uname().nodename


@pytest.mark.parametrize("sessions", [3, 450])
def test_sessions_that_are_looked_at_in_turns_are_told_alike_in_between(tmp_path: Path, sessions: int) -> None:
    """Else the screen would be painted anew, and each reader woken, at every read of a state in which nothing moves."""
    made, long_ago = StateDir(tmp_path), NOW - 3 * 86_400_000
    names = [f"s{number}" for number in range(sessions)]
    made.sessions(
        {f"agent:main:{name}": {"sessionId": name, "status": "done", "updatedAt": long_ago} for name in names}
    )
    ended = {"type": "session.ended", "ts": "2020-01-01T00:00:00Z", "runId": "r", "data": {"status": "success"}}
    for name in names:
        (made.sessions_dir / f"{name}.jsonl").write_text("{}\n")
        (made.sessions_dir / f"{name}.trajectory.jsonl").write_text(json.dumps(ended) + "\n")
    reader = made.reader()
    for _ in range(4):
        looked = reader.read()
    assert {row.active_how for row in looked.sessions} == {"its trajectory ended"}
    for _ in range(4):
        assert reader.read().sessions == looked.sessions


@pytest.mark.anyio
async def test_a_lock_whose_owner_dies_is_told_at_once_though_no_file_changes(tmp_path: Path) -> None:
    made = StateDir(tmp_path)
    made.sessions({"agent:main:main": {"sessionId": "s", "status": "done", "updatedAt": NOW}})
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as owner:
        started = SystemProcesses().look(owner.pid).start_ticks
        lock = {"pid": owner.pid, "createdAt": datetime.now(UTC).isoformat(), "starttime": started}
        (made.sessions_dir / "s.jsonl.lock").write_text(json.dumps(lock))
        verdicts: list[VerdictKind] = []
        hub = Hub(made.reader(SystemProcesses()), made.clock, native=False, poll_seconds=1e9)
        running = asyncio.create_task(hub.run(lambda told: verdicts.append(told.locks[0].verdict.kind)))
        await until(lambda: verdicts)
        owner.kill()
        owner.wait()
        await made.clock.advance(GLANCE_SECONDS)
        await until(lambda: len(verdicts) == 2)
        running.cancel()
    assert verdicts == [VerdictKind.HELD, VerdictKind.STALE]


def test_a_log_outside_of_watched_directories_and_the_trajectory_of_a_run_are_noticed_when_they_grow(
    tmp_path: Path,
) -> None:
    made, log = StateDir(tmp_path), tmp_path / "logs" / "gateway.log"
    log.parent.mkdir()
    log.write_text("")
    made.config({"logging": {"file": str(log)}})
    made.sessions({"agent:main:main": {"sessionId": "s", "status": "running", "updatedAt": NOW}})
    trajectory = made.sessions_dir / "s.trajectory.jsonl"
    trajectory.write_text("{}\n")
    reader = made.reader(extra_parts=[IncidentPart()])
    assert not reader.may_change_unseen
    reader.read()
    assert log.parent not in reader.watch_directories()
    assert reader.may_change_unseen
    reader.has_changed()  # what has changed between the read and the first look is not known
    for path in (log, trajectory):
        assert not reader.has_changed()
        with path.open("a") as file:
            file.write("{}\n")
        assert reader.has_changed()
    reader.read()
    assert not reader.has_changed()


class Counter:
    """Counts the calls of a function that a test replaces."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.calls = 0

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        self.calls += 1
        return self.function(*arguments, **options)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> dict[str, Counter]:
    places: dict[str, tuple[str, Callable[..., Any]]] = {
        "auth": ("clawtop.store.auth.json_backend.read_own", auth_json.read_own),
        "sessions": ("clawtop.store.sessions.rows.read_sessions", sessions.read_sessions),
        "locks": ("clawtop.store.locks.reader.read_lock", lockfile.read_lock),
        "layout": ("clawtop.store.snapshot.locate", locating.locate),
    }
    counters = {name: Counter(function) for name, (_place, function) in places.items()}
    for name, (place, _function) in places.items():
        monkeypatch.setattr(place, counters[name])
    return counters


def test_only_what_changed_is_read_again(state: StateDir, counted: dict[str, Counter]) -> None:
    state.agent("ops")
    lock = state.sessions_dir / "s.jsonl.lock"
    lock.write_text('{"pid": 77}')
    reader = state.reader()

    def read() -> dict[str, int]:
        before = {name: counter.calls for name, counter in counted.items()}
        reader.read()
        return {name: counter.calls - before[name] for name, counter in counted.items() if counter.calls > before[name]}

    present = sum(path.exists() for path in (lock,))
    first = read()
    assert (first["auth"], first["sessions"], first["layout"]) == (2, 2, 1)
    quiet = read()
    assert "auth" not in quiet
    assert "layout" not in quiet
    state.state(usageStats={"fakeai:one": {"lastUsed": 5}})
    assert read()["auth"] == 1
    state.sessions({"agent:main:main": {"sessionId": "s", "status": "failed"}})
    assert read()["sessions"] == 1 + quiet.get("sessions", 0)
    lock.write_text('{"pid": 78}')
    assert read()["locks"] == present + quiet.get("locks", 0)


def _iso(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).isoformat().replace("+00:00", "Z")


def test_what_is_kept_of_a_session_is_what_a_new_reader_makes_of_it(state: StateDir) -> None:
    """Time, a trajectory that grows, a lock that comes and goes, a gateway that is seen and gone."""
    ended = {"type": "session.ended", "ts": _iso(NOW - 1_000), "runId": "r", "data": {"status": "error"}}
    other = {"sessionId": "o", "updatedAt": NOW}
    rows = {
        "agent:main:main": {"sessionId": "s", "updatedAt": NOW},
        "agent:main:other": other,
        "agent:main:done": {"sessionId": "d", "status": "done", "updatedAt": NOW},
        "agent:main:runs": {"sessionId": "r", "status": "running", "startedAt": NOW, "updatedAt": NOW},
    }
    state.sessions(rows)
    trajectory, lock = state.sessions_dir / "s.trajectory.jsonl", state.sessions_dir / "o.jsonl.lock"
    answers = {18_999: True}
    reader = state.reader(port_probe=lambda port: answers[port])
    state.config({"meta": {"lastTouchedVersion": "2026.5.20"}, "gateway": {"port": 18_999}})

    def agrees() -> tuple[bool | None, ...]:
        asked = state.reader(port_probe=lambda port: answers[port])
        kept = reader.read().sessions
        assert kept == asked.read().sessions
        return tuple(session.active for session in kept)

    found = [agrees()]
    trajectory.write_text(json.dumps(ended) + "\n")
    found.append(agrees())
    state.clock.pause(61)
    found.append(agrees())
    lock.write_text(json.dumps({"pid": os.getpid(), "createdAt": _iso(NOW)}))
    found.append(agrees())
    lock.unlink()
    found.append(agrees())
    answers[18_999] = False
    state.clock.pause(3_600)
    found.append(agrees())
    state.sessions({**rows, "agent:main:other": {**other, "status": "failed"}})
    found.append(agrees())
    assert len(set(found)) > 2, "the cases make a difference"


def test_a_session_that_is_over_is_judged_once(state: StateDir, monkeypatch: pytest.MonkeyPatch) -> None:
    over = {f"agent:main:{n}": {"sessionId": f"s{n}", "status": "done", "updatedAt": NOW} for n in range(20)}
    runs = {"agent:main:r": {"sessionId": "r", "status": "running", "startedAt": NOW, "updatedAt": NOW}}
    state.sessions({**over, **runs})
    for n in range(10):
        event = {"type": "session.ended", "ts": _iso(NOW - 90_000), "runId": "r", "data": {"status": "success"}}
        (state.sessions_dir / f"s{n}.trajectory.jsonl").write_text(json.dumps(event) + "\n")
    judge = Counter(activity.judge)
    monkeypatch.setattr("clawtop.store.sessions.rows.judge", judge)
    reader = state.reader()
    reader.read()
    assert judge.calls == 11, "a status alone needs no judge"
    reader.read()
    assert judge.calls == 12, "only the one that runs"


def test_changes_arrive(state: StateDir) -> None:
    reader = state.reader()
    reader.read()
    state.state(usageStats={"fakeai:one": {"lastUsed": 5}})
    assert store(reader.read()).profiles[0].stats.last_used == 5
    state.auth_state.unlink()
    assert store(reader.read()).profiles[0].stats.last_used is None
    state.sessions({"agent:main:other": {"sessionId": "o", "status": "failed"}})
    assert [session.key for session in reader.read().sessions] == ["agent:main:other"]
    state.sessions_json.unlink()
    assert reader.read().sessions == ()
    agent_dir, _ = state.agent("ops")
    write_json(
        agent_dir / "auth-profiles.json", {"profiles": {"x:own": {"type": "token", "provider": "x", "token": "t"}}}
    )
    snapshot = reader.read()
    assert [agent.id for agent in snapshot.agents] == ["main", "ops"]
    assert [profile.id for profile in store(snapshot, 1).profiles] == ["fakeai:one", "x:own"]


def test_a_directory_changes_its_generation(state: StateDir) -> None:
    reader = state.reader()
    assert reader.read().generation is Generation.B
    state.config({"meta": {"lastTouchedVersion": "2026.6.11"}})
    changed = reader.read()
    assert (changed.generation, changed.openclaw_version) == (Generation.C, "2026.6.11")
    assert [problem.code for problem in changed.warnings] == ["empty-key"]
    assert store(changed).profiles == ()


def test_one_agent(state: StateDir) -> None:
    state.agent("ops")
    snapshot = state.read(agent="ops")
    assert [agent.id for agent in snapshot.agents] == ["ops"]
    assert [profile.owner_agent for profile in store(snapshot).profiles] == ["main"]
    assert snapshot.sessions == ()
    with pytest.raises(StateUnreadableError) as caught:
        state.read(agent="nobody")
    assert caught.value.hint == "agents: main, ops"


def test_a_problem_names_the_one_agent_that_it_is_about(state: StateDir) -> None:
    """By its place, for a store and a list of sessions; of none where it is about the whole directory."""
    broken, _ = state.agent("ops")
    (broken / "auth-profiles.json").write_text("{")
    state.sessions_json.write_text("[")
    told = {(problem.code, problem.agent) for problem in state.read().warnings}
    assert ("not-json", "ops") in told
    assert {agent for _, agent in told} >= {"ops", "main"}
    assert {problem.agent for problem in state.read(agent="ops").warnings} <= {None, "ops"}
    assert "ops" in {problem.agent for problem in state.read(agent="ops").warnings}


def test_every_kind_of_lock_is_found(state: StateDir) -> None:
    payload = json.dumps({"pid": 77, "createdAt": "2026-11-20T22:35:00.000Z"})
    oauth = state.path / "locks" / "oauth-refresh" / "sha256-abc.lock"
    oauth.parent.mkdir(parents=True)
    places = [
        state.agent_dir / "auth-profiles.json.lock",
        state.sessions_dir / "sessions.json.lock",
        state.sessions_dir / "s.jsonl.lock",
        oauth,
    ]
    for path in places:
        path.write_text(payload)
    (state.sessions_dir / "s.jsonl.lock.bak").write_text(payload)
    found = {lock.file.path: (lock.file.kind, lock.file.agent, lock.file.session_id) for lock in state.read().locks}
    assert found == {
        str(places[0]): (LockKind.AUTH, "main", None),
        str(places[1]): (LockKind.SESSIONS_STORE, "main", None),
        str(places[2]): (LockKind.SESSION, "main", "s"),
        str(places[3]): (LockKind.OAUTH_REFRESH, None, None),
    }


def test_a_locked_transcript_without_an_entry_is_a_row(state: StateDir) -> None:
    (state.sessions_dir / "lost.jsonl.lock").write_text('{"pid": 77, "createdAt": "2026-11-20T22:35:00.000Z"}')
    session = next(session for session in state.read().sessions if session.session_id == "lost")
    assert session.file == str(state.sessions_dir / "lost.jsonl")
    assert [problem.code for problem in session.problems] == ["no-entry"]


def test_watched_directories_are_exact(state: StateDir) -> None:
    state.agent("ops")
    reader = state.reader()
    reader.read()
    directories = reader.watch_directories()
    assert len(directories) == len(set(directories))
    for agent in ("main", "ops"):
        for part in ("agent", "sessions"):
            assert state.path / "agents" / agent / part in directories
    assert state.path in directories
    assert state.path / "agents" in directories
    assert state.path / "locks" / "oauth-refresh" in directories


def test_other_parts_join_in(state: StateDir) -> None:
    def part(found: Layout, snapshot: Snapshot) -> Snapshot:
        warning = Problem("told", str(found.state_dir), "by another part")
        return replace(snapshot, warnings=(*snapshot.warnings, warning))

    assert codes(state.read(extra_parts=(part, part))) == ["told", "told"]


def test_no_secret_is_anywhere_in_a_snapshot(state: StateDir) -> None:
    state.config({"meta": {"lastTouchedVersion": "2026.5.20"}, "gateway": {"auth": {"token": "gateway-token-0815"}}})
    reader = state.reader()
    text = repr((reader.read(), reader.layout, vars(reader)))
    assert "sk-fake-one" not in text
    assert "gateway-token" not in text


def test_agents_that_share_a_session_store(state: StateDir) -> None:
    shared = state.home / "shared" / "all.json"
    shared.parent.mkdir()
    state.config({"agents": {"list": [{"id": "main"}, {"id": "ops"}]}, "session": {"store": str(shared)}})
    entry = {"sessionId": "x", "status": "done"}
    write_json(shared, {"agent:main:main": entry, "agent:ops:main": entry, "other": entry})
    (shared.parent / "x.jsonl.lock").write_text('{"pid": 77}')
    snapshot = state.read()
    assert [(session.agent, session.key) for session in snapshot.sessions] == [
        ("main", "agent:main:main"),
        ("ops", "agent:ops:main"),
        ("main", "other"),
    ]
    assert [lock.file.path for lock in snapshot.locks] == [str(shared.parent / "x.jsonl.lock")]
