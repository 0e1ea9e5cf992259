"""Places among the hosts that are greeted: how many begin, and how long one that does not answer keeps its place."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from clawtop.fleet.places import LONGEST_TURN_S, TURN_S, GreetingPlaces
from tests.support.clocks import ManualClock, settle

pytestmark = pytest.mark.anyio


@contextmanager
def _hosts(places: GreetingPlaces, clock: ManualClock, needs: list[float]) -> Iterator[tuple[list[int], list[int]]]:
    """Hosts that answer so many seconds after they began; (those that began, those that answered)."""
    began, answered = list[int](), list[int]()

    async def greet(number: int) -> None:
        async with places.turn():
            began.append(number)
            await clock.sleep(needs[number])
        answered.append(number)

    tasks = [asyncio.create_task(greet(number)) for number in range(len(needs))]
    try:
        yield began, answered
    finally:
        for task in tasks:
            task.cancel()


async def test_where_hosts_answer_quickly_one_that_hangs_gives_up_its_place_soon() -> None:
    clock = ManualClock()
    with _hosts(GreetingPlaces(clock, 2), clock, [0.1, 900.0, 900.0, 0.1]) as (began, answered):
        await settle()
        assert began == [0, 1]
        await clock.advance(0.1)
        assert began == [0, 1, 2]
        await clock.advance(TURN_S)
        await clock.advance(0.1)
        assert answered == [0, 3]


async def test_where_all_are_slow_no_more_are_begun_than_there_are_places() -> None:
    clock = ManualClock()
    places = GreetingPlaces(clock, 2)
    with _hosts(places, clock, [1.5] * 2 + [2.9] * 2 + [5.0] * 8) as (began, answered):
        for tenths in range(200):
            await clock.advance(0.1)
            assert len(began) - len(answered) <= 2, f"after {tenths / 10} s"
        assert len(answered) > 8
        assert places.turn_s == 10.0


async def test_a_turn_ends_however_slow_the_others_are() -> None:
    clock = ManualClock()
    places = GreetingPlaces(clock, 1)
    with _hosts(places, clock, [1.9 * LONGEST_TURN_S, 900.0, 0.1]) as (began, _answered):
        await clock.advance(2 * LONGEST_TURN_S)
        assert places.turn_s == LONGEST_TURN_S
        await clock.advance(LONGEST_TURN_S)
        assert began == [0, 1, 2]


async def test_a_host_that_fails_gives_its_place_back_and_says_nothing_of_how_quick_hosts_are() -> None:
    clock = ManualClock()
    places = GreetingPlaces(clock, 1)

    async def fails() -> None:
        async with places.turn():
            await clock.advance(1.8)
            raise EOFError

    with pytest.raises(EOFError):
        await fails()
    assert places.turn_s == TURN_S
    async with asyncio.timeout(5), places.turn():
        pass
