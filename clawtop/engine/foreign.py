"""OpenClaw's own runs in a session: while one goes on, or may go on, clawtop keeps out of it (design invariant 1)."""

from __future__ import annotations

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
    """Answers for one state directory. A session list that did not change is not read again.

    Only a session that is stored as running costs a look at the gateway, its locks and the processes.
    """

    def __init__(self, reader: SnapshotReader) -> None:
        self._reader = reader
        self._lists: dict[str, tuple[Stamp | None, dict[str, Session]]] = {}

    def holder(self, session_file: Path) -> ForeignHolder | None:
        """The OpenClaw run that is in the session, or that may be; None when there is none."""
        stored = self._stored(str(session_file))
        if stored is None or stored.status != RUNNING:
            return None
        snapshot = self._reader.read()
        now = next((row for row in snapshot.sessions if row.agent == stored.agent and row.key == stored.key), stored)
        if now.active is False or (now.active is None and snapshot.gateway.state in NO_GATEWAY):
            return None
        how = now.active_how or f"gateway {snapshot.gateway.state}"
        return ForeignHolder(f"an OpenClaw run ({how})", "status", snapshot.gateway.pid, now.started_at)

    def gateway_can_run(self) -> bool:
        """Whether a gateway runs on this state directory, or might."""
        return self._reader.read().gateway.state not in NO_GATEWAY

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
