"""A snapshot as the JSON object of `clawtop status --json`, schema 1.

Ids are exact; times are ms since epoch; unknown is None. The encoder writes ASCII, so nothing here is sanitised.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from clawtop.core.cooldown.profile_state import configured_models, state_for_models
from clawtop.core.cooldown.provider_times import open_provider_time
from clawtop.core.cooldown.stats import Schedules, active_windows, stat_problems
from clawtop.core.failover.same_account import retries_by_reason
from clawtop.core.health.judgement import Health, Next, TurnCounts, judge
from clawtop.core.model import (
    AgentInfo,
    BackendProcess,
    LaneStats,
    Lock,
    MemoryKill,
    Problem,
    ProcessUsage,
    Profile,
    PromptHolder,
    Session,
    Snapshot,
    Witness,
    WitnessKind,
)
from clawtop.core.rotation.eligibility import order_query
from clawtop.core.rotation.order import resolve_order
from clawtop.core.session.activity import running_since
from clawtop.core.session.attention import retry_of
from clawtop.view.check import check_line
from clawtop.view.masking import without_secrets
from clawtop.view.words import profile_state_words

SCHEMA = 1


Texts = Mapping[tuple[str, str], str | None]
"""Agent and session key -> the text of its unanswered message, unchanged; None if it was not found."""


def report(
    snapshot: Snapshot,
    labels: Mapping[str, str] | None = None,
    texts: Texts | None = None,
    health: Health | None = None,
) -> dict[str, Any]:
    """The whole status object.

    Args:
        labels: session key -> the operator's label.
        texts: only if asked for.
        health: if the state was already judged.
    """
    now = snapshot.as_of
    schedules = Schedules(snapshot)
    health = health or judge(snapshot, now)
    whole = {
        **_openclaw(snapshot),
        **_outlook(health, texts),
        "agents": [_agent(agent, snapshot, schedules, health, now) for agent in snapshot.agents],
        "sessions": [_session(session, labels or {}) for session in snapshot.sessions],
        "counting": snapshot.counting,
        "locks": [_lock(lock, now) for lock in snapshot.locks],
        "holders": [_holder(holder) for holder in snapshot.holders],
        "lanes": [_lane(lane) for lane in snapshot.lanes],
        "warnings": [problem_report(item) for item in snapshot.warnings],
    }
    return without_secrets(whole)


def _openclaw(snapshot: Snapshot) -> dict[str, Any]:
    """What was read, and which OpenClaw serves it."""
    gateway = snapshot.gateway
    return {
        "schema": SCHEMA,
        "taken_at": snapshot.taken_at,
        "state_dir": snapshot.state_dir,
        "generation": snapshot.generation,
        "openclaw_version": snapshot.openclaw_version,
        "behaves_as": {"rules": snapshot.semantics.name, "note": snapshot.semantics_note},
        "asks_again": {
            reason: {"requests": retries.count, "waits_ms": retries.waits_ms}
            for reason, retries in retries_by_reason(snapshot.semantics.retries).items()
        },
        "gateway": {
            "state": gateway.state,
            "pid": gateway.pid,
            "port": gateway.port,
            "how": gateway.how,
            "serving": gateway.serving,
            "distrust": gateway.distrust,
            "clock_offset": gateway.clock_offset,
            "silent_since": gateway.silent_since,
            "usage": _usage(gateway.usage),
            "memory_kill": _memory_kill(gateway.memory_kill),
            "backends": _backends(gateway.backends),
        },
        "log": {"paths": list(snapshot.log_paths), "how": snapshot.log_how},
    }


def _outlook(health: Health, texts: Texts | None) -> dict[str, Any]:
    """Health, what comes next, and who is blocked."""
    return {
        "health": _health(health, texts),
        "next": [_next(item) for item in health.next],
        "usable_again_at": health.usable_again_at,
        "blocked": [
            {"agent": agent, "key": key, "why": found.why, "since": found.since, "until": found.until}
            for (agent, key), found in health.blocked.items()
        ],
    }


def _lane(lane: LaneStats) -> dict[str, Any]:
    return {
        "lane": lane.lane,
        "class": lane.lane_class,
        "active": lane.active,
        "limit": lane.limit,
        "queued": lane.queued,
        "wait_p50_ms": lane.wait_p50_ms,
        "wait_max_ms": lane.wait_max_ms,
        "source": lane.source,
    }


def _health(health: Health, texts: Texts | None) -> dict[str, Any]:
    return {
        "level": int(health.level),
        "badge": health.badge,
        "text": check_line(health),
        "causes": [
            {
                "code": cause.code,
                "level": int(cause.level),
                "text": cause.text,
                "evidence": list(cause.evidence),
                "remedy": cause.remedy,
                "command": cause.command,
                "since": cause.since,
                "until": cause.until,
                "agents": list(cause.agents),
                "sessions": list(cause.sessions),
            }
            for cause in health.causes
        ],
        "turns": {"last_10_min": _counts(health.recent), "last_24_h": _counts(health.counted)},
        "unanswered": [
            {
                "agent": one.agent,
                "key": one.session,
                "since": one.since,
                "length": one.length,
                "outcome": one.outcome,
            }
            | ({} if texts is None else {"text": texts.get((one.agent, one.session))})
            for one in health.waiting.unanswered
        ],
        "silent_by_design": health.waiting.silent,
        "cannot_be_told": len(health.waiting.untold),
    }


def _counts(counts: TurnCounts) -> dict[str, Any]:
    return {item.name: getattr(counts, item.name) for item in fields(TurnCounts)} | {
        "share_dropped": counts.share_dropped
    }


def _next(item: Next) -> dict[str, Any]:
    """What the agent's next turn starts with, as the gateway knows it; `loaded`: the store says the same."""
    pending = item.pending
    return {
        "agent": item.agent,
        "profile": item.profile,
        "provider": item.provider,
        "model": item.model,
        "on_disk": item.on_disk,
        "unknown": item.unknown,
        "loaded": pending is None,
        "loads": pending.loads if pending is not None else None,
    }


