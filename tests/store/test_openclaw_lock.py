"""The lock-file primitives: published whole, released only if ours, broken only on proof, put back if it changed."""

from __future__ import annotations

import errno
import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from clawtop.core.cooldown.marking import Mark
from clawtop.core.model import LockFile, LockKind, Verdict, VerdictKind
from clawtop.store import atomic, door
from clawtop.store.disk import disk
from clawtop.store.locks import openclaw
from clawtop.store.locks.lockfile import read_lock
from clawtop.store.locks.openclaw import (
    BreakOutcome,
    How,
    Proposal,
    all_released,
    break_stale,
    lock_content,
    release,
    still_ours,
)
from clawtop.store.own.mark_spool import MarkSpool
from tests.support.lock_files import publish

PAYLOAD = {"pid": 4242, "createdAt": "2026-05-20T12:00:00.000Z"}
STALE = Verdict(VerdictKind.STALE, ("pid 4242 is gone",))


@pytest.fixture
def lock(tmp_path: Path) -> str:
    return str(tmp_path / "auth-profiles.json.lock")


def seen(path: str) -> LockFile:
    found = read_lock(path, LockKind.AUTH)
    assert found is not None
    return found


def names(path: str) -> list[str]:
    return sorted(entry.name for entry in Path(path).parent.iterdir())


@pytest.mark.parametrize(
    ("newline", "content"),
    [
        (True, b'{\n  "pid": 4242,\n  "createdAt": "2026-05-20T12:00:00.000Z"\n}\n'),
        (False, b'{\n  "pid": 4242,\n  "createdAt": "2026-05-20T12:00:00.000Z"\n}'),
    ],
)
def test_content_is_what_openclaw_writes(newline: bool, content: bytes, lock: str) -> None:
    assert lock_content(PAYLOAD, newline=newline) == content
    published = publish(lock, PAYLOAD, newline=newline)
    assert published is not None
    assert Path(lock).read_bytes() == content
    assert published.how is How.LINK
    assert names(lock) == ["auth-profiles.json.lock"]


def test_the_name_never_exists_without_its_content(lock: str, monkeypatch: pytest.MonkeyPatch) -> None:
    link = os.link

    def watched(source: str, name: str) -> None:
        assert not Path(name).exists()
        assert json.loads(Path(source).read_bytes()) == PAYLOAD
        link(source, name)

    monkeypatch.setattr(os, "link", watched)
    assert publish(lock, PAYLOAD) is not None


def test_a_second_publisher_gets_nothing_and_leaves_nothing(lock: str) -> None:
    first = publish(lock, PAYLOAD)
    assert first is not None
    assert publish(lock, {"pid": 1, "createdAt": "x"}) is None
    assert still_ours(first)
    assert names(lock) == ["auth-profiles.json.lock"]


def test_a_proposal_can_be_tried_until_the_lock_is_free(lock: str) -> None:
    first = publish(lock, PAYLOAD)
    assert first is not None
    proposal = Proposal(lock, {"pid": 5, "createdAt": "y"})
    assert proposal.publish() is None
    assert proposal.publish() is None
    assert release(first)
    assert proposal.publish() is not None
    assert names(lock) == ["auth-profiles.json.lock"]
    with pytest.raises(ValueError, match="published or withdrawn"):
        proposal.publish()


@pytest.mark.parametrize("code", [errno.EPERM, errno.ENOTSUP, errno.ENOSYS])
def test_without_hard_links_it_is_created_exclusively_and_says_so(
    code: int, lock: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", _failing(code))
    published = publish(lock, PAYLOAD)
    assert published is not None
    assert published.how is How.EXCLUSIVE
    assert json.loads(Path(lock).read_bytes()) == PAYLOAD
    assert publish(lock, PAYLOAD) is None
    assert release(published)
    assert names(lock) == []


def test_a_link_whose_answer_was_lost_is_ours(lock: str, monkeypatch: pytest.MonkeyPatch) -> None:
    link = os.link

    def nfs(source: str, name: str) -> None:
        link(source, name)
        raise FileExistsError(errno.EEXIST, "File exists")

    monkeypatch.setattr(os, "link", nfs)
    published = publish(lock, PAYLOAD)
    assert published is not None
    assert still_ours(published)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EIO])
def test_a_failure_of_the_disk_is_raised_and_leaves_nothing(
    code: int, lock: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int, content: object) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match=os.strerror(code)):
        publish(lock, PAYLOAD)
    assert names(lock) == []


def test_release_leaves_a_successor_alone(lock: str) -> None:
    ours = publish(lock, PAYLOAD)
    assert ours is not None
    Path(lock).unlink()
    assert not still_ours(ours)
    assert not release(ours)
    successor = publish(lock, {"pid": 7, "createdAt": "z"})
    assert successor is not None
    assert not release(ours)
    assert still_ours(successor)


