"""Threads that never keep the process: a disk or a mount may hold one of them up for ever."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Coroutine
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


def run(main: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run`, whose end waits for no thread."""
    with asyncio.Runner() as runner:
        runner.get_loop().set_default_executor(DaemonThreads())
        return runner.run(main)
