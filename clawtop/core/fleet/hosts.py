"""The hosts of a fleet as seen from the operator's machine: their state, their order, and what they share.

A host's times are by its own clock; `skew` (its clock minus the local one, ms) converts them to local times.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from clawtop.core.fleet.summary import EventBrief, HostSummary

UNREADABLE = 3
STALE_MS = 15_000
"""After this long without a line (heartbeats come every 5 s) a host's data is stale."""


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
        return None if at is None else at - (self.skew or 0)


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


@dataclass(frozen=True, slots=True)
class SharedAccount:
    """One account on several hosts.

    Attributes:
        cooling: host -> until when it cools there (local time, ms since the epoch; None: it does not end by itself).
        unused: hosts on which it is usable although it cools elsewhere: they will probably hit the same limit next.
    """

    provider: str
    profile: str
    hosts: tuple[str, ...]
    cooling: Mapping[str, int | None] = field(default_factory=dict)

    @property
    def usable_on(self) -> tuple[str, ...]:
        return tuple(name for name in self.hosts if name not in self.cooling)


def shared_accounts(hosts: Iterable[Host]) -> tuple[SharedAccount, ...]:
    """Accounts with the same profile id and credential on at least two hosts; cooling ones first."""
    seen: dict[tuple[str, str], list[tuple[Host, str, int | None, str]]] = defaultdict(list)
    for host in hosts:
        for account in host.summary.accounts if host.summary is not None else ():
            if account.fingerprint is not None:
                key = (account.profile, account.fingerprint)
                seen[key].append((host, account.state, host.ours(account.until), account.provider))
    found = []
    for (profile, _fingerprint), places in seen.items():
        names = tuple(dict.fromkeys(host.name for host, *_ in places))
        if len(names) > 1:
            cooling = {host.name: until for host, state, until, _ in places if state != "usable"}
            found.append(SharedAccount(places[0][3], profile, names, cooling))
    return tuple(sorted(found, key=lambda item: (not item.cooling, item.provider, item.profile)))


@dataclass(frozen=True, slots=True)
class Answering:
    """An agent of a host that can answer now, or when it can (local time, ms since the epoch; None: not by itself)."""

    host: str
    agent: str
    at: int | None


def who_can_answer(hosts: Iterable[Host]) -> tuple[Answering, ...]:
    """Every agent on the reachable hosts: those that can answer now first (`at` is 0), then by time."""
    found = [
        Answering(host.name, agent.agent, agent.at if agent.at in (0, None) else host.ours(agent.at))
        for host in hosts
        if host.link is HostLink.LIVE and host.summary is not None
        for agent in host.summary.agents
    ]
    return tuple(sorted(found, key=lambda item: (item.at is None, item.at or 0, item.host, item.agent)))


@dataclass(frozen=True, slots=True)
class HostEvent:
    """A line of the fleet's timeline; `moment.at` is by the local clock."""

    host: str
    moment: EventBrief


def timeline(hosts: Iterable[Host], limit: int = 500) -> tuple[HostEvent, ...]:
    """What happened on all hosts, corrected for their clocks, the newest first."""
    found = [
        HostEvent(host.name, replace(moment, at=moment.at - (host.skew or 0)))
        for host in hosts
        if host.summary is not None
        for moment in host.summary.events
    ]
    found.sort(key=lambda item: (-item.moment.at, item.host))
    return tuple(found[:limit])
