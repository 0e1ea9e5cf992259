"""OpenClaw's own runs in a session: while one is, or may be, active, clawtop stays out (docs/invariants.md 1)."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from clawtop.clock import Clock, settled_within
from clawtop.core.model import Gateway, Session
from clawtop.core.session.admission import ForeignHolder
from clawtop.store.json_text import Stamp, stamp_of
from clawtop.store.place.layout import AgentPaths
from clawtop.store.sessions.index import read_sessions
from clawtop.store.snapshot import SnapshotReader

RUNNING = "running"
CLOSE_S = 2.0


class ForeignRuns:
    """Answers for one state directory; belongs to one event loop.

    `look` checks the session, `holder` only repeats what the last look found: it is asked while a run waits, and must
    not read anything. A session list that did not change is not read again; only for a session that is stored as
    running are the gateway, its locks and the processes checked. Reading happens in a thread, so a long list or a
    hanging gateway delays nothing else.

    Mutable state: `_lists` (what the lists said), `_verdicts` (file -> what the last look found) and `_looks` (file ->
    the look in progress), the first under `_reading`.
    """

    def __init__(self, reader: SnapshotReader, clock: Clock) -> None:
        self._reader = reader
        self._clock = clock
        self._reading = asyncio.Lock()
        self._lists: dict[str, tuple[Stamp | None, dict[str, Session]]] = {}
        self._verdicts: dict[str, ForeignHolder | None] = {}
        self._looks: dict[str, asyncio.Task[None]] = {}

    async def look(self, session_file: Path) -> None:
        """Check a session, so that `holder` can answer."""
        file = str(session_file)
        if self._is_known_to_rest(file):
            self._verdicts.pop(file, None)
            return
        async with self._reading:
            self._verdicts[file] = await asyncio.to_thread(self._judged, file)

    def holder(self, session_file: Path) -> ForeignHolder | None:
        """The OpenClaw run that was in the session at the last look, or may have been. Asking begins the next look."""
        file = str(session_file)
        found = self._verdicts.get(file)
        if found is not None and file not in self._looks:
            self._looks[file] = look = asyncio.get_running_loop().create_task(self.look(session_file))
            look.add_done_callback(lambda _: self._looks.pop(file, None))
        return found

    async def aclose(self) -> None:
        """Wait for looks in progress, a moment at most."""
        if looks := set(self._looks.values()):
            await settled_within(self._clock, CLOSE_S, looks)

    def _judged(self, file: str) -> ForeignHolder | None:
        stored = self._stored(file)
        if stored is None or stored.status != RUNNING:
            return None
        snapshot = self._reader.read()
        now = next((row for row in snapshot.sessions if row.agent == stored.agent and row.key == stored.key), stored)
        if now.active is False or (now.active is None and snapshot.gateway.state.is_gone):
            return None
        how = now.active_how or f"gateway {snapshot.gateway.state}"
        return ForeignHolder(f"an OpenClaw run ({how})", "status", snapshot.gateway.pid, now.started_at)

    async def gateway(self) -> Gateway:
        """The gateway of this state directory, as it is now."""
        async with self._reading:
            snapshot = await asyncio.to_thread(self._reader.read)
        return snapshot.gateway

    def _is_known_to_rest(self, file: str) -> bool:
        """Whether the session list last read is still current and shows nothing running in the session."""
        for store, (stamp, rows) in self._lists.items():
            if os.path.dirname(store) == os.path.dirname(file):  # noqa: PTH120 - canonical text
                row = rows.get(file)
                return stamp_of(store) == stamp and (row is None or row.status != RUNNING)
        return False

    def _stored(self, file: str) -> Session | None:
        for agent in self._reader.layout.agents:
            directory = os.path.realpath(agent.sessions_dir)
            if directory == os.path.dirname(file):  # noqa: PTH120 - canonical text
                return self._rows(agent, f"{directory}/{agent.sessions_store.name}").get(file)
        return None

    def _rows(self, agent: AgentPaths, store: str) -> dict[str, Session]:
        stamp = stamp_of(store)
        known = self._lists.get(store)
        if known is None or known[0] != stamp:
            rows = read_sessions(agent, self._reader.layout).rows
            known = (stamp, {os.path.realpath(row.file): row for row in rows if row.file is not None})
            self._lists[store] = known
        return known[1]
