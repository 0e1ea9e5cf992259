"""Which profiles of a store may be tried for a provider, and the ids that an order starts from.

OpenClaw's rules for who is eligible, by generation; `rotation` puts them in order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from clawtop.core.cooldown.profile_state import credential_fault
from clawtop.core.model import AuthConfig, ConfigProfile, Profile
from clawtop.core.provider_ids import INLINE_KEY, ProviderNames
from clawtop.core.rules import Schedule

REJECTIONS: Final[Mapping[str, str]] = {
    "profile-missing": "it is named, but no such profile is stored",
    "provider-mismatch": "it belongs to another provider",
    "mode-mismatch": "openclaw.json gives it another kind of credential than the stored one",
    "no-credential": "its credential has no key, token or login",
    "invalid-expires": "its expiry is not a time",
    "expired": "its token has expired",
    "not-listed": "it is not in the order in force",
}


NOTHING_PENDING: Final[Mapping[str, int]] = {}


class OrderQuery(NamedTuple):
    """What an order follows from; `order_query` makes one.

    Attributes:
        by_id: every profile the agent sees, in the store's order.
        stored_order: `order` of the auth store, by provider.
        preferred: goes first if it is eligible, even while it cools.
        for_model: versions from 2026.8 on respect model-scoped windows in the order; earlier ones ignore this.
        pending: marks that have not reached the disk: id -> end of the window; they count immediately.
        in_flight: turns that are using each profile now. Without a stored or configured order, profiles with fewer of
            them come first, then the least recently used, so that simultaneous turns spread out.
    """

    provider: str
    auth_key: str
    by_id: Mapping[str, Profile]
    stored_order: Mapping[str, Sequence[str]]
    config: AuthConfig
    now: int
    schedule: Schedule
    preferred: str | None = None
    for_model: str | None = None
    pending: Mapping[str, int] = NOTHING_PENDING
    in_flight: Mapping[str, int] = NOTHING_PENDING


def order_query(  # noqa: PLR0917 - the facts of an order, in the order in which OpenClaw takes them
    provider: str,
    profiles: Sequence[Profile],
    stored_order: Mapping[str, Sequence[str]],
    config: AuthConfig,
    now: int,
    schedule: Schedule,
    *,
    preferred: str | None = None,
    for_model: str | None = None,
    pending: Mapping[str, int] = NOTHING_PENDING,
    in_flight: Mapping[str, int] = NOTHING_PENDING,
) -> OrderQuery:
    """The question for the order of a provider's profiles; the arguments are the fields of `OrderQuery`."""
    by_id = {profile.id: profile for profile in profiles}
    auth_key = schedule.names.auth_key(provider)
    return OrderQuery(
        provider, auth_key, by_id, stored_order, config, now, schedule, preferred, for_model, pending, in_flight
    )


def written_order(asked: OrderQuery) -> tuple[Sequence[str] | None, str | None]:
    """The order written for the provider, and where it is; an empty one counts."""
    if not asked.stored_order and not asked.config.order:
        return None, None
    places = [
        (orders, name) for orders, name in ((asked.stored_order, "store"), (asked.config.order, "config")) if orders
    ]
    names = asked.schedule.names
    for orders, source in places:
        for key in (asked.auth_key, names.key(asked.provider)):
            listed = _by_name(orders, key, names)
            if listed is not None:
                return listed, source
    lender = names.key_lenders.get(asked.auth_key)
    for orders, source in places if lender is not None else ():
        listed = _by_name(orders, lender or "", names)
        if listed is not None:
            return _lent_order(listed, asked), source
    return None, None


def _by_name(orders: Mapping[str, Sequence[str]], key: str, names: ProviderNames) -> Sequence[str] | None:
    """The first entry whose name means this provider, however it is spelled."""
    return next((ids for name, ids in orders.items() if names.key(name) == key), None)


def _lent_order(listed: Sequence[str], asked: OrderQuery) -> Sequence[str]:
    """The lender's order with the borrower's own profiles: after it if it names one of them, else before it."""
    names = asked.schedule.names
    own = [id_ for id_, profile in asked.by_id.items() if names.auth_key(profile.provider) == asked.auth_key]
    return (*listed, *own) if set(own).intersection(listed) else (*own, *listed)


