"""The registry against the rows of 2026.6.11's session file owner, the nearest thing that OpenClaw ever shipped.

Compared are who gets the session in which order, who is refused, and when; the words of our error are our own.
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from clawtop.clock import SystemClock
from clawtop.core.session.admission import OnContention
from clawtop.engine.prompt.holder import HeldPrompt
from clawtop.engine.prompt.registry import PromptRegistry
from clawtop.errors import SessionContendedError
from tests.conformance.harness import Row, replay_one_by_one

pytestmark = pytest.mark.anyio

_TIMED_OUT = re.compile(r"EmbeddedAttemptSessionFileOwnerTimeoutError:timed out waiting .* after (\d+)ms: (.*)")


class Stage:
    """Plays one row: acquisitions run as tasks, and what becomes of them is logged as it happens."""

    def __init__(self, directory: Path, registry: PromptRegistry) -> None:
        self.directory = directory
        self.registry = registry
        self.log: list[str] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.holders: dict[str, HeldPrompt] = {}

    async def play(self, op: list[object]) -> None:
        match op:
            case ["acq" | "acqS", str(name), str(file), *timeout]:
                await self._start(name, file, timeout[0] if timeout else None)
            case ["acqSA", str(name), str(file), *_]:
                task = asyncio.create_task(self._acquire(name, self.directory / file, None))
                task.cancel()
                await asyncio.wait({task})
                self.log.append(f"rejected:{name}:cancelled")
            case ["abort", str(name), *_]:
                self.tasks[name].cancel()
                await asyncio.wait({self.tasks[name]})
            case ["wait", int(ms)]:
                await asyncio.sleep(ms / 1000)
            case ["rel", str(name)]:
                await self.holders[name].release()
                self.log.append(f"released:{name}")
            case _:
                raise AssertionError(f"unknown step {op}")

    async def _start(self, name: str, file: str, timeout_ms: object) -> None:
        self.tasks[name] = asyncio.create_task(self._acquire(name, self.directory / file, timeout_ms))
        await asyncio.sleep(0)

    async def _acquire(self, name: str, file: Path, timeout_ms: object) -> None:
        clock = SystemClock()
        deadline = clock.monotonic() + timeout_ms / 1000 if isinstance(timeout_ms, int) else None
        try:
            self.holders[name] = await self.registry.acquire(
                file, lane="main", run_id=name, on_contention=OnContention.WAIT, deadline=deadline
            )
        except SessionContendedError as error:
            waited = re.search(r"after (\d+) ms", error.title)
            assert waited
            assert isinstance(timeout_ms, int)
            assert timeout_ms <= int(waited[1]) < timeout_ms + 1000
            self.log.append(f"rejected:{name}:contended:{error.title.rpartition(': ')[2]}")
        except asyncio.CancelledError:
            self.log.append(f"rejected:{name}:cancelled")
            raise
        else:
            self.log.append(f"acquired:{name}")


def expected_line(line: str, directory: Path) -> str:
    """A row's line in our words; an aborted acquisition is a cancelled task here."""
    kind, name, *rest = line.split(":", 2)
    if kind != "rejected":
        return line
    timed_out = _TIMED_OUT.match(rest[0])
    return f"{kind}:{name}:" + (
        f"contended:{timed_out[2].replace('<D>', str(directory))}" if timed_out else "cancelled"
    )


@replay_one_by_one("session-file-owner")
async def test_row(row: Row, tmp_path: Path) -> None:
    root = tmp_path.resolve()
    (root / "real").mkdir()
    (root / "link").symlink_to("real")
    (root / "real/a.jsonl").touch()
    (root / "real/b.jsonl").touch()
    (root / "alias.jsonl").symlink_to("real/a.jsonl")
    async with PromptRegistry(root / "state", clock=SystemClock(), max_wait_s=None) as registry:
        (root / "state").mkdir()
        stage = Stage(root, registry)
        for op in row.input["ops"]:
            await stage.play(op)
        log = list(stage.log)
        for task in stage.tasks.values():
            task.cancel()
        await asyncio.gather(*stage.tasks.values(), return_exceptions=True)
        for holder in stage.holders.values():
            await holder.release()
    assert log == [expected_line(line, root) for line in row.expected]
