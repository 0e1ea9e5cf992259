"""Causes in the gateway: gone, stopped, frozen, half started, out of memory."""

from __future__ import annotations

from collections.abc import Iterator

from clawtop.core.health.cause import Cause, HealthScene, Level
from clawtop.core.health.wording import counted, span
from clawtop.core.model import Gateway, GatewayState, Serving
from clawtop.text import safe, shown

STARTING_MS = 90_000
"""A gateway takes up to half a minute to answer after its start, on a slow machine longer."""

MEMORY_SHARE = 0.9

BUSY_SHARE = 0.1
"""Of a core. A process that is stopped, or waits for something that never comes, uses none; one that works on a machine
where many do gets little (2026.5.20 was seen with 0.14, its event loop 13 s late)."""
BUSY_MS = 60_000
"""One that answers nothing for so long does not serve anybody, whatever it works on."""


def is_frozen(gateway: Gateway, now: int) -> bool:
    """Whether a gateway that lives answers nobody: neither while it works hard, nor for a minute."""
    if gateway.state is not GatewayState.LIVE or gateway.serving is not Serving.SILENT:
        return False
    cpu = gateway.usage.cpu if gateway.usage is not None else None
    works = cpu is not None and cpu >= BUSY_SHARE
    return not works or (gateway.silent_since is not None and now - gateway.silent_since >= BUSY_MS)


def gateway_causes(scene: HealthScene) -> Iterator[Cause]:
    gateway, snapshot = scene.snapshot.gateway, scene.snapshot
    evidence = (gateway.how,) if gateway.how else ()
    if gateway.state is GatewayState.DEAD:
        left = [s.key for s in snapshot.sessions if any(p.code == "ghost" for p in s.problems)]
        died = f"; {counted(len(left), 'turn')} died with it" if left else ""
        who = f"process {gateway.pid} is gone" if gateway.pid is not None else "its process is gone"
        yield Cause(
            "gateway-dead",
            f"the gateway is dead ({who}): nothing is answered{died}",
            Level.SILENT,
            evidence,
            "restart the gateway: openclaw gateway restart",
            since=_gone_since(scene),
            sessions=tuple(left),
        )
    elif gateway.state is GatewayState.ABSENT and snapshot.config.gateway_wanted:
        yield Cause(
            "gateway-stopped",
            "no gateway is running, although one is configured: nothing is answered",
            Level.SILENT,
            evidence,
            "start the gateway: openclaw gateway",
            since=_gone_since(scene),
        )
    elif gateway.state is GatewayState.UNKNOWN and snapshot.judged_at is None:
        code = "gateway-distrusted" if gateway.distrust is not None else "gateway-unknown"
        why = gateway.distrust or gateway.how or "nothing tells"
        yield Cause(code, f"the gateway's state is unknown: {shown(why, 120)}", Level.ATTENTION, evidence)
    if gateway.state is GatewayState.LIVE:
        yield from _serving(scene)
        yield from _memory(scene)


def _gone_since(scene: HealthScene) -> int | None:
    """The last sign of the gateway that is gone."""
    events = (e.at for e in scene.snapshot.events if e.source == "gateway-log" and e.at <= scene.now)
    return max(events, default=None)


def _serving(scene: HealthScene) -> Iterator[Cause]:
    gateway = scene.snapshot.gateway
    young = gateway.started_at is not None and scene.now - gateway.started_at <= STARTING_MS
    young = young and not (gateway.serving is Serving.SILENT and gateway.has_answered)
    evidence = (f"process {gateway.pid} lives" if gateway.pid is not None else "its port is open",)
    if is_frozen(gateway, scene.now) and not young:
        yield Cause(
            "gateway-frozen",
            "the gateway is frozen: its port connects, and nothing is answered",
            Level.SILENT,
            evidence,
            "restart the gateway: openclaw gateway restart",
            since=gateway.silent_since,
        )
    elif gateway.serving is Serving.SILENT and not young and gateway.usage is not None:
        share = round(100 * (gateway.usage.cpu or 0))
        yield Cause(
            "gateway-busy",
            f"the gateway is busy: it answers late and uses {share} % of a core",
            Level.ATTENTION,
            evidence,
            "wait for it; restart it when it stays so: openclaw gateway restart",
            since=gateway.silent_since,
        )
    elif gateway.serving in (Serving.REFUSES, Serving.SILENT):
        age = scene.now - gateway.started_at if gateway.started_at is not None else None
        since = f" {span(age)} after its start" if age is not None else ""
        level = Level.ATTENTION if young else Level.SILENT
        advice = "wait for it" if young else "look at its log; restart it: openclaw gateway restart"
        yield Cause(
            "gateway-half-started",
            f"the gateway's process lives, but does not answer{since}",
            level,
            (f"nothing listens on port {gateway.port}",) if gateway.serving is Serving.REFUSES else evidence,
            advice,
            since=gateway.started_at,
        )
    health = gateway.health
    if health is not None and (health.ready is False or health.degraded):
        failing = ", ".join(safe(name, 40) for name in health.failing)
        what = f"not ready: {failing or 'it does not say why'}" if health.ready is False else "its event loop is behind"
        yield Cause("gateway-degraded", f"the gateway reports: {what}", Level.ATTENTION)


def _memory(scene: HealthScene) -> Iterator[Cause]:
    usage = scene.snapshot.gateway.usage
    if usage is None or usage.limit is None or usage.memory < usage.limit * MEMORY_SHARE:
        return
    share = round(100 * usage.memory / usage.limit)
    yield Cause(
        "out-of-memory",
        f"the gateway is about to run out of memory: {share} % of its {usage.limit >> 20} MB",
        Level.SILENT,
        remedy="restart the gateway before it is killed: openclaw gateway restart",
    )
