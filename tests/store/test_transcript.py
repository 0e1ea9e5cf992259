"""The last line of a trajectory, however long the file is, and no more than that."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clawtop.core.session.activity import TrajectoryEnd
from clawtop.store.sessions.trajectory import MAX_TAIL_BYTES, TAIL_BYTES, last_entry, trajectory_end, trajectory_path

EVENT = {"type": "session.ended", "ts": "2026-11-20T22:34:55.782Z", "data": {"status": "success"}}
END = TrajectoryEnd(1_795_214_095_782, "session.ended", "success")


def written(path: Path, *lines: object) -> str:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(path)


def test_the_place_beside_the_transcript() -> None:
    assert trajectory_path("/s/x.jsonl") == "/s/x.trajectory.jsonl"


def test_the_end(tmp_path: Path) -> None:
    path = tmp_path / "x.trajectory.jsonl"
    assert trajectory_end(str(path)) is None
    assert trajectory_end(written(path, {"type": "session.started"}, EVENT)) == END
    with path.open("a") as file:
        file.write('{"type": "session.started", "ts": "2026-1')
    assert trajectory_end(str(path)) == END, "a line that is being written does not count yet"


@pytest.mark.parametrize("size", [10, TAIL_BYTES - 200, TAIL_BYTES, TAIL_BYTES * 5])
def test_long_lines_before_it_and_long_lines_last(tmp_path: Path, size: int) -> None:
    path = tmp_path / "x.trajectory.jsonl"
    assert trajectory_end(written(path, {"data": "x" * size}, EVENT)) == END
    assert trajectory_end(written(path, {"data": "x" * size}, EVENT | {"more": "y" * size})) == END


def test_a_line_longer_than_is_read_is_unknown(tmp_path: Path) -> None:
    path = written(tmp_path / "x.trajectory.jsonl", EVENT, EVENT | {"more": "y" * (MAX_TAIL_BYTES * 4)})
    assert trajectory_end(path) is None


@pytest.mark.parametrize(
    "content", [b"", b"\n\n", b"no json\n", b"[1]\n", b'{"type": 5}\n', b'{"ts": "never"}\n', b"\xff\n"]
)
def test_nonsense_is_unknown(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.trajectory.jsonl"
    path.write_bytes(content)
    assert trajectory_end(str(path)) is None


def test_things_that_are_no_files(tmp_path: Path) -> None:
    assert last_entry(str(tmp_path)) is None
    assert last_entry("/nul\0") is None
