"""Causes in the gateway: gone, stopped, paused, frozen, busy, half started, out of memory."""

from __future__ import annotations

from collections.abc import Iterator

from clawtop.core.health.cause import RECENT_MS, Cause, HealthScene, Level
from clawtop.core.health.silence import STARTING_MS, Silence, silence_of, stop_told
from clawtop.core.health.turn_causes import waits_for_start
from clawtop.core.health.waiting import Unanswered
from clawtop.core.model import GATEWAY_LOG, Gateway, GatewayState, MemoryKill, ProcessCondition, Serving, counted, span
from clawtop.core.session.listed import troubled
from clawtop.text import safe, shown

MEMORY_SHARE = 0.9


def gateway_causes(scene: HealthScene) -> Iterator[Cause]:
    gateway, snapshot = scene.snapshot.gateway, scene.snapshot
    evidence = (gateway.how,) if gateway.how else ()
    if gateway.state is GatewayState.DEAD:
        left = [s.key for s in troubled(snapshot.sessions) if any(p.code == "ghost" for p in s.problems)]
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
            "no gateway runs, though one is configured: nothing is answered",
            Level.SILENT,
            evidence,
            "start the gateway: openclaw gateway",
            since=_gone_since(scene),
        )
    elif gateway.state is GatewayState.ABSENT and snapshot.config.unread:
        text = "no gateway is seen, and whether one should run is unknown"
        yield Cause("gateway-unknown", text, Level.ATTENTION, evidence)
    elif gateway.state is GatewayState.UNKNOWN and snapshot.judged_at is None:
        code = "gateway-distrusted" if gateway.distrust is not None else "gateway-unknown"
        why = gateway.distrust or gateway.how or "no evidence either way"
        yield Cause(code, f"the gateway's state is unknown: {shown(why, 120)}", Level.ATTENTION, evidence)
    if gateway.state is GatewayState.LIVE:
        yield from _clock(scene)
        yield from _stopping(scene)
        yield from _serving(scene)
        yield from _reported(scene)
        yield from _memory(scene)
    yield from _memory_kill(scene)


def _clock(scene: HealthScene) -> Iterator[Cause]:
    """Providers, certificates and people go by another clock than a gateway's that is wrong."""
    offset = scene.snapshot.gateway.clock_offset
    if offset:
        differs = f"{span(round(abs(offset), -3))} {'ahead of' if offset > 0 else 'behind'}"
        yield Cause(
            "clocks-disagree",
            f"the gateway's clock is {differs} this machine's; times here follow the gateway's",
            Level.ATTENTION,
            ("its lock names another time than its file has",),
            "set the clock that is wrong",
        )


def _stopping(scene: HealthScene) -> Iterator[Cause]:
    """A gateway that was told to end takes no new messages while its runs finish: on 2026.9.6 for five minutes."""
    told = stop_told(scene.snapshot)
    if told is None:
        return
    again = told.text.endswith("; restarting")
    what = "about to restart" if again else "stopping"
    yield Cause(
        "gateway-stopping",
        f"the gateway is {what} and takes no new messages until its runs are over",
        Level.ATTENTION if again and scene.now - told.at <= STARTING_MS else Level.SILENT,
        (shown(told.text, 80),),
        "wait for it" if again else "wait until it has ended, then start it: openclaw gateway",
        since=told.at,
    )


def _gone_since(scene: HealthScene) -> int | None:
    """The last sign of life of the gateway that is gone."""
    events = (e.at for e in scene.snapshot.events if e.source == GATEWAY_LOG and e.at <= scene.now)
    return max(events, default=None)


