"""Warnings about the configuration as a part of every snapshot that asks for them."""

from __future__ import annotations

from dataclasses import replace

from clawtop.core.config_checks import config_problems
from clawtop.core.model import Snapshot, of_agents
from clawtop.core.rotation.written import order_problems
from clawtop.store.place.layout import Layout


def config_part(layout: Layout, snapshot: Snapshot) -> Snapshot:
    """`snapshot` with the problems of openclaw.json and of stored orders; an extra part of `SnapshotReader`."""
    if layout.config.raw is None:
        return snapshot
    now = snapshot.as_of
    found = (*config_problems(layout.config.raw, snapshot, now), *order_problems(snapshot, now))
    if len(snapshot.agents) < len(layout.agents):
        found = of_agents(found, {agent.id for agent in snapshot.agents})
    return replace(snapshot, warnings=tuple(dict.fromkeys((*snapshot.warnings, *found))))
