"""Work under an auth store's lock from a task: the loop never waits for the disk, cancelling leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, TypeVar

from clawtop.core.model import UsageStats
from clawtop.store.auth.lock import Attempt, AuthStoreLock, Done, Hold, Holder, Machine
from clawtop.store.auth.target import StoreTarget, translated
from clawtop.store.auth.update import Change, Landing, Rewrite, Updated, profile_change

T = TypeVar("T")


async def run_locked(lock: AuthStoreLock, work: Callable[[Hold], T], *, wait: float) -> T:
    """`lock.run(work, wait=wait)` for a task: tries in a worker thread, pauses in the loop.

    A try that gets the lock does the work and releases it in the same thread. When the task is cancelled meanwhile,
    that try is waited for (it lasts milliseconds) and the cancellation goes on, so a cancelled task never leaves a
    lock, a temporary file or a half-done change.

    Raises: as `AuthStoreLock.run`.
    """
    with lock.entered():
        attempt = Attempt(lock, work, wait)
        try:
            while not isinstance(result := await settled(asyncio.to_thread(attempt.once)), Done):
                await lock.machine.clock.sleep(result)
        finally:
            attempt.give_up()
        return result.value


async def update_store(
    target: StoreTarget,
    change: Change,
    machine: Machine,
    *,
    wait: float,
    on_wait: Callable[[Holder], None] = lambda _: None,
    on_written: Callable[[Updated], None] = lambda _: None,
) -> Updated:
    """`clawtop.store.auth.update.update` for a task: same result, same errors.

    `on_wait` is called in the loop. `on_written` is called in a worker thread, under the lock, as soon as the change
    is on the disk: a caller that is cancelled at that moment learns of it this way only.
    """
    loop = asyncio.get_running_loop()

    def tell(holder: Holder) -> None:
        loop.call_soon_threadsafe(on_wait, holder)

    with translated(target):
        rewrite = await asyncio.to_thread(Rewrite, target, change, machine)
        lock = rewrite.lock(tell)

        def work(hold: Hold) -> Updated:
            updated = rewrite.work(hold)
            on_written(updated)
            return updated

        updated = await run_locked(lock, work, wait=wait)
        landing = await settled(asyncio.to_thread(rewrite.look_back, updated))
        if landing is Landing.LOST:
            updated = replace(await run_locked(lock, work, wait=wait), tries=2)
            landing = await settled(asyncio.to_thread(rewrite.look_back, updated))
    return replace(updated, landing=landing)


async def update_profile(
    target: StoreTarget,
    profile_id: str,
    change: Callable[[UsageStats], UsageStats],
    machine: Machine,
    *,
    wait: float,
    last_good: str | None = None,
) -> Updated:
    """Apply a pure change to one profile's statistics in the store that owns it, and nothing else.

    With `last_good` (a provider) the profile is also noted as that provider's last good one. A profile that the
    store does not have is left alone: `Updated.changed` is then False.

    Raises: as `update_store`.
    """
    return await update_store(target, profile_change(profile_id, change, last_good=last_good), machine, wait=wait)


async def settled(work: Coroutine[Any, Any, T]) -> T:
    """Await `work` to its end even when cancelled; the cancellation is then raised, and the result is dropped."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait({task})
        if not task.cancelled():
            task.exception()
        raise
