"""The auth store as one engine's runs see it: the disk plus their own pending marks.

A turn asks several times in one step of the event loop - whether a model has a usable account, which one, which is
next - and nothing can happen between the answers, so the disk is read once per step.

Mutable state: what was read, touched by the event loop's thread only.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from clawtop.clock import Clock
from clawtop.core.model import AuthStore, Profile
from clawtop.engine.drive.marks import Marks
from clawtop.store.auth.reader import AuthReader
from clawtop.store.place.layout import Layout


class AuthView:
    """The stores of one state directory."""

    def __init__(self, layout: Layout, clock: Clock, marks: Marks) -> None:
        self._layout = layout
        self._clock = clock
        self._marks = marks
        self._reader: AuthReader | None = None
        self._in_this_step: dict[str, AuthStore] = {}
        self._marked: dict[str, tuple[AuthStore, int, AuthStore]] = {}

    def moved(self, layout: Layout) -> None:
        """The configuration changed: discard everything that was read."""
        self._layout = layout
        self._reader = None
        self._in_this_step.clear()
        self._marked.clear()

    def of(self, agent: str) -> AuthStore:
        """The store that an agent sees, with the marks of this engine that are still on their way.

        Raises RefusedError: there is no such agent, or its store cannot be read.
        """
        store = self._read(agent)
        if not self._marks.pending_count:
            return store
        known = self._marked.get(agent)
        if known is None or known[0] is not store or known[1] != self._marks.changes:
            marked = replace(store, profiles=tuple(self.overlaid(profile) for profile in store.profiles))
            known = self._marked[agent] = (store, self._marks.changes, marked)
        return known[2]

    def overlaid(self, profile: Profile) -> Profile:
        """`profile` with pending marks; itself when there are none."""
        stats = self._marks.overlay(profile.owner_agent, profile.id, profile.stats)
        return profile if stats is profile.stats else replace(profile, stats=stats)

    def _read(self, agent: str) -> AuthStore:
        known = self._in_this_step.get(agent)
        if known is not None:
            return known
        if self._reader is None:
            self._reader = AuthReader(self._layout, self._clock)
        store = self._reader.seen_by(agent)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return store
        if not self._in_this_step:
            loop.call_soon(self._in_this_step.clear)
        self._in_this_step[agent] = store
        return store
