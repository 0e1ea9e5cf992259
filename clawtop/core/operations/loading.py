"""Written, live, or live when: a gateway works from its memory, and what makes it take a change in differs by version.

From 2026.5.18 on it re-reads the store whenever it writes a mark of its own; 2026.3 works with what it read at its
start; 2026.8 leaves cooldowns out when it is told to reload.
"""

from __future__ import annotations

from collections.abc import Iterable

from clawtop.core.cooldown.schedules import Schedules
from clawtop.core.cooldown.windows import active_windows
from clawtop.core.model import Snapshot
from clawtop.core.operations.edit import FieldChange
from clawtop.core.rules import Remote

STATS = "usageStats"


def loads(changes: Iterable[FieldChange], remote: Remote, *, all_out: bool = False) -> str:
    """What makes a live gateway take these changes in, as it follows "live"."""
    touches_stats = any(change.section == STATS for change in changes)
    if remote.keeps_start:
        return "at its next restart: it works with the orders and marks of its start"
    if touches_stats and not remote.reload_takes_stats:
        return "at the next turn that ends, or after a restart; a reload does not load cooldowns"
    if touches_stats and all_out and remote.silent_when_out:
        return (
            "after a reload (--reload) or a restart only: every profile is out, so it tries none and writes no mark, "
            "and without a mark of its own it never reads the store again"
        )
    return "when it next writes a mark of its own, after a reload (--reload) or a restart"


def reload_loads(changes: Iterable[FieldChange], remote: Remote) -> bool:
    """Whether `secrets.reload` makes a gateway take all of these in."""
    touches_stats = any(change.section == STATS for change in changes)
    return not remote.keeps_start and (remote.reload_takes_stats or not touches_stats)


def all_out(snapshot: Snapshot) -> bool:
    """Whether every profile that an agent could use is out now."""
    schedules = Schedules(snapshot)
    profiles = [profile for agent in snapshot.agents if agent.store for profile in agent.store.profiles]
    now = snapshot.taken_at
    return bool(profiles) and all(active_windows(p.stats, now, schedules[p.provider]) for p in profiles)
