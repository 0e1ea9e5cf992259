"""The timers of a clock that says how it sleeps: a test drives them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from clawtop.clock import Clock, SystemClock, Timer, settled_within
from tests.support.clocks import ManualClock, settle

pytestmark = pytest.mark.anyio


async def outcome_of(clock: Clock, seconds: float | None, *, until: asyncio.Event) -> str:
    try:
        async with clock.timeout(seconds):
            await until.wait()
    except TimeoutError:
        return "late"
    return "in time"


async def test_a_timeout_ends_when_the_clock_says_so_and_not_before() -> None:
    clock, event = ManualClock(), asyncio.Event()
    waiting = asyncio.create_task(outcome_of(clock, 5, until=event))
    await clock.advance(4.9)
    assert not waiting.done()
    await clock.advance(0.2)
    assert await waiting == "late"


async def test_what_comes_in_time_leaves_no_timer_behind() -> None:
    clock, event = ManualClock(), asyncio.Event()
    waiting = asyncio.create_task(outcome_of(clock, 5, until=event))
    await settle()
    event.set()
    assert await waiting == "in time"
    await clock.advance(10)
    assert not waiting.cancelled()


async def test_none_never_ends() -> None:
    clock, event = ManualClock(), asyncio.Event()
    waiting = asyncio.create_task(outcome_of(clock, None, until=event))
    await clock.advance(1e6)
    assert not waiting.done()
    event.set()
    assert await waiting == "in time"


async def test_an_end_moves() -> None:
    clock, event = ManualClock(), asyncio.Event()
    ended: list[float] = []
    began = clock.monotonic()

    async def wait() -> None:
        try:
            async with clock.timeout(5) as _, clock.timeout_at(None) as __:
                await event.wait()
        except TimeoutError:
            ended.append(clock.monotonic() - began)

    deadline = clock.timeout(2)

    async def moved() -> None:
        try:
            async with deadline:
                await event.wait()
        except TimeoutError:
            ended.append(clock.monotonic() - began)

    tasks = {asyncio.create_task(wait()), asyncio.create_task(moved())}
    await clock.advance(1)
    deadline.reschedule(began + 8)
    await clock.advance(20)
    await asyncio.wait(tasks)
    assert ended == [5, 8]


async def test_a_cancelled_wait_is_cancelled_not_late() -> None:
    clock, event = ManualClock(), asyncio.Event()
    waiting = asyncio.create_task(outcome_of(clock, 5, until=event))
    await settle()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_call_to_come_can_be_called_off() -> None:
    clock = ManualClock()
    called: list[str] = []
    clock.call_later(3, lambda: called.append("first"))
    clock.call_later(2, lambda: called.append("never")).cancel()
    await clock.advance(2.9)
    assert called == []
    await clock.advance(1)
    assert called == ["first"]


@pytest.mark.parametrize("clock", [SystemClock(), ManualClock()], ids=["system", "manual"])
async def test_what_is_not_settled_in_time_goes_on(clock: Clock) -> None:
    async def quick() -> None:
        await asyncio.sleep(0)

    event = asyncio.Event()

    async def slow() -> None:
        await event.wait()

    tasks = {asyncio.create_task(quick()), asyncio.create_task(slow())}
    settling = asyncio.create_task(settled_within(clock, 0.01, set(tasks)))
    if isinstance(clock, ManualClock):
        await clock.advance(0.02)
    await settling
    assert sorted(task.done() for task in tasks) == [False, True]
    event.set()
    await asyncio.wait(tasks)


class CalledByHand(ManualClock):
    """A clock whose timers a test calls itself."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Callable[[], object]] = []

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Timer:
        self.calls.append(callback)
        return Uncalled()


class Uncalled:
    def cancel(self) -> None: ...


async def test_an_end_that_moves_in_the_moment_when_it_comes_ends_nothing() -> None:
    clock = CalledByHand()
    deadline, ends = clock.timeout(2), []
    try:
        async with deadline:
            clock.calls[-1]()
            deadline.reschedule(clock.monotonic() + 8)
            await settle()
            ends.append("moved")
            clock.calls[-1]()
            await settle()
    except TimeoutError:
        ends.append("late")
    assert ends == ["moved", "late"]
