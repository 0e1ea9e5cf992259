"""What a plan acts on: the one store that owns what was named, or the one lock; refused if there is none or several."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from clawtop.core.model import (
    AGENTS_UNREAD,
    BLOCKED,
    EMPTY_KEY,
    NOT_IMPORTED,
    OTHER_OWNER,
    SHARED,
    AgentInfo,
    AuthPart,
    AuthStore,
    Lock,
    Profile,
    Snapshot,
    of_agents,
)
from clawtop.core.model.problem import said_of_it
from clawtop.core.nearest import did_you_mean
from clawtop.core.operations.edit import AuthState
from clawtop.core.session.key import agent_of
from clawtop.errors import RefusedError
from clawtop.text import safe, shown
from clawtop.values import dataclass

UNTOUCHED = "nothing was changed"


@dataclass(frozen=True, slots=True)
class AgentView:
    """What one agent sees of the wanted profiles."""

    agent: AgentInfo
    store: AuthStore
    profiles: tuple[Profile, ...]


@dataclass(frozen=True, slots=True)
class Owned:
    """The wanted profiles of one store, with the agents that see them.

    Attributes:
        owner: an agent's id, or `SHARED`.
        profiles: those that were asked for.
        views: the views of these agents, the ones that the operator means.
        part: the owner's place.
    """

    owner: str
    profiles: tuple[Profile, ...]
    views: tuple[AgentView, ...]
    part: AuthPart

    @property
    def entries(self) -> tuple[tuple[AuthPart, tuple[str, ...]], ...]:
        """Places with the profiles whose entries there count: agents' own places first, then the owner's.

        An agent's own entry hides an inherited one as a whole; without one, the inherited entry of the same id also
        counts for the agent's own account.
        """
        found: dict[str, tuple[AuthPart, list[str]]] = {}
        for view in self.views:
            own, *inherited = view.store.parts or (self.part,)
            for profile in view.profiles:
                mine = profile.owner_agent == own.owner
                places = [own] if profile.id in own.stats else inherited[:1]
                if not mine:
                    places += inherited[:1]
                for place in places:
                    ids = found.setdefault(place.owner, (place, []))[1]
                    if profile.id not in ids:
                        ids.append(profile.id)
        found.setdefault(self.owner, (self.part, []))
        ranked = sorted(found.values(), key=lambda entry: entry[0].owner == self.owner)
        return tuple((place, tuple(ids)) for place, ids in ranked)


def profiles_named(snapshot: Snapshot, profile_id: str, agent: str | None) -> Owned:
    """The store that owns the profile with this id. Raises RefusedError."""
    what, near = f"profile {safe(profile_id)}", lambda profile: profile.id
    return _owned(snapshot, lambda profile: profile.id == profile_id, what, agent, (profile_id, near))


def profiles_of(snapshot: Snapshot, provider: str, agent: str | None) -> Owned:
    """The store that owns the profiles of this provider. Raises RefusedError."""
    same = same_provider(snapshot, provider)
    what, near = f"profile of {safe(provider)}", lambda profile: profile.provider
    return _owned(snapshot, lambda profile: same(profile.provider), what, agent, (provider, near))


def _owned(
    snapshot: Snapshot,
    wanted: Callable[[Profile], bool],
    what: str,
    agent: str | None,
    meant: tuple[str, Callable[[Profile], str]],
) -> Owned:
    """The one store that owns the wanted profiles; RefusedError if there is none, or several. `meant`: the word
    that was given, and what it is compared with.
    """
    refuse_unwritable(snapshot)
    found = _views(snapshot, None if agent == SHARED else agent, wanted)
    owners = {profile.owner_agent for view in found for profile in view.profiles}
    if agent is not None and agent in owners:
        owners = {agent}
    if not owners:
        word, name_of = meant
        known = {name_of(profile) for view in _views(snapshot, None, lambda _: True) for profile in view.profiles}
        near = "" if word in known else did_you_mean(word, known)
        refuse_unread(snapshot, what, UNTOUCHED)
        raise RefusedError(f"there is no {what} here{near}", unchanged=UNTOUCHED)
    if len(owners) > 1:
        raise RefusedError(
            f"{what} is in {' and in '.join(store_name(owner) for owner in sorted(owners))}",
            unchanged=UNTOUCHED,
            hint="name one with --agent",
        )
    owner = owners.pop()
    views = tuple(
        replace(view, profiles=profiles)
        for view in found
        if (profiles := tuple(profile for profile in view.profiles if profile.owner_agent == owner))
    )
    seen = {profile.id: profile for view in reversed(views) for profile in view.profiles}
    return Owned(owner, tuple(seen.values()), views, part_of(snapshot, owner))


def refuse_unread(snapshot: Snapshot, what: str, unchanged: str) -> None:
    """If a store could not be read or was never imported, its content is unknown. RefusedError names it."""
    stores = (agent.store for agent in snapshot.agents)
    unread = next((store.problem for store in stores if store is not None and store.problem is not None), None)
    if unread is not None:
        why = f"{safe(unread.where)} {shown(unread.text)}"
        raise RefusedError(f"there is no {what} in what could be read: {why}", unchanged=unchanged)
    unseen = _unseen_agents(snapshot)
    if unseen is not None:
        raise RefusedError(f"there is no {what} to be seen: {unseen}", unchanged=unchanged)
    waits = next((problem for problem in snapshot.warnings if problem.code in {EMPTY_KEY, NOT_IMPORTED}), None)
    if waits is not None:
        raise RefusedError(
            f"there is no {what} in use here: {safe(waits.where)} was never imported",
            unchanged=unchanged,
            hint="openclaw doctor --fix",
        )


def _views(snapshot: Snapshot, agent: str | None, wanted: Callable[[Profile], bool]) -> list[AgentView]:
    agents = [info for info in snapshot.agents if agent in {None, info.id}]
    if not agents:
        near = did_you_mean(agent or "", [info.id for info in snapshot.agents])
        raise RefusedError(f"there is no agent {safe(agent or '')}{near}", unchanged=UNTOUCHED)
    return [
        AgentView(info, info.store, tuple(filter(wanted, info.store.profiles)))
        for info in agents
        if info.store is not None
    ]


def part_of(snapshot: Snapshot, owner: str) -> AuthPart:
    """What one owner's place itself contains; the owner's view lists it first. RefusedError if it cannot be changed."""
    refuse_unwritable(snapshot)
    stores = sorted((info for info in snapshot.agents if info.store is not None), key=lambda info: info.id != owner)
    for info in stores:
        store = info.store
        assert store is not None  # noqa: S101 - filtered above
        part = next((part for part in store.parts if part.owner == owner), None)
        if part is None:
            continue
        if store.problem is not None:
            where = safe(store.problem.where or store.path, 300)
            raise RefusedError(f"{where} cannot be read: {said_of_it(store.problem.text)}", unchanged=UNTOUCHED)
        if part.why_not_writable:
            raise RefusedError(f"{safe(part.file)} cannot be written: {part.why_not_writable}", unchanged=UNTOUCHED)
        return part
    raise RefusedError(f"{store_name(owner)} has no profiles of its own", unchanged=UNTOUCHED)


def state_of(part: AuthPart) -> AuthState:
    """A place's own entries as the state that a change of it starts from."""
    return AuthState(part.stats, part.order, {}, part.profiles | part.stats.keys())


