"""What a failure, a success, a clear and the passing of time do to a profile's statistics.

Pure: statistics in, statistics out, by the rules of one generation's `Schedule`. The caller leaves out providers that
bypass cooldowns (`bypasses_cooldown`), as in OpenClaw.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from clawtop.core.cooldown.profile_state import ProfileState, credential_state, profile_state, stat_problems
from clawtop.core.cooldown.schedules import Schedules, schedule_for
from clawtop.core.cooldown.windows import (
    Window,
    active_windows,
    back_at,
    cooling_until,
    is_active,
    soonest_expiry,
    unavailable_reason,
    unusable_until,
    windows,
)
from clawtop.core.model import UsageStats, WindowKind
from clawtop.core.provider_ids import bypasses_cooldown
from clawtop.core.rules import Schedule
from clawtop.values import dataclass

__all__ = [
    "FailureCost",
    "ProfileState",
    "Schedule",
    "Schedules",
    "Window",
    "active_windows",
    "back_at",
    "bypasses_cooldown",
    "cleared",
    "cooling_until",
    "counters_reset_at",
    "credential_state",
    "is_active",
    "next_failure_cost",
    "on_failure",
    "on_success",
    "profile_state",
    "schedule_for",
    "soonest_expiry",
    "stat_problems",
    "unavailable_reason",
    "unusable_until",
    "windows",
]

PROVIDER_BLOCK = "subscription_limit"
"""The reason of a blocked window: the provider itself said when its limit ends."""


@dataclass(frozen=True, slots=True)
class FailureCost:
    """What one more failure would do.

    Attributes:
        kind: which window it concerns.
        until: when that window would end (ms since the epoch).
        duration_ms: how long from now on that is.
        keeps_window: a window is open already and would not be extended; only counters would rise.
    """

    kind: WindowKind
    until: int
    duration_ms: int
    keeps_window: bool


def on_failure(stats: UsageStats, reason: str, now: int, schedule: Schedule, *, model: str | None = None) -> UsageStats:
    """The statistics after a failure at `now`.

    An open window is never extended nor shortened (all generations): counters rise and its reason is replaced.
    Billing and permanent auth failures disable the profile, every other reason cools it.

    Args:
        model: the model that failed; for reasons that are model-scoped the cooldown concerns only it.
    """
    if schedule.provider_blocks_win and reason == "rate_limit" and _in_provider_block(stats, now, schedule, model):
        return stats
    errors, counts = _counters_at(stats, now, schedule)
    counts[reason] = counts.get(reason, 0) + 1
    until = now + schedule.window_ms(reason, errors + 1, counts[reason])
    cooldown = stats.cooldown_until, stats.cooldown_reason, stats.cooldown_model
    disabled = stats.disabled_until, stats.disabled_reason
    if schedule.disabling(reason) is not None:
        disabled = _kept(stats.disabled_until, now) or until, reason
    else:
        concerns = _cooled_model(stats, reason, now, schedule, model)
        cooldown = _kept(stats.cooldown_until, now) or until, reason, concerns
    return UsageStats(  # in full: `replace` takes longer than everything above
        stats.last_used,
        errors + 1,
        counts,
        now,
        *cooldown,
        *disabled,
        stats.blocked_until,
        stats.blocked_reason,
        stats.blocked_source,
        stats.blocked_model,
        stats.blocked_scope,
        last_probe_at=stats.last_probe_at,
    )


def on_success(stats: UsageStats, now: int, schedule: Schedule) -> UsageStats:
    """The statistics after a success at `now`: every window and counter is gone."""
    probed = now if schedule.success_is_probe else stats.last_probe_at
    return replace(_reset(stats), last_used=now, last_probe_at=probed)


def cleared(stats: UsageStats, *, model: str | None = None) -> UsageStats:
    """The statistics after a manual clear, as OpenClaw resets them: `last_used` and `last_failure_at` stay.

    With `model`, only what is scoped to that model is cleared. The counters are cleared with the last window, as when
    a window ends. An empty entry stays empty.
    """
    if stats == UsageStats():
        return stats
    if model is None:
        return _reset(stats)
    left = stats
    if left.cooldown_model == model:
        left = _without_cooldown(left)
    if left.blocked_model == model and left.blocked_scope == "model":
        left = _without_block(left)
    if left is not stats and not windows(left):
        left = replace(left, error_count=0, failure_counts={})
    return left


def next_failure_cost(stats: UsageStats, reason: str, now: int, schedule: Schedule) -> FailureCost:
    """What a failure for `reason` at `now` would cost. Only for profiles whose provider does not bypass cooldowns."""
    after = on_failure(stats, reason, now, schedule)
    if after is stats:
        until = stats.blocked_until or now
        return FailureCost(WindowKind.BLOCKED, until, until - now, keeps_window=True)
    if schedule.disabling(reason) is not None:
        kind, before, then = WindowKind.DISABLED, stats.disabled_until, after.disabled_until
    else:
        kind, before, then = WindowKind.COOLDOWN, stats.cooldown_until, after.cooldown_until
    until = now if then is None else then
    return FailureCost(kind, until, until - now, keeps_window=_kept(before, now) is not None)


def counters_reset_at(stats: UsageStats, schedule: Schedule) -> int | None:
    """When the next failure counts as the first again, in ms since the epoch; may be in the past.

    None where there is nothing to reset. Counts that survive their window (rate limits in 2026.9) do not count here:
    only a success or a clear resets them.
    """
    if not stats.error_count and not any(
        count for reason, count in stats.failure_counts.items() if reason not in schedule.surviving_counts
    ):
        return None
    ends = unusable_until(stats, schedule)
    forgotten = None
    if stats.last_failure_at is not None and stats.last_failure_at > 0:
        forgotten = stats.last_failure_at + int(schedule.failure_window_ms) + 1
    return min((time for time in (ends, forgotten) if time is not None), default=None)


def _counters_are_over(stats: UsageStats, now: int, schedule: Schedule) -> bool:
    """Whether a failure now is the first again: the last window has ended, or the last failure is long ago."""
    failed_at = stats.last_failure_at
    if failed_at is not None and failed_at > 0 and now - failed_at > schedule.failure_window_ms:
        return True
    until = unusable_until(stats, schedule)
    return until is not None and now >= until


def _counters_at(stats: UsageStats, now: int, schedule: Schedule) -> tuple[int, dict[str, int]]:
    """Errors in a row and failures per reason, as a failure now would find them."""
    if _counters_are_over(stats, now, schedule):
        return 0, _surviving(stats.failure_counts, schedule)
    return stats.error_count or 0, dict(stats.failure_counts)


def _surviving(counts: Mapping[str, int], schedule: Schedule) -> dict[str, int]:
    return {reason: count for reason, count in counts.items() if count and reason in schedule.surviving_counts}


def _cooled_model(stats: UsageStats, reason: str, now: int, schedule: Schedule, model: str | None) -> str | None:
    """The only model that the cooldown concerns after this failure; None for all.

    A fresh window takes the failing model if the reason is scoped; an open one can only widen.
    """
    if reason not in schedule.scoped_reasons:
        return None
    if _kept(stats.cooldown_until, now) is None:
        return model
    return stats.cooldown_model if model and model == stats.cooldown_model else None


def _in_provider_block(stats: UsageStats, now: int, schedule: Schedule, model: str | None) -> bool:
    if stats.blocked_reason != PROVIDER_BLOCK or not is_active(stats.blocked_until, now, schedule):
        return False
    return stats.blocked_scope != "model" or not stats.blocked_model or stats.blocked_model == model


def _kept(until: int | None, now: int) -> int | None:
    """The end of an open window; None if a new one is to begin."""
    return until if until is not None and until > now else None


def _without_cooldown(stats: UsageStats) -> UsageStats:
    return replace(stats, cooldown_until=None, cooldown_reason=None, cooldown_model=None, cooldown_classification=None)


def _without_block(stats: UsageStats) -> UsageStats:
    return replace(
        stats, blocked_until=None, blocked_reason=None, blocked_source=None, blocked_model=None, blocked_scope=None
    )


def _reset(stats: UsageStats) -> UsageStats:
    return UsageStats(
        last_used=stats.last_used,
        last_failure_at=stats.last_failure_at,
        last_probe_at=stats.last_probe_at,
        error_count=0,
    )