def _agent(agent: AgentInfo, snapshot: Snapshot, schedules: Schedules, health: Health, now: int) -> dict[str, Any]:
    store = agent.store
    models = configured_models(snapshot.agents)
    ranks = profile_ranks(agent, snapshot, now, schedules)
    return {
        "id": agent.id,
        "name": agent.name,
        "store": {
            "path": store.path if store else None,
            "problem": str(store.problem) if store and store.problem else None,
        },
        "profiles": [
            _profile(profile, schedules, ranks, models.get(profile.provider, ()), now)
            | {"loaded": health.view.concerning(profile) is None}
            for profile in (store.profiles if store else ())
        ],
    }


def profile_ranks(agent: AgentInfo, snapshot: Snapshot, now: int, schedules: Schedules) -> dict[str, int]:
    """Profile id -> place in its provider's resolved order, from 0; a profile that would not be tried has no entry."""
    if agent.store is None:
        return {}
    ranks: dict[str, int] = {}
    for provider in dict.fromkeys(profile.provider for profile in agent.store.profiles):
        order = resolve_order(
            order_query(
                provider,
                agent.store.profiles,
                agent.store.order,
                snapshot.config.auth,
                now,
                schedules[provider],
            )
        )
        ranks.update({profile_id: rank for rank, profile_id in enumerate(order.ids)})
    return ranks


def _profile(
    profile: Profile, schedules: Schedules, ranks: Mapping[str, int], models: Sequence[str], now: int
) -> dict[str, Any]:
    """`state` is for the models that are configured for its provider: a cooldown of all of them is a cooldown.

    `shown_state` is the word in the table: it distinguishes *scoped* and *unlisted* from *usable*.
    """
    schedule = schedules[profile.provider]
    state, until = state_for_models(profile, now, schedule, models)
    stats = profile.stats
    active = active_windows(stats, now, schedule)
    in_order = profile.id in ranks
    return {
        "id": profile.id,
        "provider": profile.provider,
        "type": profile.credential.type,
        "owner_agent": profile.owner_agent,
        "stats_owner": profile.stats_owner,
        "state": state,
        "shown_state": profile_state_words(state, in_order=in_order, has_windows=bool(active))[1],
        "until": until,
        "windows": [
            {"kind": window.kind, "until": window.until, "reason": window.reason, "model": window.model}
            for window in active
        ],
        "provider_time": provider_time_report(profile, now),
        "error_count": stats.error_count if stats.error_count is not None else 0,
        "failure_counts": dict(stats.failure_counts),
        "last_used": stats.last_used,
        "last_failure_at": stats.last_failure_at,
        "order": ranks.get(profile.id),
        "problems": _texts(
            (*profile.problems, *stat_problems(profile, now, schedule, in_the_past=schedules.in_the_past))
        ),
    }


