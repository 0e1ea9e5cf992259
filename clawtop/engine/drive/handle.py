"""The handle of one driven turn: watch it, rotate it, cancel it, and get its result."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from clawtop.engine.drive.events import RunItem
from clawtop.engine.drive.turn import DrivenTurn, TurnAnswer


class RunItems:
    """What happens in one run, in order. Each iteration takes what no other has taken, until the run has ended."""

    def __init__(self) -> None:
        self._items: asyncio.Queue[RunItem | None] = asyncio.Queue()

    def put(self, item: RunItem) -> None:
        self._items.put_nowait(item)

    def end(self) -> None:
        self._items.put_nowait(None)

    async def __aiter__(self) -> AsyncIterator[RunItem]:
        while (item := await self._items.get()) is not None:
            yield item
        self._items.put_nowait(None)


class Drive:
    """One driven turn. Iterate over it to watch; `result` is its answer or its error.

    Attributes:
        run_id: names the run in events, holders and the journal.
    """

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self.turn: DrivenTurn | None = None
        self._items = RunItems()
        self._task: asyncio.Task[TurnAnswer] | None = None
        self._listener: Callable[[RunItem], None] | None = None

    def begin(self, task: asyncio.Task[TurnAnswer]) -> None:
        self._task = task
        task.add_done_callback(self._ended)

    def hear(self, item: RunItem) -> None:
        self._items.put(item)
        if self._listener is not None:
            self._listener(item)

    def listen(self, listener: Callable[[RunItem], None]) -> None:
        """Call `listener` with each further item as it happens: between the engine's events, which iterating is not."""
        self._listener = listener

    @property
    def phase(self) -> str:
        """Where the run is: as `PromptHolder.phase`, or "done"."""
        if self.done:
            return "done"
        return self.turn.phase if self.turn is not None else "waiting-lane"

    @property
    def phases(self) -> tuple[tuple[str, int], ...]:
        """Every phase so far and when it began, ms since the epoch."""
        return tuple((step.name, step.at) for step in self.turn.phases) if self.turn is not None else ()

    @property
    def unstored(self) -> str:
        """A complete reply that could not be written to the transcript; empty if there is none."""
        return self.turn.unstored if self.turn is not None else ""

    @property
    def stored(self) -> TurnAnswer | None:
        """The reply that is in the transcript, also that of a run that was cancelled right after it was written."""
        return self.turn.stored if self.turn is not None else None

    @property
    def done(self) -> bool:
        return self._task is not None and self._task.done()

    def __aiter__(self) -> AsyncIterator[RunItem]:
        return aiter(self._items)

    async def result(self) -> TurnAnswer:
        """The answer. Cancelling the wait leaves the run alone.

        Raises:
            CoordinationError: somebody else has the session.
            AllModelsFailedError, ProviderError: no model answered.
            TurnTimeoutError: the turn's time was over. Other ClawtopErrors: refused, or failed on this side.
            CancelledError: the run was cancelled.
        """
        if self._task is None:
            raise RuntimeError("the run has not started")
        return await asyncio.shield(self._task)

    def rotate(self) -> str | None:
        """Cancel the running attempt and continue with the next profile, without a mark. Returns why not, if it
        cannot.
        """
        if self.done:
            return "the run has ended"
        advance = self.turn.advance if self.turn is not None else None
        return advance() if advance is not None else "the run has not reached a provider"

    def cancel(self) -> None:
        """End the run: everything it holds is released, nothing is marked."""
        if self._task is not None:
            self._task.cancel()

    async def ended(self) -> None:
        """Wait until the run has ended, whatever its outcome."""
        if self._task is not None:
            await asyncio.wait({self._task})

    def _ended(self, task: asyncio.Task[TurnAnswer]) -> None:
        if not task.cancelled():
            task.exception()  # the result is available on request
        self._items.end()
