"""Which profile is next, and why not the others.

The order of a provider's profiles as OpenClaw resolves it (2026.3 to 2026.9, by the rules of the schedule), with a
reason for every place and every rejection; and the choice of a profile within a run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from clawtop.core.cooldown.profile_state import is_past_expiry
from clawtop.core.cooldown.windows import cooling_until
from clawtop.core.model import AuthConfig, Profile
from clawtop.core.rotation.eligibility import (
    NOTHING_PENDING,
    REJECTIONS,
    OrderQuery,
    configured_ids,
    eligible,
    eligible_stored,
    stored_ids,
    written_order,
)
from clawtop.core.rules import Schedule
from clawtop.values import dataclass

_TYPE_RANKS: Final = {"oauth": 0, "token": 1, "api_key": 2}
_OTHER_TYPE: Final = 3


@dataclass(frozen=True, slots=True)
class Ranked:
    """A profile's place: `rank` counts from 1; `cooling_until` is set while it must not be used."""

    id: str
    rank: int
    cooling_until: int | None
    why: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """A profile that will not be tried: `code` is a key of `REJECTIONS`, `why` its sentence."""

    id: str
    code: str
    why: str


@dataclass(frozen=True, slots=True)
class Order:
    """A provider's profiles in the order in which they would be tried.

    `explicit_source`: where the order is stored: "store", "config", or None if type and last use decide.
    """

    ids: tuple[str, ...]
    ranks: tuple[Ranked, ...]
    rejected: tuple[Rejected, ...]
    explicit_source: str | None


class _Resolved(NamedTuple):
    ids: tuple[str, ...]
    cooling: Mapping[str, int]
    rejected: Sequence[tuple[str, str]]
    source: str | None
    keeps_order: bool


def order_ids(query: OrderQuery) -> tuple[str, ...]:
    """The ids of `resolve_order`, without the explanations: for the engine's hot path."""
    return _resolve(query).ids


def resolve_order(query: OrderQuery) -> Order:
    """The order in which a provider's profiles would be tried, as OpenClaw resolves it, with all its reasons.

    An order in the store beats one in the config, which beats the profiles of the config, which beat all stored ones.
    A stored or configured order is kept; otherwise OAuth logins come first, then tokens, then keys, each with the
    least recently used first. Cooling profiles come last, those usable again soonest first.
    """
    found = _resolve(query)
    ranks = tuple(
        Ranked(id_, rank, found.cooling.get(id_), _why_here(id_, found, query))
        for rank, id_ in enumerate(found.ids, start=1)
    )
    named = {*found.ids, *(id_ for id_, _ in found.rejected)}
    unlisted = [(id_, "not-listed") for id_ in stored_ids(query) if id_ not in named]
    rejected = tuple(Rejected(id_, code, REJECTIONS[code]) for id_, code in (*found.rejected, *unlisted))
    return Order(found.ids, ranks, rejected, found.source)


def first_profile(
    ids: Sequence[str],
    is_cooling: Callable[[str], bool],
    *,
    locked: str | None = None,
    may_probe: bool = False,
) -> tuple[str, bool] | None:
    """The profile a run starts with, and whether that is a probe of a cooling one; None if there is none.

    Args:
        locked: the user's pin: the only candidate, cooling or not.
        may_probe: the reason of the cooldown allows one try although every profile cools.
    """
    if locked is not None:
        return locked, False
    usable = next((id_ for id_ in ids if not is_cooling(id_)), None)
    if usable is not None:
        return usable, False
    return (ids[0], True) if may_probe and ids else None


def next_profile(
    ids: Sequence[str], current: str | None, is_cooling: Callable[[str], bool], *, locked: bool = False
) -> str | None:
    """The next profile of the order to try after `current`; None at the end of the order.

    A run goes through the order once, without wrapping around. A profile that the user pinned is never left. A current
    profile that is not in the order counts as before its first.
    """
    if locked:
        return None
    place = ids.index(current) + 1 if current is not None and current in ids else 0
    return next((id_ for id_ in ids[place:] if not is_cooling(id_)), None)


def is_ordered(
    provider: str, stored_order: Mapping[str, Sequence[str]], config: AuthConfig, schedule: Schedule
) -> bool:
    """Whether the provider has an order in the store or in the configuration."""
    asked = OrderQuery(provider, schedule.names.auth_key(provider), {}, stored_order, config, 0, schedule)
    return written_order(asked)[0] is not None


NO_MODEL = ""
"""No window is scoped to this model, so a profile that is cooling for it is cooling for every model."""


