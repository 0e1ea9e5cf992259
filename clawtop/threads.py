"""Threads that never keep the process alive: a disk or a mount may block one of them for ever."""

from __future__ import annotations

import asyncio
import queue
import signal
import threading
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

MOST = 32


class DaemonThreads(ThreadPoolExecutor):
    """A pool whose threads are daemons, and whose shutdown waits for none of them.

    Mutable state: `_unfinished` (jobs) and `_made` (threads), under `_guard`.
    """

    def __init__(self) -> None:
        super().__init__(max_workers=1)  # its own thread is never started
        self._jobs: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._guard = threading.Lock()
        self._unfinished = 0
        self._made = 0

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run `fn` in a thread that is idle, or a new one. RuntimeError where none can be started."""
        future: Future[T] = Future()

        def job() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(fn(*args, **kwargs))
                except BaseException as error:  # noqa: BLE001 - it is the caller's
                    future.set_exception(error)

        with self._guard:
            if self._unfinished >= self._made and self._made < MOST:
                threading.Thread(target=self._work, name="clawtop thread", daemon=True).start()
                self._made += 1
            self._unfinished += 1
        self._jobs.put(job)
        return future

    def _work(self) -> None:
        while True:
            self._jobs.get()()
            with self._guard:
                self._unfinished -= 1

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Wait for nothing; the threads end with the process."""


ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


def run(main: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run`, whose end waits for no thread.

    Signals whose handlers unwind (an attribute of that name; they raise) end `main` as if it was cancelled; what they
    raise is raised here, once everything is given back.
    """
    before = _unwinding() if threading.current_thread() is threading.main_thread() else {}
    try:
        with asyncio.Runner() as runner:
            runner.get_loop().set_default_executor(DaemonThreads())
            return runner.run(_ended_in_order(main, before))
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)  # a loop that is closed leaves the system's own


def _unwinding() -> dict[int, Callable[..., Any]]:
    found = ((number, signal.getsignal(number)) for number in ENDING)
    return {number: handler for number, handler in found if callable(handler) and getattr(handler, "unwinds", False)}


async def _ended_in_order(main: Coroutine[Any, Any, T], handlers: Mapping[int, Callable[..., Any]]) -> T:
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    raised: list[BaseException] = []

    def end(number: int) -> None:
        try:
            handlers[number](number, None)
        except BaseException as error:  # noqa: BLE001 - raised below, once everything is given back
            raised.append(error)
            if task is not None:
                task.cancel()

    for number in handlers:
        loop.add_signal_handler(number, end, number)
    try:
        return await main
    except asyncio.CancelledError:
        if raised:
            raise raised[0] from None
        raise
