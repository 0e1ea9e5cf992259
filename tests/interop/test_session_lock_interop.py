"""OpenClaw's session write lock and ours exclude each other, both ways, for the whole of a hold."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from clawtop.clock import SystemClock
from clawtop.core.model import Generation, LockLimits
from clawtop.engine.prompt import process_title
from clawtop.engine.prompt.session_lock import SessionLockController
from clawtop.errors import SessionTakeoverError, SessionWriteLockTimeoutError
from clawtop.store.locks.processes import SystemProcesses
from tests.interop.openclaw_install import OpenClaw
from tests.interop.talker import Talker

pytestmark = [pytest.mark.interop, pytest.mark.anyio]

UPDATES = 100
TIMED_OUT = "refused OPENCLAW_SESSION_WRITE_LOCK_TIMEOUT"


@pytest.fixture
def session(tmp_path: Path) -> Path:
    path = tmp_path / "s1.jsonl"
    path.write_text("0")
    return path


@pytest.fixture(scope="module")
def holder(openclaw: OpenClaw) -> Iterator[Talker]:
    talker = Talker(openclaw.script("session-holder.mjs"))
    try:
        yield talker
    finally:
        talker.stop()


@pytest.fixture
def node(holder: Talker, session: Path) -> Talker:
    assert holder.ask(f"at {session}") == "at"
    return holder


async def ask(node: Talker, words: str) -> str:
    """The answer, without holding up the loop, whose watchdog has to run meanwhile."""
    return await asyncio.to_thread(node.ask, words)


async def opened(session: Path, acquire_ms: int = 500) -> SessionLockController:
    return await SessionLockController(
        session,
        generation=Generation.B,
        limits=LockLimits(acquire_ms, 1_800_000, 300_000),
        clock=SystemClock(),
        processes=SystemProcesses(),
    ).open()


async def test_while_openclaw_holds_we_wait_and_name_it(node: Talker, session: Path) -> None:
    assert await ask(node, "take 1000") == "held"
    for _ in range(3):
        with pytest.raises(SessionWriteLockTimeoutError, match=f"pid={node.process.pid} "):
            await opened(session)
    waiting = asyncio.create_task(opened(session, 20_000))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    assert await ask(node, "drop") == "dropped"
    (await waiting).close()


async def test_while_we_hold_openclaw_waits(node: Talker, session: Path) -> None:
    async with await opened(session) as controller:
        content = Path(controller.lock_path).read_bytes()
        for timeout_ms in (100, 1_500):
            assert await ask(node, f"take {timeout_ms}") == TIMED_OUT
            assert Path(controller.lock_path).read_bytes() == content
        await controller.release_for_prompt()
        async with controller.write():
            assert await ask(node, "take 300") == TIMED_OUT
        assert await ask(node, "take 2000") == "held"
        assert await ask(node, "drop") == "dropped"
        async with controller.write():
            pass
    assert await ask(node, "take 1000") == "held"
    assert await ask(node, "drop") == "dropped"


async def test_what_it_writes_while_we_wait_for_the_provider_is_a_takeover(node: Talker, session: Path) -> None:
    async with await opened(session) as controller:
        await controller.release_for_prompt()
        assert await ask(node, "count 1000 1") == "counted 1"
        with pytest.raises(SessionTakeoverError):
            async with controller.write():
                pytest.fail("the window must not open")


async def test_without_the_title_our_lock_is_removed_although_we_live(
    node: Talker, session: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason for the process title, kept as a regression test."""
    monkeypatch.setattr(process_title, "look_like_openclaw", lambda: None)
    monkeypatch.setattr(process_title, "restore_title", lambda: None)
    controller = await opened(session)
    assert json.loads(Path(controller.lock_path).read_text())["pid"] == os.getpid()
    assert await ask(node, "take 1000") == "held"
    assert json.loads(Path(controller.lock_path).read_text())["pid"] == node.process.pid
    controller.close()
    assert Path(controller.lock_path).exists(), "what is not ours any more is not ours to remove"
    assert await ask(node, "drop") == "dropped"


async def test_no_update_of_either_side_is_lost(node: Talker, session: Path) -> None:
    async def ours() -> None:
        for _ in range(UPDATES):
            async with await opened(session, 60_000):
                value = int(session.read_text())
                await asyncio.sleep(0.001)
                session.write_text(str(value + 1))

    theirs = asyncio.create_task(ask(node, f"count 60000 {UPDATES}"))
    await ours()
    assert await theirs == f"counted {UPDATES}"
    assert int(session.read_text()) == 2 * UPDATES
