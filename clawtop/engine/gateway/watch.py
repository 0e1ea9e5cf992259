"""What the live gateway says over HTTP, asked beside the hub and added to each snapshot that is read.

The first snapshot never waits for it: the answer comes with a later one.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from clawtop.clock import Clock
from clawtop.core.model import Gateway, GatewayHealth, GatewayState, Problem, Snapshot
from clawtop.store.gateway.token import gateway_token
from clawtop.store.locks.processes import listens
from clawtop.store.place.layout import Layout

if TYPE_CHECKING:
    from clawtop.engine.gateway.http import GatewayReport

FIRST_SECONDS = 1.0
INTERVAL_SECONDS = 5.0


class Probe(Protocol):
    """`engine.gateway.GatewayProbe`."""

    async def look(self, gateway: Gateway) -> GatewayReport | None: ...


class GatewayWatch:
    """Asks the gateway of the last snapshot every few seconds.

    As an extra part of the reader it runs in the hub's thread and only reads `_report`, which the loop replaces whole.
    `_gateway` and `_layout` are replaced whole by that thread.
    """

    def __init__(self, clock: Clock, probe: Callable[[GatewayWatch], Probe] | None = None) -> None:
        self.clock = clock
        self._make_probe = probe or _probe
        self._probe: Probe | None = None
        self._gateway = Gateway()
        self._layout: Layout | None = None
        self._report: GatewayReport | None = None

    def __call__(self, layout: Layout, snapshot: Snapshot) -> Snapshot:
        """The snapshot with the gateway's health and lanes, as it told them last."""
        self._layout, self._gateway = layout, snapshot.gateway
        report = self._report
        if report is None or snapshot.gateway.state is not GatewayState.LIVE or snapshot.judged_at is not None:
            return snapshot
        return replace(
            snapshot,
            gateway=replace(snapshot.gateway, health=report.health),
            lanes=(*snapshot.lanes, *report.lanes),
            warnings=(*snapshot.warnings, *_problems(report.health, snapshot.gateway.port)),
        )

    def token(self) -> str | None:
        """The gateway's token, from the environment or the configuration as last read."""
        return gateway_token(self._layout.config, os.environ) if self._layout is not None else None

    async def look(self) -> bool:
        """Ask once; whether there is anything new to show."""
        if self._probe is None:
            self._probe = self._make_probe(self)
        before, report = self._report, await self._probe.look(self._gateway)
        if report is not None and before is not None and _same(before, report):
            return False
        self._report = report
        return report is not before

    async def run(self, changed: Callable[[], None]) -> None:
        """Ask until cancelled; `changed` is called when a snapshot would tell more."""
        await self.clock.sleep(FIRST_SECONDS)
        while True:
            if self._gateway.state is GatewayState.LIVE and await self.look():
                changed()
            await self.clock.sleep(INTERVAL_SECONDS)


def _problems(health: GatewayHealth, port: int | None) -> tuple[Problem, ...]:
    """What a live gateway says of itself that an operator should know."""
    where = f"127.0.0.1:{port}"
    found = []
    if health.problem is not None:
        found.append(Problem("gateway-http", where, health.problem))
    if health.ready is False:
        failing = ", ".join(health.failing) or "it does not say why"
        found.append(Problem("gateway-not-ready", where, f"the gateway is live but not ready: {failing}"))
    if health.degraded:
        found.append(Problem("gateway-degraded", where, "the gateway says that its event loop is degraded"))
    return tuple(found)


def _same(before: GatewayReport, after: GatewayReport) -> bool:
    """Whether only time has passed."""
    health = replace(after.health, at=before.health.at, uptime_ms=before.health.uptime_ms)
    return replace(after, health=health) == before


def _probe(watch: GatewayWatch) -> Probe:
    from clawtop.engine.gateway.http import GatewayProbe  # httpx, after the first paint

    return GatewayProbe(watch.clock, token=watch.token, listens=listens)
