"""Whatever stands at a path that somebody else named: every reader and writer answers at once, and touches nothing."""

from __future__ import annotations

import json
import os
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from clawtop.core.cooldown.marking import Mark
from clawtop.core.model import Event, EventKind, LockKind
from clawtop.engine.prompt.fork import _write as carry_over
from clawtop.errors import ClawtopError, RefusedError
from clawtop.store import door
from clawtop.store.door import Follow
from clawtop.store.gateway.log import LogTail
from clawtop.store.gateway.log_lines import Names
from clawtop.store.json_text import UnreadableError, read_bytes, read_head
from clawtop.store.locks.lockfile import read_lock
from clawtop.store.own import holder_record
from clawtop.store.own.admissions import read_admissions
from clawtop.store.own.bundle import write_bundle
from clawtop.store.own.journal import Journal
from clawtop.store.own.mark_spool import MarkSpool
from clawtop.store.own.presence import Presence, holders_dir
from clawtop.store.own.recording import Recorder, load_recording, recordings_dir
from clawtop.store.sessions.conversation import read_conversation
from clawtop.store.sessions.fingerprint import digest, read_range
from clawtop.store.sessions.tail import last_lines
from clawtop.store.sessions.transcript_write import append, header
from clawtop.store.ways import NotAllowedError

SECRET = b"precious\n"


@pytest.fixture(autouse=True)
def deadline() -> Iterator[None]:
    """Nothing here may wait for anything."""

    def over(*_: object) -> None:
        raise AssertionError("it waited")

    before = signal.signal(signal.SIGALRM, over)
    signal.alarm(10)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


# --- what may stand at a path ------------------------------------------------------------------------------------


def to_file(place: Path) -> None:
    place.symlink_to(place.parent.parent / "precious")


def dangling(place: Path) -> None:
    place.symlink_to(place.parent.parent / "nowhere")


def looping(place: Path) -> None:
    place.symlink_to(place.name)


def to_endless(place: Path) -> None:
    place.symlink_to("/dev/zero")


def to_pipe(place: Path) -> None:
    os.mkfifo(place.parent.parent / "pipe")
    place.symlink_to(place.parent.parent / "pipe")


def pipe(place: Path) -> None:
    os.mkfifo(place)


def directory(place: Path) -> None:
    place.mkdir()


