"""Start the dashboard: source, theme, terminal, exit code."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from clawtop import threads
from clawtop.clock import Clock
from clawtop.core.source import SnapshotSource
from clawtop.ui.app import ClawtopApp
from clawtop.ui.jobs import Jobs
from clawtop.ui.palettes import choose
from clawtop.ui.ports import Executor, JobPorts, Options
from clawtop.ui.terminal import given_environment, speaks_unicode

if TYPE_CHECKING:
    from clawtop.core.model import Snapshot
    from clawtop.core.operations.plan import Plan
    from clawtop.core.operations.receipt import Receipt
    from clawtop.engine.live.hub import StateReader
    from clawtop.engine.operations.execute import Operations
    from clawtop.ui.ports import StoreHolder
    from clawtop.view.facts import Facts

__all__ = ["Options", "run_dashboard"]


GC_THRESHOLDS = (5_000, 2, 10)
"""Snapshots are many small values without cycles, and a full collection of a large one takes tens of milliseconds; but
a screen that was closed is some five thousand objects in cycles, which stay until the middle generation is collected.
"""

SWITCH_SECONDS = 0.001
"""How long a thread that reads the state may keep the interpreter while a key waits (Python's default: 5 ms)."""


def run_dashboard(
    reader: StateReader | SnapshotSource,
    clock: Clock,
    options: Options,
    *,
    operations: Callable[[], Operations] | None = None,
    jobs: JobPorts | None = None,
    first: Facts | None = None,
) -> int:
    """Show the dashboard until the operator leaves.

    Args:
        reader: what a hub reads from; or a source that delivers snapshots by itself, such as a recording.
        operations: makes the executor of plans, in a thread, whenever the dashboard is armed; without it nothing can
            be armed.
        jobs: what drains and drives; without it the dashboard does neither.
        first: a judged snapshot for the very first frame, so that it shows something.

    Returns:
        The exit code: 0 after `q`, 128+n after signal n.
    """
    if hasattr(reader, "read"):
        from clawtop.engine.live.hub import Hub

        source: SnapshotSource = Hub(reader, clock)  # type: ignore[arg-type]
    else:
        source = reader
    app = make_app(source, clock, options, operations=operations, jobs=jobs, first=first)
    threads.run(show(app, mouse=options.mouse))
    return app.return_code or 0


def make_app(
    source: SnapshotSource,
    clock: Clock,
    options: Options,
    *,
    operations: Callable[[], Operations] | None = None,
    execute: Executor | None = None,
    jobs: JobPorts | None = None,
    first: Facts | None = None,
) -> ClawtopApp:
    """The dashboard as an app, not yet shown. `operations`, or `execute`: who carries plans out."""
    options = replace(
        options,
        read_only=options.read_only or (operations is None and execute is None),
        ascii_glyphs=options.ascii_glyphs or not speaks_unicode(given_environment()),
    )
    lazy = LazyExecutor(operations) if operations is not None else None
    app = ClawtopApp(
        source,
        clock,
        options,
        theme=choose(options.theme, os.environ),
        execute=lazy or execute,
        jobs=Jobs(jobs, clock) if jobs is not None else None,
        first=first,
    )
    sys.setswitchinterval(SWITCH_SECONDS)
    app.on_first_paint = settle_memory
    if lazy is not None:
        app.make_ready = lazy.make_ready
        app.notifier.look_again = lazy.look_again
    return app


async def show(app: ClawtopApp, *, mouse: bool) -> None:
    """Run the app; afterwards, whatever ended it, release everything that it drives and drains."""
    try:
        await app.run_async(mouse=mouse)
    finally:
        if app.jobs is not None:
            await app.jobs.aclose()


def settle_memory() -> None:
    """Exempt what was loaded at the start from garbage collection: it stays to the end."""
    gc.collect()  # garbage that is frozen would never be freed
    give_back_memory()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    gc.enable()


def give_back_memory() -> None:
    """Return freed memory to the system: glibc would keep what the first read of large files used."""
    if sys.platform != "linux":
        return
    import ctypes

    with suppress(AttributeError, OSError):  # another C library has no malloc_trim
        ctypes.CDLL(None).malloc_trim(0)


class LazyExecutor:
    """Executes plans; loads what that needs when the dashboard is armed."""

    def __init__(self, make: Callable[[], Operations]) -> None:
        self._make = make
        self._making: asyncio.Task[Operations] | None = None
        self._made: Operations | None = None  # once an operation was executed

    def make_ready(self) -> asyncio.Task[Operations]:
        """Load and prepare everything. An error here is reported when a plan is executed."""
        making = self._making = asyncio.create_task(asyncio.to_thread(self._make))
        making.add_done_callback(lambda task: task.cancelled() or task.exception())
        return making

    async def __call__(self, plan: Plan, snapshot: Snapshot, on_wait: Callable[[StoreHolder], None]) -> Receipt:
        from clawtop.engine.operations.execute import OperationRequest

        operations = await asyncio.shield(self._making or self.make_ready())
        self._made = operations
        return await operations.execute(plan, OperationRequest(gateway=snapshot.gateway, on_wait=on_wait))

    async def look_again(self, snapshot: Snapshot) -> tuple[Receipt, ...]:
        """Receipts of earlier operations whose outcome this state completes."""
        return await self._made.look_again(snapshot) if self._made is not None else ()
