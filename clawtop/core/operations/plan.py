"""Previews: what an operation would change, what that does, and what it costs, before anything is touched.

A plan is made from one snapshot and pins what it was shown: executing it under the store's lock makes exactly these
changes, or refuses because the state has changed. Whoever cannot be planned for is told why by a RefusedError.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from clawtop.core.cooldown.mending import mended_by
from clawtop.core.cooldown.schedules import Schedules, schedule_for
from clawtop.core.cooldown.stats import unusable_until
from clawtop.core.model import (
    AuthPart,
    Event,
    EventKind,
    GatewayState,
    Lock,
    LockFile,
    LockKind,
    Profile,
    Snapshot,
    VerdictKind,
)
from clawtop.core.nearest import did_you_mean
from clawtop.core.operations.edit import (
    AuthState,
    ClearWindows,
    Edit,
    FieldChange,
    Restore,
    SetOrder,
    differences,
    field_change,
    fingerprint,
    moved_on,
)
from clawtop.core.operations.loading import all_out, loads
from clawtop.core.operations.target import (
    UNTOUCHED,
    AgentView,
    Owned,
    find_lock,
    part_of,
    profiles_named,
    profiles_of,
    refuse_other_times,
    same_provider,
    state_of,
    store_name,
    without_lock,
)
from clawtop.core.provider_ids import bypasses_cooldown
from clawtop.core.rotation.order import Order, moved_to_end, resolve_order
from clawtop.core.rules import Schedule
from clawtop.errors import RefusedError
from clawtop.text import safe


class PlanKind(StrEnum):
    CLEAR = "clear"
    ROTATE = "rotate"
    RESET_ORDER = "rotate-reset"
    ORDER = "order"
    UNLOCK = "unlock"
    UNDO = "undo"


@dataclass(frozen=True, slots=True)
class StoreStep:
    """What a plan changes in one place: under its lock, `edit` makes exactly `changes`, or nothing is done there."""

    owner: str
    file: str
    changes: tuple[FieldChange, ...]
    edit: Edit = field(compare=False)


@dataclass(frozen=True, slots=True)
class Plan:
    """One operation, ready to be shown and confirmed.

    Attributes:
        title: one line, what would be done.
        target: the exact id of what it acts on: profile, provider, lock path, or operation.
        agent: whose store is written (an agent, or `SHARED`), the first where there are several; None for locks that
            belong to no agent.
        file: the file that is written or removed, the first where there are several.
        changes: every value that changes, before and after. Empty for a lock; otherwise empty means nothing to do.
        fingerprint: pins `changes`, or the lock's identity.
        effects: what it does, in words. loses: what cannot be had back except by undo. warnings: what to know first.
        steps: the change itself, for stores: place after place. lock: the lock to remove, with its `proof`.
        undoes: the operation that is taken back.
    """

    kind: PlanKind
    title: str
    target: str
    agent: str | None
    file: str
    fingerprint: str
    changes: tuple[FieldChange, ...] = ()
    effects: tuple[str, ...] = ()
    loses: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    steps: tuple[StoreStep, ...] = ()
    lock: LockFile | None = None
    proof: tuple[str, ...] = ()
    undoes: str | None = None

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return self.lock is None and not self.changes


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
    title = f"Clear all {len(ids)} profiles of {safe(provider)} in {store_name(owned.owner)}"
    return _clear(snapshot, owned, ClearWindows(ids), title=title, target=provider)


def rotate(snapshot: Snapshot, provider: str, *, agent: str | None = None, in_memory: Snapshot | None = None) -> Plan:
    """Move what is tried first of a provider to the end of its resolved order, by storing that order.

    `in_memory`: the state as the live gateway knows it. What it tries first is meant, though the store says otherwise.
    """
    held = _ordered(snapshot, provider, agent)
    order, part = held.order, held.part
    if len(order.ids) < 2:
        others = [safe(item.id, 60) for item in order.rejected if item.code == "not-listed"]
        raise RefusedError(
            f"{safe(provider)} has {len(order.ids)} usable profiles, so there is nothing to rotate to",
            unchanged=UNTOUCHED,
            hint=f"the order leaves out {', '.join(others[:6])}" if others else "",
        )
    key = _order_key(snapshot, held, provider)
    known = {profile.id for profile in held.profiles}
    kept = [id_ for id_ in held.stored.get(key, ()) if id_ not in order.ids and id_ in known]
    used = _ordered(in_memory, provider, agent).order.ids if in_memory is not None else ()
    head = used[0] if used and used[0] in order.ids else order.ids[0]
    wanted = (*moved_to_end(order.ids, head), *kept)
    title = f"Rotate {safe(provider)} in {store_name(part.owner)}: {safe(head)} goes to the end"
    plan = _store_plan(
        snapshot, (_step(part, SetOrder(key, wanted)),), kind=PlanKind.ROTATE, title=title, target=provider
    )
    return replace(
        plan,
        effects=(
            f"{safe(wanted[0])} is tried first, {safe(head)} last: {' > '.join(map(safe, wanted))}",
            *_order_effects(order, provider),
            *_shared_with(snapshot, part.owner),
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
    plan = _store_plan(
        snapshot, (_step(part, SetOrder(key, wanted)),), kind=PlanKind.ORDER, title=title, target=provider
    )
    paused = [safe(profile.id) for profile in held.profiles if profile.id not in wanted]
    return replace(
        plan,
        effects=(
            f"tried in this order: {' > '.join(map(safe, wanted))}",
            *((f"paused, tried no more: {', '.join(paused)}",) if paused else ()),
            *_order_effects(held.order, provider),
            *_shared_with(snapshot, part.owner),
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
    steps = tuple(_step(part, SetOrder(key, None)) for part in held.stored_in)
    plan = _store_plan(
        snapshot,
        steps or (_step(held.part, SetOrder(key, None)),),
        kind=PlanKind.RESET_ORDER,
        title=title,
        target=provider,
    )
    same = same_provider(snapshot, provider)
    listed = next((ids for name, ids in snapshot.config.auth.order.items() if same(name)), None)
    decides = "the order of openclaw.json decides again" if listed else "kind of credential and last use decide again"
    return replace(
        plan,
        effects=(decides, *_shared_with(snapshot, held.part.owner)),
        loses=tuple(text for part in held.stored_in for text in _replaced(part.order.get(key))),
        warnings=(*plan.warnings, *_pins(snapshot, held.profiles, provider)),
    )


def unlock(snapshot: Snapshot, target: str, *, agent: str | None = None) -> Plan:
    """Remove one lock whose owner is proven dead. `target`: its path, a session key, a session id or a session file."""
    refuse_other_times(snapshot)
    lock = find_lock(snapshot, target, agent)
    file = lock.file
    if file.kind is LockKind.GATEWAY:
        raise RefusedError("a gateway's own lock is never removed", unchanged=UNTOUCHED, hint="stop the gateway")
    if lock.verdict.kind is not VerdictKind.STALE:
        raise RefusedError(
            f"the owner of {safe(file.path)} is not proven dead: {_verdict_words(lock)}",
            unchanged=UNTOUCHED,
            hint=_unproven_hint(lock),
        )
    proof = lock.verdict.reasons
    by_itself = {True: "OpenClaw would remove it itself when it next wants it", None: "", False: ""}
    never = "OpenClaw itself would never remove it" if lock.openclaw.would_remove is False else ""
    effect = never or by_itself[lock.openclaw.would_remove]
    return Plan(
        PlanKind.UNLOCK,
        f"Remove the stale {file.kind} lock of pid {lock.pid}{_login_of(snapshot, file)}",
        file.path,
        file.agent,
        file.path,
        f"{file.identity.dev:x}.{file.identity.ino:x}.{file.identity.digest[:16]}",
        effects=tuple(
            text for text in (f"whoever waits for {safe(without_lock(file.path))} can go on", effect) if text
        ),
        loses=("the lock file; this cannot be undone",),
        lock=file,
        proof=proof,
    )


def _login_of(snapshot: Snapshot, file: LockFile) -> str:
    """Whose login a refresh lock is for: its name is a hash of provider and profile."""
    if file.kind is not LockKind.OAUTH_REFRESH:
        return ""
    name = file.path.rpartition("/")[2].removesuffix(".lock")
    known = (p for agent in snapshot.agents if agent.store is not None for p in agent.store.profiles)
    owner = next((p for p in known if name == oauth_lock_name(p.provider, p.id)), None)
    return f", for the login of {safe(owner.id)}" if owner is not None else ""


def oauth_lock_name(provider: str, profile_id: str) -> str:
    """How OpenClaw names the lock of a login's refresh (2026.5.20), without its suffix."""
    return "sha256-" + hashlib.sha256(f"{provider}\0{profile_id}".encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class PastOperation:
    """An operation that the journal says was done and that could be taken back: what it changed, by owner.

    `unfinished`: it was begun, and how it ended was never written down; what stands in the store tells.
    """

    id: str
    at: int
    title: str
    kind: str
    changes: tuple[tuple[str, tuple[FieldChange, ...]], ...]
    unfinished: bool = False


def undo_record(steps: Iterable[StoreStep]) -> dict[str, Any]:
    """What the journal keeps of steps that were done, so that they can be taken back."""
    parts = [{"agent": step.owner, "changes": [change.to_json() for change in step.changes]} for step in steps]
    return {**parts[0], "more": parts[1:]} if len(parts) > 1 else dict(parts[0]) if parts else {}


def undoable(events: Iterable[Event]) -> tuple[PastOperation, ...]:
    """The operations that can be undone, the latest first. Undone ones and undos are not among them."""
    found: dict[str, PastOperation] = {}
    undone: set[str] = set()
    for event in events:
        if event.kind not in {EventKind.OPERATION, EventKind.INTENT}:
            continue
        begun = event.kind is EventKind.INTENT
        found.pop(str(event.data.get("id")), None)
        past = past_operation(event)
        if past is not None:
            found[past.id] = replace(past, unfinished=begun)
        if isinstance(event.data.get("undoes"), str) and not begun:
            undone.add(event.data["undoes"])
    return tuple(reversed([past for past in found.values() if past.id not in undone and past.kind != PlanKind.UNDO]))


def undo(snapshot: Snapshot, events: Iterable[Event], operation_id: str | None = None) -> Plan:
    """Take an operation back: the last one, or the one named. Refused where its values are not what it left."""
    candidates = undoable(events)
    if operation_id is None:  # of one that never ended nothing may stand there: then it is not the last one
        candidates = tuple(item for item in candidates if not item.unfinished or _stands(snapshot, item))
    past = next((item for item in candidates if operation_id in {None, item.id}), None)
    if past is None:
        what = "there is nothing to undo"
        if operation_id is not None:
            near = did_you_mean(operation_id, (item.id for item in candidates))
            what = f"no operation {safe(operation_id)} can be undone{near}"
        raise RefusedError(what, unchanged=UNTOUCHED)
    steps, newer = _way_back(snapshot, past)
    if newer and past.unfinished:
        raise RefusedError(
            f"{past.id} was begun but never finished, and its change is not there",
            unchanged=UNTOUCHED,
        )
    if newer:
        raise RefusedError(
            f"the state has changed since {past.id}: "
            + "; ".join(f"{safe(change.where)} is now {safe(change.before, 60)}" for change in newer[:3]),
            unchanged=UNTOUCHED,
            hint="the present values are newer than the operation",
        )
    title = f"Undo {past.id}: {safe(past.title)}" + (" (begun; its end was not recorded)" if past.unfinished else "")
    plan = _store_plan(snapshot, steps, kind=PlanKind.UNDO, title=title, target=past.id)
    names = ", ".join(dict.fromkeys(safe(change.key) for change in plan.changes))
    return replace(plan, effects=(f"{names}: as before {_clock(past.at)}",), undoes=past.id)


# --- stores ---------------------------------------------------------------------------------------------------------


def _step(part: AuthPart, edit: Edit) -> StoreStep:
    state = state_of(part)
    return StoreStep(part.owner, part.file, differences(state, state.changed_by(edit)), edit)


def _stands(snapshot: Snapshot, past: PastOperation) -> bool:
    """Whether the store holds what an operation changed."""
    try:
        return not _way_back(snapshot, past)[1]
    except RefusedError:
        return False


def _way_back(snapshot: Snapshot, past: PastOperation) -> tuple[list[StoreStep], list[FieldChange]]:
    """The steps that take an operation back, and what stands in their way."""
    steps: list[StoreStep] = []
    newer: list[FieldChange] = []
    for owner, changes in reversed(past.changes):
        part = part_of(snapshot, owner)
        back = tuple(change.inverted() for change in reversed(changes))
        newer += moved_on(state_of(part), back)
        steps.append(_step(part, Restore(back)))
    return steps, newer


def _store_plan(snapshot: Snapshot, steps: Sequence[StoreStep], *, kind: PlanKind, title: str, target: str) -> Plan:
    """A plan of those steps that change something; of the last one where none does."""
    steps = tuple(step for step in steps if step.changes) or steps[-1:]
    changes = tuple(change for step in steps for change in step.changes)
    warnings = _gateway_warnings(snapshot, changes) if changes else ()
    first = steps[0]
    return Plan(
        kind,
        title,
        target,
        first.owner,
        first.file,
        fingerprint(changes),
        changes,
        warnings=warnings,
        steps=tuple(step for step in steps if step.changes),
    )


def _clear(snapshot: Snapshot, owned: Owned, edit: ClearWindows, *, title: str, target: str) -> Plan:
    steps = [_step(part, replace(edit, profiles=ids)) for part, ids in owned.entries]
    plan = _store_plan(snapshot, steps, kind=PlanKind.CLEAR, title=title, target=target)
    touched = {change.key for change in plan.changes}
    profiles = [profile for profile in owned.profiles if profile.id in touched]
    now = snapshot.taken_at
    schedules = Schedules(snapshot)
    ignored = [profile for profile in profiles if bypasses_cooldown(profile.provider)]
    also = tuple(
        f"{store_name(step.owner)} has an entry of its own for {', '.join(_keys(step))}: it is cleared too"
        for step in plan.steps
        if step.owner != owned.owner
    )
    return replace(
        plan,
        effects=(
            *(_clear_effect(profile, plan.changes, now, schedules[profile.provider]) for profile in profiles),
            *also,
            *_shared_with(snapshot, owned.owner),
        ),
        loses=tuple(text for profile in profiles if (text := _lost_counts(profile, plan.changes))),
        warnings=(
            *plan.warnings,
            *(f"OpenClaw ignores cooldowns of {safe(profile.provider)} anyway" for profile in ignored[:1]),
        ),
    )


def _keys(step: StoreStep) -> tuple[str, ...]:
    return tuple(dict.fromkeys(safe(change.key) for change in step.changes))


def _clear_effect(profile: Profile, changes: Iterable[FieldChange], now: int, schedule: Schedule) -> str:
    after = Restore(tuple(changes))(AuthState({profile.id: profile.stats})).stats[profile.id]
    was, becomes = unusable_until(profile.stats, schedule), unusable_until(after, schedule)
    if was is None or was <= now:
        return f"{safe(profile.id)} was usable already; what an ended window left goes"
    if becomes is not None and becomes > now:
        return f"{safe(profile.id)} stays unusable until {_clock(becomes)}, by another window"
    first = mended_by(profile.stats, now, schedule)
    if first is not None:
        return (
            f"{safe(profile.id)} is tried again at once, not from {_clock(was)} on; it fails again until {first.until}"
        )
    return f"{safe(profile.id)} is usable at once instead of from {_clock(was)} on"


def _lost_counts(profile: Profile, changes: Iterable[FieldChange]) -> str:
    counts = next((c.before for c in changes if c.key == profile.id and c.field == "failureCounts"), None)
    if not isinstance(counts, Mapping):
        return ""
    told = ", ".join(f"{safe(reason)} {count}" for reason, count in counts.items())
    return f"{safe(profile.id)}'s failure counts ({told}): its next failure counts as the first"


def _shared_with(snapshot: Snapshot, owner: str) -> tuple[str, ...]:
    others = [
        agent.id
        for agent in snapshot.agents
        if agent.id != owner and agent.store and any(profile.owner_agent == owner for profile in agent.store.profiles)
    ]
    return (
        (f"agents that inherit this store see it too: {', '.join(safe(other) for other in others)}",) if others else ()
    )


# --- orders ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _ProviderOrder:
    """A provider's order: as it is resolved, the place that takes a stored one, and the places that have one now."""

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
    order = resolve_order(provider, owned.profiles, stored, snapshot.config.auth, snapshot.taken_at, schedule)
    stored_in = tuple(place for place in parts if any(same(name) for name in place.order))
    return _ProviderOrder(owned.profiles, order, part, stored, stored_in)


def _one_view(owned: Owned, provider: str) -> AgentView:
    if len(owned.views) > 1:
        agents = ", ".join(safe(view.agent.id) for view in owned.views)
        raise RefusedError(
            f"each agent keeps an order of its own, and several use {safe(provider)}: {agents}",
            unchanged=UNTOUCHED,
            hint="name one with --agent",
        )
    return owned.views[0]


def _order_key(snapshot: Snapshot, held: _ProviderOrder, provider: str) -> str:
    """The name under which the order stands, however it is spelled there; else the provider's one name."""
    same = same_provider(snapshot, provider)
    key = snapshot.semantics.cooling.names.key(provider)
    return next((name for name in held.stored if same(name)), key)


def _order_effects(order: Order, provider: str) -> tuple[str, ...]:
    name = safe(provider)
    later = f"profiles of {name} that are added later stay out until clawtop rotate {name} --reset"
    if order.explicit_source == "store":
        return (later,)
    if order.explicit_source == "config":
        return (f"the order of {name} in openclaw.json no longer counts (it is shadowed by the stored one)", later)
    return (f"rotation of {name} by last use is switched off while an order is stored", later)


def _replaced(before: Sequence[str] | None) -> tuple[str, ...]:
    return (f"the order stored until now: {' > '.join(safe(id_) for id_ in before)}",) if before else ()


def _pins(snapshot: Snapshot, profiles: Iterable[Profile], provider: str) -> tuple[str, ...]:
    same = same_provider(snapshot, provider)
    ids = {profile.id for profile in profiles if same(profile.provider)}
    pinned = [session for session in snapshot.sessions if session.profile in ids]
    if not pinned:
        return ()
    told = ", ".join(f"{safe(session.key, 60)} to {safe(session.profile)}" for session in pinned[:3])
    more = f" and {len(pinned) - 3} more" if len(pinned) > 3 else ""
    return (f"pinned sessions do not move: {told}{more}",)


# --- words ----------------------------------------------------------------------------------------------------------


def _verdict_words(lock: Lock) -> str:
    return f"{lock.verdict.kind} ({', '.join(lock.verdict.reasons) or 'no reason given'})"


def _unproven_hint(lock: Lock) -> str:
    if lock.leaked is not None:
        return f"a leftover: {lock.leaked}"
    if lock.verdict.kind is VerdictKind.HELD:
        return f"pid {lock.pid} works; wait for it, or drain its session"
    return "unknown counts as held; look at the file and at who could own it before removing it by hand"


def _gateway_warnings(snapshot: Snapshot, changes: Sequence[FieldChange]) -> tuple[str, ...]:
    gateway = snapshot.gateway
    if gateway.state in {GatewayState.DEAD, GatewayState.ABSENT}:
        return ()
    who = f"the live gateway (pid {gateway.pid})" if gateway.state is GatewayState.LIVE else "a gateway, if one runs,"
    live = loads(changes, snapshot.semantics.remote, all_out=all_out(snapshot))
    return (
        f"{who} does not see this at once; live {live}",
        "a success or failure of the same profile before that overwrites it",
    )


def past_operation(event: Event) -> PastOperation | None:
    """The operation that a journal event tells was done, with its changes; None for anything else."""
    recorded: Any = event.data.get("undo")
    if not isinstance(recorded, dict):
        return None
    more = recorded.get("more", [])
    parts = [_past_part(raw) for raw in (recorded, *(more if isinstance(more, list) else [None]))]
    whole = tuple(part for part in parts if part is not None)
    if len(whole) != len(parts):
        return None
    id_, kind, title = (event.data.get(name) for name in ("id", "kind", "title"))
    if not (isinstance(id_, str) and isinstance(kind, str) and isinstance(title, str)):
        return None
    return PastOperation(id_, event.at, title, kind, whole)


def _past_part(raw: Any) -> tuple[str, tuple[FieldChange, ...]] | None:
    if not isinstance(raw, dict) or not isinstance(raw.get("changes"), list) or not isinstance(raw.get("agent"), str):
        return None
    changes = [field_change(item) for item in raw["changes"]]
    whole = tuple(change for change in changes if change is not None)
    return (raw["agent"], whole) if whole and len(whole) == len(changes) else None


def _clock(at: int) -> str:
    """`03:16:19 UTC`, with the date where it is not near; or the number itself where it is no time."""
    try:
        return f"{datetime.fromtimestamp(at / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError, OSError):
        return str(at)
