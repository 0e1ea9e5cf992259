from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clawtop.core.cooldown.stats import (
    ProfileState,
    Schedule,
    active_windows,
    bypasses_cooldown,
    cleared,
    counters_reset_at,
    credential_state,
    next_failure_cost,
    on_failure,
    on_success,
    profile_state,
    schedule_for,
    soonest_expiry,
    stat_problems,
    unavailable_reason,
    unusable_until,
    windows,
)
from clawtop.core.model import (
    CooldownConfig,
    Credential,
    CredentialState,
    Profile,
    UsageStats,
    WindowKind,
)
from tests.support.cooldowns import is_cooling
from tests.support.profile_strategies import NOW, models, reasons, schedules, usage_stats
from tests.support.rules import OLD, B, C, D, semantics

MINUTE = 60_000
HOUR = 60 * MINUTE
NOTHING = UsageStats()
API_KEY = Credential("api_key")


def profile(stats: UsageStats = NOTHING, credential: Credential = API_KEY) -> Profile:
    return Profile("anthropic:one", "anthropic", credential, "main", stats=stats)


# --- schedules ---------------------------------------------------------------------------------------------------


def test_billing_hours_of_a_provider_beat_the_general_ones() -> None:
    config = CooldownConfig(billing_backoff_hours=2, billing_backoff_hours_by_provider={" Anthropic": 7})
    assert schedule_for(semantics("2026.5.20"), config, "anthropic").billing.after(1) == 7 * HOUR
    assert schedule_for(semantics("2026.5.20"), config, "openai").billing.after(1) == 2 * HOUR


def test_2026_3_disables_broken_credentials_like_unpaid_accounts() -> None:
    config = CooldownConfig(billing_backoff_hours=2, auth_permanent_backoff_minutes=3)
    assert schedule_for(semantics("2026.3.28"), config).auth_permanent.after(1) == 2 * HOUR
    assert schedule_for(semantics("2026.5.20"), config).auth_permanent.after(1) == 3 * MINUTE


def test_2026_9_reads_no_configured_cooldowns() -> None:
    config = CooldownConfig(billing_backoff_hours=2, failure_window_hours=1)
    assert schedule_for(semantics("2026.9.6"), config) == schedule_for(semantics("2026.9.6"))


@pytest.mark.parametrize("nonsense", [0, -1, float("inf"), float("nan")])
def test_configured_nonsense_means_the_default(nonsense: float) -> None:
    config = CooldownConfig(nonsense, {}, nonsense, nonsense, nonsense, nonsense)
    assert schedule_for(semantics("2026.5.20"), config) == schedule_for(semantics("2026.5.20"))


def test_a_disabled_window_is_never_shorter_than_a_minute_where_it_is_configured() -> None:
    config = CooldownConfig(billing_backoff_hours=0.001, billing_max_hours=0.0001)
    assert schedule_for(semantics("2026.5.20"), config).billing.after(5) == MINUTE


@given(schedules, st.integers(1, 10_000))
def test_backoff_grows_up_to_its_maximum(schedule: Schedule, failures: int) -> None:
    for backoff in (schedule.billing, schedule.auth_permanent, schedule.rate_limit or schedule.billing):
        assert backoff.after(failures) <= backoff.after(failures + 1) <= backoff.max_ms


# --- failures ----------------------------------------------------------------------------------------------------


def test_a_rate_limit_of_a_model_leaves_the_others() -> None:
    stats = on_failure(UsageStats(), "rate_limit", NOW, B, model="m1")
    assert is_cooling(stats, "anthropic", NOW, B, "m1")
    assert not is_cooling(stats, "anthropic", NOW, B, "m2")
    assert is_cooling(stats, "anthropic", NOW, B)


def test_the_failure_of_another_model_widens_an_open_window() -> None:
    stats = on_failure(UsageStats(), "rate_limit", NOW, B, model="m1")
    stats = on_failure(stats, "rate_limit", NOW + 1, B, model="m2")
    assert stats.cooldown_model is None
    assert stats.cooldown_until == NOW + 30_000


def test_timeouts_are_scoped_to_their_model_from_2026_6_on() -> None:
    scoped = {s.name: on_failure(UsageStats(), "timeout", NOW, s, model="m1").cooldown_model for s in (OLD, B, C, D)}
    assert scoped == {"3.28": None, "5.x": None, "6.11": "m1", "9.x": "m1"}


