"""Counts operations under way: a suspended process would keep their locks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from clawtop.core.model import Snapshot
from clawtop.ui.ports import Executor, StoreHolder

if TYPE_CHECKING:
    from clawtop.core.operations.plan import Plan
    from clawtop.core.operations.receipt import Receipt


class Executing:
    """An executor that counts its operations.

    Attributes:
        under_way: operations that were begun and have not ended; one that is cancelled ends when its write has.
    """

    def __init__(self, execute: Executor) -> None:
        self._execute = execute
        self.under_way = 0

    async def __call__(self, plan: Plan, snapshot: Snapshot, on_wait: Callable[[StoreHolder], None]) -> Receipt:
        self.under_way += 1
        try:
            return await self._execute(plan, snapshot, on_wait)
        finally:
            self.under_way -= 1
