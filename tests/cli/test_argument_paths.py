"""Whatever stands at a path that an argument names: a word about it, no wait, nothing written through it."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from clawtop.cli import output_file
from clawtop.cli.driving import check_out
from clawtop.cli.main import run
from clawtop.cli.output_file import put_file
from clawtop.errors import OperationFailedError, UsageError
from tests.support.hostile import hidden_in
from tests.support.samples import copy, sample

PRECIOUS = "precious\n"


def fifo(path: Path) -> None:
    os.mkfifo(path)


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def full(path: Path) -> None:
    path.symlink_to("/dev/full")


def dangling(path: Path) -> None:
    path.symlink_to(path.with_name("made"))


def linked(path: Path) -> None:
    path.with_name("precious").write_text(PRECIOUS)
    path.symlink_to(path.with_name("precious"))


def circle(path: Path) -> None:
    path.symlink_to(path)


def directory(path: Path) -> None:
    path.mkdir()


def a_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


def huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(5 << 30)


def nonsense(path: Path) -> None:
    path.write_bytes(b"\x1b[2J\x00\xff\x9b31m\n" * 100)


THINGS = (fifo, endless, full, dangling, linked, circle, directory, a_socket, huge, nonsense)

VERBS: dict[str, tuple[str, ...]] = {
    "state directory": ("status", "--state-dir", "IT"),
    "replay": ("replay", "IT"),
    "unlock": ("unlock", "IT", "--yes", "--state-dir", "STATE"),
    "drive": ("drive", "--session", "IT", "--message", "x", "--state-dir", "STATE"),
    "batch": ("drive", "--batch", "IT", "--state-dir", "STATE"),
    "bundle": ("bundle", "--out", "IT", "--state-dir", "STATE"),
    "record": ("record", "--out", "IT", "--seconds", "0.01", "--state-dir", "STATE"),
    "hosts": ("fleet", "status", "--hosts", "IT", "--wait", "0"),
    "text file": ("export", "--once", "--textfile", "IT", "--state-dir", "STATE"),
    "settings": ("config", "--set", "theme=plain"),
}
"""Each argument that takes a path, and the settings, whose place a variable names. IT: what stands there."""

ENDS = {0, 1, 2, 3, 64}


@pytest.mark.parametrize("thing", THINGS, ids=lambda thing: thing.__name__)
@pytest.mark.parametrize("verb", VERBS)
def test_what_stands_at_a_path(
    verb: str,
    thing: Callable[[Path], None],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    state = copy(sample("2026.5.20", "healthy"), tmp_path / "copy").state_dir
    place = tmp_path / "there"
    place.mkdir()
    thing(place / "it")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(place)
    if verb == "settings":
        monkeypatch.setenv("CLAWTOP_CONFIG", str(place / "it"))
    before = sorted(os.listdir(place))  # noqa: PTH208 - names only
    words = {"IT": str(place / "it"), "STATE": str(state)}
    try:
        code = run([words.get(word, word) for word in VERBS[verb]])
    except SystemExit as ended:
        code = int(ended.code or 0)
    told = capfd.readouterr()
    assert code in ENDS, told.err
    if verb == "settings":
        assert code in {1, 3}
        assert str(place / "it") in told.err, told.err
    assert "Traceback" not in told.err
    assert [char for char in hidden_in(told.err + told.out) if char != "\t"] == []
    if thing is linked:
        assert (place / "precious").read_text() == PRECIOUS
    if verb != "text file":  # that one replaces what stands there, and follows nothing
        assert sorted(os.listdir(place)) == before, told.err  # noqa: PTH208 - names only


def put_reply(place: Path) -> None:
    put_file(place, b"the reply\n", what="the reply", hint="the reply is in the session")


@pytest.mark.parametrize("thing", [fifo, endless, full, directory, a_socket], ids=lambda thing: thing.__name__)
def test_a_reply_replaces_nothing_but_a_file(thing: Callable[[Path], None], tmp_path: Path) -> None:
    """A pipe without a reader is not waited for, and no device becomes a file."""
    place = tmp_path / "it"
    thing(place)
    kind = stat.S_IFMT(place.lstat().st_mode)
    with pytest.raises(OperationFailedError) as refused:
        put_reply(place)
    assert refused.value.title == f"the reply cannot be written: {place} is not a regular file"
    assert refused.value.hint == "the reply is in the session"
    assert refused.value.unchanged == "nothing was written"
    assert stat.S_IFMT(place.lstat().st_mode) == kind
    assert [path.name for path in tmp_path.iterdir()] == ["it"]


def test_a_name_that_no_file_can_have_is_told_before_anything_is_sent(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="File name too long"):
        check_out(str(tmp_path / ("x" * 300)))


def test_a_reply_replaces_a_file_whole(tmp_path: Path) -> None:
    place = tmp_path / "reply.txt"
    place.write_text("a longer reply of yesterday\n")
    put_reply(place)
    assert place.read_text() == "the reply\n"
    assert [path.name for path in tmp_path.iterdir()] == ["reply.txt"]


def test_nothing_is_left_beside_what_became_a_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "reply.txt"
    place.mkdir()
    monkeypatch.setattr(output_file, "why_no_file", lambda _path: "")
    with pytest.raises(OperationFailedError, match="Is a directory"):
        put_reply(place)
    assert list(tmp_path.iterdir()) == [place]
