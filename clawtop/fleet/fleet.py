"""All hosts of a fleet, each supervised separately; subscribers get the latest state a few times a second."""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from clawtop.clock import Clock
from clawtop.core.fleet.hosts import Host, HostLink
from clawtop.errors import UsageError
from clawtop.fleet.executor import RemoteExecutor
from clawtop.fleet.near import NearHost, RemoteSource, SkewedClock
from clawtop.fleet.places import AT_ONCE, GreetingPlaces
from clawtop.fleet.remote import RemoteOperations
from clawtop.fleet.steering import Steers
from clawtop.fleet.transport import Connect, HostSpec
from clawtop.text import safe
from clawtop.values import dataclass

if TYPE_CHECKING:
    from clawtop.fleet.draining import RemoteDrains, RemoteRecoveries
    from clawtop.fleet.driving import RemoteEngine

MIN_INTERVAL_S = 0.25


@dataclass(frozen=True, slots=True)
class OpenedHost:
    """An opened host: its snapshots, its clock, and what executes plans, drains and drives there."""

    source: RemoteSource
    clock: SkewedClock
    execute: RemoteExecutor
    drains: RemoteDrains
    recoveries: RemoteRecoveries
    engine: RemoteEngine


class Fleet:
    """The hosts. `run` keeps them connected and delivers them, in the operator's order, until cancelled."""

    def __init__(
        self,
        specs: Sequence[HostSpec],
        connect: Connect,
        clock: Clock,
        *,
        who: str = "",
        at_once: int = AT_ONCE,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`who`: user and machine, for the journals of the hosts.

        Raises UsageError when a host is named twice: one name is one row, one connection and one receipt."""
        names = [spec.name for spec in specs]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise UsageError(f"named twice: {', '.join(safe(name, 60) for name in twice[:5])}")
        salt = secrets.token_hex(16)
        self._connect, self._who = connect, who
        self._clock = clock
        self._changed = asyncio.Event()
        self._at_once = at_once
        self.near = {
            spec.name: NearHost(spec, connect, clock, salt=salt, on_change=self._changed.set, chance=chance)
            for spec in specs
        }

    @property
    def hosts(self) -> tuple[Host, ...]:
        """The current state of every host."""
        return tuple(near.host for near in self.near.values())

    async def run(self, deliver: Callable[[tuple[Host, ...]], None]) -> None:
        """Supervise and deliver until cancelled."""
        places = GreetingPlaces(self._clock, self._at_once)
        async with asyncio.TaskGroup() as tasks:
            for near in self.near.values():
                tasks.create_task(near.run(places), name=f"host {near.spec.name}")
            while True:
                self._changed.clear()
                deliver(self.hosts)
                await self._clock.sleep(MIN_INTERVAL_S)
                await self._changed.wait()  # after a quiet period the first change is delivered at once

    def retry_now(self) -> None:
        """Retry unreachable hosts at once."""
        for near in self.near.values():
            if near.host.link is HostLink.UNREACHABLE:
                near.retry_now()

    def open(self, name: str) -> OpenedHost:
        """What the dashboard of a host is connected to; needs a running event loop."""
        from clawtop.fleet.draining import RemoteDrains, RemoteRecoveries  # not needed for watching only
        from clawtop.fleet.driving import RemoteEngine

        near = self.near[name]
        operations = RemoteOperations(near.spec, self._connect, self._clock, who=self._who)
        steers = Steers(near.spec, self._connect, self._clock, operations)
        return OpenedHost(
            RemoteSource(near),
            SkewedClock(self._clock, near),
            RemoteExecutor(operations, name),
            RemoteDrains(steers),
            RemoteRecoveries(steers, lambda: near.latest),
            RemoteEngine(steers),
        )

    async def settled(self, deadline_s: float) -> tuple[Host, ...]:
        """Run until every host has sent its summary or failed, for `deadline_s` seconds at most; then stop."""
        done = asyncio.Event()

        def look(hosts: tuple[Host, ...]) -> None:
            if all(host.summary is not None or host.link is HostLink.UNREACHABLE for host in hosts):
                done.set()

        running = asyncio.create_task(self.run(look))
        waiting = [asyncio.create_task(done.wait()), asyncio.create_task(self._clock.sleep(deadline_s)), running]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            return self.hosts
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
