"""What was written to the auth store but not loaded by the live gateway, and the state as the gateway knows it.

A gateway works from its memory (docs/formats.md 2.5). From 2026.5.18 on it re-reads the store with its own next
write; while every profile is unusable it never writes, so a clear is not loaded without a reload or a restart.
2026.3.28 keeps what it read at its start. Changes are reverted here, from the journal, until there is evidence that
the gateway has loaded them: its own later write, or a start after the change. A rejection in its log after the change
shows that it has not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field, replace

from clawtop.core.cooldown.profile_state import ProfileState, is_usable, profile_state
from clawtop.core.model import (
    ENGINE,
    GATEWAY_LOG,
    AgentInfo,
    AuthStore,
    Event,
    EventKind,
    GatewayState,
    Problem,
    Profile,
    Snapshot,
    UsageStats,
)
from clawtop.core.operations.edit import ORDER, STATS, AuthState, FieldChange, Restore, moved_on
from clawtop.core.operations.loading import answered_since, loads, reload_loads
from clawtop.core.operations.past import past_operation
from clawtop.core.rotation.forecast import schedule_of
from clawtop.values import dataclass

KEPT_MS = 24 * 3_600_000
"""A change older than this is assumed to be loaded: it no longer matters."""

WRITE_SLACK_MS = 2_000


@dataclass(frozen=True, slots=True)
class Pending:
    """A change on disk that the gateway has not loaded.

    Attributes:
        kind: "clear", "rotate", "undo", or "store" for one that is not in the journal.
        at: when it was written; None if only the gateway's rejections show it.
        agent: the owner of the store. `profiles` and `providers` are the ones it affects.
        certain: there is evidence that it is not loaded; else there is just none that it is.
        why: how that is known. loads: what makes the gateway load it, as the end of "it loads this".
        by_itself: the gateway loads it without help. reload: a secrets reload makes it load.
        operation: the id that it was journaled under.
    """

    kind: str
    at: int | None
    agent: str
    profiles: tuple[str, ...]
    providers: tuple[str, ...]
    certain: bool
    why: str
    loads: str = ""
    by_itself: bool = True
    reload: bool = True
    changes: tuple[FieldChange, ...] = field(default=(), hash=False)
    operation: str | None = None

    def concerns(self, profile: Profile) -> bool:
        """Whether it changed this profile, or the order of its provider."""
        if profile.owner_agent != self.agent:
            return False
        ordered = (change.key for change in self.changes if change.section == "order")
        return profile.id in self.profiles or profile.provider in ordered


@dataclass(frozen=True, slots=True)
class GatewaysView:
    """The state as the gateway knows it, and what it has not loaded. `snapshot` is the given one if everything is."""

    snapshot: Snapshot
    pending: tuple[Pending, ...] = ()

    def concerning(self, profile: Profile) -> Pending | None:
        """The unloaded changes of a profile."""
        return next((pending for pending in self.pending if pending.concerns(profile)), None)


def as_gateway_knows(snapshot: Snapshot, now: int) -> GatewaysView:
    """Revert what the live gateway has not loaded. Without a gateway the disk counts: it is read at the start."""
    if snapshot.gateway.state not in _HAS_MEMORY or snapshot.judged_at is not None:
        return GatewaysView(snapshot)
    pending = list(_journaled(snapshot, now))
    view = _taken_back(snapshot, pending)
    refused = tuple(_refusals(view, now))
    pending = [_with_way(p, view, now) for p in pending]
    return GatewaysView(view, (*pending, *refused))


_HAS_MEMORY = frozenset({GatewayState.LIVE})


def with_unloaded(snapshot: Snapshot) -> Snapshot:
    """The snapshot with a problem at each profile of which its live gateway has not loaded a change yet."""
    view = as_gateway_knows(snapshot, snapshot.taken_at)
    return (
        replace(snapshot, agents=tuple(_marked(agent, view) for agent in snapshot.agents)) if view.pending else snapshot
    )


def _marked(agent: AgentInfo, view: GatewaysView) -> AgentInfo:
    store = agent.store
    if store is None:
        return agent
    profiles = tuple(_with_problem(profile, view.concerning(profile)) for profile in store.profiles)
    return agent if profiles == store.profiles else replace(agent, store=replace(store, profiles=profiles))


def _with_problem(profile: Profile, pending: Pending | None) -> Profile:
    if pending is None:
        return profile
    problem = Problem("not-loaded", profile.id, f"not loaded by the gateway yet: it loads this {pending.loads}")
    return replace(profile, problems=(*profile.problems, problem))


# --- clawtop's changes------------------------------------------------------------------------------------------


def _journaled(snapshot: Snapshot, now: int) -> Iterator[Pending]:
    remote = snapshot.semantics.remote
    settled = {str(event.data.get("id")) for event in snapshot.events if _tells_sight(event)}
    read_at = _read_all_at(snapshot)
    for event in snapshot.events:
        if event.kind is not EventKind.OPERATION or event.data.get("outcome") != "done" or now - event.at > KEPT_MS:
            continue
        if str(event.data.get("id")) in settled or event.at < read_at:
            continue
        past = past_operation(event)
        for owner, changes in past.changes if past is not None else ():
            names = dict.fromkeys(change.key for change in changes if change.section == STATS)
            providers = dict.fromkeys(
                (*(name.partition(":")[0] for name in names), *(c.key for c in changes if c.section == ORDER))
            )
            refusal = _refused_since(snapshot, tuple(providers), event.at)
            if refusal is None and remote.rereads_on_write and _written_since(snapshot, owner, event.at):
                continue
            if refusal is not None:
                seen = f"since then the gateway still refused {refusal.data.get('provider')} ({refusal.reason})"
            else:
                seen = "nothing shows that the gateway has read it"
            yield Pending(
                str(event.data.get("kind", "store")),
                event.at,
                owner,
                tuple(names),
                tuple(providers),
                refusal is not None or not remote.rereads_on_write,
                seen,
                changes=changes,
                operation=str(event.data.get("id")),
            )


def _read_all_at(snapshot: Snapshot) -> int:
    """When the gateway last read all its stores: at its start, or when one of clawtop's operations had it reload."""
    reloads = (event.at for event in snapshot.events if _tells_sight(event) and event.data.get("reloaded") is True)
    return max((*reloads, snapshot.gateway.started_at or 0))


