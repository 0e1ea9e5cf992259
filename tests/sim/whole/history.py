"""One history: a state directory, several clawtops and an OpenClaw on it, operators, and what goes wrong.

What happens is drawn first, as a list of acts; a history without some of them is a smaller one of the same seed.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import hashlib
import itertools
import json
import os
import random
import shutil
import sys
import tempfile
import uuid
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

from clawtop.core.cooldown.marking import Mark
from clawtop.core.operations.clear import clear_profile
from clawtop.core.operations.order import rotate
from clawtop.core.operations.plan import Plan
from clawtop.core.operations.undo import undo
from clawtop.core.session.admission import OnContention
from clawtop.core.session.attention import SessionActivity, WorkKind
from clawtop.core.session.drain import DrainWishes
from clawtop.core.session.turn_request import TurnRequest
from clawtop.demo.world import CAST, World, build_world
from clawtop.engine.drain.drainer import Drainer
from clawtop.engine.drain.scene import DrainTarget
from clawtop.engine.drive import driver as driver_module
from clawtop.engine.drive import marks as marks_module
from clawtop.engine.drive.chain import AllModelsFailedError
from clawtop.engine.drive.driver import Driver, EngineSettings
from clawtop.engine.drive.handle import Drive
from clawtop.engine.etcd.choice import shared_records
from clawtop.engine.etcd.records import EtcdRecords
from clawtop.engine.operations import execute
from clawtop.engine.operations.execute import OperationRequest, Operations
from clawtop.engine.prompt import process_title, records
from clawtop.engine.prompt.choice import RegistryChoice, registry_choice
from clawtop.engine.prompt.holder import HeldPrompt
from clawtop.engine.prompt.recoverer import Recoverer, SessionWork
from clawtop.engine.providers.base import Timeouts
from clawtop.errors import ClawtopError, CoordinationError
from clawtop.store import atomic
from clawtop.store.auth import lock as auth_lock
from clawtop.store.auth.machine import Machine
from clawtop.store.disk import disk
from clawtop.store.locks import openclaw
from clawtop.store.own import admissions, holders, mark_spool, presence, wake
from clawtop.store.own.journal import Journal
from clawtop.store.place.locating import locate
from clawtop.store.snapshot import SnapshotReader
from clawtop.store.timed_reads import TimedReads
from tests.sim.cluster import Client as EtcdClient
from tests.sim.cluster import Cluster
from tests.sim.whole.checks import PLANTED, BrokenError, Checks, RunFacts
from tests.sim.whole.loop import PROCESS, SimLoop
from tests.sim.whole.process import FULL, WRITES, Host, HostClock, Process, SystemCalls, Table
from tests.sim.whole.provider import MOODS, PARTITION, Client, Provider
from tests.sim.whole.standins import Journals, Lines, Spool, Unreleased, Uses, asked_at_once
from tests.support.lock_files import publish

SPAN_S = 20.0
"""In which the acts happen; then the world is left alone."""

TURN_S = 45.0
QUIET_S = 120.0
"""After the span everything has to come to its end within so long."""

AFTERMATH_S = 3.0
"""So long after the last act the world is not yet well again: it, too, is felt."""

MOST_STEPS = 400_000

LEASE_S = 10
ETCD = registry_choice("etcd://cluster:2379")
OF_ETCD = 0.3
"""The part of all seeds whose engines keep their holders in etcd instead of files."""

FAULTS = (
    "fault: a process was killed",
    "fault: a process was killed at a system call",
    "fault: OpenClaw was killed with a lock",
    "fault: a frozen process had work",
    "fault: the clock was set",
    "fault: the host stood still",
    "fault: a full disk refused a call",
    "fault: the disk was slow",
    "fault: a word was lost",
    "fault: a record was busy",
    "fault: a lock was stolen",
    "fault: the network was down",
    "fault: OpenClaw wrote into a transcript",
    "fault: OpenClaw wrote into the store",
    "fault: a gateway overwrote the store",
    "fault: a lease was ended",
    "fault: a lease ran out",
    "fault: etcd did not answer",
    "fault: etcd refused a change",
    "operator: a store was changed",
    "operator: a run was rotated by its key",
    "operator: a run was cancelled by its key",
    "operator: a drain ended",
    "operator: a recovery ended",
)
"""What many histories together have to meet with; an act that found nothing to strike is none of it."""


@dataclass(frozen=True)
class Act:
    """Something that happens: `at` seconds after the beginning, `pick` says to whom or what."""

    at: float
    kind: str
    pick: int


WEIGHTS = {
    "drive": 30,
    "crowd": 6,
    "mood": 12,
    "well again": 6,
    "kill": 4,
    "kill at a call": 4,
    "start": 4,
    "freeze": 5,
    "clock": 3,
    "disk full": 3,
    "slow disk": 3,
    "host stalls": 2,
    "partition": 2,
    "theft": 2,
    "busy records": 2,
    "deaf": 2,
    "lease ends": 4,
    "etcd away": 2,
    "etcd read-only": 1,
    "openclaw writes": 6,
    "openclaw marks": 5,
    "openclaw overwrites": 3,
    "openclaw hangs in the store": 2,
    "operator clears": 4,
    "operator rotates": 2,
    "operator undoes": 2,
    "key: rotate": 3,
    "key: cancel": 3,
    "drain": 3,
    "recover": 4,
}


def drawn(seed: int) -> tuple[Act, ...]:
    """The acts of a seed, in their order."""
    chance = random.Random(f"acts {seed}")
    kinds = chance.choices(list(WEIGHTS), list(WEIGHTS.values()), k=chance.randrange(10, 26))
    first = [Act(0.0, "drive", chance.getrandbits(16)) for _ in range(chance.randrange(1, 4))]
    later = [Act(round(chance.random() * SPAN_S, 3), kind, chance.getrandbits(16)) for kind in kinds]
    return tuple(first + sorted(later, key=lambda act: act.at))


@dataclass
class Outcome:
    """What came of a history."""

    seed: int
    broken: str = ""
    rule: int = -1
    steps: int = 0
    calls: int = 0
    lease_steps: int = 0
    """Calls to etcd and to the disk of the process that made the most: between any two its lease may end."""
    counts: Counter[str] = field(default_factory=Counter)
    trace: tuple[str, ...] = ()


class History:
    """Plays the acts of one seed."""

    def __init__(
        self, seed: int, acts: tuple[Act, ...], root: Path, *, traced: bool = False, etcd: bool | None = None
    ) -> None:
        """`etcd`: whether holders are kept there; None: as the seed says."""
        self.seed = seed
        self.acts = acts
        by_seed = random.Random(f"registry {seed}").random() < OF_ETCD
        self.registry: RegistryChoice | None = ETCD if (by_seed if etcd is None else etcd) else None
        self.chance = random.Random(f"history {seed}")
        self.ids = random.Random(f"ids {seed}")
        self.loop = SimLoop(self.chance, self._job_delay)
        self.host = Host(self.loop.time, PROCESS.get)
        self.clock = HostClock(self.host, self.loop)
        self.root = root
        self.world: World = build_world(root, seed=seed % 97, clock=self.clock)
        _plant(self.world)
        names = {key: profile for profile, key in self.world.keys.items()}
        self.provider = Provider(random.Random(f"provider {seed}"), self.clock, names)
        self.cluster = Cluster(self.loop.time)
        self.etcd_clients: dict[Process, EtcdClient] = {}
        self.lease_steps: Counter[Process] = Counter()
        self.checks = Checks(
            self.host, self.provider, self.world.state_dir, vouched=self._vouched, lease_ended=self._lease_ended
        )
        self.calls = SystemCalls(self.host, self._before_call, self._after_call, self._killed_at_a_call)
        self.runs: dict[Process, list[Drive]] = {}
        self.counts: Counter[str] = Counter()
        self.trace: list[str] = []
        self._traced = traced
        self._slow_until = 0.0
        self._busy_until = 0.0
        self._deaf_until = 0.0
        self._theft_until = 0.0
        self._waited: list[asyncio.Task[Any]] = []
        self._owners: dict[asyncio.Task[Any], Process] = {}
        self._number = 0
        self._striking = 0
        self.loop.after_step = self._after_step

    # --- the way of a history

    async def play(self) -> None:
        """Everything from the first process to the proof that nothing is lost."""
        for _ in range(2):
            self.start_clawtop()
        begin = self.loop.time()
        for act in self.acts:
            await asyncio.sleep(max(0.0, begin + act.at - self.loop.time()))
            self.counts[act.kind] += 1
            self.tell(f"{act.kind} ({act.pick})")
            DOES[act.kind](self, random.Random(f"{self.seed} {act.kind} {act.pick}"))
        await asyncio.sleep(AFTERMATH_S)
        self._calm()
        await self._come_to_rest()
        await self._afterwards()
        self.checks.end()

    def _calm(self) -> None:
        self._slow_until = self._busy_until = self._deaf_until = 0.0
        self.provider.moods.clear()
        self.provider.cut = self.cluster.down = self.cluster.read_only = False
        for process in self.host.processes:
            process.disk = process.doomed_in = process.lease_ends_in = None
            process.frozen_until = 0.0

    async def _come_to_rest(self) -> None:
        waited = [task for task in self._waited if not task.done()]
        while waited:
            done, _ = await asyncio.wait(waited, timeout=QUIET_S, return_when=asyncio.FIRST_COMPLETED)
            waited = [task for task in waited if task not in done and self._lives(task)]
            if not done and waited:
                raise self.checks.broken(0, f"{len(waited)} runs or operations have no end: {waited[0].get_name()}")
        for task in self._waited:
            if task.done() and not task.cancelled() and isinstance(error := task.exception(), Exception):
                raise error

    def _lives(self, task: asyncio.Task[Any]) -> bool:
        process = self._owners.get(task)
        return process is None or process.alive

    async def _afterwards(self) -> None:
        """The engines end, and one that comes late finds every session free, lands every mark, changes the store."""
        for process, driver in self.checks.drivers.items():
            if process.alive:
                await self.within(process, driver.aclose(), "closing")
                self.kill(process)  # it ends: what it could not land is in its spool, for whoever comes next
        if self.registry is not None:
            await asyncio.sleep(LEASE_S + 1)  # what the dead held goes with their leases
        late = self.start_clawtop()
        driver = self.checks.drivers[late]
        await self.within(late, self._take_everything(late, driver), "the late one")

    async def _take_everything(self, late: Process, driver: Driver) -> None:
        driver.adopt_marks()
        async with asyncio.timeout(QUIET_S):
            await driver.resources.marks.drained()
        for path in sorted(self.world.state_dir.glob("agents/*/sessions/*.jsonl")):
            try:
                holder = await driver.resources.registry.acquire(
                    path, lane="main", run_id=f"late {path.stem}", on_contention=OnContention.RAISE
                )
            except ClawtopError as error:
                raise self.checks.broken(1, f"{path.name} cannot be taken any more: {error.title}") from error
            self.chance.random()
            await holder.release()
        for agent in ("main",):
            target = self.world.transcript(CAST[0])
            run = driver.drive(TurnRequest(f"agent:{agent}:main", self._message(late), lane="main", timeout_s=TURN_S))
            self._known(late, run)
            await self._result(late, run)
            if not target.exists():
                raise self.checks.broken(0, "a transcript is gone")
        await driver.aclose()

    async def within(self, process: Process, work: Coroutine[Any, Any, Any], what: str) -> Any:
        """Have a process do something, and wait for it."""
        task = self.spawn(process, work, what)
        done, _ = await asyncio.wait({task}, timeout=4 * QUIET_S)
        if not done:
            raise self.checks.broken(0, f"{what} has no end")
        return task.result()

    # --- processes

    def spawn(self, process: Process, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        context = contextvars.copy_context()
        context.run(PROCESS.set, process)
        task = self.loop.create_task(work, name=name, context=context)
        self._owners[task] = process
        return task

    def start_clawtop(self) -> Process:
        process = self.host.start("clawtop", self._old_pid())
        context = contextvars.copy_context()
        context.run(PROCESS.set, process)
        context.run(self._open, process)
        return process

    def _old_pid(self) -> int | None:
        dead = [one.pid for one in self.host.processes if not one.alive and self.host.living(one.pid) is None]
        return self.chance.choice(dead) if dead and self.chance.random() < 0.3 else None

    def _open(self, process: Process) -> None:
        settings = EngineSettings(
            call=Timeouts(connect=5, first_byte=6, idle=6, total=20),
            max_wait_s=30.0,
            turn_s=TURN_S,
            drain_s=1.0,
            registry=self.registry,
        )
        driver = Driver(
            self.world.state_dir,
            clock=self.clock,
            processes=Table(self.host, process),
            environ={},
            home=self.root,
            settings=settings,
            listen=partial(self.checks.heard, process),
            jitter=random.Random(f"pauses {self.seed}").random,
        )
        driver.resources._client = Client(self.provider, process)  # type: ignore[assignment]
        note = driver.resources.marks.note

        def noted(mark: Mark, *, routine: bool = False) -> None:
            kept = self.checks.marked(process, mark)
            kept.excused = True
            note(mark, routine=routine)
            kept.excused = False

        driver.resources.marks.note = noted  # type: ignore[method-assign]
        self.checks.drivers[process] = driver
        self.runs[process] = []

    def kill(self, process: Process) -> None:
        """SIGKILL: what it holds stays on the disk; the kernel closes its descriptors."""
        if process.alive and process.is_clawtop:
            self.counts["fault: a process was killed"] += self._striking
        process.alive = False
        self.tell(f"{process.title} {process.pid} is dead")
        driver = self.checks.drivers.get(process)
        kept = driver.resources.registry._records if driver is not None else None
        channel = getattr(kept, "_channel", None)
        if channel is not None:
            self.loop.remove_reader(channel.descriptor)
            os.close(channel.descriptor)
            kept._channel = None  # type: ignore[union-attr]
        for key in [key for key in presence._presences if key[0] == process.pid]:
            gone = presence._presences.pop(key)
            contextvars.Context().run(gone._lock.release, force=True)

    def clawtops(self) -> list[Process]:
        return [process for process in self.checks.drivers if process.alive]

    def one_of(self, chance: random.Random) -> Process:
        """A living clawtop; a new one where there is none."""
        living = self.clawtops()
        return chance.choice(living) if living else self.start_clawtop()

    def _killed_at_a_call(self, process: Process) -> None:
        self.counts["fault: a process was killed at a system call"] += 1
        self.kill(process)

    # --- several hosts

    def _etcd_records(self, _choice: RegistryChoice, clock: Any) -> EtcdRecords:
        """`engine.etcd.records.etcd_records`, on the cluster in memory, for the process that asks."""
        process = PROCESS.get()
        assert process is not None
        client = self.etcd_clients[process] = EtcdClient(self.cluster, partial(self._etcd_step, process), LEASE_S)
        return EtcdRecords(
            client,  # type: ignore[arg-type]
            "sim",
            clock,
            name_of=lambda path: os.path.relpath(path, self.root),
            host=f"host {process.pid}",
            lease_s=LEASE_S,
        )

    async def _etcd_step(self, process: Process, _name: str, _expire: Callable[[], object]) -> None:
        await asyncio.sleep(self.chance.choice((0.0005, 0.002, 0.02)))
        self._lease_step(process)

    def _lease_step(self, process: Process) -> None:
        """A call to etcd or to the disk: a lease that is to end ends between two of them."""
        self.lease_steps[process] += 1
        if process.lease_ends_in is not None:
            process.lease_ends_in -= 1
            if process.lease_ends_in <= 0:
                process.lease_ends_in = None
                if self.cluster.end(self.etcd_clients[process].lease):
                    self.counts["fault: a lease was ended"] += 1
                    self.tell(f"the lease of {process.pid} is over")

    def _vouched(self, process: Process, holder: HeldPrompt) -> bool:
        """Whether the registry still counts a holder as one; in files it does for as long as the process lives."""
        if process not in self.etcd_clients:
            return True
        return _member_key(holder) in self.cluster.keys

    def _lease_ended(self, holder: HeldPrompt) -> float | None:
        """When the lease was over with which a holder holds, or held; None: it is not, or in files there is none."""
        lease = self.cluster.lease_of.get(_member_key(holder))
        return dict(self.cluster.ended).get(lease) if lease is not None else None

    def _before_call(self, process: Process, name: str, args: tuple[Any, ...]) -> None:
        if process in self.etcd_clients:
            self._lease_step(process)
        self.checks.before_call(process, name, args)

    def _after_call(self, process: Process, name: str, args: tuple[Any, ...]) -> None:
        if process in self.etcd_clients:
            self._lease_step(process)
        self.checks.after_call(process, name, args)
        if name == "link" and self.loop.time() < self._theft_until and str(args[1]).endswith(".jsonl.lock"):
            if self.chance.random() < 0.5:  # most locks are given back before anybody else runs
                contextvars.Context().run(self._steal, str(args[1]))
            else:
                self.loop.call_later(self.chance.choice((0.0, 0.0005, 0.003)), self._steal, str(args[1]))

    def lease_ends(self, chance: random.Random) -> None:
        process = self.one_of(chance)
        if process in self.etcd_clients:
            process.lease_ends_in = chance.choice((1, chance.randrange(1, 30), chance.randrange(1, 200)))

    def etcd_away(self, chance: random.Random) -> None:
        self.cluster.down = True
        self.loop.call_later(chance.choice((0.5, 4.0, 2.0 * LEASE_S)), setattr, self.cluster, "down", False)

    def etcd_read_only(self, chance: random.Random) -> None:
        self.cluster.read_only = True
        self.loop.call_later(chance.choice((0.5, 4.0)), setattr, self.cluster, "read_only", False)

    # --- small things

    def _message(self, process: Process) -> str:
        self._number += 1
        return f"r{self._number} of {process.pid}"

    def _known(self, process: Process, run: Drive) -> None:
        name = f"r{self._number}"
        self.checks.runs[name] = RunFacts(name, process)
        self.checks.run_ids[run.run_id] = name
        self.runs[process].append(run)

    async def _result(self, process: Process, run: Drive) -> None:
        facts = self.checks.runs[self.checks.run_ids[run.run_id]]
        try:
            answer = await run.result()
        except AllModelsFailedError as error:
            if facts.coordination is not None:
                raise self.checks.broken(3, f"{facts.name}: {error.title} after {facts.coordination}") from error
            self.counts["turn: all models failed"] += 1
        except CoordinationError as error:
            facts.coordination = facts.coordination or type(error).__name__
            self.counts[f"turn: {type(error).__name__}"] += 1
        except ClawtopError as error:
            self.counts[f"turn: {type(error).__name__}"] += 1
        except asyncio.CancelledError:
            self.counts["turn: cancelled"] += 1
        else:
            self.checks.answers.append((process, answer))
            self.counts["turn: answered"] += 1

    def _job_delay(self) -> float:
        if self.loop.time() < self._slow_until:
            self.counts["fault: the disk was slow"] += 1
            return self.chance.uniform(0.2, 3.0)
        return self.chance.choice((0.0, 0.001, 0.01))

    def _after_step(self, _process: Process | None) -> None:
        if self.loop.steps > MOST_STEPS:
            raise self.checks.broken(0, "the history goes round in circles")
        self.checks.step()

    def tell(self, what: str) -> None:
        if self._traced:
            self.trace.append(f"{self.loop.time() - 1000:8.3f} {what}")

    # --- what happens

    def drive(self, chance: random.Random) -> None:
        process, character = self.one_of(chance), CAST[chance.choice((0, 0, 0, 1, 2, 3))]
        self.spawn(process, self._drive(process, character.key, character.lane, chance), "a run")

    def crowd(self, chance: random.Random) -> None:
        """Many want the same session at once."""
        character = CAST[chance.choice((0, 0, 1))]
        for _ in range(chance.randrange(3, 7)):
            process = self.one_of(chance)
            self.spawn(process, self._drive(process, character.key, character.lane, chance), "a run")

    async def _drive(self, process: Process, key: str, lane: str, chance: random.Random) -> None:
        wish = chance.choice([OnContention.WAIT] * 4 + [OnContention.RAISE, OnContention.FORK])
        run = self.checks.drivers[process].drive(
            TurnRequest(
                key, self._message(process), lane=lane, on_contention=wish, timeout_s=chance.choice((8.0, 30.0, TURN_S))
            )
        )
        self._known(process, run)
        self._waited.append(self.spawn(process, self._result(process, run), f"run {run.run_id}"))

    def mood(self, chance: random.Random) -> None:
        for profile in chance.sample(sorted(self.world.keys), chance.choice((1, 1, 2, 3, 6))):
            self.provider.moods[profile] = chance.choice((*MOODS, "limited", "limited"))

    def well_again(self, _chance: random.Random) -> None:
        self.provider.moods.clear()
        self.provider.cut = False

    def partition(self, chance: random.Random) -> None:
        self.provider.cut = True
        self.loop.call_later(chance.uniform(0.5, 8.0), setattr, self.provider, "cut", False)

    def kill_one(self, chance: random.Random) -> None:
        self._striking = 1
        self.kill(self.one_of(chance))
        self._striking = 0
        if chance.random() < 0.7:
            self.start_clawtop()

    def kill_at_a_call(self, chance: random.Random) -> None:
        self.one_of(chance).doomed_in = chance.randrange(1, 120)
        self.start_clawtop()

    def start(self, _chance: random.Random) -> None:
        if len(self.clawtops()) < 5:
            process = self.start_clawtop()
            self.spawn(process, self._adopt(process), "adopting")

    async def _adopt(self, process: Process) -> None:
        self.checks.drivers[process].adopt_marks()

    def freeze(self, chance: random.Random) -> None:
        process, seconds = self.one_of(chance), chance.choice((0.3, 2.0, 12.0, 40.0))
        process.frozen_s += seconds
        process.frozen_until = self.loop.time() + seconds

    def set_clock(self, chance: random.Random) -> None:
        self.counts["fault: the clock was set"] += 1
        self.host.offset_ms += chance.choice((-3_600_000, -5_000, 700, 60_000, 3_600_000))

    def fill_disk(self, chance: random.Random) -> None:
        for process in self.clawtops():
            process.disk = FULL
        self.loop.call_later(chance.uniform(0.5, 6.0), self._room_again)

    def _room_again(self) -> None:
        for process in self.host.processes:
            process.disk = None

    def slow_disk(self, chance: random.Random) -> None:
        self._slow_until = self.loop.time() + chance.uniform(1.0, 8.0)

    def stall(self, chance: random.Random) -> None:
        seconds = chance.choice((0.5, 4.0, 15.0))
        self.counts["fault: the host stood still"] += 1
        self.loop.seconds += seconds
        self.checks.stalled_s += seconds

    def thieve(self, chance: random.Random) -> None:
        """Somebody removes the next session locks, soon after they were taken."""
        self._theft_until = self.loop.time() + chance.uniform(0.5, 3.0)

    def _steal(self, path: str) -> None:
        if os.path.lexists(path):
            Path(path).unlink()
            self.counts["fault: a lock was stolen"] += 1

    def busy_records(self, chance: random.Random) -> None:
        self._busy_until = self.loop.time() + chance.uniform(0.1, 3.0)

    def deafen(self, chance: random.Random) -> None:
        self._deaf_until = self.loop.time() + chance.uniform(1.0, 10.0)

    def openclaw_writes(self, chance: random.Random) -> None:
        path = self.world.transcript(CAST[chance.choice((0, 0, 1, 2))])
        process = self.host.start("openclaw")
        self._waited.append(self.spawn(process, self._append(path, process, chance), "openclaw appends"))

    async def _append(self, path: Path, process: Process, chance: random.Random) -> None:
        lock = await self._published(f"{path}.lock", process, with_start=True)
        if lock is not None:
            await asyncio.sleep(chance.choice((0.001, 0.05, 0.8)))
            if chance.random() < 0.2:
                self.counts["fault: OpenClaw was killed with a lock"] += 1
                self.kill(process)
                return
            entry = {"type": "message", "id": f"oc{process.pid}", "message": {"role": "user", "content": "oc speaks"}}
            with path.open("ab") as file:
                file.write(json.dumps(entry).encode() + b"\n")
            self.counts["fault: OpenClaw wrote into a transcript"] += 1
            openclaw.release(lock)
        self.kill(process)

    async def _published(self, path: str, process: Process, *, with_start: bool) -> openclaw.Published | None:
        payload: dict[str, Any] = {"pid": process.pid, "createdAt": openclaw.timestamp(self.host.now_ms())}
        if with_start:
            payload["starttime"] = process.ticks
        for _ in range(60):
            lock = publish(path, payload, durable=False)
            if lock is not None:
                return lock
            await asyncio.sleep(0.1)
        return None

    def openclaw_marks(self, chance: random.Random) -> None:
        process = self.host.start("openclaw")
        self._waited.append(
            self.spawn(process, self._mark(process, chance, hold=chance.choice((0.002, 0.03, 0.2))), "openclaw marks")
        )

    def openclaw_hangs(self, chance: random.Random) -> None:
        process = self.host.start("openclaw")
        self._waited.append(
            self.spawn(process, self._mark(process, chance, hold=chance.choice((3.0, 20.0))), "openclaw hangs")
        )

    async def _mark(self, process: Process, chance: random.Random, *, hold: float) -> None:
        directory = self.world.agent_dir()
        lock = await self._published(f"{directory}/auth-profiles.json.lock", process, with_start=False)
        if lock is not None:
            await asyncio.sleep(hold)
            if chance.random() < 0.25:
                self.counts["fault: OpenClaw was killed with a lock"] += 1
                self.kill(process)
                return
            document = _state(directory)
            profile = chance.choice(sorted(document["usageStats"]))
            document["usageStats"][profile]["lastUsed"] = self.host.now_ms()
            _save(directory, document)
            self.counts["fault: OpenClaw wrote into the store"] += 1
            openclaw.release(lock)
        self.kill(process)

    def openclaw_overwrites(self, chance: random.Random) -> None:
        """What a gateway has in memory replaces the file, without a lock, some time after it was read."""
        directory = self.world.agent_dir()
        document = _state(directory)
        self.loop.call_later(chance.uniform(0.0, 4.0), self._overwrite, directory, document)

    def _overwrite(self, directory: Path, document: dict[str, Any]) -> None:
        if document != _state(directory):
            self.counts["fault: a gateway overwrote the store"] += 1
        _save(directory, document)

    # --- operators

    def operator_clears(self, chance: random.Random) -> None:
        profile = chance.choice(sorted(self.world.keys))
        self._operate({profile}, lambda snapshot, _events: clear_profile(snapshot, profile, agent="main"), chance)

    def operator_rotates(self, chance: random.Random) -> None:
        self._operate(set(), lambda snapshot, _events: rotate(snapshot, "coral", agent="main"), chance)

    def operator_undoes(self, chance: random.Random) -> None:
        self._operate(set(self.world.keys), undo, chance)

    def _operate(self, targets: set[str], plan: Callable[..., Plan], chance: random.Random) -> None:
        process = self.host.start("an operator's clawtop")
        process.targets = targets
        task = self.spawn(process, self._operation(process, plan), "an operation")
        self._waited.append(task)
        if chance.random() < 0.15:
            process.doomed_in = chance.randrange(1, 60)

    async def _operation(self, process: Process, plan: Callable[..., Plan]) -> None:
        journal = Journal(self.world.state_dir)
        table = Table(self.host, process)
        try:
            snapshot = await asyncio.to_thread(self._reader(process).read)
            made = plan(snapshot, journal.tail(1000))
            machine = Machine(clock=self.clock, processes=table, jitter=self.chance.random)
            operations = Operations(
                lambda: locate(self.world.state_dir, env={}, home=self.root),
                journal=journal,
                machine=lambda _layout, _gateway: machine,
            )
            receipt = await operations.execute(
                made, OperationRequest(wait_s=8.0, verify_s=0.5, gateway=snapshot.gateway)
            )
            self.counts[f"operation: {receipt.kind}"] += 1
            self.counts["operator: a store was changed"] += 1
        except ClawtopError as error:
            self.counts[f"operation: {type(error).__name__}"] += 1
        self.kill(process)

    def _reader(self, process: Process) -> SnapshotReader:
        return SnapshotReader(
            state_dir=self.world.state_dir,
            env={},
            home=self.root,
            clock=self.clock,
            processes=Table(self.host, process),
            port_probe=None,
        )

    def key_rotate(self, chance: random.Random) -> None:
        self._key(chance, Drive.rotate, "operator: a run was rotated by its key")

    def key_cancel(self, chance: random.Random) -> None:
        self._key(chance, Drive.cancel, "operator: a run was cancelled by its key")

    def _key(self, chance: random.Random, press: Callable[[Drive], object], done: str) -> None:
        process = self.one_of(chance)
        under_way = [run for run in self.runs[process] if not run.done]
        if under_way:
            run = chance.choice(under_way)
            self.spawn(process, self._pressed(press, run, done), "a key")

    async def _pressed(self, press: Callable[[Drive], object], run: Drive, done: str) -> None:
        if press(run) is None:
            self.counts[done] += 1

    def drain(self, chance: random.Random) -> None:
        process = self.host.start("an operator's clawtop")
        path, character = self._some_session(chance)
        fresh = chance.random() < 0.3
        drainer = self._drain(process, DrainTarget(character.agent, character.key, path), fresh)
        self._waited.append(self.spawn(process, drainer, "a drain"))
        if chance.random() < 0.2:
            process.doomed_in = chance.randrange(1, 40)

    def _some_session(self, chance: random.Random) -> tuple[Path, Any]:
        character = CAST[chance.choice((0, 0, 1, 2))]
        return self.world.transcript(character), character

    async def _drain(self, process: Process, target: DrainTarget, fresh: bool) -> None:
        wishes = DrainWishes(deadline_s=12.0, still_s=1.0, stop_after_s=4.0, fresh=fresh)
        try:
            drainer = Drainer(
                self._reader(process),
                target,
                wishes,
                drain_id=uuid.uuid4().hex[:10],
                clock=self.clock,
                processes=Table(self.host, process),
                shared=shared_records(self.registry, self.clock),
            )
            outcome = await drainer.drain()
            self.counts["operator: a drain ended"] += 1
            self.counts["drain: released" if outcome.released else "drain: not released"] += 1
        except ClawtopError as error:
            self.counts[f"drain: {type(error).__name__}"] += 1
        self.kill(process)

    def recover(self, chance: random.Random) -> None:
        process = self.one_of(chance)
        path, character = self._some_session(chance)
        self._waited.append(self.spawn(process, self._recover(process, path, character.key, chance), "a recovery"))

    async def _recover(self, process: Process, path: Path, key: str, chance: random.Random) -> None:
        driver = self.checks.drivers[process]
        busy = SessionActivity(WorkKind.EMBEDDED_RUN, "none", 700_000.0, None, has_run=True)
        work = SessionWork(
            path, f"recovery {key}", "main", 900_000, chance.choice((SessionActivity(), busy)), 1, True, key
        )
        recoverer = Recoverer(
            driver.resources.registry,
            rules=driver.layout.semantics.attention,
            clock=self.clock,
            max_wait_ms=chance.choice((1_000, 6_000)),
            foreign=driver.resources.foreign.holder,
        )
        try:
            done = await recoverer.recover(work)
        except ClawtopError as error:
            self.counts[f"recovery: {type(error).__name__}"] += 1
            return
        self.counts[f"recovery: {done.plan.plan}"] += 1
        self.counts["operator: a recovery ended"] += 1
        if done.holder is not None:
            await self._recovered(done.holder)

    async def _recovered(self, holder: HeldPrompt) -> None:
        for process, driver in self.checks.drivers.items():
            for other in driver.resources.registry._out.values():
                same = other.record == holder.record and other is not holder
                if process.alive and same and not other.released and self._vouched(process, other):
                    raise self.checks.broken(8, f"recovery starts beside {other.run_id}")
        await asyncio.sleep(0.3)
        await holder.release("recovered")

    # --- seams

    def _record_key(self, session_file: str) -> str:
        """As the real one, whatever the history's directory is called."""
        return hashlib.sha256(os.fsencode(os.path.relpath(session_file, self.root))).hexdigest()[:32]

    def _uuid(self) -> uuid.UUID:
        return uuid.UUID(int=self.ids.getrandbits(128), version=4)

    @contextlib.contextmanager
    def seams(self) -> Iterator[None]:
        """Everything of the real machine that a history replaces."""
        entropy = self.ids
        apply, tell = holders.HolderRecords.apply, wake.tell

        def busy(records: holders.HolderRecords, *args: Any) -> Any:
            if self.loop.time() < self._busy_until and self.chance.random() < 0.7:
                self.counts["fault: a record was busy"] += 1
                return None
            return apply(records, *args)

        def deaf(*args: Any) -> None:
            if self.loop.time() >= self._deaf_until:
                tell(*args)
            else:
                self.counts["fault: a word was lost"] += 1

        with contextlib.ExitStack() as stack:
            enter = stack.enter_context
            for name in (*WRITES, "open"):
                enter(mock.patch.object(disk, name, self.calls.wrapped(name)))
            enter(mock.patch.object(os, "open", self.calls.lock_opened))
            enter(mock.patch.object(os, "getpid", self.calls.getpid))
            enter(mock.patch.object(os, "urandom", entropy.randbytes))
            enter(mock.patch.object(uuid, "uuid4", self._uuid))
            enter(mock.patch("secrets.token_hex", lambda size=16: entropy.randbytes(size).hex()))
            enter(mock.patch.object(process_title, "look_like_openclaw"))
            enter(mock.patch.object(process_title, "restore_title"))
            enter(mock.patch.object(marks_module, "SpoolWriter", Spool))
            enter(mock.patch.object(driver_module, "JournalWriter", Journals))
            enter(mock.patch.object(openclaw, "_unreleased", Unreleased()))
            enter(mock.patch.object(auth_lock, "LinePlace", Lines().place))
            enter(mock.patch.object(auth_lock, "_uses", Uses()))
            enter(mock.patch.object(TimedReads, "ask", asked_at_once))
            enter(mock.patch.object(holders.HolderRecords, "apply", busy))
            enter(mock.patch("clawtop.engine.prompt.records.tell", deaf))
            enter(mock.patch("clawtop.engine.etcd.records.etcd_records", self._etcd_records))
            for module in (holders, admissions, records):
                enter(mock.patch.object(module, "record_key", self._record_key))
            for module in (wake, atomic, execute, mark_spool):
                enter(mock.patch.object(module, "_serial", itertools.count(1)))
            state = random.getstate()
            stack.callback(random.setstate, state)
            random.seed(f"engine {self.seed}")
            yield


