"""What the model chain needs from the engine: which candidate has a usable profile, and how the chain's steps are
reported.

Mutable state: `ProbeBook.throttle`, one per driver, touched by its event loop only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import field

from clawtop.core.cooldown.windows import cooling_until
from clawtop.core.failover.fallback import Available, Consult, Cooling, Moved, SuspendLane
from clawtop.core.failover.probing import (
    CooldownDecision,
    DecisionKind,
    ProbeThrottle,
    probe_key,
    resolve_cooldown_decision,
)
from clawtop.core.model import EventKind, FailureReason, ModelRef, Profile
from clawtop.core.rotation.eligibility import order_query
from clawtop.core.rotation.order import cooling_check, order_ids
from clawtop.engine.drive.resources import DriverResources
from clawtop.engine.drive.turn import DrivenTurn
from clawtop.text import safe
from clawtop.values import dataclass


@dataclass(slots=True)
class ProbeBook:
    """When each provider was probed last, by all runs of a driver."""

    throttle: ProbeThrottle = field(default_factory=ProbeThrottle)


@dataclass(frozen=True, slots=True)
class Candidates:
    """The chain's host for one turn."""

    resources: DriverResources
    turn: DrivenTurn
    probes: ProbeBook

    def consult(self, question: Consult) -> Available | Cooling:
        """Whether the candidate has a usable profile now, marks that are still on their way included."""
        resources, model = self.resources, question.model
        if self.turn.overflowed and not self._is_larger(model):
            error = f"the conversation is too long for {model} as well"
            return Cooling(CooldownDecision(DecisionKind.SKIP, FailureReason.CONTEXT_OVERFLOW, error=error))
        profiles = self._profiles(model)
        now, schedule = resources.clock.now_ms(), resources.schedule_of(model.provider)
        cools = cooling_check(
            profiles, now, schedule, for_model=model.model, pending=resources.noted(profiles, model.model)
        )
        if not profiles or not all(cools(profile.id) for profile in profiles):
            return Available()
        decision = resolve_cooldown_decision(
            model,
            [profile.stats for profile in profiles],
            now,
            schedule,
            is_primary=question.is_primary,
            requested_model=question.requested_model,
            has_fallbacks=question.has_fallbacks,
            throttle_open=self.probes.throttle.is_open(self._key(model.provider), now),
        )
        if decision.kind is DecisionKind.ATTEMPT and (why := self._why_not(model, profiles, now)) is not None:
            error = f"Provider {model.provider} is in cooldown, and {why}"
            return Cooling(CooldownDecision(DecisionKind.SKIP, decision.reason, error=error))
        return Cooling(decision)

    def _why_not(self, model: ModelRef, profiles: Sequence[Profile], now: int) -> str | None:
        """Why this run does not probe a provider whose accounts are all cooling. None: it may, and it is then the only
        one of all clawtop processes.
        """
        if any((one.id, model.model) in self.turn.limited for one in profiles):
            return "this run has tried it already"
        earliest = self.resources.not_before(profiles, model.model)
        if earliest is not None:
            return f"it says to retry in {math.ceil((earliest - now) / 1000)} s"
        if not self.resources.accounts.claim_probe(self._key(model.provider), now):
            return "another run has just probed it"
        return None

    def mark_probe(self, provider: str) -> None:
        self.probes.throttle = self.probes.throttle.marked(self._key(provider), self.resources.clock.now_ms())

    def larger_window_follows(self, model: ModelRef) -> bool:
        """Whether a later candidate accepts a longer conversation; smaller ones are skipped from then on."""
        asked = self.turn.asked
        window = self.resources.context_window(asked.agent, model) or 0
        self.turn.overflowed = max(self.turn.overflowed, window)
        later = asked.models[asked.models.index(model) + 1 :] if model in asked.models else ()
        return any(self._is_larger(other) for other in later)

    def _is_larger(self, model: ModelRef) -> bool:
        window = self.resources.context_window(self.turn.asked.agent, model)
        return window is not None and window > self.turn.overflowed

    def moved(self, step: Moved) -> None:
        """Report a step of the chain; its end is reported by the reply or by the end of the run."""
        if step.target is None or step.outcome == "succeeded":
            return
        why = f"{step.reason}: " if step.reason else ""
        self.turn.teller.tell(
            EventKind.FALLBACK,
            f"{why}to {step.target}, from {step.source}: {step.detail}",
            model=step.target,
            reason=step.reason,
            data={"from": safe(step.source), "to": safe(step.target), "position": step.position},
        )

    def suspended(self, step: SuspendLane) -> None:
        """OpenClaw would suspend the session's lane for half an hour; clawtop only reports it."""
        self.turn.teller.tell(
            EventKind.NOTICE,
            f"{step.model.provider} has no usable profile left ({step.reason}); OpenClaw would suspend the session's"
            " lane",
            model=step.model,
            reason=step.reason,
        )

    def soonest_recovery(self, models: Sequence[ModelRef]) -> int | None:
        """When a profile of any of these models is usable again, ms since the epoch."""
        return min((end for _, end in self.returns(models)), default=None)

    def returns(self, models: Sequence[ModelRef]) -> list[tuple[str, int]]:
        """When each cooling account of these models is usable again: (profile, ms since the epoch), soonest first.

        The provider's own time counts where it is later than the window.
        """
        now = self.resources.clock.now_ms()
        ends: dict[str, int] = {}
        for model in models:
            profiles, schedule = self._profiles(model), self.resources.schedule_of(model.provider)
            noted = self.resources.noted(profiles, model.model)
            for profile in profiles:
                window = cooling_until(profile.stats, profile.provider, now, schedule, model.model)
                until = max(window or 0, noted.get(profile.id, 0))
                if until > now:
                    ends[profile.id] = min(until, ends.get(profile.id, until))
        return sorted(ends.items(), key=lambda item: item[1])

    def _profiles(self, model: ModelRef) -> tuple[Profile, ...]:
        resources = self.resources
        store = resources.auth(self.turn.asked.agent)
        ids = order_ids(
            order_query(
                model.provider,
                store.profiles,
                store.order,
                resources.config.auth,
                resources.clock.now_ms(),
                resources.schedule_of(model.provider),
            )
        )
        by_id = {profile.id: profile for profile in store.profiles}
        return tuple(by_id[id_] for id_ in ids)

    def _key(self, provider: str) -> str:
        place = self.resources.layout.agent(self.turn.asked.agent)
        return probe_key(provider, str(place.agent_dir) if place is not None else None)
