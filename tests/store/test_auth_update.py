"""Changing an auth store: only the difference changes, nothing is lost, nothing is created that was not there."""

from __future__ import annotations

import errno
import json
import os
import stat
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clawtop.clock import Clock
from clawtop.core.cooldown.stats import cleared
from clawtop.core.model import Generation, UsageStats
from clawtop.core.operations.edit import AuthState
from clawtop.errors import OperationFailedError, RefusedError
from clawtop.store import atomic
from clawtop.store.auth.json_backend import JsonPlace
from clawtop.store.auth.json_edit import dump, parse
from clawtop.store.auth.lock import AuthStoreLock
from clawtop.store.auth.machine import Machine
from clawtop.store.auth.port import Landing
from tests.support.auth_changes import profile_change
from tests.support.store_update import update

CREDENTIALS = """{
  "version": 1,
  "profiles": {
    "fakeai:one": {"type": "api_key", "provider": "fakeai", "key": "k-\\ud83d-one", "weight": 1e2},
    "fakeai:two": {"type": "token", "provider": "fakeai", "token": "t-zwei", "unknown": [1.50, {"a": null}]}
  }"""
STATE = """
  "lastGood": {"fakeai": "fakeai:two"},
  "usageStats": {
    "fakeai:one": {"cooldownUntil": 1.795214097287e12, "cooldownReason": "rate_limit", "cooldownModel": "fake-model",
      "lastUsed": 1795214064388, "future": {"keep": "\\udc00me"}, "errorCount": 1,
      "failureCounts": {"rate_limit": 1, "odd": 0}},
    "fakeai:two": {"lastUsed": 1795214067649, "errorCount": 0}
  },
  "tail": -0
}
"""


def store(directory: Path, generation: Generation) -> JsonPlace:
    if generation is Generation.A:
        (directory / "auth-profiles.json").write_text(CREDENTIALS + "," + STATE)
    else:
        (directory / "auth-profiles.json").write_text(CREDENTIALS + "}")
        (directory / "auth-state.json").write_text('{"version": 1,' + STATE)
    for entry in directory.iterdir():
        entry.chmod(0o600)
    return JsonPlace("main", str(directory), generation)


def clear_one(target: JsonPlace) -> Any:
    return update(target, profile_change("fakeai:one", cleared), Machine(), wait=1)


def raw(target: JsonPlace) -> dict[str, Any]:
    return parse(Path(target.state_path).read_bytes(), target.state_path)


def tree(directory: Path) -> dict[str, bytes]:
    return {entry.name: entry.read_bytes() for entry in directory.iterdir()}


@pytest.mark.parametrize("generation", [Generation.A, Generation.B])
def test_only_the_difference_changes(generation: Generation, tmp_path: Path) -> None:
    target = store(tmp_path, generation)
    expected = raw(target)
    entry: Any = expected["usageStats"]
    for key in ("cooldownUntil", "cooldownReason", "cooldownModel", "failureCounts"):
        del entry["fakeai:one"][key]
    entry["fakeai:one"]["errorCount"] = 0
    before = (tmp_path / "auth-profiles.json").read_bytes()

    updated = clear_one(target)

    assert updated.changed
    assert updated.landing is Landing.LANDED
    assert updated.before.stats["fakeai:one"].cooldown_until == 1795214097287
    assert Path(target.state_path).read_bytes() == dump(expected)
    assert [*raw(target)] == [*expected]
    assert raw(target)["tail"].digits == "-0"
    if generation is Generation.B:
        assert (tmp_path / "auth-profiles.json").read_bytes() == before
    else:
        assert b'"k-\\ud83d-one"' in (tmp_path / "auth-profiles.json").read_bytes()
        assert b'"weight": 1e2' in (tmp_path / "auth-profiles.json").read_bytes()
    assert not [name for name in tree(tmp_path) if ".lock" in name or ".tmp" in name]


def test_nothing_is_written_when_nothing_changes(tmp_path: Path) -> None:
    target = store(tmp_path, Generation.B)
    before, stamp = tree(tmp_path), Path(target.state_path).stat().st_mtime_ns
    updated = update(target, lambda state: state, Machine(), wait=1)
    assert not updated.changed
    assert tree(tmp_path) == before
    assert Path(target.state_path).stat().st_mtime_ns == stamp


def test_a_profile_that_the_store_does_not_have_is_left_alone(tmp_path: Path) -> None:
    target = store(tmp_path, Generation.B)
    change = profile_change("fakeai:nine", lambda stats: replace(stats, error_count=1), last_good="fakeai")
    assert not update(target, change, Machine(), wait=1).changed


