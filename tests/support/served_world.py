"""A demo world whose provider answers from a thread of its own, so that a test can wait for a process, or be one."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from clawtop.clock import SystemClock
from clawtop.demo.provider import Act, ScriptedProvider
from clawtop.demo.threads import TWO_AND_ONE
from clawtop.demo.world import World, build_world

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class ServedWorld:
    """The world and its provider."""

    world: World
    provider: ScriptedProvider = field(default_factory=ScriptedProvider)

    def misbehave(self, act: Act) -> None:
        self.provider.standing = dict.fromkeys(self.world.keys.values(), act)

    def drive(self, *words: str, message: str | None = "hello", **env: str) -> subprocess.CompletedProcess[str]:
        options = [] if message is None else ["--message", message]
        return subprocess.run(
            [sys.executable, "-m", "clawtop", "drive", "--state-dir", str(self.world.state_dir), *options, *words],
            cwd=ROOT,
            env={**os.environ, "HOME": str(self.world.state_dir.parent), **env},
            capture_output=True,
            text=True,
            input="from a pipe",
            timeout=60,
            check=False,
        )


@contextmanager
def served_world(root: Path) -> Iterator[ServedWorld]:
    """Build it in `root`; the provider ends with it."""
    made = ServedWorld(build_world(root, seed=7, clock=SystemClock(), profiles=TWO_AND_ONE))
    up = threading.Event()
    end: list[Callable[[], object]] = []

    async def serve() -> None:
        done = asyncio.Event()
        loop = asyncio.get_running_loop()
        end.append(lambda: loop.call_soon_threadsafe(done.set))
        async with made.provider:
            made.world.connect(made.provider.base_url)
            up.set()
            await done.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    up.wait()
    try:
        yield made
    finally:
        end[0]()
        thread.join()
