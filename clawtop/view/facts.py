"""What the rows of one snapshot share, computed once: judged profiles in the order in which they are tried, pins,
locks and holders by session, what is blocked and by what.

`Facts` is built when a snapshot arrives, when the agent filter changes, and when a window ends (`changes_at`); rows
are rendered from it lazily, so that building it stays cheap for thousands of sessions.
"""

from __future__ import annotations

import os.path
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from itertools import chain
from types import MappingProxyType
from typing import Any, TypeVar

from clawtop.core.cooldown.stats import FailureCost, ProfileState, Schedules, bypasses_cooldown, next_failure_cost
from clawtop.core.health.in_force import unknown_chains
from clawtop.core.health.judgement import Health, judge
from clawtop.core.incident import blocking
from clawtop.core.incident.blocking import Node, blocking_tree
from clawtop.core.locks.staleness import AUTH_STALE_MS, OAUTH_REFRESH_STALE_MS
from clawtop.core.model import (
    AgentInfo,
    EventKind,
    Lock,
    LockKind,
    Named,
    Naming,
    Problem,
    Profile,
    PromptHolder,
    Session,
    Snapshot,
    VerdictKind,
    of_agents,
)
from clawtop.core.rotation.explanation import ProfileExplanation, explain_profile
from clawtop.core.session.activity import running_since
from clawtop.core.session.attention import AttentionReport, attention_of
from clawtop.core.session.key import split
from clawtop.core.session.listed import of_file, pinned_to, with_key
from clawtop.text import safe, shown
from clawtop.view.provider_facts import ProfileFacts, ProviderFacts, ProviderGroup, ProviderMemory, changes_at

A = TypeVar("A")
T = TypeVar("T")


NO_LABELS: Mapping[str, str] = MappingProxyType({})


class Memory:
    """What one screen keeps from judgement to judgement, so that only changes are recomputed: judged providers; and of
    the latest snapshot, which time alone makes judge again, each table (`clawtop.view.columns.Table`) with what its
    rows follow from.
    """

    def __init__(self) -> None:
        self.providers = ProviderMemory()
        self._snapshot: Snapshot | None = None
        self._tables: dict[Hashable, tuple[object, Any]] = {}

    def table(self, key: Hashable, snapshot: Snapshot, basis: object) -> Any:
        """The table that was kept under this key, if it was made of this snapshot and an equal basis; else None."""
        known = self._tables.get(key) if snapshot is self._snapshot else None
        return known[1] if known is not None and known[0] == basis else None

    def keep(self, key: Hashable, snapshot: Snapshot, basis: object, table: Any) -> None:
        """Keep a table as long as nothing is made of another snapshot."""
        if snapshot is not self._snapshot:
            self._snapshot, self._tables = snapshot, {}
        self._tables[key] = basis, table