def _tells_sight(event: Event) -> bool:
    """Whether an event says that the gateway has loaded an operation, or has restored the old values."""
    return event.source == "operation" and event.kind in {EventKind.GATEWAY, EventKind.REVERTED}


def _written_since(snapshot: Snapshot, owner: str, at: int) -> bool:
    """Whether the gateway itself wrote the owner's store after `at`.

    Its log reports marks; where it does not, a time in the store shows it that nobody else can have written: none of
    clawtop's engines, and no known command-line process. From 2026.8 on the use of a shared profile is not recorded;
    there the audit shows that a turn was answered, which the gateway marks.
    """
    mine = {p.id for agent in snapshot.agents if agent.store for p in agent.store.profiles if p.owner_agent == owner}
    marks = [event for event in snapshot.events if event.kind is EventKind.MARK and event.at > at]
    if any(event.source == GATEWAY_LOG and (event.profile in mine or event.profile is None) for event in marks):
        return True
    driven = any(event.source != GATEWAY_LOG for event in marks)
    driven = driven or any(event.at > at and event.source == ENGINE for event in snapshot.events)
    if driven or snapshot.command_line:
        return False
    if answered_since(snapshot, at):
        return True
    touched = (
        moment
        for agent in snapshot.agents
        if agent.store
        for profile in agent.store.profiles
        if profile.owner_agent == owner
        for moment in (profile.stats.last_used, profile.stats.last_failure_at, profile.stats.last_probe_at)
    )
    return any(moment is not None and moment > at + WRITE_SLACK_MS for moment in touched)


def _refused_since(snapshot: Snapshot, providers: tuple[str, ...], at: int) -> Event | None:
    """The last time after `at` that the gateway skipped a model for its provider's windows."""
    found = [e for e in _refusing(snapshot.events) if e.at > at and e.data.get("provider") in providers]
    if not found:
        return None
    last = found[-1]
    answered = (e for e in snapshot.events if e.kind is EventKind.REPLY and e.source == GATEWAY_LOG and e.at > last.at)
    return None if any(event.provider in providers for event in answered) else last


def _refusing(events: Iterable[Event]) -> Iterator[Event]:
    return (
        e
        for e in events
        if e.kind is EventKind.FALLBACK and e.source == GATEWAY_LOG and e.data.get("decision") == "skip_candidate"
    )


def _taken_back(snapshot: Snapshot, pending: Iterable[Pending]) -> Snapshot:
    """The snapshot without these changes; the newest is reverted first. A value that has changed since stays."""
    agents = snapshot.agents
    for change in sorted(pending, key=lambda p: -(p.at or 0)):
        back = tuple(item.inverted() for item in reversed(change.changes))
        agents = tuple(_without(agent, change.agent, back) for agent in agents)
    return snapshot if agents is snapshot.agents else replace(snapshot, agents=agents)


