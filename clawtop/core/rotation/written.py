"""Stored or configured orders that no longer fit the profiles: ids that are gone, usable profiles left out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from clawtop.core.cooldown.profile_state import ProfileState, profile_state
from clawtop.core.model import AgentInfo, Problem, Snapshot
from clawtop.core.rotation.eligibility import order_query
from clawtop.core.rotation.order import Order, resolve_order
from clawtop.text import safe

_NAMED = 6


def order_problems(snapshot: Snapshot, now: int) -> tuple[Problem, ...]:
    """A warning for each stored or configured order that names missing profiles, with the ones it leaves out.

    One that several agents share is named once, and as nobody's own.
    """
    found: dict[Problem, Problem] = {}
    for agent in snapshot.agents:
        for problem in _of_agent(agent, snapshot, now):
            shared = replace(problem, agent=None)
            found[shared] = shared if shared in found else problem
    return tuple(found.values())


def _of_agent(agent: AgentInfo, snapshot: Snapshot, now: int) -> Iterator[Problem]:
    store = agent.store
    if store is None or not store.profiles or not (store.order or snapshot.config.auth.order):
        return
    orders = (*store.order.values(), *snapshot.config.auth.order.values())
    if {profile.id for profile in store.profiles}.issuperset(id_ for ids in orders for id_ in ids):
        return
    schedule = snapshot.semantics.cooling
    for provider in dict.fromkeys(profile.provider for profile in store.profiles):
        order = resolve_order(order_query(provider, store.profiles, store.order, snapshot.config.auth, now, schedule))
        missing = [item.id for item in order.rejected if item.code == "profile-missing"]
        if not missing:
            continue
        where = snapshot.config.path if order.explicit_source != "store" else store.path
        text = f"the order of {safe(provider)} names {_listed(missing)}, which no store has"
        usable = left_out(order, agent, snapshot, now)
        if order.explicit_source is None:
            text += ": it has no effect"
        elif usable:
            text += f", and leaves out {_listed(usable)}, which could be used"
        yield Problem("order-of-missing", where, text, agent=agent.id)


def left_out(order: Order, agent: AgentInfo, snapshot: Snapshot, now: int) -> list[str]:
    """Usable profiles that are never tried, because the order in force does not name them."""
    profiles = {profile.id: profile for profile in agent.store.profiles} if agent.store is not None else {}
    schedule = snapshot.semantics.cooling
    return [
        item.id
        for item in order.rejected
        if item.code == "not-listed"
        and item.id in profiles
        and profile_state(profiles[item.id], now, schedule)[0] is ProfileState.USABLE
    ]


def _listed(ids: Iterable[str]) -> str:
    known = [safe(id_, 60) for id_ in ids]
    return ", ".join(known[:_NAMED]) + (f" and {len(known) - _NAMED} more" if len(known) > _NAMED else "")
