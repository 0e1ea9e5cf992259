"""What the hosts of a fleet tell, as one list: which agents can answer, and what happened."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Any, Generic, TypeVar

from clawtop.core.fleet.hosts import Host, HostLink, by_local_clock
from clawtop.core.fleet.summary import EventBrief
from clawtop.values import dataclass

T = TypeVar("T")

NEWEST = 500
"""So many lines of the fleet's timeline are kept."""


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


class MergedHosts(Generic[T]):
    """One sorted tuple of what all hosts tell. A host's part is made anew only when that host changed."""

    def __init__(
        self,
        told: Callable[[Host], object],
        part: Callable[[Host], Iterator[T]],
        order: Callable[[T], Any],
        most: int | None = None,
    ) -> None:
        """`part` makes a host's items, of what `told` returns alone; `most`: of all items the first so many."""
        self._told, self._part, self._order, self._most = told, part, order, most
        self._parts: dict[str, tuple[object, list[T]]] = {}
        self._merged: tuple[T, ...] = ()

    def of(self, hosts: Iterable[Host]) -> tuple[T, ...]:
        """The items of these hosts, sorted."""
        parts: dict[str, tuple[object, list[T]]] = {}
        for host in hosts:
            told, part = self._told(host), self._parts.get(host.name)
            if part is None or part[0] != told:
                part = told, sorted(self._part(host), key=self._order)
            parts[host.name] = part
        if len(parts) != len(self._parts) or any(self._parts.get(name) is not part for name, part in parts.items()):
            self._parts = parts
            merged = heapq.merge(*(items for _, items in parts.values()), key=self._order)
            self._merged = tuple(islice(merged, self._most))
        return self._merged


def answering() -> MergedHosts[Answering]:
    """Every agent on the reachable hosts: those that can answer now first (`at` is 0), then by time."""
    return MergedHosts(_outlook, _agents, lambda item: (item.at is None, item.at or 0, item.host, item.agent))


def _outlook(host: Host) -> object:
    return (host.summary.agents, host.skew) if host.link is HostLink.LIVE and host.summary is not None else None


def _agents(host: Host) -> Iterator[Answering]:
    if host.link is HostLink.LIVE and host.summary is not None:
        for agent in host.summary.agents:
            yield Answering(host.name, agent.agent, agent.at if agent.at in (0, None) else host.ours(agent.at))


def timeline() -> MergedHosts[HostEvent]:
    """What happened on all hosts, corrected for their clocks, the newest first."""
    return MergedHosts(
        lambda host: (host.summary.events, host.skew) if host.summary is not None else None,
        _moments,
        lambda item: (-item.moment.at, item.host),
        NEWEST,
    )


def _moments(host: Host) -> Iterator[HostEvent]:
    for moment in host.summary.events if host.summary is not None else ():
        yield HostEvent(host.name, replace(moment, at=by_local_clock(moment.at, host.skew)))
