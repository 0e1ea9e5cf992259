"""When anything is usable again, per provider and per model chain; and which sessions are pinned to an unusable
profile.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from clawtop.core.cooldown.profile_state import ProfileState, profile_state
from clawtop.core.cooldown.schedules import schedule_for
from clawtop.core.cooldown.windows import back_at
from clawtop.core.model import AgentInfo, ModelRef, Profile, Session, Snapshot
from clawtop.core.rotation.eligibility import order_query
from clawtop.core.rotation.order import Order, resolve_order
from clawtop.core.rules import Schedule
from clawtop.core.session.listed import pinned, pinned_to
from clawtop.values import dataclass

TOGETHER_MS = 1_000
"""Windows that end within a second of each other count as ending together: all their runs resume at once."""


@dataclass(frozen=True, slots=True)
class Wave:
    """Profiles that are usable again together, at `at` (ms since the epoch)."""

    at: int
    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Recovery:
    """When a provider can serve a model.

    Attributes:
        usable: profiles that can be tried now, in their order.
        waves: the cooling ones by the time at which they are back, the soonest first.
        rejected: how many profiles will not become usable by waiting.
        at: now if anything can be tried, else the first wave; None if nothing comes back by itself.
        key: where the provider's own key is stored, if it has no profile and so is asked with that key.
    """

    provider: str
    model: str | None
    usable: tuple[str, ...]
    waves: tuple[Wave, ...]
    rejected: int
    at: int | None
    key: str | None = None

    @property
    def answers(self) -> bool:
        """Whether a request can be sent now."""
        return bool(self.usable) or self.key is not None


@dataclass(frozen=True, slots=True)
class ChainRecovery:
    """When an agent can answer at all: its models in the order in which they are asked.

    `at` and `model` are of the link that is usable first; on a tie, the earlier in the chain.
    """

    agent: str
    links: tuple[Recovery, ...]
    at: int | None
    model: ModelRef | None


@dataclass(frozen=True, slots=True)
class Stranded:
    """A session that is pinned to a profile that cannot serve it now.

    Attributes:
        state: of the profile, for the session's model; None where the profile is gone.
        until: when the profile is back, where that is known.
        moves: the next run drops the pin by itself, because another profile is usable (or the pinned one is gone).
    """

    session: Session
    profile: str
    state: ProfileState | None
    until: int | None
    moves: bool


def schedule_of(snapshot: Snapshot, provider: str | None = None) -> Schedule:
    """The cooldown rules of this state directory's OpenClaw for a provider's profiles."""
    return schedule_for(snapshot.semantics, snapshot.config.auth.cooldowns, provider)


def order_of(
    snapshot: Snapshot,
    agent: AgentInfo,
    provider: str,
    now: int,
    *,
    for_model: str | None = None,
) -> Order:
    """The order in which an agent's next run would try a provider's profiles; empty for an agent without a store."""
    profiles = agent.store.profiles if agent.store is not None else ()
    stored = agent.store.order if agent.store is not None else {}
    return resolve_order(
        order_query(
            provider,
            profiles,
            stored,
            snapshot.config.auth,
            now,
            schedule_of(snapshot, provider),
            for_model=for_model,
        )
    )


def provider_recovery(
    snapshot: Snapshot,
    agent: AgentInfo,
    provider: str,
    now: int,
    *,
    model: str | None = None,
) -> Recovery:
    """When any profile of the provider can serve the agent.

    Args:
        model: cooldowns of other models do not count; None: every cooldown does.
    """
    schedule = schedule_of(snapshot, provider)
    order = order_of(snapshot, agent, provider, now, for_model=model)
    by_id = {profile.id: profile for profile in agent.store.profiles} if agent.store is not None else {}
    ends = {id_: _back_at(by_id[id_], now, schedule, model) for id_ in order.ids}
    usable = tuple(id_ for id_, until in ends.items() if until is None)
    waves = _waves({id_: until for id_, until in ends.items() if until is not None})
    key = None if order.ids else _own_key(snapshot, provider)
    at = now if usable or key is not None else next((wave.at for wave in waves), None)
    return Recovery(provider, model, usable, waves, len(order.rejected), at, key)


def _own_key(snapshot: Snapshot, provider: str) -> str | None:
    sources = snapshot.config.keys.sources
    return sources.get(provider) or sources.get(snapshot.semantics.cooling.names.key(provider))


def chain_recovery(snapshot: Snapshot, agent: AgentInfo, now: int) -> ChainRecovery:
    """When an agent can answer at all, over its models in order."""
    links = tuple(provider_recovery(snapshot, agent, model.provider, now, model=model.model) for model in agent.models)
    timed = [(link.at, place) for place, link in enumerate(links) if link.at is not None]
    at, place = min(timed, default=(None, -1))
    return ChainRecovery(agent.id, links, at, agent.models[place] if at is not None else None)


def stranded_sessions(snapshot: Snapshot, now: int) -> tuple[Stranded, ...]:
    """The sessions pinned to profiles that cannot serve them now, in the snapshot's order."""
    agents = {agent.id: agent for agent in snapshot.agents}
    alike: dict[tuple[str | None, ...], Stranded | None] = {}
    found: list[Stranded] = []
    for session in pinned(snapshot.sessions):
        if session.agent not in agents:
            continue
        pin = session.agent, session.profile, session.model, session.profile_source
        if pin not in alike:
            alike[pin] = _stranded(snapshot, agents[session.agent], session, now)
        entry = alike[pin]
        if entry is not None:
            found.append(entry if entry.session is session else replace(entry, session=session))
    return tuple(found)


