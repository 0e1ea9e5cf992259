"""What is known about an account besides its store: a failure that one process saw, and the time its provider named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from clawtop.core.model import AgentInfo, Profile, ProviderTime, UsageStats

LANDING_MS = 15_000
"""A mark that has not reached the store after this time never will."""


def is_settled(stats: UsageStats, failed_at: int, now: int) -> bool:
    """Whether a failure (ms since the epoch) no longer counts: the account has answered since, or was cleared.

    It counts as cleared if the store records nothing against it although the failure's mark has had time to land.
    """
    if (stats.last_used or 0) > failed_at:
        return True
    landed = (stats.last_failure_at or 0) >= failed_at
    return not landed and not stats.error_count and now - failed_at > LANDING_MS


def open_provider_time(profile: Profile, now: int, model: str | None = None) -> ProviderTime | None:
    """When the provider itself said that the account is usable again, if that is still ahead.

    Args:
        model: what it said of other models does not count; None: everything does.
    """
    told = profile.provider_time
    if told is None or told.until <= now or (model is not None and told.model not in {None, model}):
        return None
    return told


def with_provider_times(agent: AgentInfo, times: Mapping[tuple[str, str], ProviderTime], now: int) -> AgentInfo:
    """The agent with what providers said of its profiles, by (owner agent, profile), where that still counts."""
    if agent.store is None:
        return agent
    profiles = tuple(
        _with_time(profile, times.get((profile.owner_agent, profile.id)), now) for profile in agent.store.profiles
    )
    if all(told is profile for told, profile in zip(profiles, agent.store.profiles, strict=True)):
        return agent
    return replace(agent, store=replace(agent.store, profiles=profiles))


def _with_time(profile: Profile, told: ProviderTime | None, now: int) -> Profile:
    if told is None or not told.at <= now < told.until or is_settled(profile.stats, told.at, now):
        return profile
    return replace(profile, provider_time=told)
