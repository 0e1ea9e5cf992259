"""Snapshots become facts and tables: at once where that is quick, in a thread where it would make a key wait."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from clawtop.core.model import Snapshot
from clawtop.view.columns import Env
from clawtop.view.facts import Facts, Memory

if TYPE_CHECKING:
    from clawtop.ui.app import ClawtopApp

LARGE = 400
"""Rows from which a state is prepared in a thread."""


class Preparation:
    """Prepares the latest snapshot that it is offered for the view that is open, one at a time.

    The memory belongs to whoever prepares: the loop for small states, the one thread for large ones, never both.
    """

    def __init__(self, app: ClawtopApp) -> None:
        self._app = app
        self._memory = Memory()
        self._latest: Snapshot | None = None
        self._woken = asyncio.Event()
        self._in_thread = False

    def offer(self, snapshot: Snapshot, *, at_once: bool = False) -> None:
        """Show this snapshot, now or soon; one that is offered meanwhile replaces it."""
        rows = len(snapshot.sessions) + len(snapshot.locks)
        if self._in_thread or (rows > LARGE and not at_once):
            self._latest = snapshot
            self._woken.set()
        else:
            self._app.adopt(self._facts(snapshot))

    async def run(self) -> None:
        """Prepare what is offered until cancelled."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            snapshot, self._latest = self._latest, None
            if snapshot is not None:
                facts = self._facts(snapshot)
                self._in_thread = True
                try:
                    await asyncio.to_thread(self._app.view.prepare, Env(facts, facts.now, self._app.options.zone))
                finally:
                    self._in_thread = False
                self._app.adopt(facts)

    def _facts(self, snapshot: Snapshot) -> Facts:
        app = self._app
        now = snapshot.judged_at if snapshot.judged_at is not None else app.clock.now_ms()
        return Facts(snapshot, now, app.options.agent, memory=self._memory)
