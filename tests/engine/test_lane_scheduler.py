"""Lanes in one process: order, limits, refusals, cancellation and what is counted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from clawtop.clock import Clock, SystemClock
from clawtop.core.model import Event, EventKind
from clawtop.engine.prompt.lane_scheduler import LaneScheduler, LaneUnavailableError

pytestmark = pytest.mark.anyio


class Floor:
    """Turns that log their start and end when their gate opens."""

    def __init__(self, scheduler: LaneScheduler) -> None:
        self.scheduler = scheduler
        self.log: list[str] = []
        self.gates: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def start(
        self,
        name: str,
        session: str = "session:s",
        lane: str = "main",
        deadline: float | None = None,
    ) -> None:
        self.gates[name] = asyncio.Event()
        turn = self._turn(name, session, lane, deadline)
        self.tasks[name] = asyncio.create_task(turn)
        await settle()

    async def _turn(self, name: str, session: str, lane: str, deadline: float | None) -> None:
        try:
            async with self.scheduler.slot(session, lane, deadline=deadline):
                self.log.append(f"start:{name}")
                await self.gates[name].wait()
                self.log.append(f"end:{name}")
        except LaneUnavailableError as error:
            self.log.append(f"refused:{name}:{error.title}")

    async def end(self, name: str) -> None:
        self.gates[name].set()
        await self.tasks[name]
        await settle()


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.fixture
def floor() -> Floor:
    return Floor(LaneScheduler(clock=SystemClock(), limits={"main": 2}))


async def test_a_session_is_served_in_the_order_of_arrival(floor: Floor) -> None:
    for name in ("a", "b", "c"):
        await floor.start(name)
    for name in ("a", "b", "c"):
        await floor.end(name)
    assert [entry for entry in floor.log if entry.startswith("start")] == ["start:a", "start:b", "start:c"]


async def test_a_turn_that_waits_for_its_session_takes_no_global_place(floor: Floor) -> None:
    await floor.start("a", "session:1")
    await floor.start("a2", "session:1")
    await floor.start("b", "session:2")
    assert floor.log == ["start:a", "start:b"]
    await floor.start("c", "session:3")
    assert floor.log == ["start:a", "start:b"], "the global lane has two places"
    await floor.end("b")
    assert floor.log[-1] == "start:c"
    for name in ("a", "c", "a2"):
        await floor.end(name)


async def test_one_lane_named_twice_is_one_place(floor: Floor) -> None:
    await floor.start("a", "session:x", "session:x")
    assert floor.log == ["start:a"]
    await floor.end("a")


async def test_a_deadline_ends_the_wait_and_frees_the_queue(floor: Floor) -> None:
    await floor.start("a")
    await floor.start("late", deadline=SystemClock().monotonic() + 0.02)
    await floor.tasks["late"]
    assert floor.log[-1].startswith("refused:late:no place in lane session:s")
    assert floor.scheduler.state("session:s").queue == ()
    await floor.end("a")


@pytest.mark.parametrize("running", [True, False])
async def test_cancelling_a_turn_lets_the_next_in(floor: Floor, running: bool) -> None:
    await floor.start("a")
    await floor.start("b")
    await floor.start("c")
    victim = "a" if running else "b"
    floor.tasks[victim].cancel()
    await asyncio.wait({floor.tasks[victim]})
    await settle()
    for name in ("b", "c") if running else ("a", "c"):
        await floor.end(name)
    assert [entry for entry in floor.log if entry.startswith("end")] == (
        ["end:b", "end:c"] if running else ["end:a", "end:c"]
    )
    assert floor.scheduler.state("session:s").active == ()
    assert floor.scheduler.state("main").active == ()


async def test_cancelling_in_the_instant_of_the_grant_keeps_no_place(floor: Floor) -> None:
    await floor.start("a")
    await floor.start("b")
    floor.gates["a"].set()
    while floor.scheduler.state("session:s").queue:
        await asyncio.sleep(0)
    floor.tasks["b"].cancel()
    await asyncio.wait(set(floor.tasks.values()))
    assert floor.scheduler.state("session:s").active == ()


async def test_clearing_refuses_what_waits_and_draining_what_comes(floor: Floor) -> None:
    await floor.start("a")
    await floor.start("b")
    assert floor.scheduler.clear("session:s") == 1
    await settle()
    floor.scheduler.drain()
    await floor.start("c", "session:other")
    await floor.end("a")
    assert floor.log == [
        "start:a",
        "refused:b:lane session:s was cleared",
        "refused:c:lane session:other accepts no more turns: it is draining",
        "end:a",
    ]


async def test_a_reset_lets_the_next_in_and_ignores_the_late_end(floor: Floor) -> None:
    await floor.start("a")
    await floor.start("b")
    assert floor.scheduler.reset("session:s") == 1
    await settle()
    assert floor.log == ["start:a", "start:b"]
    await floor.end("a")
    assert [active.task for active in floor.scheduler.state("session:s").active] != []
    await floor.end("b")
    assert floor.scheduler.state("session:s").active == ()


class Steps(Clock):
    """A clock that moves only when a test says so."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def now_ms(self) -> int:
        return round(self.seconds * 1000)

    def monotonic(self) -> float:
        return self.seconds

    def pause(self, seconds: float) -> None:
        self.seconds += seconds

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        await asyncio.sleep(0)


async def test_waits_collisions_and_takeovers_are_counted_by_lane() -> None:
    clock, events = Steps(), list[Event]()
    journal: Callable[[Event], None] = events.append
    floor = Floor(LaneScheduler(clock=clock, limits={"main": 4}, journal=journal))
    session = "session:agent:main:telegram:channel:1"
    await floor.start("a", session)
    await floor.start("b", session)
    clock.pause(3.5)
    await floor.end("a")
    floor.scheduler.note_takeover(session)
    stats = {lane.lane: lane for lane in floor.scheduler.stats()}
    lane = stats[session]
    assert (lane.lane_class, lane.source, lane.active, lane.limit, lane.queued) == ("channel", "clawtop", 1, 1, 0)
    assert (lane.wait_p50_ms, lane.wait_p95_ms, lane.wait_max_ms, lane.waits) == (0, 3500, 3500, (0, 3500))
    assert (lane.collisions, lane.takeovers) == (1, 1)
    assert [(event.kind, event.lane, event.duration_ms) for event in events] == [(EventKind.WAIT, session, 3500)]
    await floor.end("b")
