"""Bad input costs the part that is bad: it gets a name, and everything else goes on."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from clawtop.core.model import Session, Snapshot
from clawtop.errors import StateUnreadableError
from clawtop.store import json_text
from clawtop.text import safe
from tests.support.states_made import NOW, StateDir, codes

HOSTILE = {
    "markup": "[red]not red[/nope] x",
    "ansi": "\x1b[31mred\x1b]0;title\x07",
    "bidi": "a\u202eb\u2066c",
    "long": "n" * 10_000,
    "newline": "two\nlines",
    "surrogate": "\ud800 alone",
    "combining": "e" + "\u0301" * 50,
}


@pytest.fixture
def state(tmp_path: Path) -> StateDir:
    return StateDir(tmp_path)


def store_problem(snapshot: Snapshot) -> str | None:
    store = snapshot.agents[0].store
    assert store is not None
    return store.problem.code if store.problem else None


def ids(snapshot: Snapshot) -> list[str]:
    store = snapshot.agents[0].store
    assert store is not None
    return [profile.id for profile in store.profiles]


def test_no_state_directory(tmp_path: Path) -> None:
    state = StateDir(tmp_path / "home")
    shutil.rmtree(state.path)
    with pytest.raises(StateUnreadableError) as caught:
        state.read()
    assert str(state.path) in caught.value.title
    assert "--state-dir" in caught.value.hint


def test_the_state_directory_is_a_file(tmp_path: Path) -> None:
    state = StateDir(tmp_path / "home")
    shutil.rmtree(state.path)
    state.path.write_text("not a directory")
    with pytest.raises(StateUnreadableError, match="not a directory"):
        state.read()


def test_an_empty_state_directory_has_a_name(tmp_path: Path) -> None:
    state = StateDir(tmp_path / "home")
    shutil.rmtree(state.path)
    state.path.mkdir()
    snapshot = state.read()
    assert codes(snapshot) == ["empty-state-dir"]
    assert (snapshot.generation, snapshot.agents, snapshot.sessions) == (None, (), ())


def test_the_state_directory_vanishes_and_comes_back(state: StateDir) -> None:
    reader = state.reader()
    assert reader.read().number == 1
    elsewhere = state.path.rename(state.home / "elsewhere")
    with pytest.raises(StateUnreadableError):
        reader.read()
    elsewhere.rename(state.path)
    assert ids(reader.read()) == ["fakeai:one"]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "empty"),
        (b'{"version": 1, "profiles": {"fakeai:one": {"ty', "not-json"),
        (b'{"profiles": {"\xff\xfe": {}}}', "not-utf8"),
        (b"[]", "wrong-type"),
        (b'{"profiles": [1, 2]}', "wrong-type"),
        (b"[" * 100_000, "not-json"),
        (b'{"profiles": NaN}', "not-json"),
    ],
)
def test_a_spoiled_auth_store(state: StateDir, content: bytes, code: str) -> None:
    reader = state.reader()
    good = reader.read()
    state.auth_profiles.write_bytes(content)
    spoiled = reader.read()
    assert store_problem(spoiled) == code
    assert code in codes(spoiled)
    assert ids(spoiled) == ids(good), "the last good value stays"
    assert store_problem(state.read()) == code, "and without one there is none"
    assert ids(state.read()) == []
    state.profiles({"fakeai:two": {"type": "token", "provider": "fakeai", "token": "tok-fake-two-2222"}})
    assert ids(reader.read()) == ["fakeai:two"]
    assert codes(reader.read()) == []


def test_a_spoiled_auth_state_keeps_the_last_good_statistics(state: StateDir) -> None:
    state.state(usageStats={"fakeai:one": {"errorCount": 3}})
    reader = state.reader()
    reader.read()
    state.auth_state.write_text('{"usageStats": {"fakeai:o')
    store = reader.read().agents[0].store
    assert store is not None
    assert store.problem is not None
    assert store.problem.where == str(state.auth_state)
    assert store.profiles[0].stats.error_count == 3


def test_bad_profiles_are_rows_with_their_problem(state: StateDir) -> None:
    state.profiles(
        {
            "good:one": {"type": "api_key", "provider": "good", "key": "sk-fake-good-1"},
            "text:one": "not an object",
            "typeless:one": {"provider": "typeless", "key": "sk-fake-typeless"},
            "lost:one": {"type": "api_key", "key": "sk-fake-lost-1"},
            "odd:one": {"type": 7, "provider": ["odd"], "expires": "soon"},
            "null:one": None,
        }
    )
    store = state.read().agents[0].store
    assert store is not None
    found = {profile.id: [problem.code for problem in profile.problems] for profile in store.profiles}
    bad = ["bad-profile"]
    assert found == {
        "good:one": [],
        "text:one": bad,
        "typeless:one": bad,
        "lost:one": bad,
        "odd:one": bad,
        "null:one": bad,
    }
    assert [profile.provider for profile in store.profiles][1:4] == ["text", "typeless", "lost"]
    assert store.problem is None


def test_bad_statistics_are_named_and_cost_one_field(state: StateDir) -> None:
    state.state(
        usageStats={
            "fakeai:one": {
                "cooldownUntil": 1e2,
                "disabledUntil": 1e300,
                "lastUsed": 1795214067287.75,
                "errorCount": "three",
                "cooldownReason": "a reason of tomorrow",
                "failureCounts": {"rate_limit": 2, "billing": "x", "auth": -1},
                "cooldownModel": {},
            },
            "ghost:one": 5,
        },
        order={"fakeai": ["fakeai:one", 7, ""], "broken": "fakeai:one"},
        lastGood={"fakeai": 9},
    )
    store = state.read().agents[0].store
    assert store is not None
    stats = store.profiles[0].stats
    assert (stats.cooldown_until, stats.disabled_until, stats.last_used) == (100, None, 1795214067287)
    assert stats.cooldown_reason == "a reason of tomorrow"
    assert dict(stats.failure_counts) == {"rate_limit": 2}
    assert sorted(problem.code for problem in store.profiles[0].problems) == [
        "absurd-value",
        "absurd-value",
        "wrong-type",
    ]
    assert (dict(store.order), dict(store.last_good)) == ({"fakeai": ("fakeai:one",)}, {})


def test_numbers_that_python_refuses(state: StateDir) -> None:
    state.auth_state.write_text('{"usageStats": {"fakeai:one": {"cooldownUntil": %s, "errorCount": 2}}}' % ("9" * 5000))
    store = state.read().agents[0].store
    assert store is not None
    assert store.problem is None
    assert store.profiles[0].stats.error_count == 2
    assert store.profiles[0].stats.cooldown_until is None


def test_duplicate_keys_are_noticed(state: StateDir) -> None:
    entry = '{"type": "api_key", "provider": "fakeai", "key": "sk-fake-%s-0000"}'
    state.auth_profiles.write_text(
        f'{{"profiles": {{"fakeai:one": {entry % "first"}, "fakeai:one": {entry % "second"}}}}}'
    )
    snapshot = state.read()
    assert codes(snapshot) == ["duplicate-keys"]
    assert ids(snapshot) == ["fakeai:one"]


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_names_stay_exact(state: StateDir, name: str) -> None:
    state.profiles({name: {"type": "api_key", "provider": name, "key": "sk-fake-hostile-1"}})
    state.sessions({name: {"sessionId": "s", "status": name, "authProfileOverride": name, "updatedAt": NOW}})
    snapshot = state.read()
    assert ids(snapshot) == [name]
    assert (snapshot.sessions[0].key, snapshot.sessions[0].profile) == (name, name)
    assert json.loads(json.dumps(ids(snapshot)))[0] == name
    for warning in snapshot.warnings:
        assert safe(warning.text) == warning.text


def test_a_session_store_of_the_wrong_shape(state: StateDir) -> None:
    state.sessions({"agent:main:main": {"sessionId": "s", "status": "done"}})
    reader = state.reader()
    reader.read()
    for content, code in ((b"[1]", "wrong-type"), (b'{"agent', "not-json"), (b"\xff", "not-utf8"), (b"", "empty")):
        state.sessions_json.write_bytes(content)
        snapshot = reader.read()
        assert code in codes(snapshot)
        assert [session.key for session in snapshot.sessions] == ["agent:main:main"]


def test_bad_sessions_are_rows_with_their_problem(state: StateDir) -> None:
    state.sessions(
        {
            "good": {"sessionId": "a", "status": "done", "updatedAt": NOW},
            "number": 7,
            "null": None,
            "types": {"sessionId": 5, "status": ["x"], "updatedAt": "now", "startedAt": 1e300, "sessionFile": {}},
            "status": {"sessionId": "b", "status": "dreaming"},
            "fraction": {"sessionId": "c", "updatedAt": 1795214067287.5, "status": "done"},
        }
    )
    sessions = {session.key: session for session in state.read().sessions}
    assert problems(sessions["good"]) == problems(sessions["fraction"]) == []
    assert problems(sessions["number"]) == problems(sessions["null"]) == ["bad-session"]
    assert sorted(set(problems(sessions["types"]))) == ["absurd-value", "wrong-type"]
    assert problems(sessions["status"]) == ["unknown-status"]
    assert sessions["status"].status == "dreaming"
    assert sessions["fraction"].updated_at == 1795214067287


def problems(session: Session) -> list[str]:
    return [problem.code for problem in session.problems]


@pytest.mark.parametrize(
    "stored",
    [
        "/etc/passwd",
        "../../../../etc/passwd",
        "/proc/self/environ",
        "..",
        "",
        "\0",
        "/x/agents/main/sessions/../../secret",
    ],
)
def test_a_session_file_never_leaves_the_sessions_directory(state: StateDir, stored: str) -> None:
    state.sessions({"agent:main:main": {"sessionId": "s1", "sessionFile": stored, "status": "running"}})
    file = state.read().sessions[0].file
    assert file == str(state.sessions_dir / "s1.jsonl")


def test_a_session_id_is_no_way_out_either(state: StateDir) -> None:
    state.sessions({"agent:main:main": {"sessionId": "../../../etc/passwd", "status": "running"}})
    assert state.read().sessions[0].file is None


def test_files_of_ten_megabytes(state: StateDir) -> None:
    padding = "x" * 10_000_000
    state.sessions({"agent:main:main": {"sessionId": "s", "status": "done", "notes": padding}})
    state.profiles({"fakeai:one": {"type": "api_key", "provider": "fakeai", "key": "sk-fake-one-1111"}}, notes=padding)
    lock = state.sessions_dir / "s.jsonl.lock"
    lock.write_text(json.dumps({"pid": 1, "notes": padding}))
    state.openclaw_json.write_text(json.dumps({"notes": padding}))
    snapshot = state.read()
    assert codes(snapshot) == ["too-large", "generation-guessed"]
    assert snapshot.warnings[0].where == str(state.openclaw_json)
    assert [session.key for session in snapshot.sessions] == ["agent:main:main"]
    assert ids(snapshot) == ["fakeai:one"]
    assert snapshot.locks[0].file.content_problem == "too large"


def test_what_is_large_and_no_list_of_sessions_has_a_name(state: StateDir) -> None:
    with state.sessions_json.open("wb") as file:
        file.truncate(65 * json_text.MEGABYTE)
    assert codes(state.read()) == ["wrong-type"]


def test_symlink_loops(state: StateDir) -> None:
    for path in (state.auth_profiles, state.sessions_json, state.sessions_dir / "s.jsonl.lock"):
        path.unlink(missing_ok=True)
        path.symlink_to(path.name)
    snapshot = state.read()
    assert store_problem(snapshot) == "symlink-loop"
    assert codes(snapshot) == ["symlink-loop", "symlink-loop"]
    assert snapshot.locks[0].file.content_problem == "not a regular file"


def test_a_directory_that_loops(state: StateDir) -> None:
    shutil.rmtree(state.sessions_dir)
    state.sessions_dir.symlink_to(state.sessions_dir.name)
    snapshot = state.read()
    assert set(codes(snapshot)) == {"symlink-loop"}
    assert ids(snapshot) == ["fakeai:one"]


def test_things_that_are_no_files(state: StateDir) -> None:
    state.auth_profiles.unlink()
    state.auth_profiles.mkdir()
    os.mkfifo(state.sessions_json)
    os.mkfifo(state.sessions_dir / "s.jsonl.lock")
    (state.agent_dir / "auth-profiles.json.lock").mkdir()
    snapshot = state.read()
    assert store_problem(snapshot) == "not-a-file"
    assert codes(snapshot) == ["not-a-file", "not-a-file"]
    assert [lock.file.content_problem for lock in snapshot.locks] == ["not a regular file"] * 2
    assert [lock.openclaw.would_remove is not None for lock in snapshot.locks] == [True, True]


def test_file_names_that_are_not_utf8(state: StateDir) -> None:
    raw = os.fsencode(state.sessions_dir) + b"/\xff\xfe.jsonl.lock"
    Path(os.fsdecode(raw)).write_text('{"pid": 77, "createdAt": "2026-11-20T22:35:01.526Z"}')
    Path(os.fsdecode(os.fsencode(state.path / "agents") + b"/\xfe-agent/agent")).mkdir(parents=True)
    snapshot = state.read()
    assert [os.fsencode(lock.file.path) for lock in snapshot.locks] == [raw]
    assert snapshot.locks[0].pid == 77
    assert [os.fsencode(agent.id) for agent in snapshot.agents] == [b"main", b"\xfe-agent"]
    assert json.dumps(snapshot.locks[0].file.path).isascii()


def test_a_name_longer_than_a_file_name_can_be(state: StateDir) -> None:
    state.sessions({"agent:main:main": {"sessionId": "n" * 10_000, "status": "running"}})
    session = state.read().sessions[0]
    assert session.session_id == "n" * 10_000
    assert session.active is None


def test_a_lock_that_vanishes_while_it_is_read(state: StateDir, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = state.sessions_dir / "s.jsonl.lock"
    lock.write_text('{"pid": 77}')
    real_open = os.open

    def vanishing(path: Any, *arguments: Any, **options: Any) -> int:
        if str(path) == str(lock):
            lock.unlink(missing_ok=True)
        return real_open(path, *arguments, **options)

    monkeypatch.setattr(os, "open", vanishing)
    assert state.read().locks == ()


@pytest.mark.parametrize("name", ["auth_profiles", "sessions_json", "openclaw_json"])
def test_no_permission(state: StateDir, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    state.sessions({"agent:main:main": {"sessionId": "s", "status": "done"}})
    denied = str(getattr(state, name))
    real_open = os.open

    def refusing(path: Any, *arguments: Any, **options: Any) -> int:
        if str(path) == denied:
            raise PermissionError(13, "Permission denied", denied)
        return real_open(path, *arguments, **options)

    monkeypatch.setattr(os, "open", refusing)
    snapshot = state.read()
    assert "no-permission" in codes(snapshot)
    assert [warning.where for warning in snapshot.warnings if warning.code == "no-permission"] == [denied]


AS_NOBODY = """
import os, sys
from pathlib import Path
from clawtop.clock import SystemClock
from clawtop.errors import StateUnreadableError
from clawtop.store.locks.processes import SystemProcesses
from clawtop.store.snapshot import SnapshotReader
import clawtop.store.provider.keys, clawtop.store.sessions.rows  # while this user may read them
os.setgroups([]); os.setgid(65534); os.setuid(65534)
reader = SnapshotReader(state_dir=sys.argv[1], env={}, home=Path("/"), clock=SystemClock(),
                        processes=SystemProcesses(), port_probe=None)
