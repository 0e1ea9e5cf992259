"""Hypothesis strategies for usage statistics and profiles around one moment, `NOW`."""

from __future__ import annotations

from hypothesis import strategies as st

from clawtop.core.model import Credential, Profile, UsageStats
from clawtop.core.rules import Schedule
from tests.support.rules import SCHEDULES

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
    """Any statistics that may be on disk, sensible or not."""
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


_ends = st.sampled_from([None, None, NOW - 1, NOW, NOW + 1, NOW + 30_000, NOW + DAY])
_credentials = [
    Credential("api_key"),
    Credential("api_key", has_secret=False),
    Credential("token"),
    Credential("token", expires=NOW),
    Credential("oauth", has_refresh=True, expires=NOW - 1),
    Credential("oauth", expires=NOW + DAY),
]


def standings() -> st.SearchStrategy[UsageStats]:
    """Statistics as far as they matter to an order."""
    return st.builds(
        UsageStats,
        last_used=st.sampled_from([None, NOW - 3, NOW - 2, NOW - 1]),
        cooldown_until=_ends,
        cooldown_reason=st.sampled_from(["rate_limit", "overloaded"]),
        cooldown_model=st.none() | models,
        disabled_until=_ends,
    )


@st.composite
def profile_lists(draw: st.DrawFn, max_size: int = 5) -> tuple[Profile, ...]:
    """Profiles with distinct ids, most of them of provider "anthropic"."""
    kinds = draw(
        st.lists(
            st.tuples(
                st.sampled_from(["anthropic", "anthropic", "openai"]), st.sampled_from(_credentials), standings()
            ),
            max_size=max_size,
        )
    )
    return tuple(
        Profile(f"p{number}", provider, credential, "main", stats=stats)
        for number, (provider, credential, stats) in enumerate(kinds)
    )
