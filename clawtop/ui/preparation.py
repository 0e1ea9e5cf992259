"""Turns snapshots into facts and tables: at once where that is fast, in a thread where it would delay a key."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from clawtop.core.model import Snapshot
from clawtop.view.facts import Facts, Memory

LARGE = 400
"""From this many rows on, a state is prepared in a thread."""


class Preparation:
    """Prepares the latest offered snapshot for the open view, one at a time.

    The memory is used by one at a time: the loop for small states, the thread for large ones.
    """

    def __init__(
        self,
        *,
        judge: Callable[[Snapshot, Memory], Facts],
        prepare: Callable[[Facts], None],
        adopt: Callable[[Facts], None],
    ) -> None:
        """`judge` makes facts, `prepare` what drawing them needs (it may run in a thread), `adopt` shows them."""
        self._judge = judge
        self._prepare = prepare
        self._adopt = adopt
        self._memory = Memory()
        self._latest: Snapshot | None = None
        self._woken = asyncio.Event()
        self._in_thread = False

    def begin(self, facts: Facts) -> None:
        """Show these facts, judged before there was a screen, and continue from their memory."""
        self._memory = facts.memory
        self._adopt(facts)

    def offer(self, snapshot: Snapshot) -> None:
        """Show this snapshot, now or soon; a later one replaces it if it is still waiting."""
        rows = len(snapshot.sessions) + len(snapshot.locks)
        if self._in_thread or rows > LARGE:
            self._latest = snapshot
            self._woken.set()
        else:
            self._adopt(self._judge(snapshot, self._memory))

    async def run(self) -> None:
        """Prepare what is offered until cancelled."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            snapshot, self._latest = self._latest, None
            if snapshot is not None:
                facts = self._judge(snapshot, self._memory)
                self._in_thread = True
                try:
                    await asyncio.to_thread(self._prepare, facts)
                finally:
                    self._in_thread = False
                self._adopt(facts)
