"""A snapshot as gauges. Pure: everything is computed from the snapshot and the time of the scrape."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator

from clawtop import __version__
from clawtop.core.cooldown.profile_state import ProfileState, profile_state
from clawtop.core.cooldown.provider_times import open_provider_time
from clawtop.core.cooldown.schedules import Schedules
from clawtop.core.cooldown.windows import active_windows
from clawtop.core.health.judgement import Health, judge
from clawtop.core.model import GatewayState, LockKind, Snapshot
from clawtop.core.session.lanes import LaneClass, classify_lane
from clawtop.export import metrics
from clawtop.export.families import Sample

_ACTIVE = {True: "yes", False: "no", None: "unknown"}


def gauges(snapshot: Snapshot, now: int) -> Iterator[Sample]:
    """All gauges of the state at `now` (ms since the epoch)."""
    yield Sample(
        metrics.INFO, (__version__, snapshot.openclaw_version or "unknown", str(snapshot.generation or "unknown")), 1
    )
    health = judge(snapshot, now)
    yield from _health(health)
    yield from _blocked(snapshot, health, now)
    yield from _agents(health, now)
    for part in _PARTS:
        yield from part(snapshot, now)


def providers_of(snapshot: Snapshot) -> frozenset[str]:
    """The providers that the configuration and the auth stores name."""
    stored = (p.provider for agent in snapshot.agents if agent.store for p in agent.store.profiles)
    return frozenset((*stored, *(model.provider for agent in snapshot.agents for model in agent.models)))


def _health(health: Health) -> Iterator[Sample]:
    yield Sample(metrics.HEALTH, (), int(health.level))
    worst: dict[str, int] = {}
    for cause in health.causes:
        worst[cause.code] = max(int(cause.level), worst.get(cause.code, 0))
    for code, level in sorted(worst.items()):
        yield Sample(metrics.HEALTH_CAUSE, (code,), level)


def _gateway(snapshot: Snapshot, _now: int) -> Iterator[Sample]:
    state = snapshot.gateway.state
    if state is not GatewayState.UNKNOWN:
        yield Sample(metrics.GATEWAY, (), state is GatewayState.LIVE)
    for one in GatewayState:
        yield Sample(metrics.GATEWAY_STATE, (one.value,), one is state)


def _profiles(snapshot: Snapshot, now: int) -> Iterator[Sample]:
    """A profile counts for its owner: agents that inherit it do not count it again."""
    schedules = Schedules(snapshot)
    for agent in snapshot.agents:
        seen = [] if agent.store is None else agent.store.profiles
        states = {profile.id: profile_state(profile, now, schedules[profile.provider])[0] for profile in seen}
        by_provider: dict[str, list[ProfileState]] = defaultdict(list)
        for profile in seen:
            by_provider[profile.provider].append(states[profile.id])
        for provider, found in by_provider.items():
            usable = sum(state is ProfileState.USABLE for state in found)
            yield Sample(metrics.PROVIDER_PROFILES, (agent.id, provider), len(found))
            yield Sample(metrics.PROVIDER_USABLE, (agent.id, provider), usable)
    for profile in snapshot.profiles:
        labels = (profile.owner_agent, profile.provider, profile.id)
        schedule = schedules[profile.provider]
        state, until = profile_state(profile, now, schedule)
        windows = active_windows(profile.stats, now, schedule)
        reason = (windows[0].reason or "") if windows and state is not ProfileState.USABLE else ""
        yield Sample(metrics.PROFILE_USABLE, labels, state is ProfileState.USABLE)
        yield Sample(metrics.PROFILE_STATE, (*labels, state.value, reason), 1)
        if state is ProfileState.USABLE or until is not None:
            yield Sample(metrics.PROFILE_BACK, labels, 0 if until is None else max(0, until - now) / 1000)
        if (told := open_provider_time(profile, now)) is not None:
            yield Sample(metrics.PROFILE_TOLD, labels, (told.until - now) / 1000)
        yield Sample(metrics.PROFILE_ERRORS, labels, profile.stats.error_count or 0)


def _agents(health: Health, now: int) -> Iterator[Sample]:
    for agent, chain in health.chains.items():
        if chain.links:
            yield Sample(metrics.AGENT_BACK, (agent,), math.inf if chain.at is None else max(0, chain.at - now) / 1000)


def _sessions(snapshot: Snapshot, _now: int) -> Iterator[Sample]:
    counts = Counter((session.agent, _ACTIVE[session.active]) for session in snapshot.sessions)
    for labels, count in sorted(counts.items()):
        yield Sample(metrics.SESSIONS, labels, count)


def _blocked(snapshot: Snapshot, health: Health, now: int) -> Iterator[Sample]:
    blocked: dict[str, list[int]] = defaultdict(list)
    for (agent_id, _key), blockage in health.blocked.items():
        blocked[agent_id].append(now if blockage.since is None else blockage.since)
    for agent in snapshot.agents:
        since = blocked.get(agent.id, [])
        yield Sample(metrics.BLOCKED, (agent.id,), len(since))
        yield Sample(metrics.BLOCKED_AGE, (agent.id,), max(0, now - min(since, default=now)) / 1000)


def _holders(snapshot: Snapshot, now: int) -> Iterator[Sample]:
    counts = Counter((holder.source, holder.phase) for holder in snapshot.holders)
    for labels, count in sorted(counts.items()):
        yield Sample(metrics.HOLDERS, labels, count)
    oldest: dict[str, int] = {}
    for holder in snapshot.holders:
        if holder.since is not None:
            oldest[holder.source] = min(holder.since, oldest.get(holder.source, now))
    for source, since in sorted(oldest.items()):
        yield Sample(metrics.HOLDER_AGE, (source,), max(0, now - since) / 1000)


def _locks(snapshot: Snapshot, now: int) -> Iterator[Sample]:
    ages: dict[tuple[str, str], list[int]] = defaultdict(list)
    for lock in snapshot.locks:
        if lock.file.kind is not LockKind.GATEWAY:
            ages[lock.file.kind.value, lock.verdict.kind.value].append(max(0, now - lock.since))
    for labels, found in sorted(ages.items()):
        yield Sample(metrics.LOCKS, labels, len(found))
        yield Sample(metrics.LOCK_AGE, labels, max(found) / 1000)
    yield Sample(metrics.LOCK_LIMIT, (), snapshot.config.lock_limits.max_hold_ms / 1000)


def _lanes(snapshot: Snapshot, _now: int) -> Iterator[Sample]:
    """By lane class: lanes of single sessions are added up, and only the others have a limit worth a graph."""
    active: Counter[tuple[str, str]] = Counter()
    queued: Counter[tuple[str, str]] = Counter()
    limits: dict[tuple[str, str], int] = {}
    for lane in snapshot.lanes:
        labels = (str(LaneClass.SESSION) if lane.lane.startswith("session:") else _bounded(lane.lane), lane.source)
        active[labels] += lane.active or 0
        queued[labels] += lane.queued or 0
        if lane.limit is not None and labels[0] != LaneClass.SESSION:
            limits[labels] = lane.limit
    for metric, counts in ((metrics.LANE_ACTIVE, active), (metrics.LANE_QUEUED, queued), (metrics.LANE_LIMIT, limits)):
        for labels, count in sorted(counts.items()):
            yield Sample(metric, labels, count)


def _bounded(lane: str) -> str:
    return str(classify_lane(lane))


_PARTS: tuple[Callable[[Snapshot, int], Iterator[Sample]], ...] = (
    _gateway,
    _profiles,
    _sessions,
    _holders,
    _locks,
    _lanes,
)
