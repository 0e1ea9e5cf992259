"""The hosts of a fleet as seen from the operator's machine: their state and their order.

A host's times are by its own clock; `skew` (its clock minus the local one, ms) converts them to local times.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from enum import StrEnum

from clawtop.core.fleet.summary import EventBrief, HostSummary
from clawtop.values import dataclass

UNREADABLE = 3


class HostLink(StrEnum):
    """CONNECTING: no handshake yet. LIVE: lines come. STALE: none for a while. UNREACHABLE: `why` says so."""

    CONNECTING = "connecting"
    LIVE = "live"
    STALE = "stale"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class Host:
    """One host. Times are local unless stated otherwise, ms since the epoch.

    Attributes:
        name: as the operator named it; the key of everything.
        link, since: the state of the connection, and since when.
        why: one safe line for an operator where it is not live; `hint` is the command that helps.
        skew: the host's clock minus the local one, in ms; None before it was measured.
        set_since: for events that are dated by an older setting of its clock, how many ms that was set forward since.
        lag: half of the quickest round trip, in ms.
        clawtop: the far clawtop's version. `state_dir`: what it watches.
        summary: the latest, even if the host is no longer reachable; `heard_at`: when data last arrived.
        retry_at: when it is tried again.
    """

    name: str
    link: HostLink = HostLink.CONNECTING
    since: int = 0
    why: str = ""
    hint: str = ""
    skew: int | None = None
    set_since: Mapping[EventBrief, int] = field(default_factory=dict)
    lag: int | None = None
    clawtop: str | None = None
    state_dir: str | None = None
    summary: HostSummary | None = None
    heard_at: int | None = None
    retry_at: int | None = None

    @property
    def level(self) -> int:
        """Its health, 0 to 3; a host that does not answer cannot be judged, whatever it last reported."""
        if self.link is not HostLink.LIVE or self.summary is None:
            return UNREADABLE
        return min(UNREADABLE, max(0, self.summary.level))

    def ours(self, at: int | None) -> int | None:
        """A host's time, converted to the local clock."""
        return None if at is None else by_local_clock(at, self.skew)


def by_local_clock(at: int, skew: int | None) -> int:
    """A time by a host's clock, `skew` ms ahead of the local one (None: not measured), converted to the local clock."""
    return at - (skew or 0)


def worst_first(hosts: Iterable[Host]) -> tuple[Host, ...]:
    """Hosts in the order in which they need a look: silent bots, unreachable, attention, well; then by name."""
    return tuple(sorted(hosts, key=_weight))


def in_frozen_order(hosts: Iterable[Host], names: Sequence[str]) -> tuple[Host, ...]:
    """The hosts in the order last shown; new ones at the end, worst first."""
    by_name = {host.name: host for host in hosts}
    known = [by_name.pop(name) for name in names if name in by_name]
    return (*known, *worst_first(by_name.values()))


_ORDER = {2: 0, 3: 1, 1: 2, 0: 3}


def _weight(host: Host) -> tuple[int, int, str]:
    summary = host.summary
    waits = summary.oldest_since if summary is not None and summary.oldest_since is not None else 1 << 62
    return (_ORDER[host.level], waits, host.name)


def exit_code(hosts: Iterable[Host]) -> int:
    """The worst host's level, as `clawtop status --check` counts: 2 (bots are silent) is worse than 3 (not read)."""
    levels = [host.level for host in hosts]
    return min(levels, key=_ORDER.__getitem__, default=UNREADABLE)