def test_a_rewritten_lock_is_not_ours(lock: str) -> None:
    ours = publish(lock, PAYLOAD)
    assert ours is not None
    Path(lock).write_bytes(ours.content + b" ")
    assert not release(ours)
    assert Path(lock).exists()


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENFILE, errno.EACCES, errno.EIO])
def test_a_lock_that_cannot_be_opened_is_given_back_all_the_same(
    lock: str, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = publish(lock, PAYLOAD)
    assert ours is not None

    def refuse(path: object, *_: object, **__: object) -> int:
        raise OSError(code, os.strerror(code), path)

    monkeypatch.setattr(os, "open", refuse)
    assert still_ours(ours)
    assert release(ours)
    assert names(lock) == []
    monkeypatch.undo()
    Path(lock).touch()
    monkeypatch.setattr(os, "open", refuse)
    assert not release(ours)
    assert names(lock) == ["auth-profiles.json.lock"]


@pytest.mark.parametrize("name", ["unlink", "lstat"])
@pytest.mark.parametrize("code", [errno.EIO, errno.EROFS, errno.EBUSY])
def test_a_release_that_the_disk_refuses_is_tried_until_it_is_true(
    lock: str, code: int, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = publish(lock, PAYLOAD)
    assert ours is not None
    real, refusals = getattr(os, name), [code] * 4

    def refuse(path: object, *arguments: object, **options: object) -> object:
        if path == lock and refusals:
            number = refusals.pop()
            raise OSError(number, os.strerror(number), path)
        return real(path, *arguments, **options)

    monkeypatch.setattr(openclaw, "FIRST_RETRY_S", 0.0)
    monkeypatch.setattr(openclaw, "LONGEST_RETRY_S", 0.0)
    monkeypatch.setattr(os, name, refuse)
    assert release(ours)
    assert all_released(10)
    assert refusals == []
    assert names(lock) == []


def test_a_release_that_is_tried_again_leaves_a_successor_alone(lock: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = publish(lock, PAYLOAD)
    assert ours is not None
    real, again = os.unlink, threading.Event()

    def refuse(path: object, *arguments: object, **options: object) -> object:
        if path == lock and not again.is_set():
            again.set()
            raise OSError(errno.EIO, os.strerror(errno.EIO), path)
        return real(path, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(openclaw, "FIRST_RETRY_S", 0.05)
    monkeypatch.setattr(os, "unlink", refuse)
    assert release(ours)
    real(lock)
    Path(lock).write_bytes(lock_content({"pid": 7}))
    assert all_released(10)
    assert names(lock) == ["auth-profiles.json.lock"]


def test_a_proven_lock_is_removed(lock: str) -> None:
    publish(lock, PAYLOAD)
    result = break_stale(lock, seen(lock), lambda _: STALE)
    assert result.outcome is BreakOutcome.REMOVED
    assert result.verdict == STALE
    assert names(lock) == []


@pytest.mark.parametrize("kind", [VerdictKind.HELD, VerdictKind.UNKNOWN])
def test_without_proof_nothing_is_removed(kind: VerdictKind, lock: str) -> None:
    ours = publish(lock, PAYLOAD)
    assert ours is not None
    assert break_stale(lock, seen(lock), lambda _: Verdict(kind)).outcome is BreakOutcome.NOT_PROVEN
    assert still_ours(ours)


def test_a_lock_that_changed_since_it_was_seen_stays(lock: str) -> None:
    publish(lock, PAYLOAD)
    before = seen(lock)
    Path(lock).unlink()
    assert break_stale(lock, before, lambda _: STALE).outcome is BreakOutcome.GONE
    successor = publish(lock, {"pid": 7, "createdAt": "z"})
    assert successor is not None

    def never_proven(_: object) -> Verdict:
        raise AssertionError("another lock was judged, and would have been moved aside")

    assert break_stale(lock, before, never_proven).outcome is BreakOutcome.CHANGED
    assert still_ours(successor)


def test_a_lock_replaced_between_proof_and_rename_is_put_back_with_its_identity(lock: str) -> None:
    publish(lock, PAYLOAD)
    successors: list[Any] = []

    def prove(_: LockFile) -> Verdict:
        Path(lock).unlink()
        successors.append(publish(lock, {"pid": 7, "createdAt": "z"}))
        return STALE

    assert break_stale(lock, seen(lock), prove).outcome is BreakOutcome.CHANGED
    assert still_ours(successors[0])
    assert names(lock) == ["auth-profiles.json.lock"]


def test_a_third_lock_is_never_overwritten_by_putting_back(lock: str, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(lock, PAYLOAD)
    third: list[Any] = []
    rename = disk.rename

    def prove(_: LockFile) -> Verdict:
        Path(lock).unlink()
        publish(lock, {"pid": 7, "createdAt": "z"})
        return STALE

    def rename_then_third(source: str, target: str) -> None:
        rename(source, target)
        third.append(publish(lock, {"pid": 8, "createdAt": "zz"}))

    monkeypatch.setattr(disk, "rename", rename_then_third)
    assert break_stale(lock, seen(lock), prove).outcome is BreakOutcome.DISPLACED
    assert still_ours(third[0])
    assert names(lock) == ["auth-profiles.json.lock"]


def test_what_a_killed_process_left_can_be_recognised(lock: str) -> None:
    Path(f"{lock}.clawtop.99999.3.tmp").write_text("{}")
    Path(f"{lock}.2f1c.tmp").write_text("{}")
    mine = atomic.write_sibling(lock, b"{}")
    assert list(atomic.leftovers(str(Path(lock).parent))) == [(f"{lock}.clawtop.99999.3.tmp", 99999)]
    assert Path(mine).exists()


def _failing(code: int) -> Any:
    def fail(source: str, name: str) -> None:
        raise OSError(code, os.strerror(code))

    return fail


@pytest.mark.parametrize("free", [None, 4])
def test_of_names_that_are_taken_a_hundred_are_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int | None
) -> None:
    """Those of a killed process with this pid may be there; that none is free is what a broken disk says."""
    asked: list[str] = []
    real = door.create

    def create(path: str, mode: int) -> int:
        asked.append(path)
        if len(asked) == free:
            return real(path, mode)
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)

    monkeypatch.setattr(door, "create", create)
    for write in (
        lambda: atomic.write_sibling(str(tmp_path / "file"), b"content"),
        lambda: MarkSpool(tmp_path).put(Mark("main", "p:a", "p", 1, "rate_limit")),
    ):
        asked.clear()
        if free is None:
            with pytest.raises(FileExistsError):
                write()
        else:
            assert Path(write()).stat().st_size
        assert len(set(asked)) == len(asked) == (free or atomic.MOST_NAMES)
