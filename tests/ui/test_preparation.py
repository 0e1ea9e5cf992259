"""Large snapshots are prepared in a thread, one at a time, the latest last."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest

from clawtop.core.model import Session, Snapshot
from clawtop.ui.preparation import LARGE, Preparation
from clawtop.view.facts import Facts, Memory
from tests.support.clocks import settle
from tests.support.worlds import CALM, NOW

pytestmark = pytest.mark.anyio

SMALL = replace(CALM, number=90)
MANY = tuple(Session("main", f"agent:main:{n}", None, None) for n in range(LARGE + 1))


def large(number: int) -> Snapshot:
    return replace(CALM, number=number, sessions=MANY)


@dataclass
class Screen:
    """Whoever shows what was prepared; preparing lasts until `gate` opens."""

    gate: threading.Event = field(default_factory=threading.Event)
    begun: threading.Event = field(default_factory=threading.Event)
    adopted: list[int] = field(default_factory=list)

    def prepare(self, _facts: Facts) -> None:
        self.begun.set()
        assert self.gate.wait(30)

    def adopt(self, facts: Facts) -> None:
        self.adopted.append(facts.snapshot.number)


def judged(snapshot: Snapshot, memory: Memory) -> Facts:
    return Facts(snapshot, NOW, memory=memory)


@asynccontextmanager
async def preparing(screen: Screen) -> AsyncIterator[Preparation]:
    preparation = Preparation(judge=judged, prepare=screen.prepare, adopt=screen.adopt)
    task = asyncio.create_task(preparation.run())
    try:
        yield preparation
    finally:
        screen.gate.set()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def all_adopted(screen: Screen, count: int) -> None:
    async with asyncio.timeout(30):
        while len(screen.adopted) < count:
            await asyncio.sleep(0.001)


async def test_a_small_snapshot_is_shown_at_once() -> None:
    screen = Screen()
    async with preparing(screen) as preparation:
        preparation.offer(SMALL)
        assert screen.adopted == [90]


async def test_while_a_large_one_is_prepared_nothing_else_is() -> None:
    screen = Screen()
    async with preparing(screen) as preparation:
        preparation.offer(large(1))
        await asyncio.to_thread(screen.begun.wait, 30)
        preparation.offer(SMALL)
        await settle()
        assert screen.adopted == [], "the small one was prepared beside the large one"
        screen.gate.set()
        await all_adopted(screen, 2)
    assert screen.adopted == [1, 90]


async def test_of_those_that_come_meanwhile_the_latest_is_shown() -> None:
    screen = Screen()
    async with preparing(screen) as preparation:
        preparation.offer(large(1))
        await asyncio.to_thread(screen.begun.wait, 30)
        for number in (2, 3, 4):
            preparation.offer(large(number))
        screen.gate.set()
        await all_adopted(screen, 2)
    assert screen.adopted == [1, 4]
