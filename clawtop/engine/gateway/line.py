"""The connection that stays open between two rounds of questions to a gateway: opening one costs more than all
questions.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from clawtop.clock import Clock
from clawtop.engine.gateway.client import GatewayConnection, open_connection
from clawtop.engine.gateway.door import Door, Pass
from clawtop.engine.gateway.wire import READ

MOST_PUSHED = 200
"""Frames that a gateway may send unasked between two rounds. Dropping more of them costs more than a new connection, so
the line is then closed.
"""


class KeptLine:
    """At most one connection, with read scope, to one listener.

    Between two uses a task drops what the gateway sends and sees at once when it closes. A use that fails closes the
    line, and so does a permission for another process, port, directory or token. Mutable state: the three fields below,
    touched only on the event loop.
    """

    def __init__(self, door: Door, clock: Clock) -> None:
        self._door = door
        self._clock = clock
        self._leave: Pass | None = None
        self._link: GatewayConnection | None = None
        self._resting: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def to(self, leave: Pass) -> AsyncIterator[GatewayConnection]:
        """The open connection to the listener of `leave`; a new one where there is none. Raises GatewayCallError."""
        await self._wake()
        link = self._link
        if link is None or not link.is_open or leave != self._leave:
            await self.close()
            link = await open_connection(self._door, leave, (READ,), clock=self._clock)
            self._link, self._leave = link, leave
        try:
            yield link
        except BaseException:
            await self.close()
            raise
        self._resting = asyncio.create_task(_rest(link))

    async def close(self) -> None:
        """Close the connection, if there is one."""
        await self._wake()
        link, self._link, self._leave = self._link, None, None
        if link is not None:
            await link.close()

    async def _wake(self) -> None:
        task, self._resting = self._resting, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})


async def _rest(link: GatewayConnection) -> None:
    await link.pass_over(MOST_PUSHED)
    await link.close()
