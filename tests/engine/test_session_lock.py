"""The session write lock: OpenClaw's protocol on disk, the fence around it, and what happens when things go wrong."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import setproctitle

from clawtop.clock import SystemClock
from clawtop.core.locks.staleness import NamespaceEvidence
from clawtop.core.model import Generation, LockLimits, ProcessEvidence
from clawtop.engine.prompt import process_title, session_lock
from clawtop.engine.prompt.session_lock import SessionLockController
from clawtop.errors import OperationFailedError, RefusedError, SessionTakeoverError, SessionWriteLockTimeoutError
from clawtop.store.locks.processes import SystemProcesses
from tests.support.clocks import ManualClock

pytestmark = pytest.mark.anyio

LIMITS = LockLimits(acquire_ms=60, stale_ms=1_800_000, max_hold_ms=300_000)
ASSISTANT = '{"type":"message","id":"a9","parentId":"u1","message":{"role":"assistant","content":[]}}\n'
USER = '{"type":"message","id":"u9","parentId":"u1","message":{"role":"user","content":"hi"}}\n'


@pytest.fixture
def session(tmp_path: Path) -> Path:
    path = tmp_path / "s1.jsonl"
    path.write_text('{"type":"session","id":"s1"}\n')
    return path


async def opened(
    session: Path, generation: Generation = Generation.B, limits: LockLimits = LIMITS, **wishes: object
) -> SessionLockController:
    return await SessionLockController(
        session,
        generation=generation,
        limits=limits,
        clock=wishes.pop("clock", None) or SystemClock(),  # type: ignore[arg-type]
        processes=SystemProcesses(),
        **wishes,  # type: ignore[arg-type]
    ).open()


@pytest.fixture
async def controller(session: Path) -> AsyncIterator[SessionLockController]:
    controller = await opened(session)
    yield controller
    controller.close()


@pytest.fixture
def stranger() -> Iterator[int]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process.pid
        assert process.stdin is not None
        process.stdin.close()


def lock_of(session: Path) -> Path:
    return Path(f"{session}.lock")


def dead_pid() -> int:
    command = [sys.executable, "-c", "import os; print(os.getpid())"]
    return int(subprocess.run(command, capture_output=True, check=True).stdout)


def append(session: Path, text: str) -> None:
    with session.open("a") as file:
        file.write(text)


@pytest.mark.parametrize("generation", [Generation.A, Generation.B, Generation.C])
async def test_the_lock_is_openclaws_in_every_generation(session: Path, generation: Generation) -> None:
    async with await opened(session, generation):
        content = lock_of(session).read_text()
        payload = json.loads(content)
        expected = ["pid", "createdAt", "starttime"] + (["maxHoldMs"] if generation is Generation.C else [])
        assert list(payload) == [key for key in expected if key != "starttime" or sys.platform == "linux"]
        assert payload["pid"] == os.getpid()
        assert payload["createdAt"].endswith("Z")
        assert payload.get("starttime") == SystemProcesses().look(os.getpid()).start_ticks
        assert payload.get("maxHoldMs") in {None, 300_000}
        assert content.endswith("}\n") is (generation is not Generation.A)
    assert list(session.parent.iterdir()) == [session]


async def test_generation_d_has_no_session_files(session: Path) -> None:
    with pytest.raises(RefusedError, match="SQLite"):
        await opened(session, Generation.D)
    assert setproctitle.getproctitle() != process_title.TITLE


async def test_the_lock_stands_beside_the_real_directory(tmp_path: Path, session: Path) -> None:
    (tmp_path / "link").symlink_to(".")
    async with await opened(tmp_path / "link" / session.name) as controller:
        assert controller.lock_path == str(lock_of(session.resolve()))
        assert lock_of(session).exists()


async def test_the_title_looks_like_openclaw_from_before_the_first_lock_until_after_the_last(session: Path) -> None:
    before = setproctitle.getproctitle()
    other = session.with_name("s2.jsonl")
    first = await opened(session)
    second = await opened(other, Generation.C)
    assert setproctitle.getproctitle().endswith("/openclaw")
    await first.release_for_prompt()
    first.close()
    assert setproctitle.getproctitle().endswith("/openclaw")
    second.close()
    second.close()
    assert setproctitle.getproctitle() == before
    async with await opened(session, Generation.A):
        assert setproctitle.getproctitle() == before, "2026.3 does not look at the command line"


async def test_the_lock_is_only_held_during_writes(controller: SessionLockController, session: Path) -> None:
    assert lock_of(session).exists()
    await controller.release_for_prompt()
    assert not lock_of(session).exists()
    async with controller.write() as window:
        assert lock_of(session).exists()
        assert window.accepted == b""
        append(session, ASSISTANT)
    assert not lock_of(session).exists()
    async with controller.write():
        append(session, USER)


async def test_what_openclaw_appended_is_handed_to_the_writer(controller: SessionLockController, session: Path) -> None:
    await controller.release_for_prompt()
    append(session, ASSISTANT)
    async with controller.write() as window:
        assert window.accepted == ASSISTANT.encode()
        async with controller.write() as inner:
            assert inner is window
    async with controller.write() as window:
        assert window.accepted == b""


@pytest.mark.parametrize("generation", [Generation.A, Generation.B, Generation.C])
async def test_a_foreign_write_ends_the_run(session: Path, generation: Generation) -> None:
    async with await opened(session, generation) as controller:
        await controller.release_for_prompt()
        append(session, USER)
        for _ in range(2):
            with pytest.raises(SessionTakeoverError, match=r"changed while the prompt lock was released: .*s1\.jsonl"):
                async with controller.write():
                    pytest.fail("the window must not open")
        assert controller.taken_over
        assert lock_of(session).exists() is (generation is Generation.C), "2026.6.11 holds it for the whole attempt"
        assert await controller.cleanup() is False


async def test_assistant_lines_are_a_takeover_where_the_version_does_not_accept_them(session: Path) -> None:
    async with await opened(session, Generation.C) as controller:
        await controller.release_for_prompt()
        append(session, ASSISTANT)
        with pytest.raises(SessionTakeoverError):
            async with controller.write():
                pytest.fail("the window must not open")


@pytest.mark.parametrize(("generation", "forgiven"), [(Generation.B, False), (Generation.C, True)])
async def test_a_file_of_the_same_bytes_whose_ctime_moved(
    session: Path, generation: Generation, forgiven: bool
) -> None:
    async with await opened(session, generation) as controller:
        await controller.release_for_prompt()
        before = session.stat().st_ctime_ns
        while session.stat().st_ctime_ns == before:
            session.chmod(0o640)
            session.chmod(0o600)
        if forgiven:
            async with controller.write():
                append(session, USER)
        else:
            with pytest.raises(SessionTakeoverError):
                async with controller.write():
                    pytest.fail("the window must not open")


async def test_other_bytes_behind_an_equal_size_and_mtime_are_a_takeover(session: Path) -> None:
    async with await opened(session, Generation.C) as controller:
        await controller.release_for_prompt()
        facts = session.stat()
        session.write_text(session.read_text().upper())
        os.utime(session, ns=(facts.st_atime_ns, facts.st_mtime_ns))
        with pytest.raises(SessionTakeoverError):
            async with controller.write():
                pytest.fail("the window must not open")


async def test_the_body_may_raise_and_its_own_writes_are_still_ours(
    controller: SessionLockController, session: Path
) -> None:
    await controller.release_for_prompt()

    async def write() -> None:
        async with controller.write():
            append(session, USER)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await write()
    assert not lock_of(session).exists()
    async with controller.write():
        append(session, USER)


async def test_two_writers_of_one_run_take_turns(controller: SessionLockController, session: Path) -> None:
    await controller.release_for_prompt()
    inside = 0

    async def write() -> None:
        nonlocal inside
        async with controller.write():
            inside += 1
            assert inside == 1
            await asyncio.sleep(0.001)
            append(session, USER)
            inside -= 1

    await asyncio.gather(*(write() for _ in range(5)))
    assert session.read_text().count("u9") == 5


async def test_a_living_owner_is_waited_for_named_and_left_alone(session: Path, stranger: int) -> None:
    ticks = SystemProcesses().look(stranger).start_ticks
    content = json.dumps({"pid": stranger, "createdAt": "2020-01-01T00:00:00.000Z", "starttime": ticks})
    lock_of(session).write_text(content)
    began = time.monotonic()
    with pytest.raises(SessionWriteLockTimeoutError, match=rf"session file locked \(timeout 60ms\): pid={stranger} "):
        await opened(session)
    assert 0.06 <= time.monotonic() - began < 5
    assert lock_of(session).read_text() == content
    assert setproctitle.getproctitle() != process_title.TITLE
    assert sorted(path.name for path in session.parent.iterdir()) == ["s1.jsonl", "s1.jsonl.lock"]


async def test_a_lock_timeout_during_the_run_counts_as_a_takeover(
    controller: SessionLockController, session: Path, stranger: int
) -> None:
    await controller.release_for_prompt()
    lock_of(session).write_text(json.dumps({"pid": stranger, "createdAt": "2020-01-01T00:00:00.000Z"}))
    os.utime(lock_of(session))
    with pytest.raises(SessionWriteLockTimeoutError):
        async with controller.write():
            pytest.fail("the window must not open")
    with pytest.raises(SessionTakeoverError):
        async with controller.write():
            pytest.fail("the window must not open")
    assert await controller.cleanup() is False


@pytest.fixture
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_lock, "SEEN_AGAIN_S", 0.005)


@pytest.mark.usefixtures("_hasty")
async def test_a_dead_owners_lock_is_removed_after_it_was_seen_twice(session: Path) -> None:
    lock_of(session).write_text(json.dumps({"pid": dead_pid(), "createdAt": "2020-01-01T00:00:00.000Z"}))
    async with await opened(session, limits=LockLimits(5_000, 1, 1)):
        assert json.loads(lock_of(session).read_text())["pid"] == os.getpid()


async def test_a_stale_lock_stays_until_it_was_seen_twice(session: Path) -> None:
    """The clock is the test's: before the second look the lock stands, after it the lock is ours."""
    clock = ManualClock()
    lock_of(session).write_text(json.dumps({"pid": dead_pid(), "createdAt": "2020-01-01T00:00:00.000Z"}))
    opening = asyncio.create_task(opened(session, limits=LockLimits(5_000, 1, 300_000), clock=clock))
    await clock.advance(session_lock.SEEN_AGAIN_S - 0.05)
    assert json.loads(lock_of(session).read_text())["pid"] != os.getpid()
    await clock.advance(session_lock.SEEN_AGAIN_S)
    async with await opening:
        assert json.loads(lock_of(session).read_text())["pid"] == os.getpid()