class Facts:
    """A snapshot, judged at `now` (ms since epoch), for all agents or for one.

    Attributes:
        now: when it was judged; countdowns use the present instead.
        changes_at: when the judgement next changes with time alone: rebuild from then on.
        memory: results from earlier snapshots that may still be valid.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        now: int,
        agent: str | None = None,
        *,
        memory: Memory | None = None,
        labels: Mapping[str, str] = NO_LABELS,
        health: Health | None = None,
    ) -> None:
        """`labels`: session key -> the operator's label. `health`: if all agents were already judged."""
        self.labels = labels
        self.memory = memory or Memory()
        self._made: dict[Callable[..., Any], Any] = {}
        self._explained: dict[tuple[str, str], ProfileExplanation | None] = {}
        self.snapshot = snapshot
        self.now = now
        self.agent = agent
        self._judged = health
        self.agents: tuple[AgentInfo, ...] = tuple(a for a in snapshot.agents if agent is None or a.id == agent)

    def once(self, make: Callable[[A], T], argument: A) -> T:
        """The value of `make` for this state, computed at the first call, such as a table."""
        if make not in self._made:
            self._made[make] = make(argument)
        made: T = self._made[make]
        return made

    def let_go(self) -> None:
        """Drop what was computed from this state: another one is shown, and this one is freed with its last user."""
        self._made.clear()

    @cached_property
    def unknown_chains(self) -> str | None:
        """Why it is not known which models and orders the gateway works with; None if it is."""
        return unknown_chains(self.snapshot, self.now)

    @cached_property
    def sessions(self) -> tuple[Session, ...]:
        """The sessions of the chosen agents."""
        if self.agent is None:
            return self.snapshot.sessions
        return tuple(s for s in self.snapshot.sessions if s.agent == self.agent)

    @cached_property
    def warnings(self) -> tuple[Problem, ...]:
        """The snapshot's warnings about the chosen agents, and those about no single agent."""
        return self.snapshot.warnings if self.agent is None else of_agents(self.snapshot.warnings, {self.agent})

    @cached_property
    def locks(self) -> tuple[Lock, ...]:
        """The locks of the chosen agents, and those that belong to no agent."""
        if self.agent is None:
            return self.snapshot.locks
        return tuple(lock for lock in self.snapshot.locks if lock.file.agent in (None, self.agent))

    @cached_property
    def providers(self) -> tuple[ProviderFacts, ...]:
        """Providers in the order of the agents' models, then by name; one entry for each differing view."""
        views: dict[str, list[tuple[object, list[AgentInfo], Mapping[str, tuple[Profile, ...]]]]] = defaultdict(list)
        for agent in self.agents:
            by_provider = _by_provider(agent)
            for provider, profiles in by_provider.items():
                view = (profiles, agent.store.order.get(provider) if agent.store else None)
                alike = next((agents for seen, agents, _ in views[provider] if seen == view), None)
                if alike is None:
                    views[provider].append((view, [agent], by_provider))
                else:
                    alike.append(agent)
        preference = self._provider_preference
        names = sorted(views, key=lambda name: (preference.get(name, len(preference)), name))
        groups = [ProviderGroup(name, agents, profiles) for name in names for _, agents, profiles in views[name]]
        return self.memory.providers.judged(groups, self.snapshot, self.now, len(self.agents))

    @cached_property
    def _provider_preference(self) -> dict[str, int]:
        wanted = [ref.provider for agent in self.agents for ref in agent.models]
        return {provider: rank for rank, provider in enumerate(dict.fromkeys(wanted))}

    @cached_property
    def schedules(self) -> Schedules:
        """The cooldown schedule of each provider."""
        return Schedules(self.snapshot)

    def next_cost(self, entry: ProfileFacts) -> FailureCost | None:
        """What one more failure of the latest kind (else a rate limit) would do; None where the provider bypasses
        cooldowns.
        """
        profile = entry.profile
        if bypasses_cooldown(profile.provider):
            return None
        schedule = self.schedules[profile.provider]
        reasons = (entry.windows[0].reason if entry.windows else None, *profile.stats.failure_counts)
        reason = next((reason for reason in reasons if reason in schedule.reasons), "rate_limit")
        return next_failure_cost(profile.stats, reason, self.now, schedule)

    def explanation(self, entry: ProfileFacts) -> ProfileExplanation | None:
        """Everything known about the profile's place, as of `now`; computed once per state."""
        key = (entry.profile.id, entry.agents[0])
        if key not in self._explained:
            self._explained[key] = explain_profile(self.snapshot, key[0], self.now, agent=key[1])
        return self._explained[key]

    def pins(self, entry: ProfileFacts) -> Iterator[Session]:
        """The sessions that are pinned to the profile, of the agents that see it this way."""
        return chain.from_iterable(self._pinned(entry))

    def count_pins(self, entry: ProfileFacts) -> int:
        """How many they are."""
        return sum(map(len, self._pinned(entry)))

    def _pinned(self, entry: ProfileFacts) -> Iterator[Collection[Session]]:
        return (pinned_to(self.snapshot.sessions, agent, entry.profile.id) for agent in entry.agents)

    @cached_property
    def tree(self) -> tuple[Node, ...]:
        """Who waits for whom, of all agents."""
        return blocking_tree(self.snapshot, self.now, self.snapshot.events)

    @cached_property
    def changes_at(self) -> int | None:
        """The next time at which the judgement changes without any change on disk."""
        judged = self.health.changes_at
        ends = (
            blocking.changes_at(self.snapshot, self.now),
            judged,
            *(changes_at(view, self.now) for view in self.providers),
        )
        return min((end for end in ends if end is not None), default=None)

    @cached_property
    def usable(self) -> tuple[int, int]:
        """How many profiles can be tried, and how many there are; each counted once, however many agents see it."""
        entries = {(e.profile.owner_agent, e.profile.id): e for view in self.providers for e in view.profiles}
        usable = sum(e.state is ProfileState.USABLE and e.profile.id not in self.unloaded for e in entries.values())
        return usable, len(entries)

    @cached_property
    def usable_words(self) -> str:
        """The same in words; counts of a store that cannot be read are those of its last reading."""
        usable, total = self.usable
        return f"{usable} of {total} profiles usable" + (" when last read" if self.unread_stores else "")

    @cached_property
    def unread_stores(self) -> frozenset[str]:
        """Ids of the agents whose auth store cannot be read now; what is shown of it is what was read before."""
        return frozenset(
            agent.id
            for agent in self.snapshot.agents
            if agent.store is not None and agent.store.problem is not None and agent.store.profiles
        )

    @cached_property
    def unloaded(self) -> frozenset[str]:
        """Ids of profiles with changes that the gateway has not loaded: it still sees the old values."""
        return frozenset(name for pending in self.health.view.pending for name in pending.profiles)

    @cached_property
    def _profile_index(self) -> Mapping[tuple[str, str], ProfileFacts]:
        return {
            (agent, entry.profile.id): entry
            for view in self.providers
            for entry in view.profiles
            for agent in view.agents
        }

    def profile(self, profile_id: str, agent: str) -> ProfileFacts | None:
        """The profile as this agent sees it."""
        return self._profile_index.get((agent, profile_id))

    def provider(self, provider: str, agent: str) -> ProviderFacts | None:
        """The provider as this agent sees it."""
        return next((view for view in self.providers if view.provider == provider and agent in view.agents), None)

    @cached_property
    def _session_locks(self) -> Mapping[str, Lock]:
        return {
            lock.file.path.removesuffix(".lock"): lock
            for lock in self.snapshot.locks
            if lock.file.kind is LockKind.SESSION
        }

    def lock_of(self, session: Session) -> Lock | None:
        """The write lock of this session."""
        return self._session_locks.get(session.file) if session.file else None

    @cached_property
    def _holders(self) -> Mapping[str, PromptHolder]:
        return {holder.session_file: holder for holder in self.snapshot.holders}

    def holder_of(self, session: Session) -> PromptHolder | None:
        """The holder of this session's prompt."""
        return self._holders.get(session.file) if session.file else None

    def turn_since(self, session: Session) -> int | None:
        """When the running turn of this session began (ms since epoch); None if none is known to run."""
        holder = self.holder_of(session)
        if holder is not None and holder.source == "clawtop" and holder.phase != "draining":
            return holder.since
        return running_since(session) if session.active else None

    def session_of(self, lock: Lock) -> Session | None:
        """The session that a session lock is for."""
        if lock.file.kind is not LockKind.SESSION:
            return None
        found = of_file(self.snapshot.sessions, lock.file.path.removesuffix(".lock"))
        return found[-1] if found else None

    def session(self, key: str, agent: str | None) -> Session | None:
        """The session with this key."""
        return next((s for s in with_key(self.snapshot.sessions, key) if agent in (None, s.agent)), None)

    def given_name(self, key: str) -> str | None:
        """The label or name of the session with this key; None if it has neither."""
        names = (session.name for session in with_key(self.snapshot.sessions, key))
        return self.labels.get(key) or next((name for name in names if name), None)

    @cached_property
    def _agent_names(self) -> Mapping[str, str]:
        named = {a.id: shown(a.name, 40) for a in self.snapshot.agents if a.name and a.name != a.id}
        others = Counter((*named.values(), *(a.id for a in self.snapshot.agents)))
        return {agent: f"{name} ({safe(agent)})" if others[name] > 1 else name for agent, name in named.items()}

    def name_of(self, name: Named) -> str:
        """What people call the agent or the session that a sentence names, safe to show."""
        return self.session_name(name.id) if name.what is Naming.SESSION else self.agent_name(name.id)

    def agent_name(self, agent: str) -> str:
        """What the configuration calls the agent, else its id, safe to show; with the id if several agents have the
        name.
        """
        return self._agent_names.get(agent) or safe(agent)

    def row_name(self, session: Session) -> str:
        """What people call a session in a row that has a column for its agent: the operator's label, else OpenClaw's
        name for it, else its key without the agent. Not yet safe to show.
        """
        agent, rest = split(session.key)
        return self.labels.get(session.key) or session.name or (rest if agent == session.agent else session.key)

    def session_name(self, key: str) -> str:
        """What people call the session with this key, safe to show: its label or name, else the key without its
        redundant parts; with its agent if there are several.
        """
        if (name := self.given_name(key)) is not None:
            return shown(name)
        agent, rest = split(key)
        if agent is None or not rest:
            return safe(key)
        if (called := self._agent_names.get(agent)) is not None:
            return f"{called}: {safe(rest)}"
        return safe(f"{agent}:{rest}" if len(self.snapshot.agents) > 1 else rest)

    def lock(self, path: str) -> Lock | None:
        """The lock with this path."""
        return next((lock for lock in self.snapshot.locks if lock.file.path == path), None)

    def blocked_by(self, session: Session) -> str | None:
        """What blocks this session, as a short phrase; None if nothing is known to block it."""
        return self.blocked.get((session.agent, session.key))

    def attention(self, session: Session) -> AttentionReport | None:
        """Why a session needs attention; None if it does not."""
        lock = self.lock_of(session)
        stale = lock is not None and lock.verdict.kind is VerdictKind.STALE
        limits = self.snapshot.config.attention
        rules = self.snapshot.semantics.attention
        return attention_of(session, self.holder_of(session), self.now, rules, limits, stale_lock=stale)

    @cached_property
    def held_files(self) -> frozenset[str]:
        """The session files that have a write lock or a prompt holder."""
        return frozenset((*self._session_locks, *self._holders))

    @cached_property
    def health(self) -> Health:
        """Whether turns succeed: the one judgement that all views share; of the chosen agents."""
        if self.agent is None:
            return self._judged or judge(self.snapshot, self.now)
        mine = replace(self.snapshot, agents=self.agents, sessions=self.sessions, locks=self.locks)
        return judge(mine, self.now)

    @cached_property
    def blocked(self) -> Mapping[tuple[str, str], str]:
        """Blocked sessions by agent and key, in the snapshot's order, with what blocks each."""
        return {key: found.why for key, found in self.health.blocked.items()}

    @cached_property
    def undoable(self) -> bool:
        """Whether the journal has an operation that can be undone."""
        if not any(event.kind is EventKind.OPERATION for event in self.snapshot.events):
            return False
        from clawtop.core.operations.undo import undoable  # slow to load, and the first paint does not need it

        return bool(undoable(self.snapshot.events))

    def over_limit(self, lock: Lock, now: int) -> bool:
        """Whether the lock is older than OpenClaw allows for its kind."""
        limit = self.hold_limit(lock)
        return limit is not None and lock_age(lock, now) > limit

    def hold_limit(self, lock: Lock) -> int | None:
        """How long a lock of this kind may be held, ms; None where no limit is known."""
        if lock.file.kind in (LockKind.SESSION, LockKind.SESSIONS_STORE):
            return lock.max_hold_ms or self.snapshot.config.lock_limits.max_hold_ms
        return STORE_LOCK_LIMITS_MS.get(lock.file.kind)


STORE_LOCK_LIMITS_MS: Mapping[LockKind, int] = {
    LockKind.AUTH: AUTH_STALE_MS,
    LockKind.OAUTH_REFRESH: OAUTH_REFRESH_STALE_MS,
}


def lock_age(lock: Lock, now: int) -> int:
    """The age of the lock in ms; never negative."""
    return max(0, now - lock.since)


def base_name(path: str) -> str:
    """The last part of a path."""
    return os.path.basename(path) or path  # noqa: PTH119 - view has no pathlib objects, these are exact strings


def _by_provider(agent: AgentInfo) -> dict[str, tuple[Profile, ...]]:
    grouped: dict[str, list[Profile]] = defaultdict(list)
    for profile in agent.store.profiles if agent.store else ():
        grouped[profile.provider].append(profile)
    return {provider: tuple(profiles) for provider, profiles in grouped.items()}
