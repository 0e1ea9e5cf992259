"""A held prompt: what a run holds while it talks to its provider."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from clawtop.clock import Clock
from clawtop.core.session.admission import Claimant, Describe, Holding, Leave
from clawtop.engine.prompt.records import busy_pause
from clawtop.errors import SessionTakeoverError
from clawtop.text import safe


class Registry(Protocol):
    """What a holder needs of the registry that handed it out."""

    def describe(self, path: str, request: Describe) -> bool:
        """Write phase and profile; False while the record is busy."""

    async def describe_later(self, path: str, request: Describe) -> bool:
        """The same where it takes a while."""

    async def assert_held(self, path: str, token: str) -> None:
        """Raises SessionTakeoverError unless the session is certainly still held."""

    def in_background(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        """Run work that outlives the caller."""

    async def leave(self, path: str, request: Leave, who: Claimant) -> None:
        """Release."""


class HeldPrompt:
    """A session's prompt, held. Leaving the context releases it, whatever happened inside.

    Attributes:
        session_file: the file to prompt, in its real directory; a fresh one after a fork.
        record: the canonical path under which the registry knows the session, symlinks of the file resolved.
        forked_from: the contended session's file, when this is a fork.
        waited_ms: how long the acquisition took.
        stop_asked: a drain asked the run to stop.
        lost: the session may no longer be held; nothing more may be written.
        written: id of the last line that the run appended; "" before.
        confirmed: the session was certainly still held after that line.
    """

    def __init__(
        self,
        registry: Registry,
        holding: Holding,
        session_file: Path,
        clock: Clock,
        *,
        record: str,
        stop: Callable[[], object],
        waited_ms: int,
    ) -> None:
        self._registry = registry
        self._holding = holding
        self._clock = clock
        self.session_file = session_file
        self.record = record
        self.forked_from: Path | None = None
        self.waited_ms = waited_ms
        self.released = False
        self.stop_asked = False
        self.lost = False
        self.written = ""
        self.confirmed = False
        self._stop = stop
        self._said = Describe(holding.who.token, holding.phase)
        self._speaking = False

    @property
    def token(self) -> str:
        return self._holding.who.token

    @property
    def run_id(self) -> str:
        return self._holding.who.run_id

    def set_phase(self, phase: str) -> None:
        """Publish the run's phase; others see it within milliseconds. Never waits, never fails."""
        self._say(Describe(self.token, phase))

    def _say(self, request: Describe) -> None:
        self._said = request
        if not (self.released or self._speaking):
            self._speaking = not self._registry.describe(self.record, request)
            if self._speaking:
                self._registry.in_background(self._say_later())

    async def _say_later(self) -> None:
        """Write the latest phase as soon as the record is free."""
        tries = 0
        while not self.released:
            said = self._said
            if not await self._registry.describe_later(self.record, said):
                await busy_pause(self._clock, tries)
                tries += 1
            elif said is self._said:
                break
        self._speaking = False

    async def assert_held(self) -> None:
        """Raises SessionTakeoverError unless the session is certainly still held: nothing may be written then."""
        await self._registry.assert_held(self.record, self.token)

    async def release(self, how: str = "completed") -> None:
        """Give the prompt back; `how`: completed, error, cancelled or takeover. Does nothing the second time.

        The next waiter is woken. Cancelling this call does not stop the release.
        """
        if not self.released:
            self.released = True
            await self._registry.leave(self.record, Leave(self.token, how), self._holding.who)

    def ask_to_stop(self) -> None:
        """A drain wants the session: stop the run, once."""
        if not (self.stop_asked or self.released):
            self.stop_asked = True
            self._stop()

    def lose(self) -> None:
        """The session may no longer be held: stop the run, once."""
        self.lost = True
        self.ask_to_stop()

    async def confirm(self, written: str) -> None:
        """One system call lies between the check before an append and its end: was the session held throughout?

        Raises SessionTakeoverError, which names the line.
        """
        self.written, self.confirmed = written, False
        try:
            await self.assert_held()
        except SessionTakeoverError as error:
            raise self._unconfirmed(error.title) from error
        self.confirmed = True

    def _takeover(self) -> SessionTakeoverError:
        """The error that ends a run which lost its session."""
        title = f"the registry no longer confirms run {self.run_id}: its lease expired"
        if not self.written:
            unchanged = "none of the reply was written"
            return SessionTakeoverError(title, hint="the turn is not acknowledged; retry it", unchanged=unchanged)
        if not self.confirmed:
            return self._unconfirmed(title)
        return SessionTakeoverError(
            f"{title}; {self._line} was written before that",
            hint="the reply is in the transcript: there is no need to retry the turn",
        )

    def _unconfirmed(self, title: str) -> SessionTakeoverError:
        return SessionTakeoverError(
            f"{title}; {self._line} was written, perhaps without holding the session",
            hint="the turn is not acknowledged: check the transcript before you retry",
        )

    @property
    def _line(self) -> str:
        return f"line {self.written} of {safe(self.session_file)}"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.release(how_of(error))
        task = asyncio.current_task()
        if self.lost and isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() <= 1:
            task.uncancel()
            raise self._takeover() from error


def how_of(error: BaseException | None) -> str:
    """How a run ended, from its error: completed, error, cancelled or takeover."""
    if error is None:
        return "completed"
    if isinstance(error, asyncio.CancelledError):
        return "cancelled"
    return "takeover" if isinstance(error, SessionTakeoverError) else "error"


def cancels_current_task() -> Callable[[], object]:
    """How a run is stopped: the task that is current now is cancelled."""
    task = asyncio.current_task()
    return (lambda: None) if task is None else task.cancel
