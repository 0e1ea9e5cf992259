"""Auth profiles and their stores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from clawtop.core.model.problem import Problem
from clawtop.values import dataclass

NO_COUNTS: Mapping[str, int] = MappingProxyType({})


class WindowKind(StrEnum):
    COOLDOWN = "cooldown"
    DISABLED = "disabled"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True)
class UsageStats:
    """One entry of OpenClaw's `usageStats`. Reasons are plain strings: the disk may hold any.

    Equality is by value, so `UsageStats()` is "nothing recorded".
    """

    last_used: int | None = None
    error_count: int | None = None
    failure_counts: Mapping[str, int] = field(default_factory=dict)
    last_failure_at: int | None = None
    cooldown_until: int | None = None
    cooldown_reason: str | None = None
    cooldown_model: str | None = None
    disabled_until: int | None = None
    disabled_reason: str | None = None
    blocked_until: int | None = None
    blocked_reason: str | None = None
    blocked_source: str | None = None
    blocked_model: str | None = None
    blocked_scope: str | None = None
    cooldown_classification: str | None = None
    last_probe_at: int | None = None


class CredentialState(StrEnum):
    USABLE = "usable"
    EXPIRED = "expired"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True)
class Credential:
    """What is known of a credential without its secret.

    Attributes:
        type: "api_key", "token", "oauth", or whatever is on disk.
        has_secret: a key or token (or a reference to one) or an OAuth access token is present.
        has_refresh: an OAuth refresh token is present.
        expires: when the secret itself expires; never for most API keys.
        account: the same for credentials of one account, within one process; says nothing of the secret.
    """

    type: str
    has_secret: bool = True
    has_refresh: bool = False
    expires: int | None = None
    email: str | None = None
    account: str | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class ProviderTime:
    """When a provider lets an account be asked again, as its answer to a driven turn said.

    Attributes:
        until: that time; `at`: when the answer came; ms since the epoch.
        reason: of the failure that it came with.
        model: the only model that it is about; None: all of them.
    """

    until: int
    at: int
    reason: str
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Profile:
    """An auth profile: one account or key of a provider.

    `owner_agent` is the agent whose store owns it, or `SHARED`; inherited profiles keep the owner's id. `path` is the
    file of that store. `stats_owner` is the owner of the entry `stats`; None: the profile's owner, or there is no
    entry. `provider_time` is from clawtop's own notes, and may have passed.
    """

    id: str
    provider: str
    credential: Credential
    owner_agent: str
    path: str = ""
    stats: UsageStats = UsageStats()
    problems: tuple[Problem, ...] = ()
    stats_owner: str | None = None
    provider_time: ProviderTime | None = None


SHARED: Final = "(shared)"
"""Owner of entries in the store shared by all agents (2026.8 and later). No agent can have this name."""


@dataclass(frozen=True, slots=True)
class AuthPart:
    """What one place itself contains, before inheritance: what a change to it acts on.

    Attributes:
        owner: an agent's id, or `SHARED`.
        file: what a change is written to.
        profiles: ids of the credentials stored there.
        stats: usage statistics stored there, including those of profiles stored elsewhere.
        order: stored order per provider.
        takes_orders: whether OpenClaw keeps orders here (2026.8 and later keep them with each agent alone).
        why_not_writable: why it must not be written; empty where it may be.
    """

    owner: str
    file: str
    profiles: frozenset[str] = frozenset()
    stats: Mapping[str, UsageStats] = field(default_factory=dict)
    order: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    takes_orders: bool = True
    why_not_writable: str = ""


@dataclass(frozen=True, slots=True)
class AuthStore:
    """The auth profiles that one agent sees: its own, and those inherited from the main agent or the shared store.

    Attributes:
        path: the agent's own credentials file (it may be absent).
        order: stored order per provider (`models auth order set`); own entries over inherited ones.
        parts: where all this is stored: the agent's own entries first, then inherited ones.
        problem: why it could not be read; `profiles` are then the last good ones, or none.
        fingerprint: changes whenever the files behind it change; opaque.
    """

    agent: str
    path: str
    profiles: tuple[Profile, ...] = ()
    order: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    order_owner: Mapping[str, str] = field(default_factory=dict)
    last_good: Mapping[str, str] = field(default_factory=dict)
    problem: Problem | None = None
    parts: tuple[AuthPart, ...] = ()
    fingerprint: str = ""
