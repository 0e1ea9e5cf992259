"""Generations A and B: an agent's store is JSON in its directory, under OpenClaw's lock file.

An agent sees the main agent's store under its own (docs/formats.md 2.1).
"""

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from clawtop.clock import Clock
from clawtop.core.generations import storage_of
from clawtop.core.model import Problem
from clawtop.core.operations.edit import AuthState
from clawtop.store.auth.json_files import read_own, stamps_of
from clawtop.store.auth.machine import Machine
from clawtop.store.auth.port import AuthPlace, Change, OnWait, OnWritten, OwnAuth
from clawtop.store.auth.target import StoreTarget, check_writable, identity, read
from clawtop.store.place.generation import PROFILES_FILE
from clawtop.store.place.layout import AgentPaths, Layout
from clawtop.values import dataclass

if TYPE_CHECKING:
    from clawtop.store.auth.update import JsonUpdate


@dataclass(frozen=True, slots=True)
class JsonPlace(StoreTarget):
    """One agent's files as a place (`clawtop.store.auth.port.AuthPlace`)."""

    @property
    def owner(self) -> str:
        return self.agent

    @property
    def file(self) -> str:
        return self.state_path

    @property
    def publishes(self) -> bool:
        return not storage_of(self.generation).written_in_place

    def stamps(self) -> Hashable:
        return stamps_of(Path(self.directory), self.generation)

    def read(self, clock: Clock) -> OwnAuth:
        return read_own(self.agent, Path(self.directory), self.generation, clock, self.file)

    def check_writable(self, machine: Machine) -> None:
        check_writable(self, machine)

    def change(self, change: Change, machine: Machine, on_wait: OnWait, on_written: OnWritten) -> JsonUpdate:
        from clawtop.store.auth.update import JsonUpdate  # needed only for writing

        return JsonUpdate(self, change, machine, on_wait, on_written)

    def in_force(self) -> AuthState:
        return read(self).documents.in_force()

    def is_there(self) -> bool:
        return Path(self.file).exists()

    def revision(self) -> Hashable:
        return identity(self.file)


class JsonAuth:
    """The auth storage of a state directory of generation A or B."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._sharing = _sharing(layout)

    def places_of(self, agent: AgentPaths) -> tuple[AuthPlace, ...]:
        own = self._place(*self._owner(agent.id, agent.agent_dir))
        main = self._place(*self._owner(self._layout.main_agent_id, self._layout.main_agent_dir))
        return (own,) if own == main else (own, main)

    def _owner(self, agent: str, directory: Path) -> tuple[str, Path]:
        """The first of the agents that share one store file."""
        sharing = self._sharing.get(str(directory))
        return (agent, directory) if sharing is None else (sharing[0].id, sharing[0].agent_dir)

    def place(self, owner: str) -> AuthPlace | None:
        paths = self._layout.agent(owner)
        if paths is not None:
            return self._place(*self._owner(owner, paths.agent_dir))
        is_main = owner == self._layout.main_agent_id
        return self._place(owner, self._layout.main_agent_dir) if is_main else None

    def warnings(self) -> tuple[Problem, ...]:
        return ()

    def _place(self, owner: str, directory: Path) -> JsonPlace:
        sharing = self._sharing.get(str(directory), ())
        others = tuple(str(agent.agent_dir) for agent in sharing if agent.agent_dir != directory)
        return JsonPlace(owner, str(directory), self._layout.generation, self._layout.writable_generation, others)


def _sharing(layout: Layout) -> Mapping[str, tuple[AgentPaths, ...]]:
    """Directory -> the agents whose credentials are the same file behind links, the main agent first."""
    by_file: dict[str, list[AgentPaths]] = {}
    for agent in sorted(layout.agents, key=lambda one: one.id != layout.main_agent_id):
        by_file.setdefault(os.path.realpath(agent.agent_dir / PROFILES_FILE), []).append(agent)
    shared = (tuple(agents) for agents in by_file.values() if len({agent.agent_dir for agent in agents}) > 1)
    return {str(agent.agent_dir): agents for agents in shared for agent in agents}
