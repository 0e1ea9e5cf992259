"""An etcd cluster in memory, in the place of `engine.etcd.client.Etcd`: leases end when the simulation says so."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from clawtop.engine.etcd.client import Created, Delete, EtcdUnreachableError, KeyValue, Put, Range, Revision

LEASE_S = 6


@dataclass
class Cluster:
    """What stands in etcd, and who watches. `seconds`: monotonic."""

    seconds: Callable[[], float]
    revision: int = 1
    keys: dict[bytes, KeyValue] = field(default_factory=dict)
    leases: dict[int, float] = field(default_factory=dict)
    watchers: list[tuple[bytes, asyncio.Queue[bytes]]] = field(default_factory=list)
    down: bool = False
    read_only: bool = False
    ended: list[tuple[int, float]] = field(default_factory=list)
    """Leases that are over, and when that was noticed."""

    lease_of: dict[bytes, int] = field(default_factory=dict)
    """The lease that a key went with, also when both are gone."""

    counts: Counter[str] = field(default_factory=Counter)
    """What was felt: answers that did not come, changes that were refused, leases that ran out."""

    def end(self, lease: int) -> bool:
        """A lease is over: what goes with it is gone. False: there is none, or it was over before."""
        if self.leases.pop(lease, None) is None:
            return False
        self.ended.append((lease, self.seconds()))
        for key in [key for key, value in self.keys.items() if value.lease == lease]:
            self.change(Delete(key))
        return True

    def end_those_whose_time_is_over(self) -> None:
        for lease in [lease for lease, until in self.leases.items() if until <= self.seconds()]:
            self.end(lease)
            self.counts["fault: a lease ran out"] += 1

    def change(self, change: Put | Delete) -> None:
        self.revision += 1
        before = self.keys.pop(change.key, None)
        if isinstance(change, Put):
            created = before.created if before is not None else self.revision
            self.keys[change.key] = KeyValue(change.key, change.value, self.revision, created, change.lease)
            self.lease_of[change.key] = change.lease
        for prefix, queue in self.watchers:
            if change.key.startswith(prefix):
                queue.put_nowait(change.key)

    def holds(self, condition: Revision | Created) -> bool:
        found = self.keys.get(condition.key)
        if isinstance(condition, Revision):
            return condition.revision == (found.revision if found is not None else 0)
        return found is not None and found.created == condition.revision


Step = Callable[[str, Callable[[], object]], Awaitable[None]]
"""Called before each call and behind each commit, with its name and what ends the lease of whoever makes it."""


class Client:
    """`engine.etcd.client.Etcd` on a cluster in memory. Each call is a step of whoever makes it."""

    def __init__(self, cluster: Cluster, step: Step, lease_s: int = LEASE_S) -> None:
        self._cluster = cluster
        self._step = step
        self._lease_s = lease_s
        self.lease = 0
        self.leases = list[int]()

    async def _call(self, name: str) -> None:
        await self._step(name, lambda: self._cluster.end(self.lease))
        self._cluster.end_those_whose_time_is_over()
        if self._cluster.down:
            self._cluster.counts["fault: etcd did not answer"] += 1
            raise EtcdUnreachableError("etcd does not answer")

    async def aclose(self) -> None:
        """Nothing is open."""

    async def grant(self, ttl_s: int) -> tuple[int, int]:
        await self._call("grant")
        self.lease = self._cluster.revision = self._cluster.revision + 1
        self._cluster.leases[self.lease] = self._cluster.seconds() + ttl_s
        self.leases.append(self.lease)
        return self.lease, ttl_s

    async def keep_alive(self, lease: int) -> int:
        await self._call("keep alive")
        if lease not in self._cluster.leases:
            return 0
        self._cluster.leases[lease] = self._cluster.seconds() + self._lease_s
        return self._lease_s

    async def revoke(self, lease: int) -> None:
        await self._call("revoke")
        self._cluster.end(lease)

    async def read(self, *ranges: Range) -> tuple[tuple[KeyValue, ...], ...]:
        await self._call("read")
        keys = self._cluster.keys
        return tuple(tuple(value for key, value in sorted(keys.items()) if _within(key, one)) for one in ranges)

    async def commit(self, conditions: Sequence[Revision | Created], changes: Sequence[Put | Delete]) -> int | None:
        await self._call("commit")
        cluster = self._cluster
        if cluster.read_only:
            cluster.counts["fault: etcd refused a change"] += 1
            raise EtcdUnreachableError("etcdserver: no space")
        gone = [change for change in changes if isinstance(change, Put) and change.lease not in {0, *cluster.leases}]
        if gone:
            raise EtcdUnreachableError("etcdserver: requested lease not found")
        if not all(cluster.holds(condition) for condition in conditions):
            return None
        for change in changes:
            cluster.change(change)
        made = cluster.revision
        await self._step("committed", lambda: cluster.end(self.lease))
        return made

    async def watch(self, *ranges: Range) -> AsyncIterator[bytes]:
        queue: asyncio.Queue[bytes] = asyncio.Queue()
        self._cluster.watchers += [(one.prefix, queue) for one in ranges]
        while True:
            yield await queue.get()


def _within(key: bytes, one: Range) -> bool:
    return key == one.prefix if one.exact else key.startswith(one.prefix)
