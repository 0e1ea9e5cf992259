"""A snapshot as the JSON object of `clawtop status --json`, schema 1, and its standing as an exit code.

Ids are exact; times are ms since epoch; unknown is None. The encoder writes ASCII, so nothing here is sanitised.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import Any

from clawtop.core.cooldown.stats import ProfileState, Schedules, active_windows, profile_state, stat_problems
from clawtop.core.model import (
    AgentInfo,
    Lock,
    LockKind,
    Problem,
    Profile,
    PromptHolder,
    Session,
    Snapshot,
    VerdictKind,
)
from clawtop.core.rotation.forecast import chain_recovery
from clawtop.core.rotation.order import resolve_order
from clawtop.text import masked

SCHEMA = 1


def report(snapshot: Snapshot) -> dict[str, Any]:
    """The whole status object."""
    now = snapshot.judged_at if snapshot.judged_at is not None else snapshot.taken_at
    schedules = Schedules(snapshot)
    return {
        "schema": SCHEMA,
        "taken_at": snapshot.taken_at,
        "state_dir": snapshot.state_dir,
        "generation": snapshot.generation,
        "openclaw_version": snapshot.openclaw_version,
        "gateway": {
            "state": snapshot.gateway.state,
            "pid": snapshot.gateway.pid,
            "port": snapshot.gateway.port,
        },
        "agents": [_agent(agent, snapshot, schedules, now) for agent in snapshot.agents],
        "sessions": [_session(session) for session in snapshot.sessions],
        "locks": [_lock(lock, now) for lock in snapshot.locks],
        "holders": [_holder(holder) for holder in snapshot.holders],
        "lanes": [
            {
                "lane": lane.lane,
                "class": lane.lane_class,
                "active": lane.active,
                "limit": lane.limit,
                "queued": lane.queued,
                "wait_p50_ms": lane.wait_p50_ms,
                "wait_max_ms": lane.wait_max_ms,
                "source": lane.source,
            }
            for lane in snapshot.lanes
        ],
        "warnings": [{"code": item.code, "where": item.where, "text": item.text} for item in snapshot.warnings],
    }


def _agent(agent: AgentInfo, snapshot: Snapshot, schedules: Schedules, now: int) -> dict[str, Any]:
    store = agent.store
    ranks = profile_ranks(agent, snapshot, now, schedules)
    return {
        "id": agent.id,
        "store": {
            "path": store.path if store else None,
            "problem": str(store.problem) if store and store.problem else None,
        },
        "profiles": [_profile(profile, schedules, ranks, now) for profile in (store.profiles if store else ())],
    }


def profile_ranks(agent: AgentInfo, snapshot: Snapshot, now: int, schedules: Schedules) -> dict[str, int]:
    """Profile id -> place in its provider's resolved order, from 0; a profile that would not be tried has none."""
    if agent.store is None:
        return {}
    ranks: dict[str, int] = {}
    for provider in dict.fromkeys(profile.provider for profile in agent.store.profiles):
        order = resolve_order(
            provider,
            agent.store.profiles,
            agent.store.order,
            snapshot.config.auth,
            now,
            schedules[provider],
        )
        ranks.update({profile_id: rank for rank, profile_id in enumerate(order.ids)})
    return ranks


ANY_MODEL = ""
"""No window names this model, so that only windows of all models count: a cooldown of one model leaves `usable`."""


def _profile(profile: Profile, schedules: Schedules, ranks: Mapping[str, int], now: int) -> dict[str, Any]:
    schedule = schedules[profile.provider]
    state, until = profile_state(profile, now, schedule, ANY_MODEL)
    stats = profile.stats
    return {
        "id": profile.id,
        "provider": profile.provider,
        "type": profile.credential.type,
        "owner_agent": profile.owner_agent,
        "state": state,
        "until": until,
        "windows": [
            {"kind": window.kind, "until": window.until, "reason": window.reason, "model": window.model}
            for window in active_windows(stats, now, schedule)
        ],
        "error_count": stats.error_count if stats.error_count is not None else 0,
        "failure_counts": dict(stats.failure_counts),
        "last_used": stats.last_used,
        "last_failure_at": stats.last_failure_at,
        "order": ranks.get(profile.id),
        "problems": _texts((*profile.problems, *stat_problems(profile, now, schedule))),
    }


def _session(session: Session) -> dict[str, Any]:
    return {
        "agent": session.agent,
        "key": session.key,
        "session_id": session.session_id,
        "file": session.file,
        "status": session.status,
        "active": session.active,
        "problems": _texts(session.problems),
        "updated_at": session.updated_at,
        "started_at": session.started_at,
        "provider": session.provider,
        "model": session.model,
        "profile": session.profile,
        "profile_source": session.profile_source,
        "lane_class": session.lane_class,
    }


def _lock(lock: Lock, now: int) -> dict[str, Any]:
    since = lock.created_at if lock.created_at is not None else lock.file.mtime
    return {
        "path": lock.file.path,
        "kind": lock.file.kind,
        "agent": lock.file.agent,
        "session_id": lock.file.session_id,
        "pid": lock.pid,
        "created_at": lock.created_at,
        "age_ms": max(0, now - since),
        "verdict": lock.verdict.kind,
        "reasons": list(lock.verdict.reasons),
        "openclaw_would_remove": lock.openclaw.would_remove,
        "owner": {
            "alive": lock.owner.alive if lock.owner else None,
            "command": masked(" ".join(lock.owner.argv)) if lock.owner and lock.owner.argv else None,
        },
    }


def _holder(holder: PromptHolder) -> dict[str, Any]:
    return {
        "session_file": holder.session_file,
        "session_key": holder.session_key,
        "agent": holder.agent,
        "lane": holder.lane,
        "run_id": holder.run_id,
        "profile": holder.profile,
        "phase": holder.phase,
        "since": holder.since,
        "pid": holder.pid,
        "source": holder.source,
    }


def _texts(problems: Iterable[Problem]) -> list[str]:
    return [str(problem) for problem in problems]


class Standing(IntEnum):
    """Exit codes of `status --check`."""

    WELL = 0
    ATTENTION = 1
    NOTHING_USABLE = 2
    UNREADABLE = 3


def standing(snapshot: Snapshot) -> Standing:
    """How the state stands: an agent that no model of its chain can answer; anything that needs a hand; well."""
    now = snapshot.judged_at if snapshot.judged_at is not None else snapshot.taken_at
    stores = [agent.store for agent in snapshot.agents if agent.store is not None]
    if stores and all(store.problem is not None and not store.profiles for store in stores):
        return Standing.UNREADABLE
    if not any(store.profiles for store in stores):
        return Standing.NOTHING_USABLE
    chains = [chain_recovery(snapshot, agent, now) for agent in snapshot.agents]
    if any(chain.links and not any(link.usable for link in chain.links) for chain in chains):
        return Standing.NOTHING_USABLE
    profiles = [profile for store in stores for profile in store.profiles]
    schedules = Schedules(snapshot)
    attention = (
        any(
            profile_state(profile, now, schedules[profile.provider])[0] is not ProfileState.USABLE
            for profile in profiles
        )
        or any(store.problem for store in stores)
        or any(session.problems for session in snapshot.sessions)
        or any(_needs_a_hand(lock) for lock in snapshot.locks)
        or bool(snapshot.warnings)
    )
    return Standing.ATTENTION if attention else Standing.WELL


def _needs_a_hand(lock: Lock) -> bool:
    jammed = lock.file.content_problem is not None and lock.file.kind is LockKind.AUTH
    return lock.verdict.kind is VerdictKind.STALE or jammed
