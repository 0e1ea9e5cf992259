"""How long a failed profile rests: OpenClaw's numbers and rules, one schedule per generation, as data.

The documentation of 2026.6.11 and before gives other steps (1 min, 5 min, 25 min, 1 h) than the program runs; the
program is what stands here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from clawtop.core.model import CooldownConfig, Generation, Snapshot
from clawtop.core.provider_ids import NAMES_2026_3, NAMES_2026_5, NAMES_2026_6, NAMES_2026_9, ProviderNames

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

LATEST_DATE_MS = 8_640_000_000_000_000
"""The last moment a JavaScript date can hold: from 2026.6.5 on a later time is no window at all."""


_TRANSIENT_REASONS = frozenset(
    {"rate_limit", "overloaded", "unknown", "empty_response", "no_error_details", "unclassified", "timeout"}
)


@dataclass(frozen=True, slots=True)
class Backoff:
    """A window that doubles with each failure: `base_ms`, twice that, and so on up to `max_ms`."""

    base_ms: float
    max_ms: float
    least_base_ms: float = MINUTE_MS
    doublings: int = 10

    def after(self, failures: float) -> int:
        """Length of the window in ms at the `failures`-th failure."""
        base = max(self.least_base_ms, self.base_ms)
        longest = max(base, self.max_ms)
        window = min(longest, base * 2 ** min(max(1, failures) - 1, self.doublings))
        return math.floor(window + 1e-4)  # 0.07 h come out a hair below their last millisecond


@dataclass(frozen=True, slots=True)
class Schedule:
    """One generation's rules.

    Attributes:
        name: "2026.3", "2026.5", "2026.6" or "2026.9".
        names: how provider names are read.
        reasons: failure reasons it knows, the most telling first; ties between them go to the earlier.
        billing, auth_permanent: windows of disabled profiles.
        rate_limit: window of a rate limit that doubles; None where it follows `steps_ms` like any other failure.
        steps_ms: cooldown at the first, second, and every later failure in a row.
        failure_window_ms: without a failure for longer than this, counters start over.
        surviving_counts: failure counts that outlive their window; only success or a clear resets them.
        scoped_reasons: reasons that cool only the failing model, when it is known.
        blocks_yield_to_scope: the window of another model lets a profile pass although it is blocked by its
            subscription (2026.5; later generations check the block first).
        blocks_have_scope: a blocked window may concern one model only.
        soonest_joins_model: the windows of the asked model count as one, that ends with its last (not in 2026.3).
        reason_from_window: the window's own reason tells why profiles are unavailable, before failure counts do.
        provider_blocks_win: a rate limit inside a provider's announced block changes nothing.
        success_is_probe: a success is also noted as the last probe.
        order_by_model: the order heeds the model that is asked.
        repairs_stored_order: a stored order whose ids are all gone falls back to the store's profiles, sorted afresh.
        expired_logins_last: an OAuth login past its expiry stands behind fresh ones.
        replaced_pins: whose pins give way when their profile cools and another is usable: "user", "auto", both or none.
        user_pins_outlive_order: a person's pin may name a profile outside the order (2026.5 and later).
        suspends: a candidate whose profiles all cool suspends the session instead of being skipped only.
        probes_without_fallback: a model without a fallback is probed whenever the throttle is open.
        probes_rate_limits: so is a rate limit whose end no provider announced.
        transient_reasons: reasons for which a fallback model is tried although its provider cools.
        latest_ms: later times are no windows.
    """

    name: str
    names: ProviderNames
    reasons: tuple[str, ...]
    billing: Backoff
    auth_permanent: Backoff
    rate_limit: Backoff | None = None
    steps_ms: tuple[int, ...] = (30_000, 60_000, 300_000)
    failure_window_ms: float = DAY_MS
    surviving_counts: frozenset[str] = frozenset()
    scoped_reasons: frozenset[str] = frozenset({"rate_limit"})
    blocks_yield_to_scope: bool = False
    blocks_have_scope: bool = False
    soonest_joins_model: bool = True
    reason_from_window: bool = False
    provider_blocks_win: bool = False
    success_is_probe: bool = False
    order_by_model: bool = False
    repairs_stored_order: bool = False
    expired_logins_last: bool = False
    replaced_pins: frozenset[str] = frozenset({"user", "auto"})
    user_pins_outlive_order: bool = True
    suspends: bool = True
    probes_without_fallback: bool = False
    probes_rate_limits: bool = False
    transient_reasons: frozenset[str] = _TRANSIENT_REASONS
    latest_ms: float = LATEST_DATE_MS

    def cooldown_ms(self, errors: float) -> int:
        """Length of a cooldown at the `errors`-th error in a row."""
        return self.steps_ms[min(max(math.ceil(errors), 1), len(self.steps_ms)) - 1]

    def window_ms(self, reason: str, errors: float, failures: float) -> int:
        """Length of the window that `reason` opens, in ms.

        Args:
            errors: errors in a row, this one included.
            failures: failures of this reason, this one included.
        """
        backoff = self.disabling(reason) or (self.rate_limit if reason == "rate_limit" else None)
        return self.cooldown_ms(errors) if backoff is None else backoff.after(failures)

    def disabling(self, reason: str) -> Backoff | None:
        """The backoff of a reason that disables a profile instead of cooling it."""
        return {"billing": self.billing, "auth_permanent": self.auth_permanent}.get(reason)

    @property
    def longest_ms(self) -> int:
        """No window of this schedule is longer, provider-announced blocks apart."""
        rate_limit = 0 if self.rate_limit is None else self.rate_limit.max_ms
        return math.ceil(max(*self.steps_ms, self.billing.max_ms, self.auth_permanent.max_ms, rate_limit))


_REASONS_2026_3 = (
    "auth_permanent",
    "auth",
    "billing",
    "format",
    "model_not_found",
    "overloaded",
    "timeout",
    "rate_limit",
    "unknown",
)
_REASONS_2026_5 = (*_REASONS_2026_3[:-1], "empty_response", "no_error_details", "unclassified", "unknown")
_REASONS_2026_9 = (*_REASONS_2026_5[:2], "session_expired", *_REASONS_2026_5[2:])

_2026_3 = Schedule(
    name="2026.3",
    names=NAMES_2026_3,
    reasons=_REASONS_2026_3,
    billing=Backoff(5 * HOUR_MS, DAY_MS),
    auth_permanent=Backoff(5 * HOUR_MS, DAY_MS),
    blocks_yield_to_scope=True,
    soonest_joins_model=False,
    replaced_pins=frozenset(),
    user_pins_outlive_order=False,
    suspends=False,
    transient_reasons=frozenset({"rate_limit", "overloaded", "unknown"}),
    latest_ms=math.inf,
)
_2026_5 = replace(
    _2026_3,
    name="2026.5",
    names=NAMES_2026_5,
    reasons=_REASONS_2026_5,
    auth_permanent=Backoff(10 * MINUTE_MS, HOUR_MS),
    soonest_joins_model=True,
    replaced_pins=frozenset({"user", "auto"}),
    user_pins_outlive_order=True,
    suspends=True,
    transient_reasons=_TRANSIENT_REASONS,
)
_2026_6 = replace(
    _2026_5,
    name="2026.6",
    names=NAMES_2026_6,
    scoped_reasons=frozenset({"rate_limit", "timeout"}),
    blocks_yield_to_scope=False,
    repairs_stored_order=True,
    probes_without_fallback=True,
    probes_rate_limits=True,
    latest_ms=LATEST_DATE_MS,
)
_2026_9 = replace(
    _2026_6,
    name="2026.9",
    names=NAMES_2026_9,
    reasons=_REASONS_2026_9,
    billing=Backoff(10 * MINUTE_MS, DAY_MS, least_base_ms=1),
    auth_permanent=Backoff(10 * MINUTE_MS, HOUR_MS, least_base_ms=1),
    rate_limit=Backoff(30_000, DAY_MS, least_base_ms=1, doublings=12),
    surviving_counts=frozenset({"rate_limit"}),
    scoped_reasons=frozenset({"rate_limit", "timeout", "model_not_found"}),
    blocks_have_scope=True,
    reason_from_window=True,
    provider_blocks_win=True,
    success_is_probe=True,
    order_by_model=True,
    expired_logins_last=True,
    replaced_pins=frozenset({"auto"}),
)

SCHEDULES: Mapping[str, Schedule] = {schedule.name: schedule for schedule in (_2026_3, _2026_5, _2026_6, _2026_9)}
DEFAULT_SCHEDULE = _2026_5

_BY_GENERATION: Mapping[Generation, Schedule] = {
    Generation.A: _2026_3,
    Generation.B: _2026_5,
    Generation.C: _2026_6,
    Generation.D: _2026_9,
}
_FIRST_VERSIONS: tuple[tuple[tuple[int, ...], Schedule], ...] = (
    ((2026, 8), _2026_9),
    ((2026, 6, 5), _2026_6),
    ((2026, 5), _2026_5),
)


def schedule_for(
    version: str | Generation | None, config: CooldownConfig | None = None, provider: str | None = None
) -> Schedule:
    """The schedule that an OpenClaw version runs, with `auth.cooldowns` of its config where that version reads it.

    Args:
        version: "2026.5.20", a storage generation, or None (the 2026.5 line).
        provider: whose `billingBackoffHoursByProvider` entry counts.
    """
    base = _base(version)
    if config is None or base is _2026_9:
        return base
    hours = _billing_hours(config, base.names, provider)
    billing = replace(
        base.billing,
        base_ms=_configured(hours, HOUR_MS, base.billing.base_ms),
        max_ms=_configured(config.billing_max_hours, HOUR_MS, base.billing.max_ms),
    )
    permanent = replace(
        base.auth_permanent,
        base_ms=_configured(config.auth_permanent_backoff_minutes, MINUTE_MS, base.auth_permanent.base_ms),
        max_ms=_configured(config.auth_permanent_max_minutes, MINUTE_MS, base.auth_permanent.max_ms),
    )
    return replace(
        base,
        billing=billing,
        auth_permanent=billing if base is _2026_3 else permanent,
        failure_window_ms=_configured(config.failure_window_hours, HOUR_MS, base.failure_window_ms),
    )


class Schedules:
    """The schedule of each provider in one snapshot, each worked out once."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._version = snapshot.openclaw_version or snapshot.generation
        self._config = snapshot.config.auth.cooldowns
        self._known: dict[str, Schedule] = {}

    def __getitem__(self, provider: str) -> Schedule:
        known = self._known.get(provider)
        if known is None:
            known = self._known[provider] = schedule_for(self._version, self._config, provider)
        return known


def _base(version: str | Generation | None) -> Schedule:
    if isinstance(version, Generation):
        return _BY_GENERATION[version]
    numbers = tuple(int(part) for part in re.findall(r"\d+", version or "")[:3])
    if not numbers:
        return DEFAULT_SCHEDULE
    return next((schedule for first, schedule in _FIRST_VERSIONS if numbers >= first), _2026_3)


def _billing_hours(config: CooldownConfig, names: ProviderNames, provider: str | None) -> float | None:
    """The first entry whose name means this provider counts, even when its value is nonsense (2026.5.20)."""
    wanted = None if provider is None else names.key(provider)
    for name, hours in config.billing_backoff_hours_by_provider.items():
        if names.key(name) == wanted:
            return hours
    return config.billing_backoff_hours


def _configured(value: float | None, unit_ms: int, default_ms: float) -> float:
    """A configured length in ms; nothing, zero, negative and infinite values mean the default."""
    usable = value is not None and math.isfinite(value) and value > 0
    return value * unit_ms if usable and value is not None else default_ms
