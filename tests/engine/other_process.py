"""A second clawtop process for tests: it does what it is told, one line at a time.

Commands: `acquire FILE wait|raise`, `release`, `phase NAME`, `close FILE`, `quit`. Each is answered by one line.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from clawtop.clock import SystemClock
from clawtop.core.session.admission import OnContention
from clawtop.engine.prompt.holder import HeldPrompt
from clawtop.engine.prompt.registry import PromptRegistry
from clawtop.errors import SessionContendedError

ROOT = Path(__file__).resolve().parents[2]


class OtherProcess:
    """The near end: starts the process and talks to it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    @property
    def pid(self) -> int:
        return self.process.pid

    async def ask(self, command: str) -> str:
        """Send a command and wait for its answer."""
        await self.tell(command)
        return await self.answer()

    async def tell(self, command: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{command}\n".encode())
        await self.process.stdin.drain()

    async def answer(self) -> str:
        assert self.process.stdout is not None
        line = await asyncio.wait_for(self.process.stdout.readline(), 30)
        return line.decode().strip()

    async def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()


@contextlib.asynccontextmanager
async def other_process(state_dir: Path) -> AsyncIterator[OtherProcess]:
    """A running second process on `state_dir`."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.engine.other_process",
        str(state_dir),
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    other = OtherProcess(process)
    try:
        assert await other.answer() == "ready"
        yield other
    finally:
        await other.kill()
        # asyncio closes the pipes of a finished process one turn of the loop later.
        await asyncio.sleep(0)


async def _serve(state_dir: Path) -> None:
    holder: HeldPrompt | None = None
    clock = SystemClock()
    async with PromptRegistry(state_dir, clock=clock) as registry:
        print("ready", flush=True)
        while (line := await asyncio.to_thread(sys.stdin.readline)) and line != "quit\n":
            match line.split():
                case ["acquire", file, wish]:
                    try:
                        holder = await registry.acquire(
                            Path(file), lane="cron", run_id="other", on_contention=OnContention(wish)
                        )
                        print(f"acquired {clock.monotonic()}", flush=True)
                    except SessionContendedError as error:
                        print(f"contended {error.holder}", flush=True)
                case ["release"]:
                    assert holder is not None
                    await holder.release()
                    print("released", flush=True)
                case ["phase", name]:
                    assert holder is not None
                    holder.set_phase(name)
                    print("told", flush=True)


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])))