def test_last_good_and_statistics_change_in_one_write(tmp_path: Path) -> None:
    target = store(tmp_path, Generation.B)
    change = profile_change("fakeai:one", lambda stats: replace(stats, last_used=7), last_good="fakeai")
    update(target, change, Machine(), wait=1)
    state = json.loads(Path(target.state_path).read_bytes())
    assert state["lastGood"] == {"fakeai": "fakeai:one"}
    assert state["usageStats"]["fakeai:one"]["lastUsed"] == 7


def test_generation_b_may_have_its_state_file_created_private(tmp_path: Path) -> None:
    target = store(tmp_path, Generation.B)
    Path(target.state_path).unlink()
    change = profile_change("fakeai:one", lambda stats: replace(stats, error_count=2, failure_counts={"auth": 2}))
    update(target, change, Machine(), wait=1)
    assert json.loads(Path(target.state_path).read_bytes()) == {
        "version": 1,
        "usageStats": {"fakeai:one": {"errorCount": 2, "failureCounts": {"auth": 2}}},
    }
    assert stat.S_IMODE(Path(target.state_path).stat().st_mode) == 0o600


def test_a_state_that_says_nothing_any_more_is_deleted_as_openclaw_does(tmp_path: Path) -> None:
    target = store(tmp_path, Generation.B)
    Path(target.state_path).write_text('{"version": 1, "order": {"fakeai": ["fakeai:one"]}}')
    update(target, lambda state: replace(state, order={}), Machine(), wait=1)
    assert not Path(target.state_path).exists()


def test_an_embedded_entry_of_an_older_generation_is_taken_over_whole(tmp_path: Path) -> None:
    target = store(tmp_path, Generation.A)
    target = replace(target, generation=Generation.B)
    (tmp_path / "auth-state.json").write_text('{"version": 1, "usageStats": {"fakeai:two": {"errorCount": 3}}}')
    credentials = (tmp_path / "auth-profiles.json").read_bytes()
    updated = clear_one(target)
    entry: Any = raw(target)["usageStats"]
    assert entry["fakeai:one"]["future"] == {"keep": "\udc00me"}
    assert "cooldownUntil" not in entry["fakeai:one"]
    assert updated.after.stats["fakeai:two"].error_count == 3
    assert (tmp_path / "auth-profiles.json").read_bytes() == credentials


def test_an_embedded_entry_that_would_come_back_is_refused(tmp_path: Path) -> None:
    store(tmp_path, Generation.A)
    target = JsonPlace("main", str(tmp_path), Generation.B)
    before = tree(tmp_path)
    with pytest.raises(RefusedError, match="would stay in force"):
        update(target, lambda state: replace(state, last_good={}), Machine(), wait=1)
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    ("generation", "proven", "why"),
    [
        (Generation.C, True, "SQLite"),
        (Generation.D, True, "SQLite"),
        (None, True, "not known"),
        (Generation.B, False, "not known"),
    ],
)
def test_other_generations_are_refused_and_nothing_is_created(
    generation: Generation | None, proven: bool, why: str, tmp_path: Path
) -> None:
    store(tmp_path, Generation.B)
    before = tree(tmp_path)
    with pytest.raises(RefusedError, match=why):
        clear_one(JsonPlace("main", str(tmp_path), generation, proven))
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ('{"version":1,"usageStats":{"fakeai:one":{"errorCount":1,"errorCount":2}}}', "errorCount twice"),
        ("", "is empty"),
        ("[1]", "not a JSON object"),
        ('{"version":1', "not JSON"),
        ('{"version":NaN}', "not JSON"),
        ('{"usageStats":[]}', "not an object"),
    ],
)
@pytest.mark.parametrize("generation", [Generation.A, Generation.B])
def test_a_file_whose_change_could_lose_something_is_refused(
    generation: Generation, content: str, why: str, tmp_path: Path
) -> None:
    target = store(tmp_path, generation)
    Path(target.state_path).write_text(content)
    before = tree(tmp_path)
    with pytest.raises(RefusedError, match=why):
        clear_one(target)
    assert tree(tmp_path) == before


@pytest.mark.parametrize("generation", [Generation.A, Generation.B])
def test_a_missing_store_is_refused_and_not_created(generation: Generation, tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="does not exist"):
        clear_one(JsonPlace("main", str(tmp_path), generation))
    assert tree(tmp_path) == {}