def listener(place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        here = Path.cwd()
        os.chdir(place.parent)  # the path of a socket may not be long
        try:
            made.bind(place.name)
        finally:
            os.chdir(here)


THINGS: tuple[Callable[[Path], None], ...] = (
    to_file,
    dangling,
    looping,
    to_endless,
    to_pipe,
    pipe,
    directory,
    listener,
)


@pytest.fixture(params=THINGS, ids=lambda made: made.__name__)
def thing(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A path at which something else stands than a file, beside a precious file."""
    (tmp_path / "precious").write_bytes(SECRET)
    place = tmp_path / "there" / "thing.jsonl"
    place.parent.mkdir()
    request.param(place)
    return place


@pytest.fixture
def untouched(tmp_path: Path) -> Iterator[None]:
    yield
    assert (tmp_path / "precious").read_bytes() == SECRET
    assert not (tmp_path / "nowhere").exists()


# --- the door itself ---------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_RDWR, os.O_WRONLY | os.O_APPEND | os.O_CREAT])
def test_nothing_but_a_file_comes_through(thing: Path, flags: int) -> None:
    with pytest.raises(NotAllowedError) as caught:
        door.open_file(thing, flags)
    if thing.is_symlink():
        assert str(thing.readlink()) in (caught.value.strerror or "")


@pytest.mark.usefixtures("untouched")
def test_a_new_file_replaces_nothing(thing: Path) -> None:
    with pytest.raises(FileExistsError):
        door.create(thing)


def test_a_link_is_followed_where_that_was_asked_for(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(SECRET)
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "to-pipe").symlink_to("pipe")
    for follow in (Follow.ITS_OWNER, Follow.OPERATOR):
        assert door.read(tmp_path / "link", 100, follow=follow).data == SECRET
        with pytest.raises(OSError, match="symbolic link"):
            door.read(tmp_path / "loop", 100, follow=follow)
        with pytest.raises(NotAllowedError, match="regular file"):
            door.read(tmp_path / "to-pipe", 100, follow=follow)


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that every user may enter."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to be two users")
def test_a_users_link_leads_root_to_no_file_that_is_closed_to_the_user(open_directory: Path) -> None:
    tmp_path = open_directory
    secret, public, his = tmp_path / "secret", tmp_path / "public", tmp_path / "his"
    for path, mode, uid in ((secret, 0o600, 0), (public, 0o644, 0), (his, 0o600, 4321)):
        path.write_bytes(SECRET)
        path.chmod(mode)
        os.chown(path, uid, uid)
    link = tmp_path / "link"
    for target, reads, writes in ((secret, False, False), (public, True, False), (his, True, True)):
        link.unlink(missing_ok=True)
        link.symlink_to(target)
        os.chown(link, 4321, 4321, follow_symlinks=False)
        for flags, allowed in ((os.O_RDONLY, reads), (os.O_RDWR, writes)):
            if allowed:
                os.close(door.open_file(link, flags, follow=Follow.ITS_OWNER))
            else:
                with pytest.raises(NotAllowedError, match="of uid 4321"):
                    door.open_file(link, flags, follow=Follow.ITS_OWNER)


def test_an_owner_and_a_second_name_are_checked(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(SECRET)
    os.close(door.open_file(path, owner=os.geteuid(), only_name=True))
    (tmp_path / "other").hardlink_to(path)
    with pytest.raises(NotAllowedError, match="more than one hard link"):
        door.open_file(path, only_name=True)
    if os.geteuid() == 0:
        os.chown(path, 4321, -1)
        with pytest.raises(NotAllowedError, match="another user"):
            door.open_file(path, owner=4322)


def test_no_more_is_read_than_was_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 1000)
    assert door.read(path, 1000).data == b"x" * 1000
    assert door.read_head(path, 10) == b"x" * 10
    with pytest.raises(door.TooLargeError):
        door.read(path, 999)
    with pytest.raises(door.TooLargeError):  # its size is said to be 0
        door.read("/proc/self/mountinfo", 10)


# --- every reader and writer -------------------------------------------------------------------------------------

EVENT = Event(1, EventKind.NOTICE, "test", "said")


def as_own(thing: Path, *names: str) -> Path:
    """A state directory in which the thing stands at `clawtop/<names>`."""
    state = thing.parent / "state"
    place = state / "clawtop" / Path(*names)
    place.parent.mkdir(parents=True)
    if thing.is_symlink() and not thing.readlink().is_absolute():
        place.symlink_to(place.name)
    else:
        thing.rename(place)
    return state


READERS: dict[str, Callable[[Path], object]] = {
    "head": lambda path: door.read_head(path, 100),
    "lock": lambda path: (found := read_lock(path, LockKind.SESSION)) and found.payload,
    "last entry": lambda path: last_lines(str(path)),
    "range": lambda path: read_range(path, 0, 10),
    "digest": lambda path: digest(path, 9),
}


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("name", READERS)
def test_a_reader_that_finds_something_else_finds_nothing(thing: Path, name: str) -> None:
    assert not READERS[name](thing)


RAISING: dict[str, Callable[[Path], object]] = {
    "conversation": read_conversation,
    "append": lambda path: append(path, [header("s", "/w", 1)]),
    "holder record": holder_record.load,
    "bundle": lambda path: write_bundle(path, "text"),
    "recorder": lambda path: Recorder(path, started_at=1, clawtop_version="0"),
    "fork": lambda path: carry_over(path, path.parent / "child.jsonl", 1),
}


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("name", RAISING)
def test_a_writer_that_finds_something_else_says_so(thing: Path, name: str) -> None:
    with pytest.raises((OSError, ClawtopError)):
        RAISING[name](thing)
    assert not (thing.parent / "child.jsonl").exists()


FOLLOWING: dict[str, Callable[[Path], object]] = {
    "json": lambda path: read_bytes(path, 100)[0],
    "json head": lambda path: read_head(path, 100),
    "recording": load_recording,
}


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("name", FOLLOWING)
def test_a_reader_that_follows_links_reads_nothing_but_files(thing: Path, name: str) -> None:
    try:
        found = FOLLOWING[name](thing)
    except (OSError, UnreadableError, ClawtopError):
        return
    assert found in {b"", SECRET}


@pytest.mark.usefixtures("untouched")
def test_a_log_that_is_none_is_a_problem_and_not_a_wait(thing: Path) -> None:
    tail = LogTail()
    assert tail.read(thing, Names()) == ()
    assert (tail.problem is not None) or thing.is_symlink()


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("name", ["journal.jsonl", "journal.lock"])
def test_the_journal_is_written_to_nothing_else(thing: Path, name: str) -> None:
    journal = Journal(as_own(thing, name))
    with pytest.raises(ClawtopError, match=name.replace(".", r"\.")):
        journal.append(EVENT)
    assert journal.tail() == ()
    if name == "journal.jsonl":
        assert name in (journal.why_unreadable() or "")


@pytest.mark.usefixtures("untouched")
def test_a_spooled_mark_is_nothing_else(thing: Path) -> None:
    state = as_own(thing, "marks", "1.gone-1.1.json")
    assert [mark for _, mark in MarkSpool(state).adopt()] == [None]


@pytest.mark.usefixtures("untouched")
def test_a_holder_record_is_nothing_else(thing: Path) -> None:
    assert read_admissions(as_own(thing, "holders", "x.json")) == ()


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("names", [(), ("marks",), ("holders",), ("recordings",)], ids="/".join)
def test_own_directories_are_made_and_followed_nowhere_else(thing: Path, names: tuple[str, ...]) -> None:
    if thing.is_dir() and not thing.is_symlink():
        pytest.skip("a directory is what belongs there")
    state = thing.parent / "state"
    if names:
        state = as_own(thing, *names)
    else:
        state.mkdir()
        if thing.is_symlink() and not thing.readlink().is_absolute():
            (state / "clawtop").symlink_to("clawtop")
        else:
            thing.rename(state / "clawtop")
    mark = Mark("main", "a:b", "a", 1, None)
    attempts: dict[str, Callable[[], object]] = {
        "": lambda: Journal(state).append(EVENT),
        "marks": lambda: MarkSpool(state).put(mark),
        "holders": lambda: Presence.of(holders_dir(state)),
        "recordings": lambda: recordings_dir(state),
    }
    wanted = attempts if not names else {names[0]: attempts[names[0]]}
    for attempt in wanted.values():
        with pytest.raises((OSError, ClawtopError)):
            attempt()
    assert list(MarkSpool(state).adopt()) == []
    assert read_admissions(state) == ()
    assert Journal(state).tail() == ()


def test_a_linked_own_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "journal.jsonl").write_text(json.dumps({"at": 1}))
    (tmp_path / "clawtop").symlink_to("elsewhere")
    with pytest.raises(ClawtopError, match="symbolic link to elsewhere"):
        Journal(tmp_path).append(EVENT)
    with pytest.raises(RefusedError, match="symbolic link to elsewhere"):
        Presence.of(holders_dir(tmp_path))


@pytest.mark.parametrize("name", ["journal.jsonl", "journal.lock"])
def test_a_second_name_of_an_own_file_is_cut_off_and_left_as_it_is(tmp_path: Path, name: str) -> None:
    journal = Journal(tmp_path)
    journal.append(EVENT)
    own = tmp_path / "clawtop" / name
    precious = tmp_path / "precious"
    precious.write_bytes(SECRET)
    own.unlink()
    own.hardlink_to(precious)
    precious.chmod(0o644)
    journal.append(EVENT)
    assert precious.read_bytes() == SECRET
    assert precious.stat().st_mode & 0o777 == 0o644
    assert own.stat().st_nlink == 1
    assert [event.text for event in journal.tail()][-1] == "said"


def test_an_own_directory_that_others_may_write_is_closed(tmp_path: Path) -> None:
    (tmp_path / "clawtop").mkdir()
    (tmp_path / "clawtop").chmod(0o777)
    Journal(tmp_path).append(EVENT)
    assert (tmp_path / "clawtop").stat().st_mode & 0o777 == 0o700