def test_2026_9_leaves_a_block_that_the_provider_announced() -> None:
    stats = UsageStats(blocked_until=NOW + HOUR, blocked_reason="subscription_limit", blocked_source="wham")
    assert on_failure(stats, "rate_limit", NOW + 1, D) is stats
    assert on_failure(stats, "overloaded", NOW + 1, D).cooldown_until == NOW + 1 + 30_000
    assert on_failure(stats, "rate_limit", NOW + 1, B).cooldown_until is not None


def test_a_block_for_one_model_does_not_cover_failures_of_another_in_2026_9() -> None:
    stats = UsageStats(
        blocked_until=NOW + HOUR, blocked_reason="subscription_limit", blocked_model="m1", blocked_scope="model"
    )
    assert on_failure(stats, "rate_limit", NOW, D, model="m1") is stats
    assert on_failure(stats, "rate_limit", NOW, D, model="m2").cooldown_model == "m2"
    assert not is_cooling(stats, "anthropic", NOW, D, "m2")
    assert is_cooling(stats, "anthropic", NOW, B, "m2")


@given(usage_stats(), reasons, schedules, st.none() | models)
def test_a_failure_never_shrinks_a_window(
    stats: UsageStats, reason: str, schedule: Schedule, model: str | None
) -> None:
    after = on_failure(stats, reason, NOW, schedule, model=model)
    ends = {window.kind: window.until for window in windows(after)}
    for window in active_windows(stats, NOW, schedule):
        assert ends[window.kind] == window.until
    assert (unusable_until(after, schedule) or 0) > NOW


@pytest.mark.parametrize("reason", ["rate_limit", "billing"])
def test_a_failure_changes_its_window_and_counters_and_keeps_the_rest(reason: str) -> None:
    own: dict[str, Any] = {item.name: number for number, item in enumerate(fields(UsageStats), start=1)}
    open_windows = {"cooldown_until": NOW + 5, "disabled_until": NOW + 6, "blocked_reason": "any"}
    before = UsageStats(**{**own, **open_windows, "failure_counts": {"auth": 1}})
    after = on_failure(before, reason, NOW, B)
    changed = {item.name for item in fields(UsageStats) if getattr(after, item.name) != getattr(before, item.name)}
    counters = {"error_count", "failure_counts", "last_failure_at", "cooldown_classification"}
    window = {"cooldown_reason", "cooldown_model"} if reason == "rate_limit" else {"disabled_reason"}
    assert changed == counters | window


@given(usage_stats(), reasons, schedules, st.none() | models)
def test_a_failure_after_a_clear_is_the_first(
    stats: UsageStats, reason: str, schedule: Schedule, model: str | None
) -> None:
    first = on_failure(
        UsageStats(last_used=stats.last_used, last_probe_at=stats.last_probe_at), reason, NOW, schedule, model=model
    )
    assert on_failure(cleared(stats), reason, NOW, schedule, model=model) == first


@given(usage_stats(), reasons, schedules)
def test_the_cost_of_a_failure_is_what_it_then_costs(stats: UsageStats, reason: str, schedule: Schedule) -> None:
    cost = next_failure_cost(stats, reason, NOW, schedule)
    after = {window.kind: window.until for window in windows(on_failure(stats, reason, NOW, schedule))}
    before = {window.kind: window.until for window in windows(stats)}
    assert after[cost.kind] == cost.until == NOW + cost.duration_ms
    assert cost.keeps_window == (before.get(cost.kind) == cost.until)


# --- success, clear, expiry --------------------------------------------------------------------------------------


@given(usage_stats(), schedules)
def test_a_success_leaves_nothing_against_a_profile(stats: UsageStats, schedule: Schedule) -> None:
    after = on_success(stats, NOW, schedule)
    assert windows(after) == ()
    assert (after.last_used, after.error_count, after.failure_counts) == (NOW, 0, {})


def test_a_success_is_noted_as_a_probe_in_2026_9_only() -> None:
    assert [on_success(UsageStats(), NOW, s).last_probe_at for s in (OLD, B, C, D)] == [None, None, None, NOW]


def test_clearing_one_model_leaves_the_other_windows() -> None:
    stats = UsageStats(
        error_count=2,
        failure_counts={"rate_limit": 2},
        cooldown_until=NOW + 1,
        cooldown_reason="rate_limit",
        cooldown_model="m1",
        disabled_until=NOW + 2,
        disabled_reason="billing",
    )
    assert cleared(stats, model="m2") == stats
    after = cleared(stats, model="m1")
    assert [window.kind for window in windows(after)] == [WindowKind.DISABLED]
    assert after.error_count == 2


def test_clearing_the_last_window_of_a_model_starts_its_counters_over() -> None:
    stats = on_failure(UsageStats(last_used=5), "rate_limit", NOW, B, model="m1")
    assert cleared(stats, model="m1") == UsageStats(last_used=5, error_count=0, last_failure_at=NOW)


