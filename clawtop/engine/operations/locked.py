"""Working under an auth store's lock from a task: the loop never waits for the disk, and cancelling leaves nothing
behind.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, TypeVar

from clawtop.store.auth.machine import LockOwner, Machine
from clawtop.store.auth.port import AuthPlace, Change, Landing, OnWait, PlaceUpdate, Updated

T = TypeVar("T")

SWALLOWED_S = 10.0
"""A try lasts milliseconds: one that has not ended after this long is in a system call that does not return."""


async def update_store(
    place: AuthPlace,
    change: Change,
    machine: Machine,
    *,
    wait: float,
    on_wait: OnWait = lambda _: None,
    on_written: Callable[[Updated], None] = lambda _: None,
) -> Updated:
    """Apply `change` to a place under its lock.

    Tries in a worker thread, pauses in the loop. A try that gets the lock makes the change and releases it in the same
    thread. If the task is cancelled during a try, the try is waited for (it lasts milliseconds) and the cancellation
    continues, so a cancelled task never leaves a lock, a temporary file or a half-done change.

    `on_wait` is called in the loop. `on_written` is called in a worker thread, under the lock, as soon as the change
    is on the disk: a caller that is cancelled at that moment learns of it only this way.

    Raises:
        RefusedError: the store may not be written, because of its generation, owner or content.
        LockNotObtainedError: its lock was never free for `wait` seconds.
        OperationFailedError: the disk refused, or the store is gone; nothing was changed.
    """
    loop = asyncio.get_running_loop()

    def tell(holder: LockOwner) -> None:
        loop.call_soon_threadsafe(on_wait, holder)

    job = await asyncio.to_thread(place.change, change, machine, tell, on_written)
    updated = await _driven(job, machine, wait)
    landing = await settled(asyncio.to_thread(job.look_back, updated))
    if landing is Landing.LOST:
        updated = replace(await _driven(job, machine, wait), tries=2)
        landing = await settled(asyncio.to_thread(job.look_back, updated))
    return replace(updated, landing=landing)


async def _driven(job: PlaceUpdate, machine: Machine, wait: float) -> Updated:
    try:
        job.begin(wait)
        while not isinstance(result := await settled(asyncio.to_thread(job.once)), Updated):
            await machine.clock.sleep(result)
    finally:
        job.end()
    return result


async def settled(work: Coroutine[Any, Any, T]) -> T:
    """Await `work` to its end even when cancelled; the cancellation is then raised, and the result is dropped.

    Work that a disk has swallowed is left to itself, `SWALLOWED_S` after the cancellation.
    """
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.add_done_callback(heard)
        loop = asyncio.get_running_loop()
        end = loop.time() + SWALLOWED_S
        while not task.done() and (left := end - loop.time()) > 0:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait({task}, timeout=left)
        raise


def heard(task: asyncio.Future[Any]) -> None:
    """A done callback for work that may be left to itself: the loop does not report its error as nobody's."""
    if not task.cancelled():
        task.exception()
