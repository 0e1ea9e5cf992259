"""Profiles as agents see them, judged, in the order in which they would be tried.

Judging every profile of every agent costs milliseconds; `ProviderMemory` keeps what nothing has changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from clawtop.core.cooldown import (
    ProfileState,
    Schedule,
    Window,
    active_windows,
    profile_state,
    schedule_for,
    stat_problems,
    windows,
)
from clawtop.core.model import AgentInfo, AuthStore, Problem, Profile, Snapshot
from clawtop.core.rotation import resolve_order


@dataclass(frozen=True, slots=True)
class ProfileFacts:
    """A profile as one or more agents see it.

    A cooldown of one model leaves the profile `usable`, with a window that names the model.

    Attributes:
        agents: the agents with exactly this view of the provider, in the snapshot's order.
        rank: place in the order in which profiles are tried, from 1; None: it is not tried.
        why: the reason for its place, or for having none.
        is_next: the one that the next run starts with, asking the agents' first model of this provider.
        windows: open when judged, the weightiest kind first.
        lapsed: recorded, but not open: passed, or no possible time.
        problems: of the profile and of its times.
    """

    profile: Profile
    agents: tuple[str, ...]
    rank: int | None
    why: str
    is_next: bool
    state: ProfileState
    until: int | None
    windows: tuple[Window, ...]
    lapsed: tuple[Window, ...]
    problems: tuple[Problem, ...]

    @property
    def serves(self) -> bool:
        """Whether it can be tried now: usable, and in the order."""
        return self.state is ProfileState.USABLE and self.rank is not None

    def active_window(self, now: int) -> Window | None:
        """The window that ends last among those that are still open at `now`."""
        return max((w for w in self.windows if w.until > now), key=lambda w: w.until, default=None)


@dataclass(frozen=True, slots=True)
class ProviderFacts:
    """The profiles of a provider that a set of agents sees alike, in the order in which they would be tried.

    `order_source` says where that order is written down: "store", "config", or None where type and last use decide.
    """

    provider: str
    agents: tuple[str, ...]
    everyone: bool
    profiles: tuple[ProfileFacts, ...]
    order_source: str | None

    @property
    def usable(self) -> int:
        """How many can be tried now."""
        return sum(entry.serves for entry in self.profiles)

    @property
    def next(self) -> ProfileFacts | None:
        """The one that the next run starts with."""
        return next((entry for entry in self.profiles if entry.is_next), None)

    @property
    def back_at(self) -> int | None:
        """When the first one is back, if none is usable and an end is recorded."""
        return min((e.until for e in self.profiles if e.until is not None and e.state in _WAITING), default=None)


ANY_OTHER_MODEL = "\0"
"""Asks for a model that no window names, so that only windows of all models count."""

Place = tuple[int | None, str]
_NO_PLACE: Place = (None, "")
_WAITING = frozenset({ProfileState.COOLING, ProfileState.DISABLED, ProfileState.BLOCKED})


class Schedules:
    """The cooldown schedule of each provider in one snapshot."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._version = snapshot.openclaw_version or snapshot.generation
        self._config = snapshot.config.auth.cooldowns
        self._known: dict[str, Schedule] = {}

    def __getitem__(self, provider: str) -> Schedule:
        known = self._known.get(provider)
        if known is None:
            known = self._known[provider] = schedule_for(self._version, self._config, provider)
        return known


def judged_provider(
    provider: str, agents: Sequence[AgentInfo], snapshot: Snapshot, now: int, schedule: Schedule, *, everyone: bool
) -> ProviderFacts:
    """The provider's profiles as these agents see them; all of them see them alike."""
    store = _store(agents[0])
    ids = tuple(agent.id for agent in agents)
    order = resolve_order(provider, store.profiles, store.order, snapshot.config.auth, now, schedule)
    places: dict[str, Place] = {ranked.id: (ranked.rank, ranked.why) for ranked in order.ranks}
    places |= {rejected.id: (None, rejected.why) for rejected in order.rejected}
    mine = sorted(
        (profile for profile in store.profiles if profile.provider == provider),
        key=lambda profile: places.get(profile.id, _NO_PLACE)[0] or len(places) + 1,
    )
    by_id = {profile.id: profile for profile in mine}
    model = next((ref.model for ref in agents[0].models if ref.provider == provider), ANY_OTHER_MODEL)
    ready = (
        id_
        for id_ in order.ids
        if id_ in by_id and profile_state(by_id[id_], now, schedule, model)[0] is ProfileState.USABLE
    )
    first = next(ready, None)
    return ProviderFacts(
        provider=provider,
        agents=ids,
        everyone=everyone,
        order_source=order.explicit_source,
        profiles=tuple(
            _judged(profile, ids, places.get(profile.id, _NO_PLACE), now, schedule, is_next=profile.id == first)
            for profile in mine
        ),
    )


