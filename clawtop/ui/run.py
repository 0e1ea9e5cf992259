"""Start the dashboard: source, theme, terminal, exit code."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from clawtop.clock import Clock
from clawtop.core.model import Snapshot
from clawtop.core.plan import Plan
from clawtop.ui.app import ClawtopApp
from clawtop.ui.operate import Desk, HolderFacts
from clawtop.ui.ports import Options, Source
from clawtop.ui.terminal import given_environment, speaks_unicode
from clawtop.ui.theme import choose
from clawtop.view.plan_lines import ReceiptFacts

if TYPE_CHECKING:
    from clawtop.engine.hub import Reader
    from clawtop.engine.operations import Operations

__all__ = ["Options", "run_dashboard"]


def run_dashboard(
    reader: Reader | Source,
    clock: Clock,
    options: Options,
    *,
    operations: Callable[[], Operations] | None = None,
) -> int:
    """Show the dashboard until the operator leaves.

    Args:
        reader: what a hub reads from; or a source that delivers snapshots by itself, such as a recording.
        operations: makes the executor of plans when the first one is confirmed; without it nothing can be armed.

    Returns:
        The exit code: 0 after `q`, 128+n after signal n.
    """
    from clawtop.engine.hub import Hub

    source: Source = Hub(reader, clock) if hasattr(reader, "read") else reader  # type: ignore[arg-type]
    options = replace(
        options,
        read_only=options.read_only or operations is None,
        ascii_glyphs=options.ascii_glyphs or not speaks_unicode(given_environment()),
    )
    desk = Desk(_LazyExecutor(operations)) if operations is not None else None
    app = ClawtopApp(source, clock, options, theme=choose(options.theme, os.environ), operator=desk)
    app.run(mouse=options.mouse)
    return app.return_code or 0


class _LazyExecutor:
    """Executes plans with operations that are made once, when they are first needed."""

    def __init__(self, make: Callable[[], Operations]) -> None:
        self._make = make
        self._operations: Operations | None = None

    async def __call__(self, plan: Plan, snapshot: Snapshot, on_wait: Callable[[HolderFacts], None]) -> ReceiptFacts:
        from clawtop.engine.operations import Request

        if self._operations is None:
            self._operations = await asyncio.to_thread(self._make)
        return await self._operations.execute(plan, Request(gateway=snapshot.gateway, on_wait=on_wait))
