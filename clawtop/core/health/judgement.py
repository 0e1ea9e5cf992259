"""Whether turns succeed: the one judgement for headline, exit code, JSON, title, notices and metrics.

Each thing that can be wrong is a cause, with a level and a badge of its own (`CAUSES`); the worst decides. The levels
are the exit codes of `status --check`: 0 all well, 1 attention, 2 bots are silent or about to be, 3 cannot read.
Unknown is never rounded to good. States are judged as the live gateway knows them, not as they are on disk.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from clawtop.core.health.account_causes import AUTH_HOLD_MS
from clawtop.core.health.blocked import blocked_sessions
from clawtop.core.health.cause import (
    COUNTED_MS,
    JUST_NOW_MS,
    ORDER,
    RECENT_MS,
    UNANSWERED_MS,
    Cause,
    Health,
    HealthScene,
    Level,
    Next,
    TurnCounts,
)
from clawtop.core.health.causes import FINDERS
from clawtop.core.health.in_force import refused_config, taken_at, unknown_chains
from clawtop.core.health.silence import STARTING_MS, stop_told, turns_at
from clawtop.core.health.turns import recent_turns
from clawtop.core.health.waiting import hung, waiting
from clawtop.core.locks.staleness import WRITING_MS
from clawtop.core.model import AgentInfo, LockKind, Profile, Snapshot, TurnOutcome
from clawtop.core.operations.loaded import GatewaysView, as_gateway_knows
from clawtop.core.rotation.forecast import ChainRecovery, Recovery, chain_recovery, provider_recovery
from clawtop.core.session.listed import telling, working

COUNT_OUT_MS = 30_000
"""How often turns that are no longer recent are dropped from the count, together: in a busy state one expires every
second.
"""

__all__ = ["Cause", "Health", "Level", "Next", "TurnCounts", "judge"]


def judge(snapshot: Snapshot, now: int) -> Health:
    """Judge a state as of `now` (ms since the epoch)."""
    view = _without_refused(as_gateway_knows(snapshot, now), snapshot, now)
    turns, outcomes = recent_turns(snapshot, now, RECENT_MS, COUNTED_MS)
    scene = HealthScene(
        snapshot,
        now,
        view,
        {agent.id: chain_recovery(view.snapshot, agent, now) for agent in view.snapshot.agents},
        turns,
        waiting(snapshot, now),
        tuple(hung(snapshot, now)),
        blocked_sessions(snapshot, now),
        _counts(outcomes),
    )
    found = [cause for find in FINDERS for cause in find(scene)]
    found.sort(key=lambda cause: (-cause.level, ORDER[cause.code]))
    out = [c.until for c in found if c.code == "models-out" and c.until is not None]
    return Health(
        level=max((cause.level for cause in found), default=Level.WELL),
        causes=tuple(found),
        next=tuple(_nexts(scene)),
        blocked=scene.blocked,
        waiting=scene.waiting,
        recent=_counts(Counter(recent.turn.outcome for recent in scene.turns)),
        counted=scene.counted,
        usable_again_at=min(out, default=None),
        view=view,
        chains=scene.chains,
        changes_at=_changes_at(scene),
    )


def _without_refused(view: GatewaysView, snapshot: Snapshot, now: int) -> GatewaysView:
    """Which models a gateway asks that refused its configuration is unknown: all its accounts may be asked then."""
    if refused_config(snapshot, now) is None:
        return view
    agents = tuple(replace(agent, models=()) for agent in view.snapshot.agents)
    return replace(view, snapshot=replace(view.snapshot, agents=agents))


def _counts(number: Mapping[TurnOutcome, int]) -> TurnCounts:
    number = {outcome: number.get(outcome, 0) for outcome in TurnOutcome}
    return TurnCounts(
        number[TurnOutcome.ANSWERED] + number[TurnOutcome.SILENT],
        number[TurnOutcome.FAILED],
        number[TurnOutcome.TIMED_OUT],
        number[TurnOutcome.HUNG],
        number[TurnOutcome.DROPPED],
        number[TurnOutcome.STOPPED],
    )


def _nexts(scene: HealthScene) -> Iterator[Next]:
    snapshot, view, now = scene.snapshot, scene.view, scene.now
    disk = {agent.id: agent for agent in snapshot.agents}
    unknown = unknown_chains(snapshot, now)
    for agent in view.snapshot.agents:
        if unknown is not None:
            yield Next(agent.id, None, None, None, None, unknown=unknown)
            continue
        profile, provider, model = _first(_links(view.snapshot, agent, now, scene.chains[agent.id]))
        own = disk[agent.id]
        on_disk = profile if own is agent else _first(_links(snapshot, own, now))[0]
        providers = {ref.provider for ref in agent.models} or {p.provider for p in _profiles(agent)}
        pending = next((p for p in view.pending if providers & set(p.providers)), None)
        yield Next(agent.id, profile, provider, model, on_disk, pending)


def _profiles(agent: AgentInfo) -> tuple[Profile, ...]:
    return agent.store.profiles if agent.store is not None else ()


def _links(snapshot: Snapshot, agent: AgentInfo, now: int, chain: ChainRecovery | None = None) -> Iterator[Recovery]:
    """What an agent would ask, in its order; without any model configured, every provider that it has profiles of."""
    if agent.models:
        yield from (chain or chain_recovery(snapshot, agent, now)).links
    else:
        for provider in dict.fromkeys(profile.provider for profile in _profiles(agent)):
            yield provider_recovery(snapshot, agent, provider, now)


def _first(links: Iterable[Recovery]) -> tuple[str | None, str | None, str | None]:
    """The profile is None where the provider is asked with a key of its own."""
    found = next((link for link in links if link.answers), None)
    if found is None:
        return None, None, None
    return next(iter(found.usable), None), found.provider, found.model


def _changes_at(scene: HealthScene) -> int | None:
    warn_ms = scene.snapshot.config.attention.warn_ms
    moments = [turn.turn.at + JUST_NOW_MS for turn in scene.turns if turn.failed]
    moments += [max(turn.turn.at + RECENT_MS, scene.now + COUNT_OUT_MS) for turn in scene.turns[:1]]  # the oldest
    moments += [one.since + span for one in scene.waiting.unanswered for span in (UNANSWERED_MS, warn_ms)]
    moments += [blockage.until for blockage in scene.blocked.values() if blockage.until is not None]
    moments += turns_at(scene.snapshot.gateway)
    stopping = stop_told(scene.snapshot)
    moments += [] if stopping is None else [stopping.at + STARTING_MS]
    taken = taken_at(scene.snapshot, scene.now)
    moments += [] if taken is None else [taken]
    if scene.snapshot.gateway.memory_kill is not None:
        moments.append(scene.snapshot.gateway.memory_kill.at + RECENT_MS)
    if scene.waiting.unanswered and scene.snapshot.gateway.started_at is not None:
        moments.append(scene.snapshot.gateway.started_at + warn_ms)
        moments += [one.since + warn_ms + STARTING_MS for one in scene.waiting.unanswered]
    moments += [lock.since + WRITING_MS for lock in scene.snapshot.locks if lock.pid is None]
    moments += [lock.since + AUTH_HOLD_MS for lock in scene.snapshot.locks if lock.file.kind is LockKind.AUTH]
    for session in working(scene.snapshot.sessions):
        signs = [w.at for w in session.witnesses if w.running and w.at is not None]
        moments += [sign + warn_ms for sign in signs]
    for session in telling(scene.snapshot.sessions):
        if session.exchanges and session.exchanges[-1].outcome is TurnOutcome.OPEN:
            moments.append(session.exchanges[-1].asked_at + UNANSWERED_MS)
    return min((moment + 1 for moment in moments if moment + 1 > scene.now), default=None)