@pytest.mark.usefixtures("_hasty")
@pytest.mark.parametrize("content", ["", "no json", "{}", '{"pid":0}'])
async def test_a_lock_that_names_nobody_is_never_removed(session: Path, content: str) -> None:
    lock_of(session).write_text(content)
    os.utime(lock_of(session), (1, 1))
    with pytest.raises(SessionWriteLockTimeoutError):
        await opened(session)
    assert lock_of(session).read_text() == content


@pytest.mark.usefixtures("_hasty")
async def test_where_pids_prove_nothing_no_lock_is_removed(session: Path) -> None:
    lock_of(session).write_text(json.dumps({"pid": dead_pid(), "createdAt": "2020-01-01T00:00:00.000Z"}))
    with pytest.raises(SessionWriteLockTimeoutError):
        await opened(session, environment=NamespaceEvidence(("network-mount",)))
    assert lock_of(session).exists()


async def test_an_owner_that_ends_in_time_is_followed_at_once(session: Path, stranger: int) -> None:
    lock_of(session).write_text(json.dumps({"pid": stranger, "createdAt": "2020-01-01T00:00:00.000Z"}))
    os.utime(lock_of(session))
    opening = asyncio.create_task(opened(session, limits=LockLimits(10_000, 1, 300_000)))
    await asyncio.sleep(0.01)
    lock_of(session).unlink()
    async with asyncio.timeout(1):
        (await opening).close()


