"""How long a failed profile cools: an OpenClaw version's schedule with a state directory's configuration."""

from __future__ import annotations

from clawtop.core.generations import Semantics
from clawtop.core.javascript import is_finite
from clawtop.core.model import CooldownConfig, Snapshot
from clawtop.core.provider_ids import ProviderNames
from clawtop.core.rules import HOUR_MS, MINUTE_MS, DoublingWindow, Schedule


def schedule_for(semantics: Semantics, config: CooldownConfig | None = None, provider: str | None = None) -> Schedule:
    """The schedule of these versions, with `auth.cooldowns` of the configuration where they read it.

    Args:
        provider: whose `billingBackoffHoursByProvider` entry counts.
    """
    base = semantics.cooling
    if config is None or not base.configurable:
        return base
    billing = _window(base.billing, HOUR_MS, _billing_hours(config, base.names, provider), config.billing_max_hours)
    permanent = _window(
        base.auth_permanent, MINUTE_MS, config.auth_permanent_backoff_minutes, config.auth_permanent_max_minutes
    )
    if base.permanent_as_billing:
        permanent = billing
    window_ms = _configured(config.failure_window_hours, HOUR_MS, base.failure_window_ms)
    if (billing, permanent, window_ms) == (base.billing, base.auth_permanent, base.failure_window_ms):
        return base
    return base._replace(billing=billing, auth_permanent=permanent, failure_window_ms=window_ms)


class Schedules:
    """The schedule of each provider in one snapshot, each worked out once.

    `in_the_past`: the snapshot is judged as of a chosen time.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self._semantics = snapshot.semantics
        self._config = snapshot.config.auth.cooldowns
        self._known: dict[str, Schedule] = {}
        self.in_the_past = snapshot.judged_at is not None

    @property
    def names(self) -> ProviderNames:
        """How provider names are read here."""
        return self._semantics.cooling.names

    def __getitem__(self, provider: str) -> Schedule:
        known = self._known.get(provider)
        if known is None:
            known = self._known[provider] = schedule_for(self._semantics, self._config, provider)
        return known


def _billing_hours(config: CooldownConfig, names: ProviderNames, provider: str | None) -> float | None:
    """The first entry whose name means this provider counts, even when its value is nonsense (2026.5.20)."""
    wanted = None if provider is None else names.key(provider)
    for name, hours in config.billing_backoff_hours_by_provider.items():
        if names.key(name) == wanted:
            return hours
    return config.billing_backoff_hours


def _window(default: DoublingWindow, unit_ms: int, base: float | None, longest: float | None) -> DoublingWindow:
    if base is None and longest is None:
        return default
    return default._replace(
        base_ms=_configured(base, unit_ms, default.base_ms),
        max_ms=_configured(longest, unit_ms, default.max_ms),
    )


def _configured(value: float | None, unit_ms: int, default_ms: float) -> float:
    """A configured length in ms; nothing, zero, negative and infinite values mean the default."""
    usable = value is not None and is_finite(value) and value > 0
    return value * unit_ms if usable and value is not None else default_ms
