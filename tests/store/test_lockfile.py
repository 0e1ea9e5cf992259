"""Lock files are read strictly and never followed anywhere."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from clawtop.core.model import LockKind
from clawtop.store.locks.lockfile import MAX_LOCK_BYTES, read_lock


def test_no_lock(tmp_path: Path) -> None:
    assert read_lock(tmp_path / "none.lock", LockKind.AUTH) is None


def test_a_lock(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    path.write_text('{"pid": 7, "createdAt": "2026-11-20T22:35:01.526Z"}\n')
    os.utime(path, ns=(0, 1_795_214_110_683_999_999))
    lock = read_lock(path, LockKind.SESSION, agent="ops", session_id="x")
    assert lock is not None
    assert lock.payload == {"pid": 7, "createdAt": "2026-11-20T22:35:01.526Z"}
    assert (lock.path, lock.agent, lock.session_id, lock.mtime) == (str(path), "ops", "x", 1_795_214_110_683)
    assert (lock.identity.dev, lock.identity.ino) == (path.stat().st_dev, path.stat().st_ino)
    assert lock.content_problem is None


def test_whitespace_after_the_object_is_part_of_the_format(tmp_path: Path) -> None:
    path = tmp_path / "gateway.lock"
    path.write_bytes(b'{"pid":7}\n\t \t\t  \t\n')
    lock = read_lock(path, LockKind.GATEWAY)
    assert lock is not None
    assert lock.payload == {"pid": 7}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "empty"),
        (b" \n\t", "empty"),
        (b"99999\nvm\n12345\n", "not JSON"),
        (b'{"pid": 7', "not JSON"),
        (b'{"pid": 7} trailing', "not JSON"),
        (b'{"pid": NaN}', "not JSON"),
        (b'{"pid": 7, "host": "\xff"}', "not JSON"),
        (b"[7]", "not an object"),
        (b"7", "not an object"),
        (b"[" * 60_000, "not JSON"),
        (b'{"pid": 7}' + b" " * MAX_LOCK_BYTES, "too large"),
    ],
)
def test_what_is_not_a_lock(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "x.lock"
    path.write_bytes(content)
    lock = read_lock(path, LockKind.AUTH)
    assert lock is not None
    assert (lock.payload, lock.content_problem) == (None, problem)


def test_a_symlink_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "target").write_text('{"pid": 7}')
    path = tmp_path / "x.lock"
    path.symlink_to("target")
    lock = read_lock(path, LockKind.AUTH)
    assert lock is not None
    assert (lock.payload, lock.content_problem) == (None, "not a regular file")
    assert lock.identity.ino == path.lstat().st_ino


def test_a_fifo_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.lock")
    lock = read_lock(tmp_path / "x.lock", LockKind.AUTH)
    assert lock is not None
    assert lock.content_problem == "not a regular file"


def test_identity_tells_two_locks_apart(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    path.write_text('{"pid": 7}')
    first = read_lock(path, LockKind.AUTH)
    assert first is not None
    assert read_lock(path, LockKind.AUTH) == first
    path.write_text('{"pid": 8}')
    rewritten = read_lock(path, LockKind.AUTH)
    assert rewritten is not None
    assert rewritten.identity != first.identity
    path.rename(tmp_path / "old")
    path.write_text('{"pid": 7}')
    replaced = read_lock(path, LockKind.AUTH)
    assert replaced is not None
    assert replaced.identity.digest == first.identity.digest
    assert replaced.identity != first.identity


def test_a_disk_that_fails_when_a_lock_was_read_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.jsonl.lock"
    path.write_text('{"pid": 12}')
    close = os.close

    def failing(descriptor: int) -> None:
        close(descriptor)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "close", failing)
    found = read_lock(path, LockKind.SESSION)
    assert found is not None
    assert found.payload == {"pid": 12}
