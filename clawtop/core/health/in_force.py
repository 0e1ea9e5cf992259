"""Whether the configuration on disk is the one that the gateway works with."""

from __future__ import annotations

from typing import Final

from clawtop.core.model import Event, GatewayState, Snapshot

CONFIG_UNREAD: Final = "openclaw.json cannot be read, and no good copy of it is known"
CONFIG_NOT_TAKEN: Final = "the gateway refused openclaw.json and keeps its previous configuration"

REFUSED_STEP: Final = "config-refused"
_STEPS = frozenset({REFUSED_STEP, "config-taken", "start"})

_TAKES_MS = 10_000
"""A gateway looks at a changed openclaw.json within this time (it waits 300 ms, longer on a busy machine)."""


def unknown_chains(snapshot: Snapshot, now: int) -> str | None:
    """Why it is not known which models and orders are in force as of `now` (ms since the epoch); None if it is."""
    if snapshot.config.unread:
        return CONFIG_UNREAD
    return CONFIG_NOT_TAKEN if refused_config(snapshot, now) is not None else None


def refused_config(snapshot: Snapshot, now: int) -> Event | None:
    """The live gateway's refusal of the configuration on disk; None where it has not refused it.

    A corrected file that equals what the gateway had is accepted without a log line.
    """
    if snapshot.gateway.state is not GatewayState.LIVE or snapshot.config.unread:
        return None
    last = next((event for event in reversed(snapshot.events) if event.data.get("step") in _STEPS), None)
    if last is None or last.data["step"] != REFUSED_STEP or last.at < (snapshot.gateway.started_at or 0):
        return None
    changed = snapshot.config.changed_at
    return None if changed is not None and changed > last.at and now - changed > _TAKES_MS else last


def taken_at(snapshot: Snapshot, now: int) -> int | None:
    """When a refused configuration that was changed since will count as accepted; None if there is none."""
    refused, changed = refused_config(snapshot, now), snapshot.config.changed_at
    return changed + _TAKES_MS if refused is not None and changed is not None and changed > refused.at else None