def store_name(owner: str) -> str:
    """A store's owner, in words."""
    return "the shared store" if owner == SHARED else f"the store of agent {safe(owner)}"


def refuse_other_times(snapshot: Snapshot) -> None:
    """Raise RefusedError where the state is judged as of another time."""
    if snapshot.judged_at is not None:
        raise RefusedError("the state is viewed as of another time (--at), so nothing can be changed")


def refuse_unwritable(snapshot: Snapshot) -> None:
    """Raise RefusedError where no auth store can be written: wrong time, wrong or unknown generation."""
    refuse_other_times(snapshot)
    why_not = why_not_writable(snapshot)
    if why_not is not None:
        raise RefusedError(why_not, unchanged=UNTOUCHED)


def _unseen_agents(snapshot: Snapshot) -> str | None:
    """Why agents of the state directory, or their files, are not seen, if something else is in their place."""
    codes = {AGENTS_UNREAD, BLOCKED}
    return next((f"{safe(p.where)} {shown(p.text)}" for p in snapshot.warnings if p.code in codes), None)


def unread_sessions(snapshot: Snapshot, agent: str | None) -> str | None:
    """Why the sessions of an agent (None: of any) are not all known, with the name of the place."""
    unread = snapshot.sessions_unread if agent is None else of_agents(snapshot.sessions_unread, {agent})
    return _unseen_agents(snapshot) or next((f"{safe(p.where)} {shown(p.text)}" for p in unread), None)


