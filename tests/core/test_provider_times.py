"""What is noted of accounts beside their store: until when it counts."""

from __future__ import annotations

import pytest

from clawtop.core.cooldown.provider_times import LANDING_MS, is_settled, open_provider_time
from clawtop.core.model import Credential, Profile, ProviderTime, UsageStats

AT = 1_795_144_327_000


@pytest.mark.parametrize(
    ("stats", "after", "settled"),
    [
        (UsageStats(), 0, False),
        (UsageStats(), LANDING_MS, False),
        (UsageStats(), LANDING_MS + 1, True),
        (UsageStats(error_count=1), LANDING_MS + 1, False),
        (UsageStats(last_failure_at=AT), LANDING_MS + 1, False),
        (UsageStats(last_failure_at=AT - 1), LANDING_MS + 1, True),
        (UsageStats(last_used=AT), 1, False),
        (UsageStats(last_used=AT + 1, error_count=1), 2, True),
    ],
)
def test_a_failure_counts_until_its_account_answered_or_was_cleared(
    stats: UsageStats, after: int, settled: bool
) -> None:
    assert is_settled(stats, AT, AT + after) is settled


@pytest.mark.parametrize(
    ("about", "asked", "now", "counts"),
    [
        (None, None, AT, True),
        (None, "m", AT, True),
        ("m", None, AT, True),
        ("m", "m", AT, True),
        ("m", "n", AT, False),
        (None, None, AT + 59_999, True),
        (None, None, AT + 60_000, False),
    ],
)
def test_a_providers_time_counts_for_its_model_until_it_comes(
    about: str | None, asked: str | None, now: int, counts: bool
) -> None:
    told = ProviderTime(AT + 60_000, AT, "rate_limit", about)
    profile = Profile("coral:one", "coral", Credential("api_key"), "main", provider_time=told)
    assert open_provider_time(profile, now, asked) == (told if counts else None)