def pinned_sessions(snapshot: Snapshot, profile: Profile) -> tuple[Session, ...]:
    """The sessions pinned to exactly this profile: agents that do not see its store may use the same id."""
    sharing = (agent.id for agent in snapshot.agents if _sees(agent, profile))
    return tuple(session for agent in sharing for session in pinned_to(snapshot.sessions, agent, profile.id))


def _stranded(snapshot: Snapshot, agent: AgentInfo, session: Session, now: int) -> Stranded | None:
    pin = session.profile or ""
    profiles = agent.store.profiles if agent.store is not None else ()
    profile = next((profile for profile in profiles if profile.id == pin), None)
    if profile is None:
        return Stranded(session, pin, None, None, moves=True)
    schedule = schedule_of(snapshot, profile.provider)
    state, until = profile_state(profile, now, schedule, session.model)
    if state is ProfileState.USABLE:
        return None
    recovery = provider_recovery(snapshot, agent, profile.provider, now, model=session.model)
    yields = session.profile_source != "user" or "user" in schedule.replaced_pins
    return Stranded(session, pin, state, until, moves=yields and bool(recovery.usable))


def _sees(agent: AgentInfo, profile: Profile) -> bool:
    profiles = agent.store.profiles if agent.store is not None else ()
    return any(own.id == profile.id and own.owner_agent == profile.owner_agent for own in profiles)


def _back_at(profile: Profile, now: int, schedule: Schedule, model: str | None) -> int | None:
    """When a listed profile can be used again; None where it can be used now."""
    end = back_at(profile.stats, profile.provider, now, schedule, model)
    return end if end is not None and end > now else None


def _waves(ends: Mapping[str, int]) -> tuple[Wave, ...]:
    """The profiles by the end of their windows; ends within a second of a wave's first belong to it."""
    waves: list[Wave] = []
    for id_ in sorted(ends, key=ends.__getitem__):
        if waves and ends[id_] - waves[-1].at <= TOGETHER_MS:
            waves[-1] = Wave(waves[-1].at, (*waves[-1].ids, id_))
        else:
            waves.append(Wave(ends[id_], (id_,)))
    return tuple(waves)
