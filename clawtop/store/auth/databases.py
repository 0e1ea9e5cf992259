"""Generations C and D: named, with their place; their contents are not read yet."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from clawtop.clock import Clock
from clawtop.core.generations import AuthFormat
from clawtop.core.model import Problem
from clawtop.core.operations.edit import AuthState
from clawtop.errors import RefusedError
from clawtop.store.auth.machine import Machine
from clawtop.store.auth.port import AuthPlace, Change, OnWait, OnWritten, OwnAuth, PlaceUpdate
from clawtop.store.json_text import stamp_of
from clawtop.store.place.databases import AGENT_DATABASE, STATE_DATABASE
from clawtop.store.place.layout import AgentPaths, Layout
from clawtop.text import safe


@dataclass(frozen=True, slots=True)
class UnreadPlace:
    """A database of which only the place is known."""

    owner: str
    file: str
    publishes: bool = True

    def stamps(self) -> Hashable:
        return stamp_of(self.file)

    def read(self, clock: Clock) -> OwnAuth:  # noqa: ARG002 - as every place
        problem = Problem("generation-not-read", self.file, "contents of this generation are not read yet")
        return OwnAuth(self.owner, self.file, self.file, problem=problem, stamps=self.stamps())

    def check_writable(self, machine: Machine) -> None:  # noqa: ARG002 - as every place
        raise self._refusal()

    def change(self, change: Change, machine: Machine, on_wait: OnWait, on_written: OnWritten) -> PlaceUpdate:  # noqa: ARG002
        raise self._refusal()

    def in_force(self) -> AuthState:
        raise self._refusal()

    def is_there(self) -> bool:
        return stamp_of(self.file) is not None

    def revision(self) -> Hashable:
        return stamp_of(self.file)

    def _refusal(self) -> RefusedError:
        return RefusedError(
            f"{safe(self.file)} keeps auth profiles in SQLite, which clawtop does not write",
            unchanged="nothing was written",
            hint="use OpenClaw's own commands",
        )


class UnreadAuth:
    """The auth storage of generations C and D."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def places_of(self, agent: AgentPaths) -> tuple[AuthPlace, ...]:
        place = self.place(agent.id)
        return () if place is None else (place,)

    def place(self, owner: str) -> AuthPlace | None:
        agent = self._layout.agent(owner)
        if agent is None:
            return None
        shared = self._layout.storage.auth is AuthFormat.STATE_DATABASE
        database = self._layout.state_dir / STATE_DATABASE if shared else agent.agent_dir / AGENT_DATABASE
        return UnreadPlace(owner, str(database))

    def warnings(self) -> tuple[Problem, ...]:
        return ()
