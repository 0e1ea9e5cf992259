"""How long each part of a call to a provider may take, and the errors of those that take longer.

The clock of content runs from one piece of content to the next: bytes without content - comments, pings, empty deltas -
do not reset it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from types import TracebackType
from typing import Any

from clawtop.clock import Clock, Deadline
from clawtop.engine.providers.base import Timeouts
from clawtop.engine.providers.errors import ErrorKind, ProviderError, error_object, from_event
from clawtop.engine.providers.lateness import LoopLateness

CLOSING_SECONDS = 0.5
"""How long to wait for the rest of a finished reply: its usage, the end marker."""


class CallLimits:
    """The clocks of one call: which phase it is in and until when."""

    def __init__(self, provider: str, timeouts: Timeouts, clock: Clock, lateness: LoopLateness) -> None:
        self._lateness = lateness
        self._connect_end: float | None = None
        self._provider = provider
        self._timeouts = timeouts
        self._clock = clock
        self._began = clock.monotonic()
        self._end = self._at(timeouts.total)
        self._content_end: float | None = None
        self._phase = "connect"
        self.waiting: Deadline | None = None
        self._turn: asyncio.Semaphore | None = None

    @property
    def late(self) -> float:
        return self._timeouts.late

    def elapsed(self) -> float:
        """Seconds since the call began."""
        return self._clock.monotonic() - self._began

    async def on_trace(self, name: str, _info: Mapping[str, Any]) -> None:
        """httpcore says that the connection is established and the request is being sent."""
        if name.endswith("send_request_headers.started") and self._phase == "connect":
            self._phase = "first-byte"
            self._content_end = self._at(self._timeouts.first_byte)
            if self.waiting is not None:
                self.waiting.reschedule(self._sooner(self._content_end))
            self._give_turn_back()

    @asynccontextmanager
    async def until_answer(self, turn: asyncio.Semaphore) -> AsyncIterator[None]:
        """Until the answer's headers arrive; the connection's time limit runs from when it is its turn."""
        if turn.locked():
            async with self._until(None):
                await turn.acquire()
        else:
            await turn.acquire()
        self._turn = turn
        self._connect_end = self._at(self._timeouts.connect)
        try:
            with self._lateness.told_to(self._excuse):
                async with self._until(self._connect_end):
                    yield
        finally:
            self._give_turn_back()

    def _excuse(self, seconds: float) -> None:
        """The loop was blocked for this long: a connection made in that time could not be noticed."""
        if self._phase == "connect" and self._connect_end is not None and self.waiting is not None:
            self._connect_end += seconds
            with suppress(RuntimeError):  # it expired only because of the delay
                self.waiting.reschedule(self._sooner(self._connect_end))

    def _give_turn_back(self) -> None:
        turn, self._turn = self._turn, None
        if turn is not None:
            turn.release()

    def until_bytes(self, *, closing: bool = False) -> _BoundedWait:
        """Until the next bytes of the answer arrive; only briefly if it is complete already."""
        return self._until(self._at(CLOSING_SECONDS) if closing else self._content_end)

    def _until(self, deadline: float | None) -> _BoundedWait:
        return _BoundedWait(self, self._clock.timeout_at(self._sooner(deadline)))

    def stands(self) -> None:
        """The answer began, possibly over an existing connection."""
        if self._phase == "connect":
            self._phase = "first-byte"
            self._content_end = self._at(self._timeouts.first_byte)

    def got_content(self) -> None:
        """Called when the reply continues."""
        self._phase = "idle"
        self._content_end = self._at(self._timeouts.idle)

    def seen_late(self, error: ProviderError, now_ms: int) -> ProviderError:
        """An error event again, with the time that it took and the provider's own time."""
        body = error_object(error.body) or {"message": error.message, "code": error.code, "status": error.status}
        return from_event(self._provider, body, now_ms=now_ms, elapsed_s=self.elapsed(), late_s=self._timeouts.late)

    def expired(self) -> ProviderError:
        """The error of a wait that timed out."""
        total_passed = self._end is not None and self._clock.monotonic() >= self._end
        phase = "total" if total_passed else self._phase
        seconds = {
            "connect": self._timeouts.connect,
            "first-byte": self._timeouts.first_byte,
            "idle": self._timeouts.idle,
            "total": self._timeouts.total,
        }[phase]
        return ProviderError(
            ErrorKind.TIMEOUT,
            f"{phase} timeout after {_seconds_words(seconds)} s",
            provider=self._provider,
            code="ETIMEDOUT",
            phase=phase,
        )

    def _at(self, seconds: float | None) -> float | None:
        return None if seconds is None else self._clock.monotonic() + seconds

    def _sooner(self, deadline: float | None) -> float | None:
        ends = [end for end in (deadline, self._end) if end is not None]
        return min(ends) if ends else None


def _seconds_words(seconds: float | None) -> str:
    """A limit for people: what is left of a turn gets no more digits than a configured limit."""
    if seconds is None:
        return "?"
    return f"{round(seconds, 2) if seconds > 1 else seconds:g}"


class _BoundedWait:
    """One wait of a call, within its limit. (Not by `asynccontextmanager`: there is one for each piece of a reply.)"""

    __slots__ = ("_deadline", "_limits")

    def __init__(self, limits: CallLimits, deadline: Deadline) -> None:
        self._limits = limits
        self._deadline = deadline

    async def __aenter__(self) -> None:
        self._limits.waiting = self._deadline
        await self._deadline.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._limits.waiting = None
        try:
            await self._deadline.__aexit__(kind, error, trace)
        except TimeoutError:
            raise self._limits.expired() from None
        if isinstance(error, TimeoutError):
            raise self._limits.expired() from None