def _member_key(holder: HeldPrompt) -> bytes:
    return b"sim/members/" + holder._holding.who.member.encode()


def _plant(world: World) -> None:
    """Fields that only a later version knows: they must stay."""
    document = _state(world.agent_dir())
    for number, row in enumerate(document["usageStats"].values()):
        row[PLANTED] = {"number": number, "text": "\ud800 lone"}
    document["xTop"] = [1, 2.5, 1e21]
    _save(world.agent_dir(), document)


def _state(directory: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((directory / "auth-state.json").read_bytes())
    return document


def _save(directory: Path, document: dict[str, Any]) -> None:
    new = directory / "auth-state.json.openclaw.tmp"
    new.touch(mode=0o600)
    new.write_text(json.dumps(document, indent=2))
    new.rename(directory / "auth-state.json")


DOES: dict[str, Callable[[History, random.Random], None]] = {
    "drive": History.drive,
    "crowd": History.crowd,
    "mood": History.mood,
    "well again": History.well_again,
    "kill": History.kill_one,
    "kill at a call": History.kill_at_a_call,
    "start": History.start,
    "freeze": History.freeze,
    "clock": History.set_clock,
    "disk full": History.fill_disk,
    "slow disk": History.slow_disk,
    "host stalls": History.stall,
    "partition": History.partition,
    "theft": History.thieve,
    "busy records": History.busy_records,
    "deaf": History.deafen,
    "lease ends": History.lease_ends,
    "etcd away": History.etcd_away,
    "etcd read-only": History.etcd_read_only,
    "openclaw writes": History.openclaw_writes,
    "openclaw marks": History.openclaw_marks,
    "openclaw overwrites": History.openclaw_overwrites,
    "openclaw hangs in the store": History.openclaw_hangs,
    "operator clears": History.operator_clears,
    "operator rotates": History.operator_rotates,
    "operator undoes": History.operator_undoes,
    "key: rotate": History.key_rotate,
    "key: cancel": History.key_cancel,
    "drain": History.drain,
    "recover": History.recover,
}


def play(seed: int, acts: tuple[Act, ...] | None = None, *, traced: bool = False, etcd: bool | None = None) -> Outcome:
    """One history; what a broken promise looked like, if one was. `etcd`: as of `History`."""
    root = Path(tempfile.mkdtemp(prefix="clawtop-sim-", dir=_quick_disk()))
    history = History(seed, drawn(seed) if acts is None else acts, root, traced=traced, etcd=etcd)
    outcome = Outcome(seed)
    try:
        with history.seams():
            try:
                history.loop.run_until_complete(history.play())
            except BrokenError as error:
                outcome.broken, outcome.rule = str(error), error.rule
            except Exception as error:  # noqa: BLE001 - whatever escapes the engine is a finding
                outcome.broken, outcome.rule = f"(0) {type(error).__name__}: {error}", 0
            for process in history.host.processes:
                if process.alive:
                    history.kill(process)
            _forget(history.loop)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    outcome.steps, outcome.calls = history.loop.steps, history.calls.count
    outcome.counts = history.counts + history.provider.counts + history.calls.counts + history.cluster.counts
    outcome.counts["fault: a frozen process had work"] += history.loop.kept_frozen
    outcome.counts["fault: the network was down"] += history.provider.counts[f"provider: {PARTITION}"]
    outcome.lease_steps = max(history.lease_steps.values(), default=0)
    outcome.trace = tuple(history.trace)
    return outcome


def _forget(loop: SimLoop) -> None:
    """Unwind what dead processes left: their system calls do nothing any more, and nobody listens."""
    hook, sys.unraisablehook = sys.unraisablehook, lambda _unraisable: None
    try:
        loop.forget()
    finally:
        sys.unraisablehook = hook


def _quick_disk() -> str | None:
    shared = Path("/dev/shm")
    return str(shared) if os.access(shared, os.W_OK) else None


def shrunk(seed: int) -> tuple[tuple[Act, ...], Outcome]:
    """The smallest part of a broken seed's acts that still breaks the same promise, and what it does."""
    acts, outcome = drawn(seed), play(seed)
    rule, size = outcome.rule, max(1, len(acts) // 2)
    while size >= 1:
        at = 0
        while at < len(acts):
            fewer = acts[:at] + acts[at + size :]
            tried = play(seed, fewer)
            if tried.rule == rule:
                acts, outcome = fewer, tried
            else:
                at += size
        size //= 2
    return acts, play(seed, acts, traced=True)
