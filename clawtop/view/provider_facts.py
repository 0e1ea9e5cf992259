"""Profiles as agents see them, judged, in the order in which they are tried.

Judging every profile of every agent takes milliseconds; `ProviderMemory` keeps unchanged results.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from clawtop.core.cooldown.profile_state import ANY_OTHER_MODEL, configured_models, state_for_models
from clawtop.core.cooldown.stats import (
    ProfileState,
    Schedule,
    Schedules,
    Window,
    active_windows,
    profile_state,
    stat_problems,
    windows,
)
from clawtop.core.health.in_force import unknown_chains
from clawtop.core.model import AgentInfo, AuthConfig, AuthStore, Problem, Profile, Snapshot
from clawtop.core.rotation.eligibility import order_query
from clawtop.core.rotation.order import resolve_order
from clawtop.values import dataclass


@dataclass(frozen=True, slots=True)
class ProfileFacts:
    """A profile as one or more agents see it.

    A cooldown of one model leaves the profile `usable`, with a window that names the model, where its provider is asked
    another one too.

    Attributes:
        agents: the agents with exactly this view of the provider, in the snapshot's order.
        rank: place in the order in which profiles are tried, from 1; None: it is not tried.
        why: the reason for its place, or for having none.
        is_next: the one that the next run starts with, asking the agents' first model of this provider.
        windows: open when judged, the most serious kind first.
        lapsed: recorded, but not open: past, or not a valid time.
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
        """Whether it can be tried now: it is usable and in the order."""
        return self.state is ProfileState.USABLE and self.rank is not None

    def active_window(self, now: int) -> Window | None:
        """The window that ends last among those still open at `now`."""
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
        """How many of them can be tried now."""
        return sum(entry.serves for entry in self.profiles)

    @property
    def next(self) -> ProfileFacts | None:
        """The profile that the next run starts with."""
        return next((entry for entry in self.profiles if entry.is_next), None)

    @property
    def back_at(self) -> int | None:
        """When the first cooling profile is usable again, if only for one model; None if no end is recorded."""
        ends = [e.until for e in self.profiles if e.until is not None and e.state in _WAITING]
        ends += [max(window.until for window in e.windows) for e in self.profiles if e.serves and e.windows]
        return min(ends, default=None)


Place = tuple[int | None, str]
_NO_PLACE: Place = (None, "")
_WAITING = frozenset({ProfileState.COOLING, ProfileState.DISABLED, ProfileState.BLOCKED})


def judged_provider(
    provider: str,
    agents: Sequence[AgentInfo],
    serving: Sequence[Profile],
    auth: AuthConfig,
    judge: Judge,
) -> ProviderFacts:
    """The provider's profiles as these agents see them; all of them see them alike.

    `serving` are the profiles that can serve the provider at all, its own and those that lend it their key.
    """
    ids = tuple(agent.id for agent in agents)
    schedule = judge.schedules[provider]
    order = resolve_order(order_query(provider, serving, _store(agents[0]).order, auth, judge.now, schedule))
    places: dict[str, Place] = {ranked.id: (ranked.rank, ranked.why) for ranked in order.ranks}
    places |= {rejected.id: (None, rejected.why) for rejected in order.rejected}
    mine = sorted(
        (profile for profile in serving if profile.provider == provider),
        key=lambda profile: places.get(profile.id, _NO_PLACE)[0] or len(places) + 1,
    )
    by_id = {profile.id: profile for profile in mine}
    models = [ref.model for ref in agents[0].models if ref.provider == provider]
    first = None if judge.blind else _first_ready(order.ids, by_id, judge.now, schedule, models)
    return ProviderFacts(
        provider=provider,
        agents=ids,
        everyone=len(agents) == judge.agent_count,
        order_source=order.explicit_source,
        profiles=tuple(_seen(profile, ids, places, profile.id == first, judge.standing(profile)) for profile in mine),
    )


def _first_ready(
    ids: Sequence[str], by_id: Mapping[str, Profile], now: int, schedule: Schedule, models: Sequence[str]
) -> str | None:
    """The profile that the next run starts with: the first that can serve the model asked first, else the next one."""
    for model in models or (ANY_OTHER_MODEL,):
        for id_ in ids:
            if id_ in by_id and profile_state(by_id[id_], now, schedule, model)[0] is ProfileState.USABLE:
                return id_
    return None


def _seen(
    profile: Profile, agents: tuple[str, ...], places: Mapping[str, Place], is_next: bool, standing: ProfileStanding
) -> ProfileFacts:
    rank, why = places.get(profile.id, _NO_PLACE)
    state, until, open_windows, others, problems = standing
    return ProfileFacts(profile, agents, rank, why, is_next, state, until, open_windows, others, problems)


