"""One source that hangs keeps no other waiting: it is shown as it was, and named, until it answers."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from clawtop.clock import SystemClock
from clawtop.core.model import Snapshot
from clawtop.errors import StateUnreadableError
from clawtop.store import timed_reads
from clawtop.store.incident import IncidentPart
from clawtop.store.snapshot import SnapshotReader
from clawtop.store.timed_reads import NoAnswerError, TimedReads
from tests.support.samples import copy, sample, unpacked

pytestmark = pytest.mark.slow

PATIENT_S = 30.0
"""More than any wait of these tests takes on a loaded machine."""


class Hanging:
    """A read that answers when it is allowed to."""

    def __init__(self) -> None:
        self.may_answer = threading.Event()
        self.asked = 0

    def __call__(self) -> int:
        self.asked += 1
        assert self.may_answer.wait(PATIENT_S)
        return self.asked


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENT_S
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_what_answers_in_time_is_returned_and_what_it_raises_is_raised() -> None:
    reads = TimedReads(SystemClock(), PATIENT_S)
    assert reads.ask("a", "/a", lambda: 7) == 7
    with pytest.raises(PermissionError):
        reads.ask("a", "/a", lambda: os.close(_refused()))
    assert reads.ask("a", "/a", lambda: 8) == 8


def _refused() -> int:
    raise PermissionError


def test_a_source_that_hangs_is_asked_once_and_heard_late() -> None:
    reads, hanging = TimedReads(SystemClock(), 0.05), Hanging()
    for _ in range(5):
        with pytest.raises(NoAnswerError) as caught:
            reads.ask("slow", "/slow", hanging)
        assert reads.is_silent("slow")
    assert caught.value.problem.code == "no-answer"
    assert caught.value.problem.where == "/slow"
    assert "nothing is known about it" in caught.value.problem.text
    assert hanging.asked == 1
    hanging.may_answer.set()
    until(lambda: answered(reads, hanging) == 1)
    assert not reads.is_silent("slow")
    hanging.may_answer.clear()
    with pytest.raises(NoAnswerError) as caught:
        reads.ask("slow", "/slow", hanging)
    assert "what is shown of it was read at " in caught.value.problem.text
    hanging.may_answer.set()


def answered(reads: TimedReads, hanging: Hanging) -> int | None:
    try:
        return reads.ask("slow", "/slow", hanging)
    except NoAnswerError:
        return None


def test_others_answer_meanwhile_and_threads_do_not_pile_up() -> None:
    reads = TimedReads(SystemClock(), 0.05)
    hung = [Hanging() for _ in range(4)]
    before = threading.active_count()
    for _ in range(20):
        for number, hanging in enumerate(hung):
            with pytest.raises(NoAnswerError):
                reads.ask(f"slow {number}", "/slow", hanging)
        reads._seconds = PATIENT_S  # what answers at all is given its time, whatever else this machine does
        monkey, timed_reads.NEXT_ANSWER_S = timed_reads.NEXT_ANSWER_S, PATIENT_S
        assert reads.ask("quick", "/quick", lambda: 1) == 1
        timed_reads.NEXT_ANSWER_S = monkey
    assert threading.active_count() <= before + len(hung) + 1
    for hanging in hung:
        hanging.may_answer.set()
    until(lambda: threading.active_count() <= before + 1)


def test_only_the_first_source_that_hangs_takes_its_whole_time(monkeypatch: pytest.MonkeyPatch) -> None:
    waits = list[float]()

    def hangs(_read: object, seconds: float) -> bool:
        waits.append(seconds)
        return False

    monkeypatch.setattr(timed_reads._SourceRead, "answered", hangs)
    reads = TimedReads(SystemClock(), timed_reads.ANSWER_S)
    for source in ("one", "two", "three", "one"):
        with pytest.raises(NoAnswerError):
            reads.ask(source, f"/{source}", lambda: 1)
    assert waits == [timed_reads.ANSWER_S, timed_reads.NEXT_ANSWER_S, timed_reads.NEXT_ANSWER_S, 0.0]


# --- the whole reader ---------------------------------------------------------------------------------------------


class Mount:
    """Directories whose every call hangs, as those of a network file system do whose server is gone."""

    def __init__(self) -> None:
        self.hangs: tuple[str, ...] = ()
        self.answers = threading.Event()

    def wait(self, path: object) -> None:
        if self.hangs and isinstance(path, str | os.PathLike):
            named = os.fspath(path)
            if isinstance(named, str) and named.startswith(self.hangs):
                assert self.answers.wait(PATIENT_S)


@pytest.fixture
def mount(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mount]:
    found = Mount()
    for name in ("stat", "lstat", "open", "scandir", "listdir", "readlink"):
        real = getattr(os, name)

        def call(path: Any = ".", *args: Any, _real: Callable[..., Any] = real, **options: Any) -> Any:
            found.wait(path)
            return _real(path, *args, **options)

        monkeypatch.setattr(os, name, call)
    monkeypatch.setattr(timed_reads, "ANSWER_S", 0.3)
    monkeypatch.setattr("clawtop.store.snapshot.ANSWER_S", 0.3)
    yield found
    found.hangs = ()
    found.answers.set()


def reader_of(state_dir: Path) -> SnapshotReader:
    from clawtop.store.locks.processes import SystemProcesses

    return SnapshotReader(
        state_dir=state_dir,
        env={},
        home=state_dir.parent,
        clock=SystemClock(),
        processes=SystemProcesses(),
        port_probe=None,
        extra_parts=(IncidentPart(TimedReads(SystemClock(), 0.3)),),
        progressive=True,
    )


def silent(snapshot: Snapshot) -> list[str]:
    return [problem.where for problem in snapshot.warnings if problem.code == "no-answer"]


@contextmanager
def hanging(mount: Mount, *directories: Path) -> Iterator[None]:
    mount.answers.clear()
    mount.hangs = tuple(str(directory) for directory in directories)
    try:
        yield
    finally:
        mount.hangs = ()
        mount.answers.set()


def test_sessions_that_hang_keep_their_rows_while_the_profiles_go_on(tmp_path: Path, mount: Mount) -> None:
    here = copy(sample("2026.5.20", "rate-limited"), tmp_path)
    reader = reader_of(here.state_dir)
    before = reader.read()
    assert silent(before) == []
    agent = before.agents[0]
    sessions = Path(agent.sessions_dir)
    rows = [row for row in before.sessions if row.agent == agent.id]
    assert rows
    with hanging(mount, sessions):
        first = reader.read()
        assert str(sessions / "sessions.json") in silent(first)
        assert [row.key for row in first.sessions] == [row.key for row in before.sessions]
        store = Path(agent.agent_dir) / "auth-profiles.json"
        store.write_text(store.read_text().replace('"version"', '"x-moved": 1, "version"', 1))
        again = reader.read()
        assert again.number == first.number + 1
        assert again.agents[0].store is not None
        assert again.agents[0].store.problem is None
        assert len(again.agents[0].store.profiles) == len(agent.store.profiles if agent.store else ())
    until(lambda: silent(reader.read()) == [])


def test_a_store_that_hangs_is_shown_as_it_was_with_the_reason(tmp_path: Path, mount: Mount) -> None:
    here = copy(sample("2026.5.20", "rate-limited"), tmp_path)
    reader = reader_of(here.state_dir)
    before = reader.read()
    agent = before.agents[-1]
    assert agent.store is not None
    with hanging(mount, Path(agent.agent_dir)):
        stuck = next(one for one in reader.read().agents if one.id == agent.id)
        assert stuck.store is not None
        assert stuck.store.problem is not None
        assert stuck.store.problem.code == "no-answer"
        assert stuck.store.profiles == agent.store.profiles
    until(lambda: silent(reader.read()) == [])
    healed = next(one for one in reader.read().agents if one.id == agent.id)
    assert healed.store is not None
    assert healed.store.problem is None


def test_an_environment_file_that_hangs_keeps_nothing_else_waiting(tmp_path: Path, mount: Mount) -> None:
    here = copy(sample("2026.5.20", "rate-limited"), tmp_path)
    written = here.state_dir / ".env"
    written.write_text("XAI_API_KEY=a-key-of-xai-in-a-file\n")
    reader = reader_of(here.state_dir)
    with hanging(mount, written):
        stuck = reader.read()
        assert silent(stuck) == [str(written)]
        assert stuck.sessions
        assert "xai" not in stuck.config.keys.sources
        assert silent(reader.read()) == [str(written)]
    until(lambda: "xai" in reader.read().config.keys.sources)


def test_a_whole_directory_that_hangs_is_told_again_and_again_at_once(tmp_path: Path, mount: Mount) -> None:
    here = copy(sample("2026.5.20", "rate-limited"), tmp_path)
    reader = reader_of(here.state_dir)
    before = reader.read()
    threads = threading.active_count()
    with hanging(mount, here.state_dir):
        reader.read()
        many = threading.active_count()
        for _ in range(3):
            stuck = reader.read()
            assert [row.key for row in stuck.sessions] == [row.key for row in before.sessions]
            assert str(here.state_dir) in silent(stuck)
        assert threading.active_count() == many
    until(lambda: silent(reader.read()) == [])
    until(lambda: threading.active_count() <= threads + 1)


def test_a_directory_that_never_answered_is_said_to_hang(tmp_path: Path, mount: Mount) -> None:
    here = copy(sample("2026.5.20", "rate-limited"), tmp_path)
    reader = reader_of(here.state_dir)
    with hanging(mount, here.state_dir), pytest.raises(StateUnreadableError, match="has not answered since"):
        reader.read()


def test_who_works_at_something_large_is_waited_for_further(monkeypatch: pytest.MonkeyPatch) -> None:
    hanging, looks = Hanging(), list[int]()

    def worked(_worker: object) -> float:
        looks.append(len(looks))
        if len(looks) == 4:
            hanging.may_answer.set()
        return float(len(looks))

    monkeypatch.setattr(timed_reads._Worker, "worked", worked)
    reads = TimedReads(SystemClock(), 0.05)
    assert reads.ask("large", "/large", hanging) == 1
    assert len(looks) >= 4


def test_readers_that_nobody_has_any_more_take_threads_and_open_databases_along(tmp_path: Path) -> None:
    taken, others = unpacked("2026.9.6", "running", tmp_path), set(threading.enumerate())
    for _ in range(3):
        assert taken.reader().read().sessions
    until(lambda: set(threading.enumerate()) <= others)
    assert not [path for path in _open_files() if path.is_relative_to(tmp_path)]


def _open_files() -> list[Path]:
    """What the descriptors of this process lead to."""
    found = []
    for link in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # the one that lists them
            found.append(link.readlink())
    return found
