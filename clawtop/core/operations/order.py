"""Stored orders of a provider's profiles: rotate one, set one, remove one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from clawtop.core.cooldown.schedules import schedule_for
from clawtop.core.model import (
    AuthPart,
    Profile,
    Snapshot,
)
from clawtop.core.nearest import did_you_mean
from clawtop.core.operations.edit import (
    SetOrder,
)
from clawtop.core.operations.loaded import as_gateway_knows
from clawtop.core.operations.plan import Plan, PlanKind, shared_with, store_plan, store_step
from clawtop.core.operations.target import (
    UNTOUCHED,
    AgentView,
    Owned,
    part_of,
    profiles_of,
    same_provider,
    store_name,
)
from clawtop.core.rotation.eligibility import order_query
from clawtop.core.rotation.order import Order, moved_to_end, resolve_order
from clawtop.core.session.listed import pinned
from clawtop.errors import RefusedError
from clawtop.text import safe
from clawtop.values import dataclass


def rotate(snapshot: Snapshot, provider: str, *, agent: str | None = None) -> Plan:
    """Move the profile that a provider would try first to the end of its resolved order, by storing that order.

    This is what a live gateway tries first, even if the store says otherwise.
    """
    held = _ordered(snapshot, provider, agent)
    order, part = held.order, held.part
    if len(order.ids) < 2:
        others = [safe(item.id, 60) for item in order.rejected if item.code == "not-listed"]
        raise RefusedError(
            f"{safe(provider)} has {'one' if order.ids else 'no'} usable profile, so there is nothing to rotate to",
            unchanged=UNTOUCHED,
            hint=f"the order leaves out {', '.join(others[:6])}" if others else "",
        )
    key = _order_key(snapshot, held, provider)
    known = {profile.id for profile in held.profiles}
    kept = [id_ for id_ in held.stored.get(key, ()) if id_ not in order.ids and id_ in known]
    in_memory = as_gateway_knows(snapshot, snapshot.taken_at).snapshot
    used = _ordered(in_memory, provider, agent).order.ids
    head = used[0] if used and used[0] in order.ids else order.ids[0]
    wanted = (*moved_to_end(order.ids, head), *kept)
    title = f"Rotate {safe(provider)} in {store_name(part.owner)}: {safe(head)} goes to the end"
    plan = store_plan(
        snapshot, (store_step(part, SetOrder(key, wanted)),), kind=PlanKind.ROTATE, title=title, target=provider
    )
    return replace(
        plan,
        effects=(
            f"{safe(wanted[0])} is tried first, {safe(head)} last: {' > '.join(map(safe, wanted))}",
            *_order_effects(order, provider),
            *shared_with(snapshot, part.owner),
        ),
        loses=_replaced(part.order.get(key)),
        warnings=(*plan.warnings, *_pins(snapshot, held.profiles, provider)),
    )


def set_order(
    snapshot: Snapshot, provider: str, ids: Sequence[str] = (), *, without: Sequence[str] = (), agent: str | None = None
) -> Plan:
    """Store a provider's order: `ids` as given (none: as it is tried now), without those of `without`.

    OpenClaw tries only what a stored order lists, so a profile that it leaves out is paused; a session that is pinned
    to it still uses it.
    """
    held = _ordered(snapshot, provider, agent)
    part, known = held.part, {profile.id for profile in held.profiles}
    for id_ in (*ids, *without):
        if id_ not in known:
            raise RefusedError(
                f"{safe(provider)} has no profile {safe(id_)}{did_you_mean(id_, known)}", unchanged=UNTOUCHED
            )
    key = _order_key(snapshot, held, provider)
    kept = [id_ for id_ in held.stored.get(key, ()) if id_ not in held.order.ids and id_ in known]
    wanted = tuple(id_ for id_ in dict.fromkeys(ids or (*held.order.ids, *kept)) if id_ not in without)
    if not wanted:
        raise RefusedError(
            f"an empty order would leave {safe(provider)} without a profile: OpenClaw treats it as no order at all",
            unchanged=UNTOUCHED,
            hint=f"clawtop order {safe(provider)} --reset",
        )
    title = f"Store the order of {safe(provider)} in {store_name(part.owner)}"
    plan = store_plan(
        snapshot, (store_step(part, SetOrder(key, wanted)),), kind=PlanKind.ORDER, title=title, target=provider
    )
    paused = [safe(profile.id) for profile in held.profiles if profile.id not in wanted]
    return replace(
        plan,
        effects=(
            f"tried in this order: {' > '.join(map(safe, wanted))}",
            *((f"paused, no longer tried: {', '.join(paused)}",) if paused else ()),
            *_order_effects(held.order, provider),
            *shared_with(snapshot, part.owner),
        ),
        loses=_replaced(part.order.get(key)),
        warnings=(*plan.warnings, *_pins(snapshot, held.profiles, provider)),
    )


def reset_order(snapshot: Snapshot, provider: str, *, agent: str | None = None) -> Plan:
    """Remove a provider's stored order, so that the configured order or the last use decides again."""
    held = _ordered(snapshot, provider, agent)
    key = _order_key(snapshot, held, provider)
    where = " and ".join(store_name(part.owner) for part in held.stored_in) or store_name(held.part.owner)
    title = f"Reset the stored order of {safe(provider)} in {where}"
    steps = tuple(store_step(part, SetOrder(key, None)) for part in held.stored_in)
    plan = store_plan(
        snapshot,
        steps or (store_step(held.part, SetOrder(key, None)),),
        kind=PlanKind.RESET_ORDER,
        title=title,
        target=provider,
    )
    same = same_provider(snapshot, provider)
    listed = next((ids for name, ids in snapshot.config.auth.order.items() if same(name)), None)
    decides = (
        "the order in openclaw.json is used again"
        if listed
        else "profiles are tried by kind of credential and last use again"
    )
    return replace(
        plan,
        effects=(decides, *shared_with(snapshot, held.part.owner)),
        loses=tuple(text for part in held.stored_in for text in _replaced(part.order.get(key))),
        warnings=(*plan.warnings, *_pins(snapshot, held.profiles, provider)),
    )