def of_another_user(snapshot: Snapshot) -> str:
    """What to add where something is missing: the file of another user in which it may be missing; empty if all files
    of the state are its owner's.
    """
    return next((f"; {safe(p.where)} {shown(p.text)}" for p in snapshot.warnings if p.code == OTHER_OWNER), "")


def why_not_writable(snapshot: Snapshot) -> str | None:
    """Why no auth store of this state directory may be written; None where one may."""
    if not snapshot.storage.auth_writable:
        return _unseen_agents(snapshot) or "the OpenClaw generation of this state directory is not known"
    parts = [part for agent in snapshot.agents if agent.store is not None for part in agent.store.parts]
    reasons = [part.why_not_writable for part in parts]
    return f"no auth store here can be written: {safe(reasons[0])}" if reasons and all(reasons) else None


def same_provider(snapshot: Snapshot, provider: str) -> Callable[[str], bool]:
    """A check whether a name means this provider, as this OpenClaw version spells them."""
    names = snapshot.semantics.cooling.names
    return lambda other: names.key(other) == names.key(provider)


NO_NAMES: Mapping[str, str] = {}


def names_of(snapshot: Snapshot, lock: Lock, shown_as: Mapping[str, str] = NO_NAMES) -> tuple[str, ...]:
    """What a lock can be named by, its path first: that of its file, both without their directories, its name on
    screen, and the key and id of its session.
    """
    path = lock.file.path
    guarded = without_lock(path)
    bare = (each.rpartition("/")[2] for each in (path, guarded))
    keys = (session.key for session in snapshot.sessions if session.file == guarded)
    ids = (session.session_id for session in snapshot.sessions if session.file == guarded)
    names = (path, guarded, *bare, shown_as.get(path), *keys, *ids, lock.file.session_id)
    return tuple(dict.fromkeys(name for name in names if name))


def find_lock(snapshot: Snapshot, target: str, agent: str | None, shown_as: Mapping[str, str] = NO_NAMES) -> Lock:
    """The one lock with this name. `shown_as`: path of a lock -> its name on screen. RefusedError if there is none, or
    several.
    """
    names = {lock.file.path: names_of(snapshot, lock, shown_as) for lock in snapshot.locks}
    by_path = [lock for lock in snapshot.locks if target in names[lock.file.path][:2]]
    found = by_path or [lock for lock in snapshot.locks if target in names[lock.file.path]]
    found = [lock for lock in found if agent in {None, lock.file.agent}]
    if not found:
        known = any(target in {session.key, session.session_id} for session in snapshot.sessions)
        near = did_you_mean(target, [name for each in names.values() for name in each])
        absent = f"there is no lock of {safe(target)}{near}{of_another_user(snapshot)}"
        why = f"{safe(target)} has no lock" if known else absent
        if not known and (unread := unread_sessions(snapshot, agent_of(target))) is not None:
            why = f"whether {safe(target)} has a lock is not known: {unread}"
        raise RefusedError(why, unchanged=UNTOUCHED, hint="clawtop status lists the locks")
    if len(found) > 1:
        raise RefusedError(
            f"{safe(target)} has several locks: {', '.join(safe(lock.file.path) for lock in found[:5])}",
            unchanged=UNTOUCHED,
            hint="name one by its path",
        )
    return found[0]


def without_lock(path: str) -> str:
    """The file that a lock guards."""
    return path.removesuffix(".lock")
