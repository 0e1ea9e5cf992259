"""The lock of a step excludes everybody who locks the same file, however they do it."""

from __future__ import annotations

import os
from pathlib import Path

import filelock
import pytest

from clawtop.store import door
from clawtop.store.own.step_lock import taken


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "locks" / "steps" / "07.lock"


def test_it_is_had_once_at_a_time_and_makes_what_is_missing(path: Path) -> None:
    first = taken(path)
    assert first is not None
    assert taken(path) is None
    os.close(first)
    second = taken(path)
    assert second is not None
    os.close(second)
    assert path.stat().st_mode & 0o777 == 0o600


def test_filelock_and_it_exclude_each_other(path: Path) -> None:
    theirs = filelock.FileLock(path, mode=0o600, thread_local=False, fallback_to_soft=False)
    with theirs:
        assert taken(path) is None
    ours = taken(path)
    assert ours is not None
    with pytest.raises(filelock.Timeout):
        theirs.acquire(blocking=False)
    os.close(ours)
    with theirs.acquire(blocking=False):
        assert taken(path) is None


def test_a_lock_on_a_file_that_lost_its_name_is_not_had(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, opened = door.open_file, list[int]()

    def opened_and_replaced(*args: object, **options: object) -> int:
        opened.append(real(*args, **options))  # type: ignore[arg-type]
        path.unlink()
        path.touch()
        return opened[-1]

    monkeypatch.setattr(door, "open_file", opened_and_replaced)
    assert taken(path) is None
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(opened[0])
    monkeypatch.undo()
    again = taken(path)
    assert again is not None
    os.close(again)


def test_a_link_in_its_place_is_refused(path: Path) -> None:
    path.parent.mkdir(parents=True)
    target = path.with_name("elsewhere")
    path.symlink_to(target)
    with pytest.raises(door.NotAllowedError):
        taken(path)
    assert not target.exists()
