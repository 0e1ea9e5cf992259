"""The session lists of one state directory, taken apart once for as long as they stay the same.

For the engine, which asks for one session of a list with each turn: a list may be long, and hardly ever changes between
two turns.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass

from clawtop.core.model import Session
from clawtop.store.json_text import stamp_of
from clawtop.store.place.layout import AgentPaths, Layout
from clawtop.store.sessions.index import SessionsRead, read_sessions
from clawtop.store.sessions.settings import SessionSettings, list_settings


@dataclass(frozen=True, slots=True)
class KeptList:
    """One reading of a list. `by_file`: by the real path of the transcript; `settings`: of sessions that have some."""

    layout: Layout
    read: SessionsRead
    by_file: Mapping[str, Session]
    settings: Mapping[str, SessionSettings]


class SessionLists:
    """Any thread may ask. Mutable state: `_known`, under `_guard`."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._known: dict[tuple[str, str], KeptList] = {}

    def of(self, agent: AgentPaths, layout: Layout) -> KeptList:
        """An agent's list as it is now. One that cannot be read is read again each time."""
        key = (agent.id, str(agent.sessions_store))
        with self._guard:
            known = self._known.get(key)
            if known is None or known.layout is not layout or not _is_current(known.read, agent):
                known = self._known[key] = _kept(agent, layout)
            return known


def _is_current(read: SessionsRead, agent: AgentPaths) -> bool:
    return read.problem is None and stamp_of(agent.sessions_store) == read.stamp


def _kept(agent: AgentPaths, layout: Layout) -> KeptList:
    read = read_sessions(agent, layout)
    by_file: dict[str, Session] = {}
    for row in read.rows:
        if row.file is not None:
            by_file.setdefault(os.path.realpath(row.file), row)
    return KeptList(layout, read, by_file, {} if read.problem is not None else list_settings(agent))
