"""One of several processes that fight for sessions: runs turns as the engine does and logs what it did.

A turn takes its lanes, the prompt holder and the session lock, appends its question, releases the lock for a
"provider call", and appends the answer under the fence. The log has one JSON line per fact, each written at once, so
that a kill loses none.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

from clawtop.clock import SystemClock
from clawtop.core.locks.staleness import HERE, NamespaceEvidence
from clawtop.core.model import Generation, LockLimits
from clawtop.core.session.admission import OnContention
from clawtop.engine.etcd.records import etcd_records
from clawtop.engine.prompt.choice import registry_choice
from clawtop.engine.prompt.holder import HeldPrompt
from clawtop.engine.prompt.lane_scheduler import LaneScheduler
from clawtop.engine.prompt.registry import PromptRegistry
from clawtop.engine.prompt.session_lock import SessionLockController
from clawtop.errors import CoordinationError, RefusedError
from clawtop.store.locks.processes import SystemProcesses

LANES = {"heartbeat": "main", "channel": "main", "direct": "main", "cron": "cron-nested"}
LIMITS = LockLimits(acquire_ms=30_000, stale_ms=1_800_000, max_hold_ms=300_000)
LIMITS_ACROSS_HOSTS = replace(LIMITS, acquire_ms=1_000)
"""A lock of a host that died proves nothing on another host: who meets it is refused, and need not wait long for it."""


@dataclass(frozen=True)
class Job:
    """What a worker is to do. `refusing`: the share of turns that would rather be refused than wait."""

    root: str
    name: str
    seed: int
    turns: int
    sessions: int
    at_once: int = 24
    refusing: float = 0.1
    call_s: float = 0.001
    registry: str = ""


class Worker:
    def __init__(self, job: Job) -> None:
        self.job = job
        self.random = random.Random(job.seed)
        self.root = Path(job.root)
        self.clock = SystemClock()
        self.lanes = LaneScheduler(clock=self.clock, limits={"main": 16, "cron-nested": 8})
        self.log = os.open(self.root / f"log-{job.name}.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.left = job.turns

    def say(self, **fact: object) -> None:
        os.write(self.log, json.dumps(fact).encode() + b"\n")

    async def run(self) -> None:
        records = None
        if self.job.registry:
            records = etcd_records(registry_choice(self.job.registry, [f"{self.root}=arena"]), self.clock)
        async with PromptRegistry(self.root / "state", clock=self.clock, records=records) as self.registry:
            await asyncio.gather(*(self._turns() for _ in range(self.job.at_once)))

    async def _turns(self) -> None:
        while self.left:
            self.left -= 1
            turn = f"{self.job.name}-{self.left}"
            session = self.root / "sessions" / f"s{self.random.randrange(self.job.sessions):02d}.jsonl"
            lane = self.random.choice(list(LANES))
            try:
                await self._until_it_begins(turn, session, lane)
            except CoordinationError as error:
                self.say(turn=turn, session=session.name, lane=lane, outcome=type(error).__name__)
            else:
                self.say(turn=turn, session=session.name, lane=lane, outcome="answered")

    async def _until_it_begins(self, turn: str, session: Path, lane: str) -> None:
        """A turn that the registry refuses has done nothing: the next try enters it anew."""
        while True:
            try:
                return await self._turn(turn, session, lane)
            except RefusedError:
                self.say(refused=turn)
                await self.clock.sleep(0.2)

    async def _turn(self, turn: str, session: Path, lane: str) -> None:
        patient = self.random.random() >= self.job.refusing
        async with self.lanes.slot(f"session:{session.name}", LANES[lane]):
            holder = await self.registry.acquire(
                session, lane=lane, run_id=turn, on_contention=OnContention.WAIT if patient else OnContention.RAISE
            )
            async with holder:
                await self._prompt(turn, holder)

    async def _prompt(self, turn: str, holder: HeldPrompt) -> None:
        controller = await SessionLockController(
            holder.session_file,
            generation=Generation.B,
            limits=LIMITS_ACROSS_HOSTS if self.job.registry else LIMITS,
            clock=self.clock,
            processes=SystemProcesses(),
            environment=NamespaceEvidence(("network-mount",)) if self.job.registry else HERE,
        ).open()
        async with controller:
            await holder.assert_held()
            append(holder.session_file, f"{turn}-q", "user")
            await holder.assert_held()
            await controller.release_for_prompt()
            holder.set_phase("streaming")
            self.say(call=turn, session=holder.session_file.name, start=time.monotonic_ns())
            await self.clock.sleep(self.random.random() * self.job.call_s)
            self.say(call=turn, session=holder.session_file.name, end=time.monotonic_ns())
            async with controller.write():
                await holder.assert_held()
                append(holder.session_file, f"{turn}-a", "assistant")
                await holder.assert_held()


def append(session: Path, line_id: str, role: str) -> None:
    """One line at the end of the transcript, child of the line that is last now."""
    descriptor = os.open(session, os.O_RDWR | os.O_APPEND)
    try:
        size = os.fstat(descriptor).st_size
        tail = os.pread(descriptor, 400, max(0, size - 400)).rstrip(b"\n").rpartition(b"\n")[2]
        line = {"type": "message", "id": line_id, "parentId": json.loads(tail)["id"], "message": {"role": role}}
        os.write(descriptor, json.dumps(line).encode() + b"\n")
    finally:
        os.close(descriptor)


async def meddle(job: Job) -> None:
    """Another program: it takes the session lock for each of its writes, but asks no registry."""
    chance, worker = random.Random(job.seed), Worker(job)
    for number in range(job.turns):
        session = worker.root / "sessions" / f"s{chance.randrange(job.sessions):02d}.jsonl"
        controller = await SessionLockController(
            session, generation=Generation.B, limits=LIMITS, clock=worker.clock, processes=SystemProcesses()
        ).open()
        async with controller:
            append(session, f"outside-{number}", "user")
        worker.say(outside=number, session=session.name)
        await worker.clock.sleep(chance.random() * 2 * job.call_s)


if __name__ == "__main__":
    what, told = sys.argv[1:]
    job = Job(**json.loads(told))
    asyncio.run(meddle(job) if what == "meddle" else Worker(job).run())
