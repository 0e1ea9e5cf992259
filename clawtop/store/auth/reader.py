"""The auth store that an agent sees, kept between reads as long as its sources are unchanged.

For the engine's turns, which need one agent's store quickly and nothing else of the state directory, and for the
snapshot, which needs every agent's.
"""

from __future__ import annotations

from dataclasses import replace

from clawtop.clock import Clock
from clawtop.core.model import AuthStore, Problem
from clawtop.errors import RefusedError
from clawtop.store.auth.accounts import same_accounts
from clawtop.store.auth.backends import auth_backend
from clawtop.store.auth.port import AuthBackend, AuthPlace, OwnAuth, seen_by
from clawtop.store.place.layout import AgentPaths, Layout
from clawtop.store.sqlite.pool import Databases
from clawtop.store.timed_reads import NoAnswerError, TimedReads
from clawtop.text import safe

_SILENT = ("no answer",)


class AuthReader:
    """Reads the auth stores of one state directory. Used by one thread."""

    def __init__(
        self, layout: Layout, clock: Clock, databases: Databases | None = None, reads: TimedReads | None = None
    ) -> None:
        """`databases`: the ones to use; None: the reader opens its own. `reads`: None waits for every answer."""
        self._reads = reads or TimedReads(clock, None)
        self._layout = layout
        self._clock = clock
        self._databases = databases or Databases(clock)
        self._backend: AuthBackend = auth_backend(layout, self._databases)
        self._known: dict[tuple[str, str], OwnAuth] = {}
        self._stores: dict[str, tuple[tuple[OwnAuth, ...], AuthStore]] = {}
        self._places: dict[str, tuple[AgentPaths, tuple[AuthPlace, ...]]] = {}

    def moved(self, layout: Layout) -> None:
        """The directory was located again. What was read is kept as long as the layout is the same."""
        self._layout = layout
        self._backend = auth_backend(layout, self._databases)
        self._places.clear()

    def store(
        self, agent: AgentPaths, warnings: list[Problem], looked: dict[tuple[str, str], OwnAuth] | None = None
    ) -> AuthStore:
        """The store of an agent. A place that cannot be read keeps its last content, with the reason.

        `looked`: the places read so far in this pass, so that all agents get the same content.
        """
        places = tuple(self._looked_at(place, looked) for place in self._places_of(agent))
        for place in places:
            warnings += place.warnings
        known = self._stores.get(agent.id)
        if (
            known is None
            or any(old is not new for old, new in zip(known[0], places, strict=False))
            or (len(known[0]) != len(places))
        ):
            known = self._stores[agent.id] = (places, seen_by(agent.id, *places))
        return known[1]

    def _places_of(self, agent: AgentPaths) -> tuple[AuthPlace, ...]:
        known = self._places.get(agent.id)
        if known is None or known[0] is not agent:
            known = self._places[agent.id] = (agent, self._backend.places_of(agent))
        return known[1]

    def problems(self) -> tuple[Problem, ...]:
        """Warnings about the storage as a whole, and about stores in relation to each other."""
        return (*self._backend.warnings(), *same_accounts(self._known.values()))

    def seen_by(self, agent_id: str) -> AuthStore:
        """The store of an agent, to be used at once.

        Raises:
            RefusedError: there is no such agent, or its store cannot be read.
        """
        agent = self._layout.agent(agent_id)
        if agent is None:
            raise RefusedError(f"there is no agent {safe(agent_id, 60)}", unchanged="nothing was sent")
        store = self.store(agent, [])
        if store.problem is not None:
            where = safe(store.problem.where, 300)
            raise RefusedError(f"the auth store {where} {store.problem.text}", unchanged="nothing was sent")
        return store

    def _looked_at(self, place: AuthPlace, looked: dict[tuple[str, str], OwnAuth] | None) -> OwnAuth:
        if looked is None:
            return self._own(place)
        key = (place.owner, place.file)
        if key not in looked:
            looked[key] = self._own(place)
        return looked[key]

    def _own(self, place: AuthPlace) -> OwnAuth:
        key = (place.owner, place.file)
        known = self._known.get(key)
        try:
            fresh = self._reads.ask(f"auth {key}", place.file, lambda: self._read(place, known))
        except NoAnswerError as silent:
            if known is not None and known.problem == silent.problem:
                return known
            fresh = replace(known or OwnAuth(place.owner, place.file, place.file), problem=silent.problem)
            fresh = replace(fresh, stamps=_SILENT)
        if fresh is known:
            return known
        if fresh.problem is not None and known is not None:
            fresh = replace(known, problem=fresh.problem, stamps=fresh.stamps)
        self._known[key] = fresh
        return fresh

    def _read(self, place: AuthPlace, known: OwnAuth | None) -> OwnAuth:
        return known if known is not None and known.stamps == place.stamps() else place.read(self._clock)
