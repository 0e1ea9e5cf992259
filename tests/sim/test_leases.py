"""The registry of several hosts where leases end at every step: no acknowledged turns overlap, none ends in silence.

The records, the registry and the admission are the engine's own; etcd is a cluster in memory on a clock that the test
moves. A turn asks for its session, checks, appends, checks, calls, checks, appends and checks, as a run does; a step is
each thing that it asks etcd, and each append. At one step the lease ends, as on a host that was cut off or stood still:
before it or behind it, with or without the others going on meanwhile.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from clawtop.core.session.admission import OnContention
from clawtop.engine.etcd.records import EtcdRecords
from clawtop.engine.prompt.registry import PromptRegistry
from clawtop.errors import CoordinationError, RefusedError, SessionTakeoverError, SessionWriteLockTimeoutError
from tests.sim.cluster import LEASE_S, Client, Cluster, Step
from tests.support.clocks import ManualClock

pytestmark = [pytest.mark.anyio, pytest.mark.sim]

TICK_S = 0.1
CALL_S = 1.0
LOCK_S = 10.0


ENDS = {
    "answered",
    "SessionTakeoverError",
    "SessionContendedError",
    "SessionWriteLockTimeoutError",
    "RefusedError",
}


@dataclass
class Turn:
    """What became of one turn. `called`: when its provider call began and ended."""

    name: str
    outcome: str = ""
    called: list[float] = field(default_factory=list)


@dataclass
class Scene:
    """Engines on one cluster and one transcript."""

    root: Path
    clock: ManualClock = field(default_factory=ManualClock)
    transcript: list[str] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    locked_by: str | None = None
    engines: AsyncExitStack = field(default_factory=AsyncExitStack)

    def __post_init__(self) -> None:
        self.cluster = Cluster(self.clock.monotonic)
        self.session = self.root / "s.jsonl"

    async def engine(self, name: str, step: Step) -> PromptRegistry:
        records = EtcdRecords(
            Client(self.cluster, step),  # type: ignore[arg-type]
            "sim",
            self.clock,
            name_of=lambda path: path,
            host=name,
            lease_s=LEASE_S,
        )
        return await self.engines.enter_async_context(
            PromptRegistry(self.root / name, clock=self.clock, records=records, max_wait_s=60.0)
        )

    def begin(self, registry: PromptRegistry, name: str, step: Step) -> Turn:
        turn = Turn(name)
        self.turns.append(turn)
        self.tasks.append(asyncio.create_task(self._until_the_end(registry, turn, step), name=name))
        return turn

    async def _until_the_end(self, registry: PromptRegistry, turn: Turn, step: Step) -> None:
        try:
            await self._turn(registry, turn, step)
        except (CoordinationError, RefusedError) as error:
            turn.outcome = type(error).__name__
        except asyncio.CancelledError:
            turn.outcome = "cancelled"
        else:
            turn.outcome = "answered"

    async def _turn(self, registry: PromptRegistry, turn: Turn, step: Step) -> None:
        nothing = lambda: None  # noqa: E731
        holder = await registry.acquire(self.session, lane="main", run_id=turn.name, on_contention=OnContention.WAIT)
        async with holder:
            fence = -1
            for part in ("q", "a"):
                async with self._session_lock(turn.name):
                    if fence not in {-1, len(self.transcript)}:
                        raise SessionTakeoverError("the transcript changed while its lock was released")
                    await holder.assert_held()
                    await step("append", nothing)
                    self.transcript.append(f"{turn.name}-{part}")
                    await step("appended", nothing)
                    await holder.assert_held()
                    fence = len(self.transcript)
                if part == "q":
                    turn.called.append(self.clock.monotonic())
                    await self.clock.sleep(CALL_S)
                    turn.called.append(self.clock.monotonic())

    @asynccontextmanager
    async def _session_lock(self, name: str) -> AsyncIterator[None]:
        """The lock file beside the transcript, which no other host breaks."""
        until = self.clock.monotonic() + LOCK_S
        while self.locked_by is not None:
            if self.clock.monotonic() > until:
                raise SessionWriteLockTimeoutError(f"the lock stayed with {self.locked_by}")
            await self.clock.sleep(TICK_S / 2)
        self.locked_by = name
        try:
            yield
        finally:
            self.locked_by = None

    async def play(self, seconds: float = 120.0) -> None:
        """Let time go on until every turn has ended, within `seconds`."""
        until = self.clock.monotonic() + seconds
        while not all(task.done() for task in self.tasks):
            assert self.clock.monotonic() < until, f"no end: {[t.name for t in self.turns if not t.outcome]}"
            await self.clock.advance(TICK_S)

    async def close(self) -> None:
        self.cluster.down = self.cluster.read_only = False
        closing = asyncio.create_task(self.engines.aclose())
        while not closing.done():
            await self.clock.advance(TICK_S)
        await closing

    def check(self) -> None:
        for turn in self.turns:
            assert turn.outcome in ENDS, turn
        answered = {turn.name: turn for turn in self.turns if turn.outcome == "answered"}
        spans = sorted((turn.called[0], turn.called[1], name) for name, turn in answered.items())
        for before, after in itertools.pairwise(spans):
            assert before[1] <= after[0], f"{before[2]} and {after[2]} overlap"
        for name in answered:
            at = self.transcript.index(f"{name}-q")
            assert self.transcript[at : at + 2] == [f"{name}-q", f"{name}-a"], self.transcript
        assert len(set(self.transcript)) == len(self.transcript)


async def _quiet(_name: str, _expire: Callable[[], object]) -> None:
    """Nothing happens at this step."""


class Striking:
    """Ends the lease of the engine that it watches at one step; then the others go on for `pause` seconds."""

    def __init__(self, scene: Scene, number: int, pause: float) -> None:
        self._scene, self._number, self._pause = scene, number, pause
        self.names: list[str] = []
        self.expire: Callable[[], object] = lambda: None

    async def __call__(self, name: str, expire: Callable[[], object]) -> None:
        if name not in {"append", "appended"}:
            self.expire = expire
        self.names.append(name)
        if len(self.names) - 1 == self._number:
            self.expire()
            if self._pause:
                await self._scene.clock.sleep(self._pause)


async def _history(root: Path, number: int, pause: float) -> tuple[Scene, Striking]:
    scene = Scene(root)
    strike = Striking(scene, number, pause)
    first, second = await scene.engine("a", strike), await scene.engine("b", _quiet)
    scene.begin(first, "a1", strike)
    await scene.clock.advance(0)
    scene.begin(second, "b1", _quiet)
    scene.begin(first, "a2", strike)
    await scene.play()
    scene.begin(second, "late", _quiet)
    await scene.play()
    await scene.close()
    scene.check()
    assert scene.turns[-1].outcome == "answered", "the session is not free in the end"
    return scene, strike


@pytest.mark.parametrize("pause", [0.0, 0.5, 3 * LEASE_S], ids=["at once", "others go on", "stood still"])
async def test_a_lease_that_ends_at_any_step_overlaps_nothing(tmp_path: Path, pause: float) -> None:
    outcomes = Counter[str]()
    steps = Counter[str]()
    for number in itertools.count():
        scene, strike = await _history(tmp_path, number, pause)
        outcomes.update(turn.outcome for turn in scene.turns)
        if number >= len(strike.names):
            break
        steps[strike.names[number]] += 1
    assert {"grant", "read", "commit", "committed", "append", "appended"} <= set(steps), steps
    assert steps["append"] >= 2
    assert outcomes["SessionTakeoverError"] >= 4, "a lease that ended was not noticed"
    assert outcomes["answered"] > outcomes.total() // 2


@pytest.mark.parametrize("place", ["append", "appended"])
async def test_a_line_written_without_a_lease_is_never_acknowledged(tmp_path: Path, place: str) -> None:
    for which in range(2):
        scene, strike = await _history(tmp_path, -1, 0.0)
        at = [number for number, name in enumerate(strike.names) if name == place][which]
        scene, strike = await _history(tmp_path, at, 0.0)
        assert scene.turns[0].outcome == "SessionTakeoverError"
        assert f"a1-{'qa'[which]}" in scene.transcript, "the window of one append is there, and it is found behind it"
        assert scene.turns[1].outcome == "answered"


class Chance:
    """Now and then a lease ends, a host stands still, etcd is away, read-only, or starts again."""

    def __init__(self, scene: Scene, chance: random.Random) -> None:
        self._scene, self._chance = scene, chance
        self.counts: Counter[str] = Counter()

    async def __call__(self, name: str, expire: Callable[[], object]) -> None:
        scene, drawn = self._scene, self._chance.random()
        if drawn < 0.02:
            self.counts["lease ended"] += 1
            expire()
        if drawn < 0.05:
            self.counts["stood still"] += 1
            await scene.clock.sleep(self._chance.choice((0.3, 2.0, LEASE_S, 3 * LEASE_S)))
        elif drawn < 0.06:
            self.counts["etcd away"] += 1
            scene.cluster.down = True
            scene.clock.call_later(self._chance.choice((0.5, 3.0, 2 * LEASE_S)), self._back)
        elif drawn < 0.065:
            self.counts["etcd read-only"] += 1
            scene.cluster.read_only = True
            scene.clock.call_later(self._chance.choice((0.5, 4.0)), self._back)

    def _back(self) -> None:
        self._scene.cluster.down = self._scene.cluster.read_only = False


async def _random_history(root: Path, seed: int) -> tuple[Scene, Counter[str]]:
    chance = random.Random(seed)
    scene = Scene(root)
    steps = [Chance(scene, chance) for _ in range(3)]
    engines = [await scene.engine(name, step) for name, step in zip("abc", steps, strict=True)]
    for number in range(8):
        which = chance.randrange(3)
        scene.begin(engines[which], f"t{number}", steps[which])
        await scene.clock.advance(chance.choice((0.0, 0.05, 0.7, 2.5)))
    await scene.play(600.0)
    await scene.close()
    scene.check()
    return scene, sum((step.counts for step in steps), Counter[str]())


async def test_random_histories_of_three_hosts(tmp_path: Path) -> None:
    outcomes, faults = Counter[str](), Counter[str]()
    for seed in range(60):
        try:
            scene, counts = await _random_history(tmp_path, seed)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
        outcomes.update(turn.outcome for turn in scene.turns)
        faults += counts
    assert outcomes["answered"]
    assert outcomes["SessionTakeoverError"]
    assert outcomes["RefusedError"]
    assert set(faults) == {"lease ended", "stood still", "etcd away", "etcd read-only"}


async def test_a_check_that_is_left_out_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def unchecked(_records: EtcdRecords, _path: str, _token: str) -> None:
        """Believe in the lease."""

    monkeypatch.setattr(EtcdRecords, "assert_held", unchecked)
    _scene, strike = await _history(tmp_path, -1, 0.0)
    last = max(
        number for number, name in enumerate(strike.names) if name == "append" and number < len(strike.names) // 2
    )
    scene, _strike = await _history(tmp_path, last, 0.0)
    assert scene.turns[0].outcome == "answered", "nothing but the check notices it"


async def test_who_asks_with_a_lease_that_is_over_is_told_so(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    lease = Striking(scene, -1, 0.0)
    registry = await scene.engine("a", lease)
    async with await registry.acquire(tmp_path / "s.jsonl", lane="main", run_id="one"):
        """It has entered."""
    lease.expire()
    with pytest.raises(RefusedError, match="lease in etcd"):
        await registry.acquire(tmp_path / "s.jsonl", lane="main", run_id="two", deadline=scene.clock.monotonic())
    async with await registry.acquire(tmp_path / "s.jsonl", lane="main", run_id="three"):
        """The next one enters anew."""
    await scene.close()
