"""The fence against 2026.5.20's rows, with real files, real locks and a real other process.

One deliberate difference, by rule (docs/invariants.md 7): OpenClaw removes the lock of a living process that does not
look like OpenClaw; clawtop removes no living owner's lock. Where such a lock stands, a write ends in the lock timeout,
and as with every lock timeout the run counts as taken over from then on.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clawtop.clock import SystemClock
from clawtop.core.model import Generation, LockLimits
from clawtop.engine.prompt.session_lock import SessionLockController
from clawtop.errors import SessionTakeoverError, SessionWriteLockTimeoutError
from clawtop.store.locks.processes import SystemProcesses
from tests.conformance.harness import Row, replay_one_by_one

pytestmark = pytest.mark.anyio

LIMITS = LockLimits(acquire_ms=50, stale_ms=1_800_000, max_hold_ms=300_000)
NAMES = {
    SessionTakeoverError: "throws EmbeddedAttemptSessionTakeoverError",
    SessionWriteLockTimeoutError: "throws SessionWriteLockTimeoutError",
    ZeroDivisionError: "throws RangeError",
}
"""Our error -> the row's word for it; the body of `throwwrite` raises ZeroDivisionError here."""


@pytest.fixture(scope="module")
def stranger() -> Iterator[int]:
    """The pid of a living process that does not look like OpenClaw."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process.pid
        assert process.stdin is not None
        process.stdin.close()


class World:
    """One row's session file, and everything that its steps do to it."""

    def __init__(self, directory: Path, initial: str | None, stranger: int) -> None:
        self.file = directory / "s1.jsonl"
        if initial is not None:
            self.file.write_text(initial)
        self.lock = Path(f"{self.file}.lock")
        self.stranger = stranger
        self.foreign = False

    async def start(self) -> None:
        self.controller = await SessionLockController(
            self.file, generation=Generation.B, limits=LIMITS, clock=SystemClock(), processes=SystemProcesses()
        ).open()

    async def play(self, op: list[str]) -> str:
        name, *arguments = op
        outside = getattr(self, f"outside_{name}", None)
        if outside is not None:
            outside(*arguments)
            return "ok"
        try:
            return str(await getattr(self, f"run_{name}")(*arguments) or "ok")
        except (SessionTakeoverError, SessionWriteLockTimeoutError, ZeroDivisionError) as error:
            return NAMES[type(error)]

    # --- what the run does

    async def run_release(self) -> None:
        await self.controller.release_for_prompt()

    async def run_write(self, text: str) -> None:
        async with self.controller.write():
            assert self.lock.exists()
            self._append(text)

    async def run_noopwrite(self) -> None:
        async with self.controller.write():
            pass

    async def run_nested(self, text: str) -> None:
        async with self.controller.write(), self.controller.write():
            self._append(text)

    async def run_throwwrite(self, text: str = '{"type":"custom"}\n') -> None:
        async with self.controller.write():
            self._append(text)
            raise ZeroDivisionError

    async def run_cleanup(self) -> str:
        taken = await self.controller.cleanup()
        answer = "lock" if self.lock.exists() else "noop"
        if taken:
            self.controller.close()
        return answer

    # --- what others do

    def outside_ext(self, text: str) -> None:
        self._append(text)

    def outside_replace(self) -> None:
        copy = self.file.with_suffix(".copy")
        copy.write_bytes(self.file.read_bytes())
        copy.rename(self.file)

    def outside_rewrite(self, text: str | None = None) -> None:
        content = self.file.read_text() if text is None else text
        self.file.write_text(content)

    def outside_truncate(self, size: int = 0) -> None:
        os.truncate(self.file, size)

    def outside_touch(self) -> None:
        os.utime(self.file)

    def outside_chmod(self) -> None:
        self.file.chmod(0o600)

    def outside_delete(self) -> None:
        self.file.unlink(missing_ok=True)

    def outside_create(self, text: str = "") -> None:
        self.file.write_text(text)

    outside_delete0 = outside_delete

    def outside_lockForeign(self) -> None:  # noqa: N802 - the row's name for it
        payload = {"pid": self.stranger, "createdAt": "2026-05-20T00:00:00.000Z"}
        payload |= {"starttime": SystemProcesses().look(self.stranger).start_ticks}
        self.lock.write_text(json.dumps(payload))
        self.foreign = True

    def _append(self, text: str) -> None:
        with self.file.open("a") as file:
            file.write(text)


def expected_with_rule(world: World, op: list[str], step: dict[str, Any], taken_over: bool) -> tuple[str, bool]:
    """The row's result under the one deliberate difference."""
    if not world.foreign:
        return step["result"], step["hasSessionTakeover"]
    if op[0] in {"write", "noopwrite", "nested", "throwwrite"}:
        return NAMES[SessionTakeoverError if taken_over else SessionWriteLockTimeoutError], True
    if op[0] == "cleanup":
        return "lock", True
    return step["result"], taken_over


@replay_one_by_one("session-fence")
async def test_row(row: Row, tmp_path: Path, stranger: int) -> None:
    world = World(tmp_path, row.input["initial"], stranger)
    await world.start()
    with contextlib.closing(world.controller):
        for op, step in zip(row.input["ops"], row.expected, strict=True):
            expected = expected_with_rule(world, op, step, world.controller.taken_over)
            assert (await world.play(op), world.controller.taken_over) == expected, op