def provider_time_report(profile: Profile, now: int) -> dict[str, Any] | None:
    """When the provider itself lets the account be asked again, and when it said so; None once that time has come."""
    told = open_provider_time(profile, now)
    return None if told is None else asdict(told)


def _retry(session: Session) -> dict[str, Any] | None:
    """The retries of one account by the session's run; None if it is not retrying."""
    retry = retry_of(session) if session.active is not False else None
    if retry is None:
        return None
    return {"number": retry.number, "most": retry.most, "due": retry.due, "reason": retry.reason}


def _witness(witness: Witness) -> dict[str, Any]:
    told: dict[str, Any] = {
        "kind": witness.kind,
        "running": witness.running,
        "what": witness.what,
        "at": witness.at,
        "since": witness.since,
        "run_id": witness.run_id,
    }
    return told if witness.kind is not WitnessKind.PROCESS else {**told, "pid": witness.pid, "memory": witness.memory}


def _backends(processes: Iterable[BackendProcess] | None) -> list[dict[str, Any]] | None:
    """`memory`: bytes, with everything below it."""
    if processes is None:
        return None
    return [
        {
            "pid": one.pid,
            "backend": one.backend,
            "session": one.key,
            "since": one.started_at,
            "memory": one.memory,
            "stays": one.stays,
        }
        for one in processes
    ]


def _session(session: Session, labels: Mapping[str, str]) -> dict[str, Any]:
    return {
        "agent": session.agent,
        "key": session.key,
        "name": session.name,
        "label": labels.get(session.key) or None,
        "session_id": session.session_id,
        "file": session.file,
        "status": session.status,
        "active": session.active,
        "active_how": session.active_how,
        "active_since": running_since(session) if session.active else None,
        "witnesses": [_witness(w) for w in session.witnesses if session.active is not False],
        "retry": _retry(session),
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
    return {
        "path": lock.file.path,
        "kind": lock.file.kind,
        "agent": lock.file.agent,
        "session_id": lock.file.session_id,
        "pid": lock.pid,
        "created_at": lock.created_at,
        "age_ms": max(0, now - lock.since),
        "verdict": lock.verdict.kind,
        "reasons": list(lock.verdict.reasons),
        "leaked": lock.leaked,
        "openclaw_would_remove": lock.openclaw.would_remove,
        "owner": {
            "alive": lock.owner.alive if lock.owner else None,
            "command": " ".join(lock.owner.argv) if lock.owner and lock.owner.argv else None,
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
        "waiters": [{"run_id": one.run_id, "lane": one.lane, "since": one.since} for one in holder.waiters],
        "waits_unseen": holder.waits_unseen,
    }


def _memory_kill(kill: MemoryKill | None) -> dict[str, Any] | None:
    if kill is None:
        return None
    return {
        "at": kill.at,
        "pid": kill.pid,
        "name": kill.name,
        "is_gateway": kill.is_gateway,
        "by_itself": kill.by_itself,
    }


def _usage(usage: ProcessUsage | None) -> dict[str, object] | None:
    """Bytes; `cpu`, `waiting`: of one core, None at the first look."""
    if usage is None:
        return None
    return {
        "memory": usage.memory,
        "swap": usage.swap,
        "cpu": usage.cpu,
        "waiting": usage.waiting,
        "condition": str(usage.condition),
        "limit": usage.limit,
    }


def problem_report(problem: Problem) -> dict[str, object]:
    """What is wrong, where, and the agent that it is about, if it is one."""
    return {"code": problem.code, "where": problem.where, "text": problem.text, "agent": problem.agent}


def _texts(problems: Iterable[Problem]) -> list[str]:
    return [str(problem) for problem in problems]