@dataclass(frozen=True, slots=True)
class _ProviderOrder:
    """A provider's order: as resolved, the place where one is stored, and the places that have one now."""

    profiles: tuple[Profile, ...]
    order: Order
    part: AuthPart
    stored: Mapping[str, tuple[str, ...]]
    stored_in: tuple[AuthPart, ...]


def _ordered(snapshot: Snapshot, provider: str, agent: str | None) -> _ProviderOrder:
    same = same_provider(snapshot, provider)
    owned = profiles_of(snapshot, provider, agent)
    part, stored = owned.part, owned.part.order
    parts: tuple[AuthPart, ...] = (part,)
    if not part.takes_orders:
        view = _one_view(owned, provider)
        part, stored, parts = part_of(snapshot, view.agent.id), view.store.order, view.store.parts
    schedule = schedule_for(snapshot.semantics, snapshot.config.auth.cooldowns, provider)
    order = resolve_order(
        order_query(provider, owned.profiles, stored, snapshot.config.auth, snapshot.taken_at, schedule)
    )
    stored_in = tuple(place for place in parts if any(same(name) for name in place.order))
    return _ProviderOrder(owned.profiles, order, part, stored, stored_in)


def _one_view(owned: Owned, provider: str) -> AgentView:
    if len(owned.views) > 1:
        agents = ", ".join(safe(view.agent.id) for view in owned.views)
        raise RefusedError(
            f"each agent has its own order, and several agents use {safe(provider)}: {agents}",
            unchanged=UNTOUCHED,
            hint="name one with --agent",
        )
    return owned.views[0]


def _order_key(snapshot: Snapshot, held: _ProviderOrder, provider: str) -> str:
    """The spelling under which the order is stored; else the provider's canonical name."""
    same = same_provider(snapshot, provider)
    key = snapshot.semantics.cooling.names.key(provider)
    return next((name for name in held.stored if same(name)), key)


def _order_effects(order: Order, provider: str) -> tuple[str, ...]:
    name = safe(provider)
    later = f"profiles of {name} added later are left out until clawtop rotate {name} --reset"
    if order.explicit_source == "store":
        return (later,)
    if order.explicit_source == "config":
        return (f"the order of {name} in openclaw.json is no longer used (the stored one shadows it)", later)
    return (f"rotation of {name} by last use is off while an order is stored", later)


def _replaced(before: Sequence[str] | None) -> tuple[str, ...]:
    return (f"the order stored before: {' > '.join(safe(id_) for id_ in before)}",) if before else ()


def _pins(snapshot: Snapshot, profiles: Iterable[Profile], provider: str) -> tuple[str, ...]:
    same = same_provider(snapshot, provider)
    ids = {profile.id for profile in profiles if same(profile.provider)}
    stay = [session for session in pinned(snapshot.sessions) if session.profile in ids]
    if not stay:
        return ()
    told = ", ".join(f"{safe(session.key, 60)} to {safe(session.profile)}" for session in stay[:3])
    more = f" and {len(stay) - 3} more" if len(stay) > 3 else ""
    return (f"pinned sessions stay pinned: {told}{more}",)