@pytest.mark.parametrize("generation", [Generation.A, Generation.B])
def test_a_store_deleted_while_we_change_it_is_not_created_again(generation: Generation, tmp_path: Path) -> None:
    target = store(tmp_path, generation)

    def change(state: AuthState) -> AuthState:
        for name in ("auth-profiles.json", "auth-state.json"):
            (tmp_path / name).unlink(missing_ok=True)
        return replace(state, order={"fakeai": ("fakeai:two",)})

    with pytest.raises((OperationFailedError, RefusedError), match=r"is gone|is not there"):
        update(target, change, Machine(), wait=1)
    assert tree(tmp_path) == {}


def test_another_users_store_is_refused_with_the_user_to_become(tmp_path: Path) -> None:
    target = store(tmp_path, Generation.B)
    before = tree(tmp_path)
    with pytest.raises(RefusedError) as caught:
        update(target, profile_change("fakeai:one", cleared), Machine(euid=lambda: 54321), wait=1)
    owner = tmp_path.owner()
    assert "belongs to " + owner in caught.value.title
    assert "uid 54321" in caught.value.title
    assert f"run clawtop as {owner}" in caught.value.hint
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    ("code", "hint"), [(errno.ENOSPC, "full"), (errno.EROFS, "read-only"), (errno.EACCES, "no permission to write")]
)
def test_a_refusing_disk_names_the_file_and_leaves_everything(
    code: int, hint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = store(tmp_path, Generation.B)
    before = tree(tmp_path)
    write = os.write

    def refuse(descriptor: int, content: bytes) -> int:
        if b"usageStats" in bytes(content):
            raise OSError(code, os.strerror(code))
        return write(descriptor, content)

    monkeypatch.setattr(os, "write", refuse)
    with pytest.raises(OperationFailedError) as caught:
        clear_one(target)
    assert os.strerror(code) in caught.value.title
    assert hint in caught.value.hint
    assert caught.value.unchanged == f"{target.state_path} was not changed"
    assert tree(tmp_path) == before


def test_a_symlinked_store_is_written_where_it_really_is(tmp_path: Path) -> None:
    real, agent = tmp_path / "real", tmp_path / "agent"
    real.mkdir()
    agent.mkdir()
    store(real, Generation.B)
    for name in ("auth-profiles.json", "auth-state.json"):
        (agent / name).symlink_to(real / name)
    updated = clear_one(JsonPlace("main", str(agent), Generation.B))
    assert updated.path == str(real / "auth-state.json")
    assert (agent / "auth-state.json").is_symlink()
    assert "cooldownUntil" not in (real / "auth-state.json").read_text()
    assert sorted(tree(real)) == ["auth-profiles.json", "auth-state.json"]


def test_a_dangling_state_link_is_refused(tmp_path: Path) -> None:
    target = store(tmp_path, Generation.B)
    Path(target.state_path).unlink()
    Path(target.state_path).symlink_to(tmp_path / "nowhere.json")
    with pytest.raises(RefusedError, match="does not exist"):
        clear_one(target)
    assert not (tmp_path / "nowhere.json").exists()


def test_mode_group_and_extended_attributes_stay(tmp_path: Path) -> None:
    target = store(tmp_path, Generation.B)
    path = Path(target.state_path)
    path.chmod(0o640)
    groups = [group for group in os.getgroups() if group != path.stat().st_gid] or [path.stat().st_gid]
    os.chown(path, -1, groups[0])
    try:
        os.setxattr(path, "user.note", b"kept")
    except (OSError, AttributeError):
        pytest.skip("no user extended attributes here")
    inode = path.stat().st_ino
    clear_one(target)
    facts = path.stat()
    assert facts.st_ino != inode
    assert (stat.S_IMODE(facts.st_mode), facts.st_gid) == (0o640, groups[0])
    assert os.getxattr(path, "user.note") == b"kept"


def test_access_control_lists_stay(tmp_path: Path) -> None:
    target = store(tmp_path, Generation.B)
    path, name = Path(target.state_path), "system.posix_acl_access"
    rows = ((0x01, 6, -1), (0x02, 4, 1234), (0x04, 0, -1), (0x10, 4, -1), (0x20, 0, -1))
    entries = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *row) for row in rows)
    try:
        os.setxattr(path, name, entries)
    except (OSError, AttributeError):
        pytest.skip("no POSIX ACLs here")
    mode = path.stat().st_mode
    clear_one(target)
    assert os.getxattr(path, name) == entries
    assert path.stat().st_mode == mode


