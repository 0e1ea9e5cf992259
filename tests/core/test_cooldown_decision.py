from __future__ import annotations

from collections.abc import Sequence

import pytest

from clawtop.core.failover.probing import (
    PROBE_KEYS,
    CooldownDecision,
    DecisionKind,
    ProbeThrottle,
    probe_key,
    resolve_cooldown_decision,
)
from clawtop.core.model import FailureReason, ModelRef, UsageStats
from clawtop.core.rules import Schedule
from tests.support.profile_strategies import DAY, NOW
from tests.support.rules import OLD, B, C, D

MODEL = ModelRef("alpha", "m1")


def cooling(reason: str, ends_in: int = 600_000) -> UsageStats:
    return UsageStats(cooldown_until=NOW + ends_in, cooldown_reason=reason, failure_counts={reason: 1})


def decide(
    schedule: Schedule,
    profiles: Sequence[UsageStats],
    *,
    is_primary: bool = True,
    has_fallbacks: bool = True,
    throttle_open: bool = True,
) -> CooldownDecision:
    return resolve_cooldown_decision(
        MODEL,
        profiles,
        NOW,
        schedule,
        is_primary=is_primary,
        requested_model=is_primary,
        has_fallbacks=has_fallbacks,
        throttle_open=throttle_open,
    )


def test_the_primary_model_is_probed_two_minutes_before_it_is_back() -> None:
    far, near = [cooling("overloaded", 120_001)], [cooling("overloaded", 120_000)]
    probe = CooldownDecision(DecisionKind.ATTEMPT, FailureReason.OVERLOADED, mark_probe=True)
    assert decide(B, far).kind is DecisionKind.SUSPEND_LANES
    assert decide(B, near) == probe
    assert decide(B, near, throttle_open=False).kind is DecisionKind.SUSPEND_LANES
    assert decide(B, near, has_fallbacks=False).kind is DecisionKind.SUSPEND_LANES


def test_rate_limits_without_an_announced_end_are_probed_at_once_from_2026_6_on() -> None:
    limited = [cooling("rate_limit")]
    announced = [UsageStats(blocked_until=NOW + DAY, blocked_reason="subscription_limit", blocked_source="wham")]
    assert decide(B, limited).kind is DecisionKind.SUSPEND_LANES
    assert decide(C, limited).mark_probe
    assert decide(C, announced).kind is DecisionKind.SUSPEND_LANES
    assert decide(C, [cooling("overloaded")], has_fallbacks=False).mark_probe


@pytest.mark.parametrize("schedule", [OLD, B, C, D])
@pytest.mark.parametrize("reason", ["auth", "auth_permanent"])
def test_broken_credentials_rule_out_every_model(schedule: Schedule, reason: str) -> None:
    decision = decide(schedule, [cooling(reason, 1)], is_primary=False)
    assert decision.kind is DecisionKind.SKIP
    assert decision.error == f"Provider alpha has {reason} issue (skipping all models)"


def test_a_used_up_account_is_tried_as_a_probe_only() -> None:
    unpaid = [UsageStats(disabled_until=NOW + DAY, disabled_reason="billing")]
    assert decide(B, unpaid).kind is DecisionKind.SUSPEND_LANES
    assert decide(B, unpaid, has_fallbacks=False).mark_probe
    assert decide(B, unpaid, has_fallbacks=False, throttle_open=False).kind is DecisionKind.SUSPEND_LANES
    assert decide(B, unpaid, is_primary=False).kind is DecisionKind.SUSPEND_LANES
    assert decide(OLD, unpaid).error == "Provider alpha has billing issue (skipping all models)"


def test_a_fallback_model_is_tried_when_the_reason_passes() -> None:
    assert decide(B, [cooling("timeout")], is_primary=False).kind is DecisionKind.ATTEMPT
    assert decide(B, [cooling("model_not_found")], is_primary=False).kind is DecisionKind.SUSPEND_LANES
    skipped = decide(OLD, [cooling("timeout")], is_primary=False)
    assert (skipped.kind, skipped.error) == (
        DecisionKind.SKIP,
        "Provider alpha is in cooldown (all profiles unavailable)",
    )


def test_probes_of_a_provider_are_half_a_minute_apart() -> None:
    key = probe_key("alpha", "/agents/main")
    throttle = ProbeThrottle().marked(key, NOW)
    assert not throttle.is_open(key, NOW + 29_999)
    assert throttle.is_open(key, NOW + 30_000)
    assert throttle.is_open(probe_key("alpha"), NOW)
    assert probe_key("alpha", "  ") == "alpha"


def test_the_throttle_forgets_old_probes_and_the_oldest_of_too_many() -> None:
    throttle = ProbeThrottle()
    for number in range(PROBE_KEYS + 1):
        throttle = throttle.marked(f"p{number}", NOW + number)
    assert len(throttle.last) == PROBE_KEYS
    assert "p0" not in throttle.last
    assert set(throttle.marked("new", NOW + 2 * DAY).last) == {"new"}
