"""What to do with a candidate model whose provider's profiles are all cooling: probe it, or skip it.

The fallback chain asks this only then. The model that was asked for may be probed now and then, so that runs come back
to it soon after it recovered; a throttle keeps the probes of one provider 30 s apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from enum import StrEnum

from clawtop.core.cooldown.windows import is_active, soonest_expiry, unavailable_reason
from clawtop.core.model import FailureReason, ModelRef, UsageStats
from clawtop.core.rules import DAY_MS, Schedule
from clawtop.values import dataclass

PROBE_MARGIN_MS = 120_000
"""A probe is due this long before the first window ends."""

PROBE_INTERVAL_MS = 30_000
PROBE_KEYS = 256


class DecisionKind(StrEnum):
    """Try the candidate; skip it; or skip it and also suspend the session's lane (from 2026.5 on)."""

    ATTEMPT = "attempt"
    SKIP = "skip"
    SUSPEND_LANES = "suspend_lanes"
    SUSPEND_SESSION = "suspend_session"


@dataclass(frozen=True, slots=True)
class CooldownDecision:
    """What to do with a candidate whose profiles all cool.

    Attributes:
        reason: why its profiles are unavailable.
        mark_probe: the attempt is a probe of the primary model; the throttle must record it.
        error: for SKIP: what is recorded as the candidate's failure.
    """

    kind: DecisionKind
    reason: FailureReason
    mark_probe: bool = False
    error: str = ""


@dataclass(frozen=True, slots=True)
class ProbeThrottle:
    """When each provider was probed last, in ms: a value; `marked` makes the next one.

    Probes older than a day are forgotten, and the oldest ones beyond 256 providers.
    """

    last: Mapping[str, int] = field(default_factory=dict)

    def is_open(self, key: str, now: int) -> bool:
        """Whether the provider behind `key` may be probed."""
        return now - self.last.get(key, 0) >= PROBE_INTERVAL_MS

    def marked(self, key: str, now: int) -> ProbeThrottle:
        """The throttle after a probe at `now`."""
        recent = {other: at for other, at in self.last.items() if now - at <= DAY_MS and other != key}
        kept = sorted(recent, key=recent.__getitem__, reverse=True)[: PROBE_KEYS - 1]
        return ProbeThrottle({**{other: recent[other] for other in kept}, key: now})


def probe_key(provider: str, agent_dir: str | None = None) -> str:
    """The key under which probes of a provider are kept apart: agents have accounts of their own."""
    scope = (agent_dir or "").strip()
    return f"{scope}::{provider}" if scope else provider


def should_probe(
    profiles: Sequence[UsageStats],
    now: int,
    schedule: Schedule,
    *,
    model: str,
    reason: str,
    has_fallbacks: bool,
    throttle_open: bool,
) -> bool:
    """Whether the primary model is due for a probe: its first window ends within two minutes, or no end is known.

    From 2026.6.5 on, also when there is no fallback, and for rate limits whose end no provider announced.
    """
    if not throttle_open:
        return False
    if not has_fallbacks:
        return schedule.probes_without_fallback
    announced = any(_has_announced_end(stats, now, schedule, model) for stats in profiles)
    if schedule.probes_rate_limits and reason == FailureReason.RATE_LIMIT and not announced:
        return True
    soonest = soonest_expiry(profiles, now, schedule, for_model=model)
    return soonest is None or now >= soonest - PROBE_MARGIN_MS


def resolve_cooldown_decision(
    candidate: ModelRef,
    profiles: Sequence[UsageStats],
    now: int,
    schedule: Schedule,
    *,
    is_primary: bool,
    requested_model: bool,
    has_fallbacks: bool,
    throttle_open: bool,
) -> CooldownDecision:
    """Decide about a candidate, every profile of which cools for its model (resolveCooldownDecision).

    Broken credentials rule out all models of the provider. A used-up account is tried only as a probe. Of the rest,
    the primary model is tried if it is not the one the run asked for, or as a probe; a fallback model is tried if the
    reason is one that passes.

    Args:
        profiles: the statistics of the candidate's resolved profiles.
        is_primary: it is the first candidate of the chain.
        requested_model: it is the model that the run asked for.
        throttle_open: the provider was not probed within the last 30 s.
    """
    reason = FailureReason(unavailable_reason(profiles, now, schedule) or "unknown")
    if reason in {FailureReason.AUTH, FailureReason.AUTH_PERMANENT}:
        return _skipped(candidate, reason)
    probe = is_primary and should_probe(
        profiles,
        now,
        schedule,
        model=candidate.model,
        reason=reason,
        has_fallbacks=has_fallbacks,
        throttle_open=throttle_open,
    )
    if reason is FailureReason.BILLING:
        only_model = is_primary and not has_fallbacks and throttle_open
        if probe or only_model:
            return CooldownDecision(DecisionKind.ATTEMPT, reason, mark_probe=True)
        return _left(candidate, reason, schedule)
    tries = (not requested_model or probe) if is_primary else reason in schedule.transient_reasons
    if tries:
        return CooldownDecision(DecisionKind.ATTEMPT, reason, mark_probe=probe)
    return _left(candidate, reason, schedule)


def _left(candidate: ModelRef, reason: FailureReason, schedule: Schedule) -> CooldownDecision:
    if schedule.suspends:
        whole = schedule.suspends_session
        return CooldownDecision(DecisionKind.SUSPEND_SESSION if whole else DecisionKind.SUSPEND_LANES, reason)
    if reason is FailureReason.BILLING:
        return _skipped(candidate, reason)
    error = f"Provider {candidate.provider} is in cooldown (all profiles unavailable)"
    return CooldownDecision(DecisionKind.SKIP, reason, error=error)


def _skipped(candidate: ModelRef, reason: FailureReason) -> CooldownDecision:
    error = f"Provider {candidate.provider} has {reason} issue (skipping all models)"
    return CooldownDecision(DecisionKind.SKIP, reason, error=error)


def _has_announced_end(stats: UsageStats, now: int, schedule: Schedule, model: str) -> bool:
    """Whether the provider itself said when its limit for this model ends."""
    if stats.blocked_reason != "subscription_limit" or not stats.blocked_source:
        return False
    return is_active(stats.blocked_until, now, schedule) and stats.blocked_model in {None, "", model}
