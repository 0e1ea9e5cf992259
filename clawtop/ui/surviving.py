"""The dashboard keeps running when a part of it breaks: it says so once, and writes a report.

Textual ends the app at the first exception in any handler, callback or worker, and prints it with every local variable.
Here an exception only ends the current action; the app ends only if exceptions keep coming.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from textual.message_pump import MessagePump
from textual.worker import WorkerFailed

from clawtop.clock import Clock
from clawtop.crash import CRASH_EXIT, UnexpectedError, unexpected
from clawtop.view.line import Tone

if TYPE_CHECKING:
    from textual.message import Message

MOST = 50
WITHIN_S = 10.0
"""More exceptions than this within this time end the dashboard."""

AGAIN_S = 2.0
"""Pause before a failed task is restarted."""


class Surviving(MessagePump):
    """A message pump that survives exceptions in its handlers."""

    async def _dispatch_message(self, message: Message) -> None:
        try:
            await super()._dispatch_message(message)
        except Exception as error:  # noqa: BLE001 - whatever it is, the pump goes on
            self.app._handle_exception(error)


class _AppHost(Protocol):
    """What `Survival` needs from the app."""

    clock: Clock

    @property
    def is_headless(self) -> bool: ...

    def say(self, text: str, tone: Tone = ..., /) -> None: ...

    def exit(self, *, return_code: int, message: str) -> None: ...

    def run_worker(self, work: Awaitable[None], *, name: str, exit_on_error: bool) -> object: ...


class Survival:
    """Counts and reports exceptions.

    Attributes:
        last: the latest, to be shown; None if there was none.
        wanted: False in Textual's own test harness, where an exception is to end the test; None: by the app.
    """

    def __init__(self, app: _AppHost) -> None:
        self._app = app
        self._times: deque[float] = deque(maxlen=MOST)
        self.last: UnexpectedError | None = None
        self.wanted: bool | None = None

    def survive(self, error: Exception, doing: str = "drawing the dashboard") -> bool:
        """Report `error` and continue. False: the app must end as Textual ends it."""
        wanted = not self._app.is_headless if self.wanted is None else self.wanted
        if not wanted:
            return False
        error = _inner(error)
        self.last = error if isinstance(error, UnexpectedError) else unexpected(error, doing)
        now = self._app.clock.monotonic()
        if len(self._times) == MOST and now - self._times[0] < WITHIN_S:
            self._app.exit(return_code=CRASH_EXIT, message=f"clawtop: {self.last}")
            return True
        self._times.append(now)
        with suppress(Exception):  # the code that reports it may itself be broken
            self._app.say(str(self.last), Tone.BAD)
        return True

    def keep(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Run `work` in a worker, restarted each time it fails."""

        async def again() -> None:
            while True:
                try:
                    await work()
                except Exception as error:
                    if not self.survive(error, f"running the {name}"):
                        raise
                else:
                    return
                await self._app.clock.sleep(AGAIN_S)

        self._app.run_worker(again(), name=name, exit_on_error=True)


class SurvivingApp(Surviving):
    """The app's mixin; must precede Textual's App in the bases."""

    survival: Survival

    def start(self, work: Coroutine[Any, Any, None], doing: str) -> None:
        """Run something beside the screen; an unexpected error in it is reported. `doing`: "... while doing"."""

        async def told() -> None:
            try:
                await work
            except Exception as error:
                if not self.survival.survive(error, doing):
                    raise

        self.app.run_worker(told())

    def _handle_exception(self, error: Exception) -> None:
        if not self.survival.survive(error):
            super()._handle_exception(error)  # type: ignore[misc]


def _inner(error: Exception) -> Exception:
    """The first exception in a task group, or the one that a worker failed with."""
    while True:
        if isinstance(error, ExceptionGroup) and error.exceptions:
            inner: BaseException = error.exceptions[0]
        elif isinstance(error, WorkerFailed):
            inner = error.error
        else:
            return error
        if not isinstance(inner, Exception):
            return error
        error = inner
