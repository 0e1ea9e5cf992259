"""An event loop on simulated time that runs the tasks of many processes, one callback at a time, as a seed says.

A callback belongs to the process in whose context it was made. Those of a dead process never run, those of a frozen one
when it goes on; between processes chance decides who is next, within one the order is asyncio's own.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import heapq
import random
import warnings
from collections.abc import Callable, Coroutine
from typing import Any

from tests.sim.whole.process import Process

PROCESS: contextvars.ContextVar[Process | None] = contextvars.ContextVar("simulated_process", default=None)


class StillWaitingError(AssertionError):
    """Nothing can happen any more, and somebody still waits."""


def process_of(handle: asyncio.Handle) -> Process | None:
    return handle._context.get(PROCESS)  # type: ignore[attr-defined, no-any-return]


class SimLoop(asyncio.SelectorEventLoop):
    """Use as any loop; `after_step` is called after each callback, with the process that ran."""

    def __init__(self, chance: random.Random, job_delay: Callable[[], float]) -> None:
        self.seconds = 1_000.0
        super().__init__()
        self.steps = 0
        self.kept_frozen = 0
        self.after_step: Callable[[Process | None], None] = lambda _process: None
        self._chance = chance
        self._job_delay = job_delay
        self._kept: list[tuple[asyncio.Task[Any], contextvars.Context]] = []
        self.set_task_factory(self._task)  # type: ignore[arg-type]
        self.set_exception_handler(lambda _loop, _context: None)

    def forget(self) -> None:
        """Unwind every task, as the process that it belongs to, and close."""
        self._ready.clear()  # type: ignore[attr-defined]
        self._scheduled.clear()  # type: ignore[attr-defined]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # what an unwinding task begins is never awaited
            for task, context in self._kept:
                with contextlib.suppress(BaseException):
                    context.run(task.get_coro().close)
        self._kept.clear()
        self.close()

    def time(self) -> float:
        return self.seconds

    def _write_to_self(self) -> None:
        """There are no other threads."""

    def _task(self, loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any], **more: Any) -> asyncio.Task[Any]:
        context = more.pop("context", None) or contextvars.copy_context()
        task = asyncio.Task(work, loop=loop, context=context, **more)
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        self._kept.append((task, context))  # the frames of a dead process are not unwound before the history is over
        return task

    def run_in_executor(  # type: ignore[override]
        self, _executor: object, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """The work of a thread: done in one piece some time later, its result known some time after that."""
        future: asyncio.Future[Any] = self.create_future()

        def work() -> None:
            try:
                result = func(*args)
            except BaseException as error:  # noqa: BLE001 - it is the caller's
                self.call_later(self._job_delay(), _give, future, None, error)
            else:
                self.call_later(self._job_delay(), _give, future, result, None)

        self.call_later(self._job_delay(), work)
        return future

    def _run_once(self) -> None:
        self._poll()
        handle = self._next()
        if handle is None:
            return
        self.steps += 1
        handle._run()
        self.after_step(process_of(handle))

    def _poll(self) -> None:
        events = self._selector.select(0)  # type: ignore[attr-defined]
        if events:
            events.sort(key=lambda event: event[0].fd)
            self._process_events(events)  # type: ignore[attr-defined]
        scheduled: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]
        while scheduled and (scheduled[0].cancelled() or scheduled[0].when() <= self.seconds):
            timer = heapq.heappop(scheduled)
            timer._scheduled = False  # type: ignore[attr-defined]
            if not timer.cancelled():
                self._ready.append(timer)  # type: ignore[attr-defined]

    def _next(self) -> asyncio.Handle | None:
        """A callback that may run now; None when time had to move first."""
        ready: list[asyncio.Handle] = [handle for handle in self._ready if not handle.cancelled()]  # type: ignore[attr-defined]
        first: dict[Process | None, asyncio.Handle] = {}
        wakes: list[float] = []
        kept: list[asyncio.Handle] = []
        for handle in ready:
            process = process_of(handle)
            if process is not None and not process.alive:
                continue
            kept.append(handle)
            if process is not None and process.frozen_until > self.seconds:
                wakes.append(process.frozen_until)
                self.kept_frozen = self.kept_frozen or 1
            else:
                first.setdefault(process, handle)
        self._ready.clear()  # type: ignore[attr-defined]
        if first:
            chosen = list(first.values())[self._chance.randrange(len(first)) if len(first) > 1 else 0]
            kept.remove(chosen)
            self._ready.extend(kept)  # type: ignore[attr-defined]
            return chosen
        self._ready.extend(kept)  # type: ignore[attr-defined]
        scheduled: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]
        if scheduled:
            wakes.append(scheduled[0].when())
        if not wakes:
            raise StillWaitingError("nothing can happen any more")
        self.seconds = max(self.seconds, min(wakes))
        return None


def _give(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
