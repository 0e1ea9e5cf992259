"""What openclaw.json configures, and the agents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from clawtop.core.model.auth import AuthStore
from clawtop.values import dataclass


@dataclass(frozen=True, slots=True)
class CooldownConfig:
    """`auth.cooldowns` of openclaw.json; None where the config says nothing. Hours and minutes as written there."""

    billing_backoff_hours: float | None = None
    billing_backoff_hours_by_provider: Mapping[str, float] = field(default_factory=dict)
    billing_max_hours: float | None = None
    failure_window_hours: float | None = None
    auth_permanent_backoff_minutes: float | None = None
    auth_permanent_max_minutes: float | None = None
    overloaded_profile_rotations: int | None = None
    rate_limited_profile_rotations: int | None = None
    overloaded_backoff_ms: int | None = None


@dataclass(frozen=True, slots=True)
class ConfigProfile:
    """`auth.profiles.<id>` of openclaw.json."""

    provider: str
    mode: str
    email: str | None = None


@dataclass(frozen=True, slots=True)
class AuthConfig:
    """The `auth` section of openclaw.json."""

    profiles: Mapping[str, ConfigProfile] = field(default_factory=dict)
    order: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    cooldowns: CooldownConfig = CooldownConfig()


@dataclass(frozen=True, slots=True)
class ModelRef:
    """`provider/model`."""

    provider: str
    model: str

    def __str__(self) -> str:
        return f"{self.provider}/{self.model}"


@dataclass(frozen=True, slots=True)
class LockLimits:
    """Limits of the session write lock in milliseconds, after environment over config over default."""

    acquire_ms: int
    stale_ms: int
    max_hold_ms: int
    source: str = "default"


@dataclass(frozen=True, slots=True)
class Attention:
    """When OpenClaw considers a session stuck, in milliseconds (`diagnostics.stuckSession*Ms`)."""

    warn_ms: int = 120_000
    abort_ms: int = 360_000


@dataclass(frozen=True, slots=True)
class AgentInfo:
    """An agent: its directories and the models it uses, in order.

    `configured`: openclaw.json names it, or names none; a gateway runs no other.
    """

    id: str
    agent_dir: str
    sessions_dir: str
    is_default: bool = False
    models: tuple[ModelRef, ...] = ()
    heartbeat_isolated: bool | None = None
    store: AuthStore | None = None
    name: str | None = None
    configured: bool = True


@dataclass(frozen=True, slots=True)
class ProviderKeys:
    """The providers that serve an agent without any auth profile.

    Attributes:
        sources: provider -> where its own key is stored, or why it needs none, worded to follow a colon.
        complete: no other provider has one. False where the gateway's environment cannot be read.
    """

    sources: Mapping[str, str] = field(default_factory=dict)
    complete: bool = True


@dataclass(frozen=True, slots=True)
class ConfigSummary:
    """What the rest of the program needs from openclaw.json. No secrets, no raw text.

    `gateway_wanted`: it configures a gateway that runs on this machine. `unread`: it cannot be read, and no earlier
    or last good reading of it is known; the other fields then say nothing about it. `backends`: the runtimes it names
    that work in processes of their own, each with the base name of its command ("" if it has none of its own).
    `keys`: which of its providers need no auth profile. `changed_at`: when it or a part of it was last written (ms
    since the epoch), where that is known.
    """

    path: str = ""
    last_touched_version: str | None = None
    auth: AuthConfig = AuthConfig()
    gateway_port: int | None = None
    lock_limits: LockLimits = LockLimits(60_000, 1_800_000, 300_000)
    attention: Attention = Attention()
    lane_limits: Mapping[str, int] = field(default_factory=dict)
    log_file: str | None = None
    gateway_wanted: bool = False
    unread: bool = False
    backends: Mapping[str, str] = field(default_factory=dict)
    keys: ProviderKeys = ProviderKeys()
    changed_at: int | None = None