class ProfileStanding(NamedTuple):
    """The state of a profile, regardless of agent; as in `ProfileFacts`."""

    state: ProfileState
    until: int | None
    windows: tuple[Window, ...]
    lapsed: tuple[Window, ...]
    problems: tuple[Problem, ...]


class Judge:
    """Judges the profiles of one snapshot at one time, each once, however many agents inherit it."""

    def __init__(self, snapshot: Snapshot, now: int, agent_count: int) -> None:
        self.schedules = Schedules(snapshot)
        self.agent_count = agent_count
        self.now = now
        self.blind = unknown_chains(snapshot, now) is not None
        self._known: dict[tuple[str, str], tuple[Profile, ProfileStanding]] = {}
        self._names = self.schedules.names
        self._keys: dict[str, tuple[str, str | None]] = {}
        self._models = configured_models(snapshot.agents)

    def serving(self, group: ProviderGroup) -> tuple[Profile, ...]:
        """The profiles that can serve the group's provider: its own, and those that lend it their key."""
        own, lender = self._key(group.provider)
        names = {name for name in group.profiles if self._key(name)[0] in (own, lender)}
        if len(names) == 1:
            return group.profiles[group.provider]
        profiles = _store(group.agents[0]).profiles
        return tuple(profile for profile in profiles if profile.provider in names)

    def _key(self, provider: str) -> tuple[str, str | None]:
        """A provider's canonical name for credentials, and the provider whose keys it may also use."""
        known = self._keys.get(provider)
        if known is None:
            own = self._names.auth_key(provider)
            known = self._keys[provider] = (own, self._names.key_lenders.get(own))
        return known

    def standing(self, profile: Profile) -> ProfileStanding:
        """The state of a profile, regardless of agent."""
        key = (profile.owner_agent, profile.id)
        known = self._known.get(key)
        if known is None or known[0] != profile:
            known = self._known[key] = (profile, self._judged(profile))
        return known[1]

    def _judged(self, profile: Profile) -> ProfileStanding:
        schedule, now = self.schedules[profile.provider], self.now
        state, until = state_for_models(profile, now, schedule, self._models.get(profile.provider, ()))
        open_windows = active_windows(profile.stats, now, schedule)
        others = tuple(window for window in windows(profile.stats) if window not in open_windows)
        problems = (*profile.problems, *stat_problems(profile, now, schedule, in_the_past=self.schedules.in_the_past))
        return ProfileStanding(state, until, open_windows, others, problems)


def changes_at(view: ProviderFacts, now: int) -> int | None:
    """The next time after `now` at which the judgement changes without any change on disk."""
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
    """A judgement, its inputs, and until when it holds (ms since epoch)."""

    inputs: tuple[object, ...]
    view: ProviderFacts
    made_at: int
    until: int | None


@dataclass(frozen=True, slots=True)
class ProviderGroup:
    """Agents that see a provider alike, with the profiles they see, by provider."""

    provider: str
    agents: Sequence[AgentInfo]
    profiles: Mapping[str, tuple[Profile, ...]]


class ProviderMemory:
    """Judgements of earlier snapshots, by provider and agents. Owned by one screen; not shared between threads."""

    def __init__(self) -> None:
        self._made: Mapping[tuple[str, tuple[str, ...]], _Made] = {}

    def judged(
        self, groups: Sequence[ProviderGroup], snapshot: Snapshot, now: int, agent_count: int
    ) -> tuple[ProviderFacts, ...]:
        """One judgement for each group."""
        judge = Judge(snapshot, now, agent_count)
        auth = snapshot.config.auth
        common = (auth, judge.blind, snapshot.openclaw_version, snapshot.generation, agent_count)
        models = tuple(agent.models for agent in snapshot.agents)
        made: dict[tuple[str, tuple[str, ...]], _Made] = {}
        for group in groups:
            key = (group.provider, tuple(agent.id for agent in group.agents))
            serving = judge.serving(group)
            first = group.agents[0]
            inputs = (serving, _store(first).order, first.models, models, common)
            known = self._made.get(key)
            if known is None or known.inputs != inputs or not _holds(known, now):
                view = judged_provider(group.provider, group.agents, serving, auth, judge)
                known = _Made(inputs, view, now, changes_at(view, now))
            made[key] = known
        self._made = made
        return tuple(item.view for item in made.values())


def _holds(made: _Made, now: int) -> bool:
    return made.made_at <= now and (made.until is None or now < made.until)
