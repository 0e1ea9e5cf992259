"""Many turns of several processes, all on their way at the same time, and which account each of them asked."""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
from collections import Counter
from pathlib import Path

from clawtop.clock import SystemClock
from clawtop.demo.provider import Act, ReceivedRequest, Respond, ScriptedProvider
from clawtop.demo.threads import SIX
from clawtop.demo.world import build_world

LONGEST_S = 120


class Gate(SystemClock):
    """A provider's clock on which nothing is slept, but waited for."""

    def __init__(self) -> None:
        self.open = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        await self.open.wait()


async def crowd(root: Path, processes: int, turns: int) -> Counter[str]:
    """How often each of six accounts was asked by that many `turns` of each process.

    The provider answers nobody before everybody has asked. Raises TimeoutError; AssertionError if a turn failed.
    """
    gate, arrived = Gate(), itertools.count(1)

    def answer(_: ReceivedRequest) -> Act:
        if next(arrived) == processes * turns:
            gate.open.set()
        return Respond("pong", first_after=1)

    async with ScriptedProvider(gate) as provider:
        provider.default = answer
        world = build_world(root, seed=5, clock=SystemClock(), profiles=SIX)
        world.connect(provider.base_url)
        path = world.state_dir / "openclaw.json"
        config = json.loads(path.read_text())
        config["agents"]["defaults"]["maxConcurrent"] = turns
        path.write_text(json.dumps(config))
        async with asyncio.timeout(LONGEST_S):
            codes = await asyncio.gather(*(_batch(world.state_dir, root, n, turns) for n in range(processes)))
    assert codes == [0] * processes
    names = {key: name for name, key in world.keys.items()}
    return Counter(names[request.key] for request in provider.requests)


async def _batch(state_dir: Path, place: Path, number: int, turns: int) -> int:
    """`clawtop drive --batch` in a process of its own, all turns at once; its exit code."""
    source = place / f"turns-{number}.jsonl"
    rows = [{"session": f"fair-{number}-{n}", "message": "hello", "new": True} for n in range(turns)]
    source.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    words = ["--state-dir", str(state_dir), "--no-gateway", "drive", "--batch", str(source), "--jobs", str(turns)]
    quiet = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "clawtop", *words, stdout=quiet, stderr=quiet, env={"HOME": str(place)}
    )
    try:
        return await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
