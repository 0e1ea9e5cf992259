"""How much room is left on a disk, and what that means for the gateway that writes there."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from clawtop.core.health.cause import Level
from clawtop.core.health.judgement import judge
from clawtop.core.model import DiskRoom
from clawtop.store.place.room import disk_room
from tests.support.states_made import StateDir
from tests.support.worlds import CALM, NOW

MB = 1 << 20


def disk(left: int, *, files: int = 1_000, files_left: int = 900, blocks: int = 300 * MB // 4096) -> os.statvfs_result:
    """`left` bytes for users, and 5 % more for root."""
    free = left // 4096
    return os.statvfs_result((4096, 4096, blocks, free + blocks // 20, free, files, files_left, files_left, 0, 255))


@pytest.mark.parametrize(
    ("facts", "room"),
    [
        pytest.param(disk(900 * MB), None, id="enough"),
        pytest.param(disk(32 * MB), None, id="just enough"),
        pytest.param(disk(31 * MB), DiskRoom(31, full=False), id="little"),
        pytest.param(disk(MB), DiskRoom(1, full=False), id="very little"),
        pytest.param(disk(628 << 10), DiskRoom(0, full=True), id="too little for SQLite"),
        pytest.param(disk(0), DiskRoom(0, full=True), id="none"),
        pytest.param(disk(900 * MB, files_left=0), DiskRoom(900, full=True, files_left=False), id="no inodes"),
        pytest.param(disk(900 * MB, files=0, files_left=0), None, id="a file system that does not count files"),
        pytest.param(disk(0, blocks=0), None, id="a file system without a size"),
    ],
)
def test_what_is_left(
    facts: os.statvfs_result, room: DiskRoom | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "statvfs", lambda _path: facts)
    assert disk_room(tmp_path) == room
    assert StateDir(tmp_path).read().room == room


def test_a_disk_that_cannot_be_asked_is_not_called_full(tmp_path: Path) -> None:
    assert disk_room(tmp_path / "absent") is None


@pytest.mark.parametrize(
    ("room", "code", "level", "words"),
    [
        (DiskRoom(0, full=True), "disk-full", Level.SILENT, "is full: no message can be stored"),
        (DiskRoom(9, full=True, files_left=False), "disk-full", Level.SILENT, "takes no more files: no message can"),
        (DiskRoom(7, full=False), "disk-low", Level.ATTENTION, "is almost full: 7 MB left"),
    ],
)
def test_a_calm_state_on_a_full_disk_is_not_well(room: DiskRoom, code: str, level: Level, words: str) -> None:
    """2026.9.6 refuses each message then, and no session shows it."""
    assert judge(CALM, NOW).level is Level.WELL
    health = judge(replace(CALM, room=room), NOW)
    assert [(cause.code, cause.level, cause.badge) for cause in health.causes] == [(code, level, "DISK")]
    assert words in health.causes[0].text
