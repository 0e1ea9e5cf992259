"""Rows whose change stands on the disk and is not loaded by the live gateway yet, until a witness shows that it is.

Witnesses: the journal's word on the operation, a start of the gateway after it, and a later mark of OpenClaw's own
where the gateway re-reads the store when it writes one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from clawtop.core.model import AgentInfo, Event, EventKind, GatewayState, Problem, Profile, Snapshot
from clawtop.core.operations.loading import STATS, all_out, answered_since, loads
from clawtop.core.operations.plan import past_operation

NOT_LOADED = "not-loaded"
NOT_YET = "not loaded by the gateway yet"


def with_unloaded(snapshot: Snapshot) -> Snapshot:
    """The snapshot with a problem at each profile that was changed and that its live gateway has not loaded yet."""
    if snapshot.gateway.state is not GatewayState.LIVE:
        return snapshot
    pending = _pending(snapshot)
    if not pending:
        return snapshot
    return replace(snapshot, agents=tuple(_marked(agent, pending) for agent in snapshot.agents))


def _pending(snapshot: Snapshot) -> Mapping[str, str]:
    """By profile id, what makes the gateway load its change; of an order's, the profiles of that provider."""
    remote = snapshot.semantics.remote
    settled = {event.data.get("id") for event in snapshot.events if _tells_sight(event)}
    since = snapshot.gateway.started_at or 0
    is_out = all_out(snapshot)
    found: dict[str, str] = {}
    for event in snapshot.events:
        past = past_operation(event) if event.kind is EventKind.OPERATION and event.at >= since else None
        if past is None or past.id in settled or (remote.rereads_on_write and _wrote_since(snapshot, event.at)):
            continue
        changes = [change for _, part in past.changes for change in part]
        live = loads(changes, remote, all_out=is_out)
        found |= {change.key: live for change in changes if change.section == STATS}
        found |= {f"{change.key}:": live for change in changes if change.section == "order"}
    return found


def _tells_sight(event: Event) -> bool:
    return event.source == "operation" and event.kind in {EventKind.GATEWAY, EventKind.REVERTED}


def _wrote_since(snapshot: Snapshot, at: int) -> bool:
    """Whether OpenClaw has written a mark since. clawtop's own marks are in its journal, with their profile."""
    if answered_since(snapshot, at):
        return True
    ours = {event.profile for event in snapshot.events if event.kind is EventKind.MARK and event.source != GATEWAY_LOG}
    stats = [p.stats for agent in snapshot.agents if agent.store for p in agent.store.profiles if p.id not in ours]
    return any((moment or 0) > at for s in stats for moment in (s.last_used, s.last_failure_at, s.last_probe_at))


GATEWAY_LOG = "gateway-log"


def _marked(agent: AgentInfo, pending: Mapping[str, str]) -> AgentInfo:
    store = agent.store
    if store is None:
        return agent
    profiles = tuple(_with_problem(profile, pending) for profile in store.profiles)
    return agent if profiles == store.profiles else replace(agent, store=replace(store, profiles=profiles))


def _with_problem(profile: Profile, pending: Mapping[str, str]) -> Profile:
    live = pending.get(profile.id) or pending.get(f"{profile.provider}:")
    if live is None:
        return profile
    problem = Problem(NOT_LOADED, profile.id, f"{NOT_YET}: live {live}")
    return replace(profile, problems=(*profile.problems, problem))