def _judged(
    profile: Profile, agents: tuple[str, ...], place: Place, now: int, schedule: Schedule, *, is_next: bool
) -> ProfileFacts:
    state, until = profile_state(profile, now, schedule, ANY_OTHER_MODEL)
    open_windows = active_windows(profile.stats, now, schedule)
    return ProfileFacts(
        profile=profile,
        agents=agents,
        rank=place[0],
        why=place[1],
        is_next=is_next,
        state=state,
        until=until,
        windows=open_windows,
        lapsed=tuple(window for window in windows(profile.stats) if window not in open_windows),
        problems=(*profile.problems, *stat_problems(profile, now, schedule)),
    )


def changes_at(view: ProviderFacts, now: int) -> int | None:
    """The next moment after `now` at which the judgement differs without any change on disk."""
    ends = [window.until for entry in view.profiles for window in entry.windows]
    ends += [
        entry.profile.credential.expires for entry in view.profiles if entry.profile.credential.expires is not None
    ]
    ahead = [entry.profile.stats.last_used for entry in view.profiles if entry.profile.stats.last_used is not None]
    return min((end for end in (*ends, *ahead) if end > now), default=None)


def _store(agent: AgentInfo) -> AuthStore:
    assert agent.store is not None  # noqa: S101 - agents without a store have no providers
    return agent.store


@dataclass(frozen=True, slots=True)
class _Made:
    """A judgement, what it was made from, and until when (ms since epoch) it holds."""

    inputs: tuple[object, ...]
    view: ProviderFacts
    made_at: int
    until: int | None


class ProviderMemory:
    """Judgements of earlier snapshots, by provider and agents. Owned by one screen; not shared between threads."""

    def __init__(self) -> None:
        self._made: Mapping[tuple[str, tuple[str, ...]], _Made] = {}

    def judged(
        self, groups: Sequence[tuple[str, Sequence[AgentInfo]]], snapshot: Snapshot, now: int, agent_count: int
    ) -> tuple[ProviderFacts, ...]:
        """One judgement for each group of a provider and the agents that see it alike."""
        schedules = Schedules(snapshot)
        made: dict[tuple[str, tuple[str, ...]], _Made] = {}
        for provider, agents in groups:
            key = (provider, tuple(agent.id for agent in agents))
            inputs = _inputs(provider, agents[0], snapshot, agent_count)
            known = self._made.get(key)
            if known is None or known.inputs != inputs or not _holds(known, now):
                everyone = len(agents) == agent_count
                view = judged_provider(provider, agents, snapshot, now, schedules[provider], everyone=everyone)
                known = _Made(inputs, view, now, changes_at(view, now))
            made[key] = known
        self._made = made
        return tuple(item.view for item in made.values())


def _holds(made: _Made, now: int) -> bool:
    return made.made_at <= now and (made.until is None or now < made.until)


def _inputs(provider: str, agent: AgentInfo, snapshot: Snapshot, agent_count: int) -> tuple[object, ...]:
    """Everything that the judgement depends on. Profiles of other providers count only where they can lend a key."""
    store = _store(agent)
    names = schedule_for(snapshot.openclaw_version or snapshot.generation).names
    lender = names.key_lenders.get(names.auth_key(provider))
    own = names.auth_key(provider)
    serving = {p for p in {profile.provider for profile in store.profiles} if names.auth_key(p) in (own, lender)}
    return (
        tuple(profile for profile in store.profiles if profile.provider in serving),
        len(store.profiles),
        store.order,
        snapshot.config.auth,
        snapshot.openclaw_version,
        snapshot.generation,
        agent.models,
        agent_count,
    )
