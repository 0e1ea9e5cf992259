"""The windows in which a profile must not be used: which there are, which apply to a model, when they end.

A profile has up to three: cooldown, disabled, blocked. The one that ends last decides. A profile is usable again at
exactly the millisecond when it ends. Where a model is asked for, None means any, so that every window counts; a name
that appears in no window, such as the empty string, leaves only the windows that apply to all models.
"""

from __future__ import annotations

from collections.abc import Iterable

from clawtop.core.model import UsageStats, WindowKind
from clawtop.core.provider_ids import bypasses_cooldown
from clawtop.core.rules import Schedule
from clawtop.values import dataclass

_CERTAIN = 1_000
"""The weight of a window's own reason against failure counts."""


@dataclass(frozen=True, slots=True)
class Window:
    """One recorded window, passed or not. `until` is in ms since the epoch; `model` is None where all are meant."""

    kind: WindowKind
    until: int
    reason: str | None = None
    model: str | None = None


def windows(stats: UsageStats) -> tuple[Window, ...]:
    """Every recorded window, the most serious kind first: disabled, blocked, cooldown."""
    blocked_model = stats.blocked_model if stats.blocked_scope == "model" else None
    recorded = (
        (WindowKind.DISABLED, stats.disabled_until, stats.disabled_reason, None),
        (WindowKind.BLOCKED, stats.blocked_until, stats.blocked_reason, blocked_model),
        (WindowKind.COOLDOWN, stats.cooldown_until, stats.cooldown_reason, stats.cooldown_model),
    )
    return tuple(Window(kind, until, reason, model) for kind, until, reason, model in recorded if until is not None)


def active_windows(stats: UsageStats, now: int, schedule: Schedule) -> tuple[Window, ...]:
    """The windows that have not ended, the most serious kind first."""
    return tuple(window for window in windows(stats) if is_active(window.until, now, schedule))


def is_active(until: int | None, now: int, schedule: Schedule) -> bool:
    """Whether a window that ends at `until` is still open. Zero, negative and invalid times are not windows."""
    return until is not None and 0 < until <= schedule.latest_ms and now < until


def unusable_until(stats: UsageStats, schedule: Schedule, *, for_model: str | None = None) -> int | None:
    """The end of the last window, which may have passed; None where nothing is recorded.

    With `for_model`, a block of another model does not count (2026.9); cooldowns of other models do, as in OpenClaw:
    callers that ask about a model must call `cooling_until` first.
    """
    latest = 0
    if stats.cooldown_until is not None and stats.cooldown_until <= schedule.latest_ms:
        latest = stats.cooldown_until
    if stats.disabled_until is not None and latest < stats.disabled_until <= schedule.latest_ms:
        latest = stats.disabled_until
    blocked = stats.blocked_until if schedule.knows_blocks else None
    if (
        blocked is not None
        and latest < blocked <= schedule.latest_ms
        and not _blocks_another_model(stats, schedule, for_model)
    ):
        latest = blocked
    return latest if latest > 0 else None


def cooling_until(
    stats: UsageStats,
    provider: str | None,
    now: int,
    schedule: Schedule,
    for_model: str | None = None,
) -> int | None:
    """When a profile that is cooling now will be usable again; None where it is usable."""
    until = unusable_until(stats, schedule, for_model=for_model)
    if until is None or now >= until or (provider is not None and bypasses_cooldown(provider)):
        return None
    if for_model is not None and _cools_another_model(stats, now, schedule, for_model):
        return None
    return until


def back_at(
    stats: UsageStats,
    provider: str | None,
    now: int,
    schedule: Schedule,
    for_model: str | None = None,
) -> int | None:
    """When a cooling profile can really serve the model again; None where it can now.

    Sooner than `cooling_until` where the last window to end is a cooldown of another model, which OpenClaw respects
    only while the profile is unavailable for another reason.
    """
    if cooling_until(stats, provider, now, schedule, for_model) is None:
        return None
    ends = sorted(window.until for window in active_windows(stats, now, schedule))
    return next(end for end in ends if cooling_until(stats, provider, end, schedule, for_model) is None)