try:
    print(*(f"{warning.code}:{Path(warning.where).name}" for warning in reader.read().warnings))
except StateUnreadableError as error:
    print("refused:", error.title)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("closed", ["files", "directory"])
def test_another_user_is_told_what_may_not_be_read(closed: str) -> None:
    root = Path(__file__).resolve().parents[2]
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        state = StateDir(Path(directory) / "open")
        for path in (Path(directory) / "open", state.path, state.agent_dir, state.sessions_dir):
            path.chmod(0o755)
        for path in (state.auth_profiles, state.openclaw_json):
            path.chmod(0o600)
        if closed == "directory":
            state.path.chmod(0o700)
        done = subprocess.run(
            [sys.executable, "-c", AS_NOBODY, str(state.path)],
            cwd=root,
            env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert done.stderr == ""
    if closed == "directory":
        assert done.stdout.startswith("refused: the state directory")
        assert "cannot be read by this user" in done.stdout
    else:
        assert "no-permission:openclaw.json" in done.stdout
        assert "no-permission:auth-profiles.json" in done.stdout


def test_a_bad_configuration_leaves_the_rest(state: StateDir) -> None:
    state.openclaw_json.write_text('{ "agents": { list: [ {id: "main"}, ]  ')
    state.state(usageStats={"fakeai:one": {"errorCount": 1}})
    snapshot = state.read()
    assert codes(snapshot) == ["not-json5"]
    assert ids(snapshot) == ["fakeai:one"]


def test_a_configuration_broken_by_an_editor_keeps_its_last_good_value(state: StateDir) -> None:
    state.config({"meta": {"lastTouchedVersion": "2026.5.20"}, "gateway": {"port": 19_001}})
    reader = state.reader()
    assert reader.read().config.gateway_port == 19_001
    state.openclaw_json.write_text('{"gateway": {"port": 19_0')
    broken = reader.read()
    assert (broken.config.gateway_port, codes(broken)) == (19_001, ["not-json5"])
    state.config({"meta": {"lastTouchedVersion": "2026.5.20"}, "gateway": {"port": 19_002}})
    assert (reader.read().config.gateway_port, codes(reader.read())) == (19_002, [])


# --- nesting, and what no system takes for a path ----------------------------------------------------------------


@pytest.mark.parametrize("depth", [100, 250, 600, 5_000, 100_000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_nesting_is_a_named_problem_in_every_file(state: StateDir, depth: int, opening: str, closing: str) -> None:
    """100 is read; what is deeper is not, and ends nothing."""
    value = opening * depth + "1" + closing * depth
    state.sessions_json.write_text("{}")
    for path in (state.openclaw_json, state.auth_profiles, state.sessions_json):
        before = path.read_text()
        document = before.rstrip().removesuffix("}") + (', "x": ' if len(before.strip()) > 2 else '"x": ') + value + "}"
        path.write_text(document)
        problems = {*codes(state.read()), store_problem(state.read())}
        assert (depth > 200) == bool(problems & {"not-json", "not-json5"}), path
        path.write_text(before)
    lock = state.sessions_dir / "s.jsonl.lock"
    lock.write_text('{"pid": 77, "x": ' + value + "}")
    payloads = [one.file.payload for one in state.read().locks if one.file.path == str(lock)]
    assert [payload is None for payload in payloads] == [depth > 200 or lock.stat().st_size > 64 * 1024]


@pytest.mark.parametrize("bad", ["/x\0y/.openclaw/openclaw.json", "/x\ud800/.openclaw/openclaw.json"])
def test_paths_that_no_system_takes(state: StateDir, bad: str) -> None:
    (state.path / "logs").mkdir(exist_ok=True)
    (state.path / "logs" / "config-health.json").write_text(json.dumps({"entries": {bad: {}}}))
    config: dict[str, object] = {"meta": {"lastTouchedVersion": "2026.5.20"}}
    config["logging"] = {"file": bad}
    config["session"] = {"store": bad}
    config["agents"] = {"list": [{"id": "main", "agentDir": bad}]}
    config["$include"] = [bad]
    state.openclaw_json.write_text(json.dumps(config))
    sessions = {"agent:main:a": {"sessionId": bad, "sessionFile": bad}, "agent:main:b": {"sessionId": "b\0"}}
    state.sessions_json.write_text(json.dumps(sessions))
    snapshot = state.read()
    assert "unexpected" not in codes(snapshot)
    assert {session.key for session in snapshot.sessions} >= {"agent:main:a", "agent:main:b"}