def test_clearing_nothing_records_nothing() -> None:
    assert cleared(UsageStats()) == UsageStats()


def test_a_window_ends_at_its_very_millisecond() -> None:
    stats = UsageStats(cooldown_until=NOW, cooldown_reason="overloaded", error_count=1)
    assert is_cooling(stats, "anthropic", NOW - 1, B)
    assert not is_cooling(stats, "anthropic", NOW, B)
    assert [window.until for window in active_windows(stats, NOW - 1, B)] == [NOW]
    assert active_windows(stats, NOW, B) == ()


@given(usage_stats(), schedules)
def test_counters_start_over_when_forecast(stats: UsageStats, schedule: Schedule) -> None:
    at = counters_reset_at(stats, schedule)
    if at is not None and at > 1:
        assert on_failure(stats, "auth", at, schedule).error_count == 1
        assert on_failure(stats, "auth", at - 1, schedule).error_count == (stats.error_count or 0) + 1


def test_no_counters_need_no_reset() -> None:
    assert counters_reset_at(UsageStats(last_failure_at=NOW, cooldown_until=NOW + 1), B) is None
    assert counters_reset_at(UsageStats(last_failure_at=NOW, failure_counts={"rate_limit": 3}), D) is None


# --- what windows mean -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("provider", ["openrouter", " OpenRouter ", "kilocode"])
def test_providers_with_limits_of_their_own_never_cool(provider: str) -> None:
    stats = UsageStats(cooldown_until=NOW + 1)
    assert bypasses_cooldown(provider)
    assert not is_cooling(stats, provider, NOW, B)
    assert profile_state(replace(profile(stats), provider=provider), NOW, B) == (ProfileState.USABLE, None)


def test_a_time_that_no_date_holds_is_no_window_from_2026_6_on() -> None:
    stats = UsageStats(cooldown_until=9_000_000_000_000_000)
    assert [is_cooling(stats, "anthropic", NOW, s) for s in (OLD, B, C, D)] == [True, True, False, False]


def test_rate_limits_of_one_model_end_together_from_2026_5_on() -> None:
    limited = [
        UsageStats(cooldown_until=NOW + end, cooldown_reason="rate_limit", cooldown_model="m1") for end in (10, 50, 30)
    ]
    assert soonest_expiry(limited, NOW, OLD, for_model="m1") == NOW + 10
    assert soonest_expiry(limited, NOW, B, for_model="m1") == NOW + 50
    assert soonest_expiry(limited, NOW, B, for_model="m2") is None
    assert soonest_expiry(limited, NOW, B) == NOW + 10
    assert soonest_expiry([*limited, UsageStats(disabled_until=NOW + 20)], NOW, B, for_model="m1") == NOW + 20


def test_the_reason_why_all_are_unavailable() -> None:
    counted = UsageStats(cooldown_until=NOW + 1, cooldown_reason="auth", failure_counts={"overloaded": 3, "auth": 1})
    unpaid = UsageStats(disabled_until=NOW + 1, disabled_reason="billing")
    limited = UsageStats(blocked_until=NOW + 1)
    assert unavailable_reason([], NOW, B) is None
    assert unavailable_reason([counted], NOW, B) == "overloaded"
    assert unavailable_reason([counted], NOW, D) == "auth"
    assert unavailable_reason([counted, limited, unpaid], NOW, B) == "billing"
    assert unavailable_reason([UsageStats(cooldown_until=NOW + 1)], NOW, B) == "unknown"
    assert unavailable_reason([counted], NOW + 1, B) is None


# --- states and problems -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("credential", "state"),
    [
        (Credential("api_key"), CredentialState.USABLE),
        (Credential("api_key", expires=NOW - 1), CredentialState.USABLE),
        (Credential("api_key", has_secret=False), CredentialState.INVALID),
        (Credential("token"), CredentialState.USABLE),
        (Credential("token", expires=NOW + 1), CredentialState.USABLE),
        (Credential("token", expires=NOW), CredentialState.EXPIRED),
        (Credential("token", expires=0), CredentialState.INVALID),
        (Credential("token", has_secret=False), CredentialState.INVALID),
        (Credential("oauth", has_refresh=True, expires=NOW - 1), CredentialState.USABLE),
        (Credential("oauth", has_refresh=False, expires=NOW - 1), CredentialState.EXPIRED),
        (Credential("oauth", has_refresh=False, expires=NOW + 1), CredentialState.USABLE),
        (Credential("oauth", has_secret=False, has_refresh=True), CredentialState.USABLE),
        (Credential("oauth", has_secret=False), CredentialState.INVALID),
    ],
)
def test_credentials(credential: Credential, state: CredentialState) -> None:
    assert credential_state(credential, NOW) is state


