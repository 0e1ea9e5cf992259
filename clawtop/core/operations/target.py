"""What a plan acts on: the one store that owns what was named, or the one lock; refused where it is none or several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from clawtop.core.cooldown.schedules import schedule_for
from clawtop.core.model import AgentInfo, Generation, Lock, Profile, Snapshot
from clawtop.core.operations.edit import AuthState
from clawtop.errors import RefusedError
from clawtop.text import safe

UNTOUCHED = "nothing was changed"


@dataclass(frozen=True, slots=True)
class Owned:
    """One agent's own store, as the snapshot shows it."""

    agent: str
    file: str
    profiles: tuple[Profile, ...]
    state: AuthState


def owned_store(snapshot: Snapshot, wanted: Callable[[Profile], bool], what: str, agent: str | None) -> Owned:
    """The one store that owns the wanted profiles; RefusedError where there is none, or a choice."""
    refuse_unwritable(snapshot)
    views = _views(snapshot, agent)
    owners = {profile.owner_agent for view in views if view.store for profile in view.store.profiles if wanted(profile)}
    if agent is not None and agent in owners:
        owners = {agent}
    if not owners:
        raise RefusedError(f"there is no {what} here", unchanged=UNTOUCHED)
    if len(owners) > 1:
        raise RefusedError(
            f"{what}: the stores of agents {', '.join(safe(owner) for owner in sorted(owners))} hold one",
            unchanged=UNTOUCHED,
            hint="name one with --agent",
        )
    return store_of(snapshot, owners.pop())


def _views(snapshot: Snapshot, agent: str | None) -> Sequence[AgentInfo]:
    views = [view for view in snapshot.agents if agent in {None, view.id}]
    if not views:
        raise RefusedError(f"there is no agent {safe(agent or '')}", unchanged=UNTOUCHED)
    return views


def store_of(snapshot: Snapshot, owner: str) -> Owned:
    """The own part of an agent's store: its own view shows it best, another agent's view shows what that inherits."""
    refuse_unwritable(snapshot)
    views = sorted((view for view in snapshot.agents if view.store), key=lambda view: view.id != owner)
    for view in views:
        store = view.store
        assert store is not None  # noqa: S101 - filtered above
        profiles = tuple(profile for profile in store.profiles if profile.owner_agent == owner)
        if not profiles:
            continue
        if store.problem is not None:
            raise RefusedError(f"{safe(store.path)} cannot be read: {store.problem.text}", unchanged=UNTOUCHED)
        order = {key: ids for key, ids in store.order.items() if store.order_owner.get(key, owner) == owner}
        stats = {profile.id: profile.stats for profile in profiles}
        state = AuthState(stats, order, {}, frozenset(stats))
        directory, _, name = profiles[0].path.rpartition("/")
        name = "auth-state.json" if snapshot.generation is Generation.B else name
        return Owned(owner, f"{directory}/{name}", profiles, state)
    raise RefusedError(f"agent {safe(owner)} has no store with profiles of its own", unchanged=UNTOUCHED)


def refuse_other_times(snapshot: Snapshot) -> None:
    """Raise RefusedError where the state is judged as of another time."""
    if snapshot.judged_at is not None:
        raise RefusedError("the state is judged as of another time (--at), so nothing can be changed")


def refuse_unwritable(snapshot: Snapshot) -> None:
    """Raise RefusedError where no auth store can be written: wrong time, wrong or unknown generation."""
    refuse_other_times(snapshot)
    if snapshot.generation in {Generation.C, Generation.D}:
        raise RefusedError(
            f"generation {snapshot.generation} keeps auth profiles in SQLite, which clawtop does not write",
            unchanged=UNTOUCHED,
            hint="use OpenClaw's own commands",
        )
    if snapshot.generation is None:
        raise RefusedError("the generation of this state directory is not known", unchanged=UNTOUCHED)


def same_provider(snapshot: Snapshot, provider: str) -> Callable[[str], bool]:
    """A check whether a name means this provider, as this OpenClaw version spells them."""
    names = schedule_for(snapshot.openclaw_version or snapshot.generation).names
    return lambda other: names.key(other) == names.key(provider)


def find_lock(snapshot: Snapshot, target: str, agent: str | None) -> Lock:
    """The lock that a path, a session key, a session id or a session file names."""
    by_path = [lock for lock in snapshot.locks if target in {lock.file.path, without_lock(lock.file.path)}]
    named = {
        session.file for session in snapshot.sessions if target in {session.key, session.session_id} and session.file
    }
    found = by_path or [
        lock for lock in snapshot.locks if lock.file.session_id == target or without_lock(lock.file.path) in named
    ]
    found = [lock for lock in found if agent in {None, lock.file.agent}]
    if not found:
        raise RefusedError(
            f"there is no lock of {safe(target)}", unchanged=UNTOUCHED, hint="clawtop status shows locks"
        )
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