def cooling_check(
    profiles: Iterable[Profile],
    now: int,
    schedule: Schedule,
    *,
    for_model: str | None = None,
    pending: Mapping[str, int] = NOTHING_PENDING,
) -> Callable[[str], bool]:
    """A check whether a profile, by its id, cools now for a model; marks that are pending count at once.

    An id without a profile does not cool, as in OpenClaw.
    """
    by_id = {profile.id: profile for profile in profiles}

    def check(id_: str) -> bool:
        if pending.get(id_, 0) > now:
            return True
        profile = by_id.get(id_)
        return profile is not None and (
            cooling_until(profile.stats, profile.provider, now, schedule, for_model) is not None
        )

    return check


def moved_to_end(ids: Sequence[str], head: str) -> tuple[str, ...]:
    """The order after a forced rotation: the profile that is tried first now moves to its end."""
    return (*(id_ for id_ in ids if id_ != head), head)


def _resolve(asked: OrderQuery) -> _Resolved:
    schedule = asked.schedule
    configured = configured_ids(asked)
    listed, source = written_order(asked)
    base = listed if listed is not None else configured or None
    kept, rejected = eligible_stored(asked) if base is None else eligible(base, asked)
    keeps_order = listed is not None
    repairs = bool(configured) or (source == "store" and schedule.repairs_stored_order)
    if repairs and not kept and base and asked.by_id.keys().isdisjoint(base):
        kept, faulty = eligible_stored(asked)
        rejected += faulty
        keeps_order = keeps_order and not schedule.repairs_stored_order
        source = None  # an order without any existing id does not count
    available, cooling = _split(kept, asked)
    if not keeps_order:
        available = _by_type_and_use(available, asked)
    ids = [profile.id for profile in available]
    ids += sorted(cooling, key=cooling.__getitem__)
    if asked.preferred is not None and asked.preferred in ids:
        ids.remove(asked.preferred)
        ids.insert(0, asked.preferred)
    return _Resolved(tuple(ids), cooling, rejected, source, keeps_order)


def _split(profiles: Sequence[Profile], asked: OrderQuery) -> tuple[list[Profile], dict[str, int]]:
    """The profiles that may be used now, and the others: id -> when its last window ends."""
    available: list[Profile] = []
    cooling: dict[str, int] = {}
    now, pending = asked.now, asked.pending
    for_model = asked.for_model if asked.schedule.order_by_model else None
    for profile in profiles:
        stats = profile.stats
        until = None
        if stats.cooldown_until or stats.disabled_until or stats.blocked_until:
            until = cooling_until(stats, profile.provider, now, asked.schedule, for_model)
        if profile.id in pending and (marked := pending[profile.id]) > now:
            until = marked if until is None else max(marked, until)
        if until is None:
            available.append(profile)
        else:
            cooling[profile.id] = until
    return available, cooling


def _by_type_and_use(profiles: list[Profile], asked: OrderQuery) -> list[Profile]:
    """By kind of credential, then logins that have not expired, fewer turns, the least recent use.

    Sorting by one number after the other, the last one first, is faster than sorting once by all of them.
    """
    now, in_flight = asked.now, asked.in_flight
    ordered = sorted(profiles, key=lambda profile: profile.stats.last_used or 0)
    if in_flight:
        ordered.sort(key=lambda profile: in_flight.get(profile.id, 0))
    if asked.schedule.expired_logins_last:
        ordered.sort(key=lambda profile: profile.credential.type == "oauth" and is_past_expiry(profile.credential, now))
    ordered.sort(key=lambda profile: _TYPE_RANKS.get(profile.credential.type, _OTHER_TYPE))
    return ordered


def _why_here(id_: str, found: _Resolved, asked: OrderQuery) -> str:
    """Why a profile has its place, in words."""
    if id_ == asked.preferred:
        return "preferred: it goes first even while cooling"
    if id_ in found.cooling:
        mark = ", mark pending" if asked.pending.get(id_, 0) > asked.now else ""
        return f"it is cooling{mark}: usable ones go first, then the one that is back first"
    if found.keeps_order and found.source is None:
        return "no profile in the written order exists: the stored ones are tried in their own order"
    if found.keeps_order:
        return "its place in the stored order" if found.source == "store" else "its place in the order of openclaw.json"
    profile = asked.by_id[id_]
    used = "never used" if profile.stats.last_used is None else "least recently used first"
    return f"by kind of credential ({profile.credential.type}), then {used}"
