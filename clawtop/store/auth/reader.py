"""The auth store that an agent sees, kept between reads for as long as its files stay the same.

For the engine's turns, which need one agent's store at once and nothing else of the state directory.
"""

from __future__ import annotations

from pathlib import Path

from clawtop.clock import Clock
from clawtop.core.model import AuthStore, Generation
from clawtop.errors import RefusedError
from clawtop.store.auth.json_files import OwnAuth, read_own, seen_by, stamps_of
from clawtop.store.place.layout import MAIN_AGENT, Layout
from clawtop.text import safe


class AuthReader:
    """Reads auth stores of generations A and B. Used by one thread; `_known` is its own."""

    def __init__(self, layout: Layout, clock: Clock) -> None:
        self._layout = layout
        self._clock = clock
        self._known: dict[str, OwnAuth] = {}

    def seen_by(self, agent_id: str) -> AuthStore:
        """The store of an agent: its own entries over the main agent's.

        Raises:
            RefusedError: there is no such agent, or its store cannot be read.
        """
        agent = self._layout.agent(agent_id)
        if agent is None:
            raise RefusedError(f"there is no agent {safe(agent_id, 60)}", unchanged="nothing was sent")
        own = self._own(agent.id, agent.agent_dir)
        inherits = agent.agent_dir != self._layout.main_agent_dir
        store = seen_by(own, self._own(MAIN_AGENT, self._layout.main_agent_dir) if inherits else None)
        if store.problem is not None:
            raise RefusedError(f"the auth store cannot be used: {store.problem}", unchanged="nothing was sent")
        return store

    def _own(self, agent: str, directory: Path) -> OwnAuth:
        generation: Generation | None = self._layout.generation
        known = self._known.get(str(directory))
        if known is None or known.agent != agent or known.stamps != stamps_of(directory, generation):
            known = self._known[str(directory)] = read_own(agent, directory, generation, self._clock)
        return known