def soonest_expiry(
    stats_of_profiles: Iterable[UsageStats],
    now: int,
    schedule: Schedule,
    *,
    for_model: str | None = None,
) -> int | None:
    """When the first of these profiles will be usable again; it may have passed. None where none has a window.

    Rate limits of the asked model count as one that ends with the last of them: a provider that limits one account
    for a model tends to limit them all (2026.5 and later).
    """
    soonest: int | None = None
    joined: int | None = None
    for stats in stats_of_profiles:
        if for_model is not None and _cools_another_model(stats, now, schedule, for_model):
            continue
        until = unusable_until(stats, schedule, for_model=for_model)
        if until is None:
            continue
        if for_model is not None and schedule.soonest_joins_model and _limits_model(stats, now, schedule, for_model):
            joined = until if joined is None else max(joined, until)
        elif soonest is None or until < soonest:
            soonest = until
    return min((time for time in (soonest, joined) if time is not None), default=None)


def unavailable_reason(stats_of_profiles: Iterable[UsageStats], now: int, schedule: Schedule) -> str | None:
    """The most likely reason why all these profiles are unavailable; None where none has an open window."""
    scores: dict[str, int] = {}
    for stats in stats_of_profiles:
        for reason, weight in _telling(stats, now, schedule):
            scores[reason] = scores.get(reason, 0) + weight
    return max(scores, key=lambda reason: (scores[reason], -schedule.reasons.index(reason)), default=None)


def _telling(stats: UsageStats, now: int, schedule: Schedule) -> list[tuple[str, int]]:
    """What one profile says about why it is unavailable: reasons and their weights."""
    known = schedule.reasons
    if is_active(stats.disabled_until, now, schedule) and stats.disabled_reason in known:
        return [(stats.disabled_reason, _CERTAIN)]
    if schedule.knows_blocks and is_active(stats.blocked_until, now, schedule):
        return [("rate_limit", _CERTAIN)]
    if not is_active(stats.cooldown_until, now, schedule):
        return []
    if schedule.reason_from_window and stats.cooldown_reason in known:
        return [(stats.cooldown_reason, _CERTAIN)]
    counted = [(reason, count) for reason, count in stats.failure_counts.items() if reason in known and count > 0]
    return counted or [("unknown", 1)]


def _blocks_another_model(stats: UsageStats, schedule: Schedule, for_model: str | None) -> bool:
    """Whether the blocked window concerns a model other than the asked one (2026.9)."""
    if for_model is None or not schedule.blocks_have_scope or stats.blocked_scope != "model":
        return False
    return bool(stats.blocked_model) and stats.blocked_model != for_model


def _cools_another_model(stats: UsageStats, now: int, schedule: Schedule, for_model: str) -> bool:
    """Whether the profile is only held back by the cooldown of a different model."""
    if not stats.cooldown_model or stats.cooldown_model == for_model:
        return False
    if stats.cooldown_reason not in schedule.scoped_reasons or is_active(stats.disabled_until, now, schedule):
        return False
    return schedule.blocks_yield_to_scope or not _is_blocked(stats, now, schedule, for_model)


def _limits_model(stats: UsageStats, now: int, schedule: Schedule, for_model: str) -> bool:
    """Whether the profile is rate-limited for exactly this model, and nothing else holds it back."""
    if stats.cooldown_reason != "rate_limit" or stats.cooldown_model != for_model:
        return False
    if is_active(stats.disabled_until, now, schedule):
        return False
    return schedule.blocks_yield_to_scope or not _is_blocked(stats, now, schedule, for_model)


def _is_blocked(stats: UsageStats, now: int, schedule: Schedule, for_model: str) -> bool:
    return is_active(stats.blocked_until, now, schedule) and not _blocks_another_model(stats, schedule, for_model)