def _serving(scene: HealthScene) -> Iterator[Cause]:
    gateway = scene.snapshot.gateway
    silence = silence_of(gateway, scene.now)
    evidence = _of_life(gateway)
    if silence is Silence.PAUSED:
        yield Cause(
            "gateway-paused",
            f"the gateway's process {gateway.pid} is paused: nothing is answered",
            Level.SILENT,
            ("a signal (SIGSTOP), a debugger or a freezer stopped it",),
            f"resume it: kill -CONT {gateway.pid}",
            since=gateway.silent_since,
        )
    elif silence is Silence.FROZEN:
        disk = gateway.usage is not None and gateway.usage.condition is ProcessCondition.DISK
        yield Cause(
            "gateway-frozen",
            "the gateway is frozen: its port accepts connections, but nothing is answered",
            Level.SILENT,
            (*evidence, *(("it waits for a disk",) if disk else ())),
            "restart the gateway: openclaw gateway restart",
            since=gateway.silent_since,
        )
    elif silence is Silence.BUSY:
        yield Cause(
            "gateway-busy",
            f"the gateway is busy: it answers slowly{_shares(gateway)}",
            Level.ATTENTION,
            evidence,
            "wait; restart it if this does not pass: openclaw gateway restart",
            since=gateway.silent_since,
        )
    elif silence is not None:
        age = scene.now - gateway.started_at if gateway.started_at is not None else None
        since = f" {span(age)} after its start" if age is not None else ""
        starting = silence is Silence.STARTING
        left = waits_for_start(scene)
        wait = "s wait" if len(left) > 1 else " waits"
        waiting = (
            f"; {len(left)} message{wait} for it, the oldest for {span(scene.now - left[0].since)}" if left else ""
        )
        yield Cause(
            "gateway-half-started",
            f"the gateway's process lives, but does not answer{since}{waiting}",
            Level.ATTENTION if starting and not _waited_long(scene, left) else Level.SILENT,
            (f"nothing listens on port {gateway.port}",) if gateway.serving is Serving.REFUSES else evidence,
            "wait for it" if starting else "check its log; restart it: openclaw gateway restart",
            since=gateway.started_at,
            agents=tuple(dict.fromkeys(one.agent for one in left)),
            sessions=tuple(one.session for one in left),
        )


def _of_life(gateway: Gateway) -> tuple[str]:
    return (f"process {gateway.pid} lives" if gateway.pid is not None else "its port is open",)


def _reported(scene: HealthScene) -> Iterator[Cause]:
    """What a gateway that answers reports about itself."""
    gateway, health = scene.snapshot.gateway, scene.snapshot.gateway.health
    if health is None:
        return
    if health.late and silence_of(gateway, scene.now) is None:
        yield Cause(
            "gateway-busy",
            "the gateway did not say in time what it runs: what waits for its lanes is not known",
            Level.ATTENTION,
            _of_life(gateway),
            "ask again; the dashboard goes on asking",
        )
    if health.ready is False or health.degraded:
        failing = ", ".join(safe(name, 40) for name in health.failing)
        what = f"not ready: {failing or 'it does not say why'}" if health.ready is False else "its event loop is behind"
        yield Cause("gateway-degraded", f"the gateway reports: {what}", Level.ATTENTION)


def _waited_long(scene: HealthScene, left: tuple[Unanswered, ...]) -> bool:
    """Whether a message has waited for longer than a run and a start may take: this may be the tenth start."""
    longest = scene.snapshot.config.attention.warn_ms + STARTING_MS
    return any(scene.now - one.since > longest for one in left)


def _shares(gateway: Gateway) -> str:
    """How much of a core it uses and waits for, if that was measured."""
    usage = gateway.usage
    if usage is None or usage.cpu is None:
        return ""
    wants = f", and waits for one {100 * usage.waiting:.0f} % of the time" if usage.waiting else ""
    return f" and uses {100 * usage.cpu:.0f} % of a core{wants}"


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


def _memory_kill(scene: HealthScene) -> Iterator[Cause]:
    """What ended for lack of memory: the gateway itself, or, sooner, what it started."""
    gateway = scene.snapshot.gateway
    kill = gateway.memory_kill
    gone = gateway.state.is_gone
    if kill is None or (not (gone and kill.is_gateway) and scene.now - kill.at > RECENT_MS):
        return
    yield Cause(
        "out-of-memory",
        _ended_for_memory(kill, gateway.state),
        Level.SILENT if gone else Level.ATTENTION,
        remedy=_RAISE_HEAP if kill.by_itself else "give it more memory, or limit its heap (" + _HEAP + ")",
        since=kill.at,
    )


_HEAP = "NODE_OPTIONS=--max-old-space-size"
_RAISE_HEAP = f"raise its heap limit ({_HEAP}), if the machine has the memory"


def _ended_for_memory(kill: MemoryKill, gateway: GatewayState) -> str:
    gone = gateway.is_gone
    named = f" ({safe(kill.name, 40)})" if kill.name else ""
    who = f"process {kill.pid}{named}" if kill.pid is not None else "a process of the gateway's control group"
    if kill.by_itself:
        former = "" if gone else " before it was restarted"
        return f"the gateway, {who}, aborted{former}: its JavaScript heap was exhausted (exit code 134)"
    if kill.is_gateway:
        what = f"{'the' if gateway is GatewayState.DEAD else 'a'} gateway, {who},"
        former = "" if gateway is GatewayState.DEAD else "; it may have been this one"
        former += ", before it was restarted" if former and not gone else ""
    else:
        what = who
        former = ": the gateway itself, or one that it started" if kill.is_gateway is None else ""
        former += "; systemd may have stopped the gateway for it (OOMPolicy)" if gone else ""
    return f"the kernel killed {what} for lack of memory{former}"
