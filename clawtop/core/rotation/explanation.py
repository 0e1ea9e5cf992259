"""Why a profile is or is not next: everything known about it, in one value.

For `clawtop explain profile ID` and the dashboard's detail pane.
"""

from __future__ import annotations

from collections.abc import Mapping

from clawtop.core.cooldown.profile_state import ProfileState, configured_models, stat_problems, state_for_models
from clawtop.core.cooldown.stats import (
    FailureCost,
    Window,
    active_windows,
    bypasses_cooldown,
    counters_reset_at,
    next_failure_cost,
    windows,
)
from clawtop.core.model import AgentInfo, Problem, Profile, Session, Snapshot
from clawtop.core.rotation.forecast import Recovery, order_of, pinned_sessions, provider_recovery, schedule_of
from clawtop.core.rotation.order import Ranked, Rejected
from clawtop.values import dataclass

COMMON_REASONS = ("rate_limit", "overloaded", "auth", "billing", "auth_permanent")
"""The reasons for which the next failure's cost is shown."""


@dataclass(frozen=True, slots=True)
class ProfileExplanation:
    """What a profile's place in the rotation is, and why.

    Attributes:
        agent: whose order is explained.
        place: its place in that order, or None.
        rejection: why it has none, or None.
        is_next: the next run would start with it.
        order_source: where the order is stored: "store", "config", or None if type and last use decide.
        state, until: for the models configured for its provider, as shown in the table.
        windows: those that are open. lapsed: recorded ones that have ended and have no effect.
        bypasses: its provider ignores cooldowns, so windows and costs are meaningless.
        costs: what the next failure would cost, per common reason; empty for bypassing providers.
        counters_reset_at: when the next failure counts as the first again; None if there is nothing to reset.
        recovery: when anything of its provider is usable again, for the agent's first model of it.
        pinned: the sessions that are pinned to it.
    """

    profile: Profile
    agent: str
    place: Ranked | None
    rejection: Rejected | None
    is_next: bool
    order_source: str | None
    state: ProfileState
    until: int | None
    windows: tuple[Window, ...]
    lapsed: tuple[Window, ...]
    problems: tuple[Problem, ...]
    bypasses: bool
    costs: Mapping[str, FailureCost]
    counters_reset_at: int | None
    recovery: Recovery
    pinned: tuple[Session, ...]


def explain_profile(
    snapshot: Snapshot,
    profile_id: str,
    now: int,
    *,
    agent: str | None = None,
) -> ProfileExplanation | None:
    """Explain a profile; None where no agent (or not this one) has a profile of that id.

    Args:
        agent: whose view of it; None takes the first agent that has it.
    """
    found = _find(snapshot, profile_id, agent)
    if found is None:
        return None
    seen_by, profile = found
    schedule = schedule_of(snapshot, profile.provider)
    order = order_of(snapshot, seen_by, profile.provider, now)
    place = next((ranked for ranked in order.ranks if ranked.id == profile_id), None)
    models = configured_models(snapshot.agents).get(profile.provider, ())
    state, until = state_for_models(profile, now, schedule, models)
    open_windows = active_windows(profile.stats, now, schedule)
    model = next((ref.model for ref in seen_by.models if ref.provider == profile.provider), None)
    bypasses = bypasses_cooldown(profile.provider)
    costs = {} if bypasses else {r: next_failure_cost(profile.stats, r, now, schedule) for r in COMMON_REASONS}
    return ProfileExplanation(
        profile=profile,
        agent=seen_by.id,
        place=place,
        rejection=next((rejected for rejected in order.rejected if rejected.id == profile_id), None),
        is_next=place is not None and place.cooling_until is None and place.rank == 1,
        order_source=order.explicit_source,
        state=state,
        until=until,
        windows=open_windows,
        lapsed=tuple(window for window in windows(profile.stats) if window not in open_windows),
        problems=(
            *profile.problems,
            *stat_problems(profile, now, schedule, in_the_past=snapshot.judged_at is not None),
        ),
        bypasses=bypasses,
        costs=costs,
        counters_reset_at=counters_reset_at(profile.stats, schedule),
        recovery=provider_recovery(snapshot, seen_by, profile.provider, now, model=model),
        pinned=pinned_sessions(snapshot, profile),
    )


def _find(snapshot: Snapshot, profile_id: str, agent: str | None) -> tuple[AgentInfo, Profile] | None:
    for info in snapshot.agents:
        if info.store is None or agent not in {None, info.id}:
            continue
        for profile in info.store.profiles:
            if profile.id == profile_id:
                return info, profile
    return None