async def test_a_cancelled_wait_leaves_nothing(session: Path, stranger: int) -> None:
    lock_of(session).write_text(json.dumps({"pid": stranger, "createdAt": "2020-01-01T00:00:00.000Z"}))
    opening = asyncio.create_task(opened(session, limits=LockLimits(10_000, 1, 300_000)))
    await asyncio.sleep(0.01)
    opening.cancel()
    await asyncio.wait({opening})
    assert sorted(path.name for path in session.parent.iterdir()) == ["s1.jsonl", "s1.jsonl.lock"]
    assert setproctitle.getproctitle() != process_title.TITLE


async def test_a_hold_that_lasts_too_long_is_given_up(session: Path) -> None:
    limits = LockLimits(1_000, 1_800_000, max_hold_ms=400)
    async with await opened(session, limits=limits) as controller:
        while controller.holds:
            await asyncio.sleep(0.001)
        assert not lock_of(session).exists()
        async with controller.write():
            append(session, USER)

        async def write_for_ever() -> None:
            async with controller.write():
                while lock_of(session).exists():
                    await asyncio.sleep(0.001)

        with pytest.raises(SessionTakeoverError, match="lost during a write"):
            await write_for_ever()
        assert controller.taken_over


async def test_the_watchdog_ends_a_hold_at_its_limit_and_not_before(session: Path) -> None:
    clock = ManualClock()
    async with await opened(session, limits=LockLimits(1_000, 1_800_000, max_hold_ms=300_000), clock=clock) as held:
        await clock.advance(299)
        assert held.holds
        await clock.advance(2)
        assert not held.holds
        assert not lock_of(session).exists()


