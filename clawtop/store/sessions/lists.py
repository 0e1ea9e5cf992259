"""The session lists of one state directory, parsed once as long as they are unchanged.

For the engine, which looks up one session with each turn: a list may be long, and rarely changes between two turns.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from typing import Protocol

from clawtop.core.model import Session
from clawtop.store.json_text import stamp_of
from clawtop.store.place.layout import AgentPaths, Layout
from clawtop.store.sessions.index import SessionsRead, read_sessions
from clawtop.store.sessions.settings import SessionSettings, list_settings
from clawtop.values import dataclass


@dataclass(frozen=True, slots=True)
class KeptList:
    """One reading of a list.

    Attributes:
        by_file, by_key, by_id: its sessions by the real path of the transcript, by key, and by session id.
        settings: of sessions that have some, by key.
    """

    layout: Layout
    read: SessionsRead
    by_file: Mapping[str, Session]
    by_key: Mapping[str, Session]
    by_id: Mapping[str, Session]
    settings: Mapping[str, SessionSettings]


class NotReadYetError(Exception):
    """The requested list must be read first, which may take a while."""


class Lists(Protocol):
    """Where session lists come from."""

    def of(self, agent: AgentPaths, layout: Layout) -> KeptList:
        """An agent's list as it is now."""


class SessionLists:
    """Safe to use from any thread. Mutable state: `_known`, under `_guard`."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._known: dict[tuple[str, str], KeptList] = {}

    def known(self, agent: AgentPaths, layout: Layout) -> KeptList | None:
        """An agent's list as it is now, without waiting; None if it must be read for that."""
        known = self._known.get(_key(agent))
        if known is None or known.layout is not layout or known.read.problem is not None:
            return None
        return known if stamp_of(agent.sessions_store) == known.read.stamp else None

    def of(self, agent: AgentPaths, layout: Layout) -> KeptList:
        """An agent's list as it is now. One that cannot be read is read again each time."""
        with self._guard:
            known = self.known(agent, layout)
            if known is None:
                known = self._known[_key(agent)] = _kept(agent, layout)
            return known


class ReadLists:
    """Lists without reading: for callers that must not wait."""

    def __init__(self, lists: SessionLists) -> None:
        self._lists = lists

    def of(self, agent: AgentPaths, layout: Layout) -> KeptList:
        """An agent's list as it is now. Raises NotReadYetError where it changed since it was read."""
        known = self._lists.known(agent, layout)
        if known is None:
            raise NotReadYetError
        return known


def _key(agent: AgentPaths) -> tuple[str, str]:
    return agent.id, str(agent.sessions_store)


def _kept(agent: AgentPaths, layout: Layout) -> KeptList:
    read = read_sessions(agent, layout)
    by_file: dict[str, Session] = {}
    by_key: dict[str, Session] = {}
    by_id: dict[str, Session] = {}
    for row in read.rows:
        by_key.setdefault(row.key, row)
        if row.session_id is not None:
            by_id.setdefault(row.session_id, row)
        if row.file is not None:
            by_file.setdefault(os.path.realpath(row.file), row)
    settings = {} if read.problem is not None else list_settings(agent)
    return KeptList(layout, read, by_file, by_key, by_id, settings)
