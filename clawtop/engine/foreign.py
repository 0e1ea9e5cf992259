"""OpenClaw's own runs in a session: while one goes on, or may go on, clawtop keeps out of it (design invariant 1)."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from clawtop.core.admission import ForeignHolder
from clawtop.core.model import GatewayState, Session
from clawtop.store.json_text import Stamp, stamp_of
from clawtop.store.layout import AgentPaths
from clawtop.store.sessions import read_sessions
from clawtop.store.snapshot import SnapshotReader

RUNNING = "running"
NO_GATEWAY = frozenset({GatewayState.ABSENT, GatewayState.DEAD})


class ForeignRuns:
    """Answers for one state directory; belongs to one event loop.

    A session list that did not change is not read again. Only a session that is stored as running costs a look at the
    gateway, its locks and the processes, and that look happens in a thread: a gateway that hangs holds up nobody.

    Mutable state: `_verdicts` (file -> what the last look found) and `_looks` (file -> the look that goes on).
    """

    def __init__(self, reader: SnapshotReader) -> None:
        self._reader = reader
        self._reading = asyncio.Lock()
        self._lists: dict[str, tuple[Stamp | None, dict[str, Session]]] = {}
        self._verdicts: dict[str, ForeignHolder | None] = {}
        self._looks: dict[str, asyncio.Task[None]] = {}

    async def look(self, session_file: Path) -> None:
        """Find out about a session, so that `holder` can answer at once."""
        file = str(session_file)
        stored = self._stored(file)
        if stored is not None and stored.status == RUNNING:
            async with self._reading:
                self._verdicts[file] = await asyncio.to_thread(self._judged, stored)

    def holder(self, session_file: Path) -> ForeignHolder | None:
        """The OpenClaw run that is in the session, or that may be, as of the last look; None when there is none.

        Asking begins the next look.
        """
        file = str(session_file)
        stored = self._stored(file)
        if stored is None or stored.status != RUNNING:
            return None
        if file not in self._looks:
            self._looks[file] = look = asyncio.get_running_loop().create_task(self.look(session_file))
            look.add_done_callback(lambda _: self._looks.pop(file, None))
        return self._verdicts.get(file, ForeignHolder("an OpenClaw run, perhaps: it is being looked at", "status"))

    async def aclose(self) -> None:
        """Wait for looks that go on."""
        await asyncio.gather(*self._looks.values(), return_exceptions=True)

    def _judged(self, stored: Session) -> ForeignHolder | None:
        snapshot = self._reader.read()
        now = next((row for row in snapshot.sessions if row.agent == stored.agent and row.key == stored.key), stored)
        if now.active is False or (now.active is None and snapshot.gateway.state in NO_GATEWAY):
            return None
        how = now.active_how or f"gateway {snapshot.gateway.state}"
        return ForeignHolder(f"an OpenClaw run ({how})", "status", snapshot.gateway.pid, now.started_at)

    async def gateway_can_run(self) -> bool:
        """Whether a gateway runs on this state directory, or might."""
        async with self._reading:
            snapshot = await asyncio.to_thread(self._reader.read)
        return snapshot.gateway.state not in NO_GATEWAY

    def _stored(self, file: str) -> Session | None:
        for agent in self._reader.layout.agents:
            if os.path.realpath(agent.sessions_dir) == os.path.dirname(file):  # noqa: PTH120 - canonical text
                return self._rows(agent).get(file)
        return None

    def _rows(self, agent: AgentPaths) -> dict[str, Session]:
        store = str(agent.sessions_store)
        stamp = stamp_of(store)
        known = self._lists.get(store)
        if known is None or known[0] != stamp:
            rows = read_sessions(agent, self._reader.layout).rows
            known = (stamp, {os.path.realpath(row.file): row for row in rows if row.file is not None})
            self._lists[store] = known
        return known[1]
