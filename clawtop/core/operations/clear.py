"""Clearing cooldowns: what it does to each profile, and which counts it loses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from clawtop.core.cooldown.fixes import needed_fix
from clawtop.core.cooldown.schedules import Schedules
from clawtop.core.cooldown.stats import unusable_until
from clawtop.core.model import Moment, Profile, Sentence, Snapshot
from clawtop.core.operations.edit import (
    AuthState,
    ClearWindows,
    FieldChange,
    Restore,
)
from clawtop.core.operations.plan import Plan, PlanKind, StoreStep, shared_with, store_plan, store_step
from clawtop.core.operations.target import (
    Owned,
    profiles_named,
    profiles_of,
    store_name,
)
from clawtop.core.provider_ids import bypasses_cooldown
from clawtop.core.rules import Schedule
from clawtop.text import safe, shown


def clear_profile(snapshot: Snapshot, profile_id: str, *, agent: str | None = None, model: str | None = None) -> Plan:
    """Clear one profile's windows and counters, or only what is scoped to `model`."""
    owned = profiles_named(snapshot, profile_id, agent)
    scope = f" for model {safe(model)}" if model is not None else ""
    title = f"Clear {safe(profile_id)}{scope} in {store_name(owned.owner)}"
    return _clear(snapshot, owned, ClearWindows((profile_id,), model), title=title, target=profile_id)


def clear_provider(snapshot: Snapshot, provider: str, *, agent: str | None = None) -> Plan:
    """Clear all profiles of a provider that one store owns, in one lock hold of each place."""
    owned = profiles_of(snapshot, provider, agent)
    ids = tuple(profile.id for profile in owned.profiles)
    whole = f"all {len(ids)} profiles" if len(ids) > 1 else "the only profile"
    title = f"Clear {whole} of {safe(provider)} in {store_name(owned.owner)}"
    return _clear(snapshot, owned, ClearWindows(ids), title=title, target=provider)


def _clear(snapshot: Snapshot, owned: Owned, edit: ClearWindows, *, title: str, target: str) -> Plan:
    steps = [store_step(part, replace(edit, profiles=ids)) for part, ids in owned.entries]
    plan = store_plan(snapshot, steps, kind=PlanKind.CLEAR, title=title, target=target)
    touched = {change.key for change in plan.changes}
    profiles = [profile for profile in owned.profiles if profile.id in touched]
    now = snapshot.taken_at
    schedules = Schedules(snapshot)
    ignored = [profile for profile in profiles if bypasses_cooldown(profile.provider)]
    also = tuple(
        f"{store_name(step.owner)} has its own entry for {', '.join(_keys(step))}: that is cleared too"
        for step in plan.steps
        if step.owner != owned.owner
    )
    return replace(
        plan,
        effects=(
            *(_clear_effect(profile, plan.changes, now, schedules[profile.provider]) for profile in profiles),
            *also,
            *shared_with(snapshot, owned.owner),
        ),
        loses=tuple(text for profile in profiles if (text := _lost_counts(profile, plan.changes))),
        warnings=(
            *plan.warnings,
            *(f"OpenClaw ignores cooldowns of {safe(profile.provider)} anyway" for profile in ignored[:1]),
        ),
    )


def _keys(step: StoreStep) -> tuple[str, ...]:
    return tuple(dict.fromkeys(safe(change.key) for change in step.changes))


def _clear_effect(profile: Profile, changes: Iterable[FieldChange], now: int, schedule: Schedule) -> Sentence:
    after = Restore(tuple(changes))(AuthState({profile.id: profile.stats})).stats[profile.id]
    was, becomes = unusable_until(profile.stats, schedule), unusable_until(after, schedule)
    if was is None or was <= now:
        return f"{safe(profile.id)} was usable already; its expired window is removed"
    if becomes is not None and becomes > now:
        return f"{safe(profile.id)} stays unusable until ", Moment(becomes), ", because of another window"
    first = needed_fix(profile.stats, now, schedule)
    if first is not None:
        return (
            f"{safe(profile.id)} is tried again at once instead of from ",
            Moment(was),
            f"; it keeps failing until {first.until}",
        )
    return f"{safe(profile.id)} is usable at once instead of from ", Moment(was)


def _lost_counts(profile: Profile, changes: Iterable[FieldChange]) -> str:
    counts = next((c.before for c in changes if c.key == profile.id and c.field == "failureCounts"), None)
    if not isinstance(counts, Mapping):
        return ""
    told = ", ".join(f"{shown(reason)} {count}" for reason, count in counts.items())
    return f"{safe(profile.id)}'s failure counts ({told}): the next failure counts as the first"
