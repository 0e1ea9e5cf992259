"""Whether a profile cools, as a word for tests."""

from __future__ import annotations

from clawtop.core.cooldown.windows import cooling_until
from clawtop.core.model import Profile, UsageStats
from clawtop.core.rules import Schedule


def is_cooling(
    profile_or_stats: Profile | UsageStats,
    provider: str | None,
    now: int,
    schedule: Schedule,
    for_model: str | None = None,
) -> bool:
    """Whether the profile must not be used now (for this model, if one is named).

    Args:
        provider: whose profile it is; None takes it from the profile. Bypassing providers never cool.
    """
    stats = profile_or_stats.stats if isinstance(profile_or_stats, Profile) else profile_or_stats
    if provider is None and isinstance(profile_or_stats, Profile):
        provider = profile_or_stats.provider
    return cooling_until(stats, provider, now, schedule, for_model) is not None
