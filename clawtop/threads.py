"""Threads that never keep the process alive: a disk or a mount may block one of them for ever."""

from __future__ import annotations

import asyncio
import queue
import signal
import threading
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from types import FrameType
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

MOST = 32


class DaemonThreads(ThreadPoolExecutor):
    """A pool whose threads are daemons, and whose shutdown waits for none of them.

    Mutable state: `_unfinished` (jobs) and `_made` (threads), under `_guard`.
    """

    def __init__(self) -> None:
        super().__init__(max_workers=1)  # the base class's own thread is never started
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


def on_signal(number: int, callback: Callable[..., object], *args: object) -> None:
    """Have the running loop call `callback` at a signal; the loop owns the handler and removes it when it closes.

    `loop.add_signal_handler` alone loses a signal while the loop's wake-up pipe is full, and some 280 calls from other
    threads fill it: a dashboard that is busy while many keys arrive would never end.
    """
    loop = asyncio.get_running_loop()

    def handle(_number: int, _frame: FrameType | None) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(callback, *args)

    loop.add_signal_handler(number, lambda: None)
    signal.set_wakeup_fd(signal.set_wakeup_fd(-1), warn_on_full_buffer=False)  # else Python would write on the screen
    signal.signal(number, handle)


def run(main: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run`, whose end waits for no thread.

    Signals whose handlers unwind (an attribute of that name; they raise) end `main` as if it were cancelled; what they
    raise is raised here, once everything is released. Errors in callbacks and in tasks that are never awaited go to
    `threading.excepthook`, like those of threads.
    """
    before = _unwinding() if threading.current_thread() is threading.main_thread() else {}
    try:
        with asyncio.Runner() as runner:
            runner.get_loop().set_default_executor(DaemonThreads())
            runner.get_loop().set_exception_handler(_as_in_a_thread)
            return runner.run(_ended_in_order(main, before))
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)  # a closed loop leaves the system's default


def _as_in_a_thread(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    error = context.get("exception")
    if error is None:
        loop.default_exception_handler(context)
        return
    threading.excepthook(threading.ExceptHookArgs((type(error), error, error.__traceback__, None)))


def _unwinding() -> dict[int, Callable[..., Any]]:
    found = ((number, signal.getsignal(number)) for number in ENDING)
    return {number: handler for number, handler in found if callable(handler) and getattr(handler, "unwinds", False)}


async def _ended_in_order(main: Coroutine[Any, Any, T], handlers: Mapping[int, Callable[..., Any]]) -> T:
    task = asyncio.current_task()
    raised: list[BaseException] = []

    def end(number: int) -> None:
        try:
            handlers[number](number, None)
        except BaseException as error:  # noqa: BLE001 - raised below, once everything is given back
            raised.append(error)
            if task is not None:
                task.cancel()

    for number in handlers:
        on_signal(number, end, number)
    try:
        return await main
    except asyncio.CancelledError:
        if raised:
            raise raised[0] from None
        raise
