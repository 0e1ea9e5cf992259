"""Hypothesis strategies for usage statistics and profiles around one moment, `NOW`."""

from __future__ import annotations

from hypothesis import strategies as st

from clawtop.core.cooldown import SCHEDULES, Schedule
from clawtop.core.model import Credential, Profile, UsageStats

NOW = 1_750_000_000_000
DAY = 86_400_000

reasons = st.sampled_from(
    ["rate_limit", "overloaded", "auth", "auth_permanent", "billing", "timeout", "model_not_found", "unknown"]
)
models = st.sampled_from(["m1", "m2"])
schedules: st.SearchStrategy[Schedule] = st.sampled_from(list(SCHEDULES.values()))
times = st.integers(NOW - 2 * DAY, NOW + 2 * DAY) | st.sampled_from([NOW, NOW - 1, NOW + 1, 0, -5])
counts = st.dictionaries(reasons, st.integers(0, 60), max_size=3)


def usage_stats() -> st.SearchStrategy[UsageStats]:
    """Any statistics that may stand on disk, sensible or not."""
    return st.builds(
        UsageStats,
        last_used=st.none() | times,
        error_count=st.none() | st.integers(0, 60),
        failure_counts=counts,
        last_failure_at=st.none() | times,
        cooldown_until=st.none() | times,
        cooldown_reason=st.none() | reasons,
        cooldown_model=st.none() | models,
        disabled_until=st.none() | times,
        disabled_reason=st.none() | st.sampled_from(["billing", "auth_permanent"]),
        blocked_until=st.none() | times,
        blocked_reason=st.none() | st.just("subscription_limit"),
        blocked_model=st.none() | models,
        blocked_scope=st.none() | st.just("model"),
    )


def credentials() -> st.SearchStrategy[Credential]:
    return st.builds(
        Credential,
        type=st.sampled_from(["api_key", "token", "oauth"]),
        has_secret=st.booleans(),
        has_refresh=st.booleans(),
        expires=st.none() | times,
    )


@st.composite
def profile_lists(draw: st.DrawFn, provider: str = "anthropic", max_size: int = 6) -> tuple[Profile, ...]:
    """Profiles with distinct ids, most of them of one provider."""
    size = draw(st.integers(0, max_size))
    return tuple(
        Profile(
            id=f"p{number}",
            provider=draw(st.sampled_from([provider, provider, provider, "openai"])),
            credential=draw(credentials()),
            owner_agent="main",
            stats=draw(usage_stats()),
        )
        for number in range(size)
    )