def test_the_credential_speaks_before_the_windows() -> None:
    cooling = UsageStats(cooldown_until=NOW + 5)
    assert profile_state(profile(cooling), NOW, B) == (ProfileState.COOLING, NOW + 5)
    assert profile_state(profile(cooling, Credential("token", expires=NOW)), NOW, B) == (ProfileState.EXPIRED, None)
    assert profile_state(profile(cooling, Credential("token", has_secret=False)), NOW, B)[0] is ProfileState.INVALID


def test_the_weightiest_window_names_the_state_and_the_last_its_end() -> None:
    stats = UsageStats(cooldown_until=NOW + 9, blocked_until=NOW + 5)
    assert profile_state(profile(stats), NOW, B) == (ProfileState.BLOCKED, NOW + 9)
    stats = replace(stats, disabled_until=NOW + 1)
    assert profile_state(profile(stats), NOW, B) == (ProfileState.DISABLED, NOW + 9)
    assert profile_state(profile(stats), NOW + 9, B) == (ProfileState.USABLE, None)


def test_the_cooldown_of_a_model_is_one_unless_another_model_is_meant() -> None:
    stats = on_failure(UsageStats(), "rate_limit", NOW, B, model="m1")
    assert profile_state(profile(stats), NOW, B)[0] is ProfileState.COOLING
    assert profile_state(profile(stats), NOW, B, "m1")[0] is ProfileState.COOLING
    assert profile_state(profile(stats), NOW, B, "m2")[0] is ProfileState.USABLE
    assert profile_state(profile(stats), NOW, B, "")[0] is ProfileState.USABLE


@pytest.mark.parametrize(
    ("stats", "codes"),
    [
        (UsageStats(), []),
        (UsageStats(last_used=NOW, cooldown_until=NOW + 30_000, cooldown_reason="rate_limit"), []),
        (UsageStats(cooldown_until=NOW), ["lapsed-window"]),
        (UsageStats(disabled_until=NOW - HOUR, disabled_reason="billing"), ["lapsed-window"]),
        (UsageStats(cooldown_until=NOW // 1000 + 30), ["seconds-not-ms"]),
        (UsageStats(last_used=NOW // 1000), ["seconds-not-ms"]),
        (UsageStats(cooldown_until=-5), ["absurd-time"]),
        (UsageStats(cooldown_until=10**30, last_used=-(10**30)), ["absurd-time", "absurd-time"]),
        (UsageStats(cooldown_until=NOW + 25 * HOUR), ["absurd-time"]),
        (UsageStats(blocked_until=NOW + 100 * HOUR, blocked_reason="subscription_limit"), []),
        (UsageStats(last_used=NOW + MINUTE), []),
        (UsageStats(last_used=NOW + MINUTE + 1), ["clock-skew"]),
        (UsageStats(last_failure_at=NOW + HOUR), ["clock-skew"]),
        (UsageStats(cooldown_until=NOW + 1, cooldown_reason="full moon"), ["unknown-reason"]),
        (UsageStats(failure_counts={"session_expired": 1, "gremlins": 2}), ["unknown-reason"]),
    ],
)
def test_odd_statistics_have_names(stats: UsageStats, codes: list[str]) -> None:
    problems = stat_problems(profile(stats), NOW, B)
    assert [problem.code for problem in problems] == codes
    assert all(problem.where == "anthropic:one" for problem in problems)


@given(usage_stats(), st.integers(-(10**40), 10**40), schedules)
def test_problems_are_found_in_any_numbers(stats: UsageStats, number: int, schedule: Schedule) -> None:
    odd = replace(stats, cooldown_until=number, last_used=number)
    assert all(problem.text for problem in stat_problems(profile(odd), NOW, schedule))


def test_an_unknown_reason_is_shown_safely() -> None:
    problem = stat_problems(profile(UsageStats(cooldown_until=NOW + 1, cooldown_reason="\x1b[2J")), NOW, B)[0]
    assert "\x1b" not in problem.text


def test_a_time_ahead_is_said_in_one_unit_and_blamed_on_no_clock_in_the_past() -> None:
    ahead = profile(UsageStats(last_used=NOW + 3 * HOUR))
    (live,) = stat_problems(ahead, NOW, B)
    assert live.text.endswith(", 3 h ahead of this clock: two machines' clocks differ")
    (past,) = stat_problems(ahead, NOW, B, in_the_past=True)
    assert past.text.endswith(", 3 h ahead of the chosen time: later, or by another clock")
