"""Questions and actions outside the rounds: sent at once, for callers that need the answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from clawtop.clock import Clock
from clawtop.core.model import Gateway, GatewayWords
from clawtop.core.session.proof import Access
from clawtop.engine.gateway.answers import AbortSaid, abort_said, cancel_said, reload_said
from clawtop.engine.gateway.client import connected
from clawtop.engine.gateway.door import Door
from clawtop.engine.gateway.errors import GatewayCallError
from clawtop.engine.gateway.wire import ADMIN
from clawtop.engine.gateway.words import ask_words

ACTION_SECONDS = 20.0
"""For an action: a gateway under load has taken several seconds for an abort, and 0.2 to 0.4 s for a reload."""


Answer = TypeVar("Answer")


class Caller:
    """Asks the gateways of one state directory."""

    def __init__(self, door: Door, clock: Clock) -> None:
        self._door = door
        self._clock = clock

    def access(self) -> Access:
        """Whether a live gateway of this directory may be queried at all."""
        return self._door.access()

    async def words(self, gateway: Gateway, key: str | None) -> GatewayWords:
        """What it says now about its runs, including that of `key`; if there is no usable answer, the problem."""
        try:
            leave = self._door.knock(gateway)
            return await ask_words(self._door, leave, self._clock, only=key)
        except GatewayCallError as error:
            return GatewayWords(self._clock.now_ms(), problem=error.words)

    async def abort(self, gateway: Gateway, key: str) -> AbortSaid:
        """Tell it to abort a session's run. Raises GatewayCallError."""
        return await self._act(gateway, "sessions.abort", {"key": key}, abort_said)

    async def cancel_task(self, gateway: Gateway, task: str) -> str | None:
        """Tell it to cancel a task; returns why it did not, or None. Raises GatewayCallError."""
        return await self._act(gateway, "tasks.cancel", {"taskId": task}, cancel_said)

    async def reload(self, gateway: Gateway) -> None:
        """Tell it to reload its auth stores. Raises GatewayCallError."""
        await self._act(gateway, "secrets.reload", {}, reload_said)

    async def _act(
        self, gateway: Gateway, method: str, params: Mapping[str, Any], said: Callable[[Any], Answer]
    ) -> Answer:
        leave = self._door.knock(gateway)
        async with connected(self._door, leave, (ADMIN,), clock=self._clock) as link:
            try:
                return said(await link.ask(method, params, seconds=ACTION_SECONDS))
            except GatewayCallError as error:
                error.was_sent = True
                raise
