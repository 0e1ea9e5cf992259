"""What feeds the screen: the hub, plus what queries the gateway and what records."""

from __future__ import annotations

import asyncio

from clawtop.core.model import Snapshot
from clawtop.core.source import Deliver, Failed, SnapshotSource
from clawtop.engine.gateway.watch import GatewayWatch
from clawtop.engine.live.tape import Tape


class Feed:
    """A source with its companions: they live as long as it runs."""

    def __init__(self, source: SnapshotSource, tape: Tape | None = None, watch: GatewayWatch | None = None) -> None:
        self._source = source
        self._tape = tape
        self._watch = watch

    def poke(self) -> None:
        """Read now."""
        self._source.poke()

    async def run(self, deliver: Deliver, failed: Failed) -> None:
        """Deliver each snapshot, and record it if recording is on, until cancelled."""

        def take(snapshot: Snapshot) -> None:
            if self._tape is not None:
                self._tape.take(snapshot)
            deliver(snapshot)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._source.run(take, failed))
            if self._tape is not None:
                tasks.create_task(self._tape.run(failed))
            if self._watch is not None:
                tasks.create_task(self._watch.run(self._source.poke))
