"""What cannot be read is named by every verb that would need it; nothing in it is said not to be there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from clawtop.cli import main
from clawtop.core.model import AuthStore
from clawtop.store.snapshot import SnapshotReader
from tests.support.samples import copy, sample, unpacked

Told = Callable[..., tuple[int, str]]


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Told:
    """The exit code of a verb, and what it says."""

    def run(state: Path, *words: str) -> tuple[int, str]:
        code = main.run([*words, "--no-gateway", "--state-dir", str(state)])
        said = capsys.readouterr()
        return code, " ".join((said.out + said.err).split())

    return run


@pytest.fixture
def files(tmp_path: Path) -> Path:
    return copy(sample("2026.5.20", "rate-limited"), tmp_path / "state").state_dir


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return unpacked("2026.9.6", "running", tmp_path / "state").state_dir


@pytest.mark.parametrize("verb", ["drain", "recover"])
def test_a_session_of_a_database_that_cannot_be_read_is_not_said_to_be_none(
    verb: str, database: Path, told: Told
) -> None:
    log = database / "agents/main/agent/openclaw-agent.sqlite-wal"
    log.unlink(missing_ok=True)
    os.mkfifo(log)
    code, said = told(database, verb, "agent:main:main", "--yes")
    assert code == 1
    assert "whether there is a session agent:main:main is not known: " in said
    assert str(log) in said
    assert "Nothing was done" in said


def test_a_session_that_is_in_no_database_is_none(database: Path, told: Told) -> None:
    assert "there is no session agent:main:nobody" in told(database, "drain", "agent:main:nobody", "--yes")[1]


def test_a_list_that_cannot_be_read_is_named(files: Path, told: Told) -> None:
    path = files / "agents/main/sessions/sessions.json"
    path.unlink()
    path.symlink_to(path)
    code, said = told(files, "drain", "agent:main:main", "--yes")
    assert code == 1
    assert f"the session list {path} is a loop of symbolic links" in said


def test_a_store_that_cannot_be_read_is_named_before_anything_is_sent(files: Path, told: Told) -> None:
    path = files / "agents/main/agent/auth-profiles.json"
    path.unlink()
    os.mkfifo(path)
    code, said = told(files, "probe", "--provider", "fakeai")
    assert code == 1
    assert f"{path} is not a regular file" in said
    assert "Nothing was sent" in said


@pytest.mark.parametrize("thing", [Path.touch, os.mkfifo], ids=["file", "pipe"])
def test_agents_that_are_no_directory_are_named(thing: Callable[[Path], object], files: Path, told: Told) -> None:
    place = files / "agents"
    shutil.rmtree(place)
    thing(place)
    assert f"agents-unread {place} is not a directory" in told(files, "status")[1]
    asked = [("clear", "fakeai:one"), ("drain", "agent:main:main", "--fresh"), ("recover", "agent:main:main")]
    for words in [*asked, ("unlock", "agent:main:main")]:
        code, said = told(files, *words, "--yes")
        assert (code, _names(place, said)) == (1, True), said


def _to_nowhere(place: Path) -> None:
    place.symlink_to(place.with_name("a mount that is not there"))


@pytest.mark.parametrize("thing", [Path.touch, _to_nowhere], ids=["file", "link to nowhere"])
@pytest.mark.parametrize("name", ["agents/main", "agents/main/agent", "agents/main/agent/auth-profiles.json"])
def test_accounts_whose_directory_is_not_there_are_not_said_to_be_none(
    name: str, thing: Callable[[Path], object], files: Path, told: Told
) -> None:
    place = _replaced(files / name, thing)
    assert "BLIND no auth profile can be read: " in told(files, "status")[1]
    for words in [("clear", "fakeai:p1", "--yes"), ("rotate", "fakeai", "--yes"), ("explain", "profile", "fakeai:p1")]:
        code, said = told(files, *words)
        assert (code, _names(place, said)) == (1, True), said


@pytest.mark.parametrize("thing", [Path.touch, _to_nowhere], ids=["file", "link to nowhere"])
@pytest.mark.parametrize("name", ["agents/main", "agents/main/sessions"])
def test_sessions_whose_directory_is_not_there_are_not_said_to_be_none(
    name: str, thing: Callable[[Path], object], files: Path, told: Told
) -> None:
    place = _replaced(files / name, thing)
    said = told(files, "status")[1]
    assert "SESSIONS 0" in said
    assert "no messages have reached" not in said
    code, said = told(files, "drain", "agent:main:main", "--yes")
    assert (code, _names(place, said)) == (1, True), said


@pytest.mark.parametrize("name", ["agents/main", "agents/main/agent"])
def test_a_database_whose_directory_is_not_there_is_not_said_to_hold_no_session(
    name: str, database: Path, told: Told
) -> None:
    place = _replaced(database / name, _to_nowhere)
    code, said = told(database, "drain", "agent:main:main", "--yes")
    assert (code, _names(place, said)) == (1, True), said


def test_a_mount_that_comes_back_is_read(tmp_path: Path) -> None:
    state = copy(sample("2026.5.20", "rate-limited"), tmp_path / "state")
    place, aside = state.state_dir / "agents/main", state.state_dir / "aside"
    place.rename(aside)
    _to_nowhere(place)
    reader = state.reader()
    assert _main(reader).problem is not None
    place.unlink()
    assert _main(reader).problem is None
    aside.rename(place)
    assert _main(reader).profiles


def _main(reader: SnapshotReader) -> AuthStore:
    stores = {agent.id: agent.store for agent in reader.read().agents}
    found = stores["main"]
    assert found is not None
    return found


def _replaced(place: Path, thing: Callable[[Path], object]) -> Path:
    if place.is_dir():
        shutil.rmtree(place)
    else:
        place.unlink()
    thing(place)
    return place


def _names(place: Path, said: str) -> bool:
    """Whether it says what is wrong with the place."""
    return any(f"{place}{words}" in said for words in (" is ", ", which is not a directory", ", a symbolic link to "))


def test_a_lock_of_a_session_list_that_cannot_be_read_is_not_said_to_be_none(files: Path, told: Told) -> None:
    path = files / "agents/main/sessions/sessions.json"
    path.write_text('{"a')
    code, said = told(files, "unlock", "agent:main:nobody", "--yes")
    assert code == 1
    assert f"whether agent:main:nobody has a lock is not known: {path} is not JSON" in said
    assert "there is no lock of agent:ops:nobody" in told(files, "unlock", "agent:ops:nobody", "--yes")[1]


@pytest.mark.parametrize("verb", ["drain", "recover"])
def test_a_shared_database_that_no_waiting_mends_is_said_at_once(verb: str, database: Path, told: Told) -> None:
    """Long before the deadline, for which this test would have to wait: 60 and 30 s."""
    path = database / "state/openclaw.sqlite"
    for part in path.parent.iterdir():
        part.unlink()
    path.write_bytes(b"no database at all" * 1_000)
    code, said = told(database, verb, "agent:main:main", "--yes")
    assert code == 2
    assert f"{path} is not a database; waiting does not change that" in said


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize(
    "words",
    [
        ("drain", "agent:main:main", "--yes"),
        ("recover", "agent:main:main", "--yes"),
        ("unpin", "agent:main:main", "--yes"),
        ("unlock", "agent:main:main", "--yes"),
    ],
    ids=lambda words: words[0],
)
def test_another_users_list_is_named_where_a_session_is_missing_in_it(
    words: tuple[str, ...], files: Path, told: Told
) -> None:
    path = files / "agents/main/sessions/sessions.json"
    path.write_text("{}")
    os.chown(path, 12_345, 12_345)
    code, said = told(files, *words)
    assert code == 1
    assert f"there is no {'lock of' if words[0] == 'unlock' else 'session'} agent:main:main; {path} belongs to" in said