def _without(agent: AgentInfo, owner: str, back: tuple[FieldChange, ...]) -> AgentInfo:
    store = agent.store
    if store is None:
        return agent
    mine = {profile.id: profile for profile in store.profiles if profile.owner_agent == owner}
    ids = {change.key for change in back if change.section == STATS}
    # Statistics are merged by id (2026.5.20): an agent's own profile without an entry of its own shows the owner's.
    mine |= {p.id: p for p in store.profiles if p.id in ids and p.id not in mine and p.stats != UsageStats()}
    orders = {p: o for p, o in store.order.items() if store.order_owner.get(p, store.agent) == owner}
    if not mine and not orders:
        return agent
    state = AuthState({key: profile.stats for key, profile in mine.items()}, orders, profiles=frozenset(mine))
    moved = {(change.section, change.key, change.field) for change in moved_on(state, back)}
    kept = tuple(change for change in back if (change.section, change.key, change.field) not in moved)
    before = Restore(kept)(state)
    profiles = tuple(_with_stats(profile, before) for profile in store.profiles)
    others = {p: o for p, o in store.order.items() if p not in orders}
    return replace(agent, store=_with(store, profiles, {**others, **before.order}))


def _with_stats(profile: Profile, state: AuthState) -> Profile:
    stats = state.stats.get(profile.id)
    return profile if stats is None or stats == profile.stats else replace(profile, stats=stats)


def _with(store: AuthStore, profiles: tuple[Profile, ...], order: Mapping[str, tuple[str, ...]]) -> AuthStore:
    return replace(store, profiles=profiles, order=order)


def _with_way(pending: Pending, view: Snapshot, now: int) -> Pending:
    """What makes the gateway load it: with no usable profile left, it writes nothing by itself."""
    remote = view.semantics.remote
    out = all_out(view, pending.agent, now)
    return replace(
        pending,
        loads=loads(pending.changes, remote, all_out=out),
        by_itself=remote.rereads_on_write and not (out and remote.silent_when_out),
        reload=reload_loads(remote),
    )


def all_out(view: Snapshot, owner: str, now: int) -> bool:
    """Whether no profile of an owner's store can be used now, in the state as the gateway knows it."""
    found = [
        _usable(profile, view, agent, now)
        for agent in view.agents
        if agent.store is not None
        for profile in agent.store.profiles
        if profile.owner_agent == owner
    ]
    return bool(found) and not any(found)


def _usable(profile: Profile, view: Snapshot, agent: AgentInfo, now: int) -> bool:
    return is_usable(profile, agent.models, now, schedule_of(view, profile.provider))


# --- changes that are not in the
# journal--------------------------------------------------------------------------------------

REFUSAL_COUNTS_MS = 10 * 60_000


def _refusals(view: Snapshot, now: int) -> Iterator[Pending]:
    """Providers that the gateway just rejected from memory, although the store has no window."""
    last: dict[str, Event] = {}
    read_at = _read_all_at(view)
    for event in _refusing(view.events):
        provider = event.data.get("provider")
        if isinstance(provider, str) and event.at >= read_at and now - event.at <= REFUSAL_COUNTS_MS:
            last[provider] = event
    for provider, event in last.items():
        model = event.data.get("model")
        owners: dict[str, list[str]] = {}
        for agent in view.agents:
            for profile in agent.store.profiles if agent.store is not None else ():
                if profile.provider == provider:
                    owners.setdefault(profile.owner_agent, []).append(profile.id)
        served = any(e.kind is EventKind.REPLY and e.provider == provider and e.at > event.at for e in view.events)
        if not owners or served or not _free_then_and_now(view, provider, model, event.at, now):
            continue
        owner, names = next(iter(owners.items()))
        yield Pending(
            "store",
            None,
            owner,
            tuple(dict.fromkeys(names)),
            (provider,),
            certain=True,
            why=f"the gateway refused {provider} ({event.reason}), and the store has no window for it",
            loads=loads((), view.semantics.remote, all_out=True),
            by_itself=False,
        )


def _free_then_and_now(view: Snapshot, provider: str, model: object, then: int, now: int) -> bool:
    schedule = schedule_of(view, provider)
    asked = model if isinstance(model, str) else None
    mine = [p for a in view.agents if a.store is not None for p in a.store.profiles if p.provider == provider]
    return any(
        profile_state(profile, then, schedule, asked)[0] is ProfileState.USABLE
        and profile_state(profile, now, schedule, asked)[0] is ProfileState.USABLE
        and (profile.stats.last_used or 0) <= then
        for profile in mine
    )
