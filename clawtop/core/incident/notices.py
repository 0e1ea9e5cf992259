"""What an operator wants to be told without looking: it is decided from how things stood before and stand now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from clawtop.core.cooldown.stats import ProfileState, Schedules, profile_state
from clawtop.core.incident.blocking import Node, NodeKind, Severity
from clawtop.core.model import EventKind, Profile, Snapshot
from clawtop.text import safe

_SHOWN = 3
"""Names in one notice; the rest is counted."""

_BLOCKED = (NodeKind.SESSION, NodeKind.GROUP)


@dataclass(frozen=True, slots=True)
class Standing:
    """How things stand at `at` (ms since the epoch).

    Attributes:
        usable: owner and id of each profile that can be used.
        known: the same of each profile there is.
        silent: agents that have no usable profile for any of their models.
        blocked: session key -> since when (ms since the epoch).
        reverted: writes that a gateway has undone, each by time and words.
    """

    at: int
    usable: frozenset[tuple[str, str]] = frozenset()
    known: frozenset[tuple[str, str]] = frozenset()
    silent: frozenset[str] = frozenset()
    blocked: Mapping[str, int] = field(default_factory=dict)
    reverted: frozenset[tuple[int, str]] = frozenset()


def standing(snapshot: Snapshot, now: int, tree: Iterable[Node]) -> Standing:
    """How things stand in `snapshot` at `now`. `tree`: its blocking tree."""
    owned = tuple(_owned(snapshot))
    schedules = Schedules(snapshot)
    nodes = tuple(tree)
    return Standing(
        at=now,
        usable=frozenset(
            (profile.owner_agent, profile.id)
            for profile in owned
            if profile_state(profile, now, schedules[profile.provider])[0] is ProfileState.USABLE
        ),
        known=frozenset((profile.owner_agent, profile.id) for profile in owned),
        silent=frozenset(node.id for node in nodes if node.kind is NodeKind.AGENT and node.id == node.agent),
        blocked={
            node.id: node.since
            for node in nodes
            if node.kind in _BLOCKED and node.since is not None and node.severity is not Severity.BUSY
        },
        reverted=frozenset((event.at, event.text) for event in snapshot.events if event.kind is EventKind.REVERTED),
    )


def notices(before: Standing | None, now: Standing, blocked_ms: int) -> tuple[str, ...]:
    """What has changed for the worse or the better, the weightiest first, each as one safe line.

    Args:
        before: None at the start, when what stands already is on the screen and needs no notice.
        blocked_ms: a session that is blocked for so long is worth a notice, once.
    """
    if before is None:
        return ()
    told: list[str] = []
    silent = sorted(now.silent - before.silent)
    if silent:
        told.append(f"nothing is usable for {_names(silent)}")
    overdue = [
        key
        for key, since in sorted(now.blocked.items())
        if since + blocked_ms <= now.at and (key not in before.blocked or since + blocked_ms > before.at)
    ]
    if overdue:
        told.append(f"blocked for {blocked_ms / 60_000:g} min: {_names(overdue)}")
    told += [safe(text, 120) for _, text in sorted(now.reverted - before.reverted)]
    back = sorted({profile for _, profile in (now.usable - before.usable) & before.known})
    if back:
        told.append(f"usable again: {_names(back)}")
    return tuple(told)


def next_due(now: Standing, blocked_ms: int) -> int | None:
    """When a session will have been blocked for too long, if nothing changes (ms since the epoch)."""
    return min((since + blocked_ms for since in now.blocked.values() if since + blocked_ms > now.at), default=None)


def _owned(snapshot: Snapshot) -> Iterable[Profile]:
    for agent in snapshot.agents:
        if agent.store is not None:
            yield from (profile for profile in agent.store.profiles if profile.owner_agent == agent.id)


def _names(names: list[str]) -> str:
    listed = ", ".join(safe(name, 40) for name in names[:_SHOWN])
    return f"{listed} and {len(names) - _SHOWN} more" if len(names) > _SHOWN else listed