def configured_ids(asked: OrderQuery) -> Sequence[str]:
    """The profiles that the config names for the provider, stored or not."""
    entries = asked.config.profiles
    if not entries:
        return ()
    return [id_ for id_, entry in entries.items() if _is_configured_for(entry, asked.by_id.get(id_), asked)]


def stored_ids(asked: OrderQuery) -> Sequence[str]:
    """The stored profiles whose credentials can authenticate the provider, in the store's order."""
    return [profile.id for profile in _stored(asked)]


def _stored(asked: OrderQuery) -> list[Profile]:
    provider = asked.provider
    serves: dict[str, bool] = {}  # of other providers' credentials, by kind and provider: many profiles share them
    found: list[Profile] = []
    for id_, profile in asked.by_id.items():
        if profile.provider != provider:
            kind = f"{profile.credential.type} {profile.provider}"
            if kind not in serves:
                serves[kind] = _serves(profile, asked)
            if not serves[kind]:
                continue
        if INLINE_KEY not in id_ or not id_.startswith(INLINE_KEY):  # the first is eight times as fast
            found.append(profile)
    return found


def eligible_stored(asked: OrderQuery) -> tuple[list[Profile], list[tuple[str, str]]]:
    """`eligible` of `stored_ids`: what these have made sure of is not asked again."""
    kept: list[Profile] = []
    rejected: list[tuple[str, str]] = []
    named, now = bool(asked.config.profiles), asked.now
    for profile in _stored(asked):
        credential = profile.credential
        if not named and credential.has_secret and credential.expires is None:
            kept.append(profile)  # what most are, whatever their kind: asking costs more than the rest of an order
            continue
        code = _fault_of_serving(profile, asked) if named else credential_fault(credential, now)
        if code is None:
            kept.append(profile)
        else:
            rejected.append((profile.id, code))
    return kept, rejected


def eligible(ids: Sequence[str], asked: OrderQuery) -> tuple[list[Profile], list[tuple[str, str]]]:
    """The profiles behind `ids` that may be tried, each once, and (id, code) of the others."""
    kept: list[Profile] = []
    rejected: list[tuple[str, str]] = []
    for id_ in dict.fromkeys(ids):
        profile = asked.by_id.get(id_)
        if profile is None:
            rejected.append((id_, "profile-missing"))
        elif (code := _fault(profile, asked)) is None:
            kept.append(profile)
        else:
            rejected.append((id_, code))
    return kept, rejected


def _fault(profile: Profile, asked: OrderQuery) -> str | None:
    """Why a stored profile must not be tried for the provider; None if it may."""
    return _fault_of_serving(profile, asked) if _serves(profile, asked) else "provider-mismatch"


def _fault_of_serving(profile: Profile, asked: OrderQuery) -> str | None:
    """`_fault` of a profile whose credential can authenticate the provider."""
    entry = asked.config.profiles.get(profile.id)
    if entry is not None:
        if not _is_configured_for(entry, profile, asked):
            return "provider-mismatch"
        kind = profile.credential.type
        if entry.mode != kind and (entry.mode, kind) != ("oauth", "token"):
            return "mode-mismatch"
    return credential_fault(profile.credential, asked.now)


def _serves(profile: Profile, asked: OrderQuery) -> bool:
    """Whether a stored profile's credential can authenticate the provider."""
    return _authenticates(profile.provider, profile.credential.type, asked)


def _is_configured_for(entry: ConfigProfile, stored: Profile | None, asked: OrderQuery) -> bool:
    """Whether a profile of the config is meant for the provider; a stored credential's kind beats the config's."""
    return _authenticates(entry.provider, entry.mode if stored is None else stored.credential.type, asked)


def _authenticates(provider: str, kind: str, asked: OrderQuery) -> bool:
    if provider == asked.provider:
        return True
    names = asked.schedule.names
    key = names.auth_key(provider)
    return key == asked.auth_key or (kind == "api_key" and names.key_lenders.get(asked.auth_key) == key)