async def test_a_lock_taken_away_during_a_write_is_noticed(controller: SessionLockController, session: Path) -> None:
    await controller.release_for_prompt()

    async def write() -> None:
        async with controller.write():
            lock_of(session).unlink()
            lock_of(session).write_text("{}")

    with pytest.raises(SessionTakeoverError, match="lost during a write"):
        await write()
    assert lock_of(session).read_text() == "{}", "another's lock is not ours to remove"


async def test_closing_gives_back_in_any_state_and_blocks_nobody(session: Path) -> None:
    controller = await opened(session)
    controller.close()
    assert not lock_of(session).exists()
    with pytest.raises(RuntimeError, match="closed"):
        async with controller.write():
            pytest.fail("the window must not open")
    assert await controller.cleanup() is False


async def test_a_directory_that_takes_no_lock_is_a_typed_failure(
    session: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(OperationFailedError, match="No such file or directory"):
        await opened(session.parent / "gone" / "s1.jsonl")
    assert setproctitle.getproctitle() != process_title.TITLE
    async with await opened(session) as controller:
        await controller.release_for_prompt()

        def full(*_arguments: object) -> int:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "write", full)
        assert await controller.cleanup() is False
        monkeypatch.undo()
    assert list(session.parent.iterdir()) == [session]


async def test_a_cancelled_write_leaves_no_lock(controller: SessionLockController, session: Path) -> None:
    await controller.release_for_prompt()
    inside = asyncio.Event()

    async def write() -> None:
        async with controller.write():
            inside.set()
            await asyncio.sleep(60)

    writing = asyncio.create_task(write())
    await inside.wait()
    writing.cancel()
    await asyncio.wait({writing})
    assert not lock_of(session).exists()
    async with controller.write():
        append(session, USER)


async def test_cleanup_takes_a_free_lock_and_does_not_wait_for_a_held_one(
    controller: SessionLockController, session: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await controller.release_for_prompt()
    assert await controller.cleanup() is True
    async with controller.write():
        append(session, USER)
    await controller.release_for_prompt()
    lock_of(session).write_text("{}")
    monkeypatch.setattr(SystemClock, "sleep", lambda *_: pytest.fail("cleaning up must not wait"))
    assert await controller.cleanup() is False


class Blind:
    """A process table that sees nothing, as on a platform without start times."""

    def look(self, pid: int) -> ProcessEvidence:
        return ProcessEvidence(pid, alive=None, why_unknown="not-visible")


async def test_without_a_start_time_the_payload_has_none(session: Path) -> None:
    controller = await SessionLockController(
        session, generation=Generation.B, limits=LIMITS, clock=SystemClock(), processes=Blind()
    ).open()
    assert list(json.loads(lock_of(session).read_text())) == ["pid", "createdAt"]
    controller.close()
