"""Settings in openclaw.json that cause the incidents clawtop was built from, each with its path.

Warnings, never errors: OpenClaw runs with all of them. The mapping is the parsed configuration with includes resolved.
Malformed parts are skipped here: OpenClaw reports them itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from clawtop.core.cooldown.profile_state import ProfileState, state_for_models
from clawtop.core.cooldown.schedules import Schedules
from clawtop.core.generations import Semantics, Storage
from clawtop.core.locks.limits import lock_limits
from clawtop.core.model import AgentInfo, Problem, Snapshot
from clawtop.core.rules import Schedule
from clawtop.patterns import regex
from clawtop.text import safe
from clawtop.values import dataclass

SHARED_BY_DEFAULT = "main"
"""`session.dmScope`: direct messages of all channels go to the main session, where heartbeats run too."""

_NO_INTERVAL = regex(r"\s*+0*+(?:\.0*+)?\s*+[a-z]*+\s*+")
_NOT_CHANNELS = frozenset({"defaults", "modelByChannel"})


def config_problems(raw: Mapping[str, Any], snapshot: Snapshot, now: int) -> tuple[Problem, ...]:
    """Every warning, in the order of the checks.

    Args:
        snapshot: of the state directory whose configuration this is. If its generation is unknown, neither keys nor
            limits are checked.
        now: ms since the epoch, to tell what is exhausted now.
    """
    problems = [*shared_heartbeats(raw), *fallbacks_of_one_provider(raw, snapshot, now)]
    if snapshot.generation is not None:
        problems += [*limits_below_timeouts(raw, snapshot.storage), *unknown_keys(raw, snapshot.semantics)]
    return tuple(problems)


# --- heartbeats that share a session with channels (thread 83510 C) ----------------------------------------------


def shared_heartbeats(raw: Mapping[str, Any]) -> Iterator[Problem]:
    """Agents whose heartbeat runs in the main session while direct messages go there too."""
    channels = sorted(_channels(raw))
    scope = _part(raw, "session").get("dmScope", SHARED_BY_DEFAULT)
    if not channels or scope != SHARED_BY_DEFAULT:
        return
    for beat in _heartbeats(raw):
        if beat.runs and not beat.isolated and beat.session in {None, "main"}:
            yield Problem(
                "heartbeat-shares-session",
                f"{beat.path}.isolatedSession",
                f"the heartbeat of agent {safe(beat.agent, 60)} runs in the session that"
                f" {safe(', '.join(channels), 80)} use: each takes over the other's turns; set it to true",
                agent=beat.agent,
            )


@dataclass(frozen=True, slots=True)
class _Heartbeat:
    agent: str
    path: str
    runs: bool
    isolated: bool
    session: str | None


def _heartbeats(raw: Mapping[str, Any]) -> Iterator[_Heartbeat]:
    """The heartbeats that run: of the agents with a block of their own, or else of the default agent."""
    defaults = _part(raw, "agents", "defaults", "heartbeat")
    entries = list(_agents(raw))
    own = [(name, path, entry) for name, path, entry in entries if isinstance(entry.get("heartbeat"), Mapping)]
    if own:
        for name, path, entry in own:
            yield _heartbeat(name, f"{path}.heartbeat", {**defaults, **entry["heartbeat"]})
        return
    default = next((name for name, _, entry in entries if entry.get("default") is True), None)
    name = default or (entries[0][0] if entries else "main")
    yield _heartbeat(name, "agents.defaults.heartbeat", defaults)


def _heartbeat(agent: str, path: str, block: Mapping[str, Any]) -> _Heartbeat:
    every, session = block.get("every"), block.get("session")
    stopped = isinstance(every, str) and every.strip() != "" and _NO_INTERVAL.fullmatch(every) is not None
    return _Heartbeat(
        agent,
        path,
        runs=not stopped,
        isolated=block.get("isolatedSession") is True,
        session=session.strip() if isinstance(session, str) and session.strip() else None,
    )


def _channels(raw: Mapping[str, Any]) -> Iterator[str]:
    for name, settings in _part(raw, "channels").items():
        if name not in _NOT_CHANNELS and isinstance(settings, Mapping) and settings.get("enabled") is not False:
            yield name


# --- lock limits below run timeouts (thread 62351) ---------------------------------------------------------------


def limits_below_timeouts(raw: Mapping[str, Any], storage: Storage) -> Iterator[Problem]:
    """Limits of the session write lock that expire before a run of the configured length ends."""
    timeout_s = _seconds(_part(raw, "agents", "defaults").get("timeoutSeconds"))
    if storage.stale_lock_effect is None or timeout_s is None:
        return
    write_lock = _part(raw, "session", "writeLock")
    limits = lock_limits(storage.write_lock, write_lock, {})
    checks = [("staleMs", limits.stale_ms, storage.stale_lock_effect)]
    if "maxHoldMs" in write_lock:
        checks.append(("maxHoldMs", limits.max_hold_ms, "the lock is released while the run is still writing"))
    if storage.locked_throughout:
        checks.append(
            ("acquireTimeoutMs", limits.acquire_ms, "a second turn gives up while the first is still running")
        )
    for name, limit_ms, effect in checks:
        if limit_ms < timeout_s * 1000:
            yield Problem(
                "lock-limit-below-run-timeout",
                f"session.writeLock.{name}",
                f"{limit_ms / 1000:g} s is shorter than a run may take"
                f" (agents.defaults.timeoutSeconds {timeout_s:g} s): {effect}",
            )


def _seconds(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and 0 < value < _ABSURD_S else None


_ABSURD_S = 10**9

# --- keys that this version does not know ------------------------------------------------------------------------


def unknown_keys(raw: Mapping[str, Any], semantics: Semantics) -> Iterator[Problem]:
    """Settings about profiles, cooldowns and locks that these versions do not know: they have no effect, or a gateway
    rejects the file.
    """
    keys = semantics.config_keys
    paths = [path for path in sorted(keys.retired) if _at(raw, path) is not None]
    for section, known in keys.known.items():
        paths += [f"{section}.{key}" for key in _part(raw, *section.split(".")) if key not in known]
    for path in paths:
        yield Problem(
            "unknown-config-key",
            path,
            "this version of OpenClaw does not know this key"
            + ("; its gateway refuses the whole file at a reload" if keys.refuses_unknown else ""),
        )


# --- fallbacks without a way out ---------------------------------------------------------------------------------


def fallbacks_of_one_provider(raw: Mapping[str, Any], snapshot: Snapshot, now: int) -> Iterator[Problem]:
    """Agents whose fallback models all use the same provider as the first model."""
    named = {name: path for name, path, entry in _agents(raw) if _has_fallbacks(entry.get("model"))}
    schedules = Schedules(snapshot)
    for agent in snapshot.agents:
        providers = {model.provider for model in agent.models}
        if len(agent.models) < 2 or len(providers) > 1:
            continue
        (provider,) = providers
        exhausted = _is_exhausted(agent, provider, now, schedules[provider])
        yield Problem(
            "fallbacks-share-provider",
            f"{named.get(agent.id, 'agents.defaults')}.model.fallbacks",
            f"all {len(agent.models)} models of agent {safe(agent.id, 60)} ask {safe(provider, 60)}: when its profiles"
            f" cool down there is nothing to fall back to" + (", and none of them is usable now" if exhausted else ""),
            agent=agent.id,
        )


def _is_exhausted(agent: AgentInfo, provider: str, now: int, schedule: Schedule) -> bool:
    """Whether no profile serves any of the agent's models now."""
    profiles = agent.store.profiles if agent.store is not None else ()
    models = [ref.model for ref in agent.models]
    own = [profile for profile in profiles if profile.provider == provider]
    states = [state_for_models(profile, now, schedule, models)[0] for profile in own]
    return bool(states) and ProfileState.USABLE not in states


def _has_fallbacks(model: Any) -> bool:
    return isinstance(model, Mapping) and isinstance(model.get("fallbacks"), list)


# --- finding things ----------------------------------------------------------------------------------------------


def _agents(raw: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """(id, path, entry) of each configured agent: a list until 2026.7.1, a map later."""
    section = _part(raw, "agents")
    listed = section.get("list")
    for place, entry in enumerate(listed if isinstance(listed, list) else ()):
        if isinstance(entry, Mapping):
            name = entry.get("id")
            yield name if isinstance(name, str) else "main", f"agents.list[{place}]", entry
    for name, entry in _part(section, "entries").items():
        if isinstance(entry, Mapping):
            yield name, f"agents.entries.{name}", entry


def _part(node: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    """The object at a path; an empty one if there is none."""
    for name in names:
        found = node.get(name)
        node = found if isinstance(found, Mapping) else {}
    return node


def _at(raw: Mapping[str, Any], path: str) -> Any:
    *names, last = path.split(".")
    return _part(raw, *names).get(last)
