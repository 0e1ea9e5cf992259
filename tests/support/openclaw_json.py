"""OpenClaw's own JSON shapes, to and from clawtop's values, for tests that compare with the real program."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clawtop.core.model import AuthConfig, ConfigProfile, CooldownConfig, Credential, Profile, UsageStats

STATS_FIELDS = {
    "lastUsed": "last_used",
    "errorCount": "error_count",
    "failureCounts": "failure_counts",
    "lastFailureAt": "last_failure_at",
    "cooldownUntil": "cooldown_until",
    "cooldownReason": "cooldown_reason",
    "cooldownModel": "cooldown_model",
    "cooldownClassification": "cooldown_classification",
    "disabledUntil": "disabled_until",
    "disabledReason": "disabled_reason",
    "blockedUntil": "blocked_until",
    "blockedReason": "blocked_reason",
    "blockedSource": "blocked_source",
    "blockedModel": "blocked_model",
    "blockedScope": "blocked_scope",
    "lastProbeAt": "last_probe_at",
}
_COOLDOWN_FIELDS = {
    "billingBackoffHours": "billing_backoff_hours",
    "billingBackoffHoursByProvider": "billing_backoff_hours_by_provider",
    "billingMaxHours": "billing_max_hours",
    "failureWindowHours": "failure_window_hours",
    "authPermanentBackoffMinutes": "auth_permanent_backoff_minutes",
    "authPermanentMaxMinutes": "auth_permanent_max_minutes",
}


def stats_from(raw: Mapping[str, Any] | None) -> UsageStats:
    """One `usageStats` entry; None and absent fields mean nothing recorded."""
    return UsageStats(**{STATS_FIELDS[name]: value for name, value in (raw or {}).items()})


def stats_to(stats: UsageStats) -> dict[str, Any]:
    """The entry as OpenClaw writes it: without what is not recorded."""
    values = {name: getattr(stats, attribute) for name, attribute in STATS_FIELDS.items()}
    return {name: value for name, value in values.items() if value not in (None, {})}


def cooldown_config_from(cfg: Mapping[str, Any] | None) -> CooldownConfig:
    """`auth.cooldowns` of an openclaw.json."""
    raw = ((cfg or {}).get("auth") or {}).get("cooldowns") or {}
    return CooldownConfig(**{_COOLDOWN_FIELDS[name]: value for name, value in raw.items()})


def auth_config_from(cfg: Mapping[str, Any] | None) -> AuthConfig:
    """The `auth` section of an openclaw.json."""
    raw = (cfg or {}).get("auth") or {}
    profiles = {
        id_: ConfigProfile(provider=entry["provider"], mode=entry["mode"], email=entry.get("email"))
        for id_, entry in (raw.get("profiles") or {}).items()
    }
    order = {provider: tuple(ids) for provider, ids in (raw.get("order") or {}).items()}
    return AuthConfig(profiles=profiles, order=order, cooldowns=cooldown_config_from(cfg))


def credential_from(raw: Mapping[str, Any]) -> Credential:
    """A stored credential without its secret."""
    secrets = {"api_key": ("key", "keyRef"), "token": ("token", "tokenRef")}.get(raw["type"], ("access",))
    return Credential(
        type=raw["type"],
        has_secret=any(_is_given(raw.get(name)) for name in secrets),
        has_refresh=_is_given(raw.get("refresh")),
        expires=raw.get("expires"),
        email=raw.get("email"),
    )


def _is_given(secret: Any) -> bool:
    """Whether a secret or a reference to one is there; a blank string does not count."""
    return bool(secret.strip()) if isinstance(secret, str) else bool(secret)


def profiles_from(store: Mapping[str, Any]) -> tuple[Profile, ...]:
    """Every profile of an auth store with its statistics, in the store's order."""
    usage = store.get("usageStats") or {}
    return tuple(
        Profile(
            id=id_,
            provider=raw["provider"],
            credential=credential_from(raw),
            owner_agent="main",
            stats=stats_from(usage.get(id_)),
        )
        for id_, raw in store["profiles"].items()
    )


def order_from(store: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """The stored order per provider."""
    return {provider: tuple(ids) for provider, ids in (store.get("order") or {}).items()}
