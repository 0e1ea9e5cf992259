"""Other processes that hold a lock, as seen by the process that starts them (`demo.keep_lock` is what they run)."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import TracebackType
from typing import Self

from clawtop.clock import SystemClock
from clawtop.demo import child
from clawtop.engine.operations.locked import settled

END_SECONDS = 2.0


class LockProcess:
    """A process that holds a lock (`kind` "session" or "auth") for the length of the context."""

    def __init__(self, kind: str, where: Path) -> None:
        self._command = child.command("clawtop.demo.keep_lock", kind, str(where))
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    async def __aenter__(self) -> Self:
        """Returns when the lock is held. Cancelled before that, it leaves no process behind."""
        try:
            await self._start()
        except BaseException:
            await settled(self.kill())
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await settled(self.let_go())

    async def _start(self) -> None:
        pipe = asyncio.subprocess.PIPE
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            env=child.environment(),
            stdin=pipe,
            stdout=pipe,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        if self._process.stdout is None or await self._process.stdout.readline() != b"held\n":
            raise RuntimeError(f"the lock was not taken: {self._command}")

    async def let_go(self) -> None:
        """End the process, which releases its lock; kill it if that takes too long."""
        if self._process is None or self._process.returncode is not None:
            return
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            async with SystemClock().timeout(END_SECONDS):
                await self._process.wait()
        except TimeoutError:
            await self.kill()

    async def kill(self) -> None:
        """Kill the process: its lock stays behind."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