def test_a_writer_without_the_lock_is_not_overwritten(tmp_path: Path) -> None:
    target = store(tmp_path, Generation.B)
    calls: list[int] = []

    def change(state: AuthState) -> AuthState:
        calls.append(1)
        if len(calls) == 1:
            document = json.loads(Path(target.state_path).read_bytes())
            document["usageStats"]["fakeai:two"]["errorCount"] = 5
            Path(target.state_path).write_text(json.dumps(document))
        return profile_change("fakeai:one", cleared)(state)

    updated = update(target, change, Machine(), wait=1)
    assert len(calls) == 2
    assert updated.after.stats["fakeai:two"].error_count == 5
    assert updated.after.stats["fakeai:one"].cooldown_until is None


@pytest.mark.parametrize("generation", [Generation.A, Generation.B])
def test_a_store_whose_lock_is_taken_away_while_it_is_changed_is_not_written(
    generation: Generation, tmp_path: Path
) -> None:
    target = store(tmp_path, generation)
    before = {path.name: path.read_bytes() for path in tmp_path.glob("*.json")}
    lock = Path(AuthStoreLock(str(tmp_path), generation, Machine()).path)

    def change(state: AuthState) -> AuthState:
        lock.unlink()
        lock.write_text('{"pid": 9, "createdAt": "x"}')
        return profile_change("fakeai:one", cleared)(state)

    with pytest.raises(OperationFailedError, match="was taken from clawtop"):
        update(target, change, Machine(), wait=1)
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.json")} == before
    assert lock.read_text() == '{"pid": 9, "createdAt": "x"}', "it is its successor's"


@pytest.mark.parametrize(("losses", "landing", "tries"), [(1, Landing.LANDED, 2), (9, Landing.LOST, 2)])
def test_a_lost_update_is_written_once_more_and_then_told(
    losses: int, landing: Landing, tries: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = store(tmp_path, Generation.A)
    original = Path(target.state_path).read_bytes()
    left = [losses]
    flush = atomic.flush_directory

    def flush_and_lose(path: str) -> None:
        flush(path)
        if left[0]:
            left[0] -= 1
            Path(target.state_path).write_bytes(original)

    monkeypatch.setattr(atomic, "flush_directory", flush_and_lose)
    updated = clear_one(target)
    assert (updated.landing, updated.tries) == (landing, tries)


def test_a_half_written_file_of_2026_3_is_read_again(tmp_path: Path) -> None:
    target = store(tmp_path, Generation.A)
    whole = Path(target.state_path).read_bytes()
    Path(target.state_path).write_bytes(whole[:40])

    class Mended(Clock):
        def now_ms(self) -> int:
            return 0

        def monotonic(self) -> float:
            return 0.0

        def pause(self, seconds: float) -> None:
            Path(target.state_path).write_bytes(whole)

        async def sleep(self, seconds: float) -> None:
            raise AssertionError

    updated = update(target, profile_change("fakeai:one", cleared), Machine(clock=Mended()), wait=1)
    assert updated.changed


def test_what_a_killed_clawtop_left_is_swept_by_the_next(tmp_path: Path) -> None:
    target = store(tmp_path, Generation.B)
    dead, alive = 2**22 - 7, os.getppid()
    for pid in (dead, alive):
        (tmp_path / f"auth-state.json.clawtop.{pid}.1.tmp").write_text("half")
    clear_one(target)
    assert [name for name in tree(tmp_path) if name.endswith(".tmp")] == [f"auth-state.json.clawtop.{alive}.1.tmp"]


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=150)
@given(
    document=st.dictionaries(st.text(), JSON_VALUES, max_size=6),
    ascii_only=st.booleans(),
    indent=st.sampled_from([None, 2]),
)
def test_parse_and_dump_lose_nothing(document: dict[str, Any], ascii_only: bool, indent: int | None) -> None:
    content = json.dumps(document, ensure_ascii=ascii_only, indent=indent).encode("utf-8", "surrogatepass")
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        with pytest.raises(RefusedError):
            parse(content, "x")
        return
    written = dump(parse(content, "x"))
    assert json.loads(written) == json.loads(content)
    assert dump(parse(written, "x")) == written
    assert list(json.loads(written)) == list(document)


def test_an_empty_entry_is_no_entry(tmp_path: Path) -> None:
    target = store(tmp_path, Generation.B)
    updated = update(target, lambda s: replace(s, stats={**s.stats, "fakeai:three": UsageStats()}), Machine(), wait=1)
    assert not updated.changed
