"""What the hosts of a fleet report, as one list: which agents can answer, and what happened."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any, Generic, TypeVar

from clawtop.core.fleet.hosts import Host, HostLink, by_local_clock
from clawtop.core.fleet.summary import AgentOutlook, EventBrief
from clawtop.values import dataclass

T = TypeVar("T")
S = TypeVar("S")

NEWEST = 500
"""How many lines of the fleet's timeline are kept."""


@dataclass(frozen=True, slots=True)
class Answering:
    """An agent of a host that can answer now, or when it can (local time, ms since the epoch; None: not by itself)."""

    host: str
    agent: str
    at: int | None


@dataclass(frozen=True, slots=True)
class HostEvent:
    """A line of the fleet's timeline; `moment.at` is by the local clock."""

    host: str
    moment: EventBrief


class MergedHosts(Generic[S, T]):
    """One sorted tuple of what all hosts report. A host's part is made anew only when that host changed."""

    def __init__(
        self,
        told: Callable[[Host], S | None],
        part: Callable[[str, S], Iterator[T]],
        order: Callable[[T], Any],
        most: int | None = None,
    ) -> None:
        """`told` returns what a host's items are made from (None: it has none); `part` makes them from that and the
        host's name. `most`: keep only the first so many items.
        """
        self._told, self._part, self._order, self._most = told, part, order, most
        self._parts: dict[str, tuple[S | None, list[T]]] = {}
        self._merged: tuple[T, ...] = ()

    def of(self, hosts: Iterable[Host]) -> tuple[T, ...]:
        """The items of these hosts, sorted."""
        parts: dict[str, tuple[S | None, list[T]]] = {}
        for host in hosts:
            told, part = self._told(host), self._parts.get(host.name)
            if part is None or part[0] != told:
                part = told, [] if told is None else sorted(self._part(host.name, told), key=self._order)
            parts[host.name] = part
        if len(parts) != len(self._parts) or any(self._parts.get(name) is not part for name, part in parts.items()):
            self._parts = parts
            merged = heapq.merge(*(items for _, items in parts.values()), key=self._order)
            self._merged = tuple(islice(merged, self._most))
        return self._merged


_Outlook = tuple[tuple[AgentOutlook, ...], int | None]
_Happened = tuple[tuple[EventBrief, ...], int | None, Mapping[EventBrief, int]]
"""A host's agents; or its events, its clock skew, and by how much its clock was set after some of them."""


def answering() -> MergedHosts[_Outlook, Answering]:
    """Every agent on the reachable hosts: those that can answer now first (`at` is 0), then by time."""
    return MergedHosts(_outlook, _agents, lambda item: (item.at is None, item.at or 0, item.host, item.agent))


def _outlook(host: Host) -> _Outlook | None:
    return (host.summary.agents, host.skew) if host.link is HostLink.LIVE and host.summary is not None else None


def _agents(host: str, outlook: _Outlook) -> Iterator[Answering]:
    agents, skew = outlook
    for agent in agents:
        yield Answering(host, agent.agent, by_local_clock(agent.at, skew) if agent.at else agent.at)


def timeline() -> MergedHosts[_Happened, HostEvent]:
    """What happened on all hosts, corrected for their clocks, the newest first."""
    return MergedHosts(_happened, _moments, lambda item: (-item.moment.at, item.host), NEWEST)


def _happened(host: Host) -> _Happened | None:
    return (host.summary.events, host.skew, host.set_since) if host.summary is not None else None


def _moments(host: str, happened: _Happened) -> Iterator[HostEvent]:
    events, skew, set_since = happened
    for moment in events:
        yield HostEvent(host, replace(moment, at=by_local_clock(moment.at + set_since.get(moment, 0), skew)))
