"""What an auth storage must offer: where an agent's entries are, how they are read, and how they are changed.

A storage is an `AuthBackend`, made for one located state directory. It knows *places*: an agent's own entries, and what
agents inherit from (the main agent's entries, or one shared row). Code that reads, plans, writes or verifies works
with places, which hide paths, lock files and transactions. `clawtop.store.auth.backends` chooses the storage.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import field, replace
from enum import StrEnum
from typing import Protocol

from clawtop.clock import Clock
from clawtop.core.model import AuthPart, AuthStore, Credential, Problem, Profile, UsageStats
from clawtop.core.operations.edit import AuthState, Edit
from clawtop.core.provider_ids import INLINE_KEY
from clawtop.store.auth.machine import LockOwner, Machine
from clawtop.store.place.layout import AgentPaths
from clawtop.values import dataclass

Change = Edit
OnWait = Callable[[LockOwner], None]


@dataclass(frozen=True, slots=True)
class OwnAuth:
    """The content of one place, before inheritance.

    Attributes:
        owner: whose it is: an agent's id, or `clawtop.core.model.SHARED`.
        file: what a change of it is written to.
        profiles: rows in stored order; a nonsensical entry is a row with its problem.
        stats: including those of profiles that the agent only inherits.
        problem: why it cannot be used; everything else is then empty.
        takes_orders: whether OpenClaw keeps orders here.
        why_not_writable: why it can be read and must not be written; empty where it may be.
        warnings: what is odd, but readable.
        stamps: show whether a reading is current: the same stamps mean the same content.
        digest: of the content, where stamps change without it: a database's do with every commit.
    """

    owner: str
    path: str
    file: str = ""
    profiles: tuple[Profile, ...] = ()
    stats: Mapping[str, tuple[UsageStats, tuple[Problem, ...]]] = field(default_factory=dict)
    order: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    last_good: Mapping[str, str] = field(default_factory=dict)
    problem: Problem | None = None
    takes_orders: bool = True
    why_not_writable: str = ""
    warnings: tuple[Problem, ...] = ()
    stamps: Hashable = None
    digest: str | None = None

    @property
    def part(self) -> AuthPart:
        """The same as a part of a snapshot."""
        return AuthPart(
            self.owner,
            self.file,
            frozenset(profile.id for profile in self.profiles),
            {name: found[0] for name, found in self.stats.items()},
            self.order,
            self.takes_orders,
            self.why_not_writable,
        )


class Landing(StrEnum):
    """LANDED: the change is there, or something newer. LOST: the old values are back. GONE: there is no store."""

    LANDED = "landed"
    LOST = "lost"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Updated:
    """What an update did.

    Attributes:
        path: the file that was written (symlinks followed).
        before, after: the content before and after. Equal: nothing was written.
        at: when, ms since the epoch.
        waited_s, held_s: for the store's lock, and with it.
        lock_how: how the lock was made.
        broke: a stale lock that had to be removed first, with its proof; for people.
        landing: what the store contained when it was read again after the release.
        tries: 2 where the first version was lost and written again.
        danger: which process may write the old values back, if one uses the same store under another lock.
    """

    path: str
    before: AuthState
    after: AuthState
    at: int
    waited_s: float
    held_s: float
    lock_how: str
    broke: str | None
    landing: Landing = Landing.LANDED
    tries: int = 1
    danger: str | None = None

    @property
    def changed(self) -> bool:
        return self.before != self.after


class PlaceUpdate(Protocol):
    """One change of one place, made a step at a time, so that threads and tasks can each pause in their own way.

    A step that gets the store's lock also makes the change and releases it: the caller may stop between any two steps
    and leaves nothing behind. Call `begin` first and `end` last, however it ends.
    """

    def begin(self, wait: float) -> None:
        """Start waiting, for at most `wait` seconds. Raises RuntimeError if this task is already updating it."""

    def once(self) -> Updated | float:
        """Try once. Returns what was done, or seconds to pause before the next try.

        Raises:
            LockNotObtainedError: the time is up. RefusedError, OperationFailedError: it cannot be done.
        """

    def end(self) -> None:
        """Discard what was prepared."""

    def look_back(self, updated: Updated) -> Landing:
        """Read again, without the lock: whether the change is there, or something newer than both versions."""


class AuthPlace(Protocol):
    """A place where entries are stored together: an agent's own, or those that agents inherit."""

    @property
    def owner(self) -> str:
        """An agent's id, or `clawtop.core.model.SHARED`."""

    @property
    def file(self) -> str:
        """What a change is written to."""

    @property
    def publishes(self) -> bool:
        """Whether a gateway that writes this place uses all of its content from then on (2026.5.18 and later do)."""

    def stamps(self) -> Hashable:
        """Stamps that show whether a reading is current: the same stamps mean the same content."""

    def read(self, clock: Clock) -> OwnAuth:
        """The content. Never raises for bad content: `OwnAuth.problem` says what is wrong."""

    def check_writable(self, machine: Machine) -> None:
        """Raise RefusedError with the reason if clawtop may not write it. Changes nothing."""

    def change(self, change: Change, machine: Machine, on_wait: OnWait, on_written: OnWritten) -> PlaceUpdate:
        """An update that is ready to begin. Raises RefusedError, as `check_writable`.

        `on_wait` is told from time to time who has the lock; `on_written` is called under the lock, in the thread that
        drives the steps, as soon as the change is on the disk.
        """

    def in_force(self) -> AuthState:
        """The content as values. Raises RefusedError (bad content) or OperationFailedError (gone)."""

    def is_there(self) -> bool:
        """Whether there is a store at all."""

    def revision(self) -> Hashable:
        """Changes with every write to this place by any process; None if there is no store."""


OnWritten = Callable[[Updated], None]


class AuthBackend(Protocol):
    """The auth storage of one located state directory."""

    def places_of(self, agent: AgentPaths) -> tuple[AuthPlace, ...]:
        """The places of an agent's store: its own first, then the one it inherits from, if different."""

    def place(self, owner: str) -> AuthPlace | None:
        """The place of an owner, None if there is no such owner."""

    def warnings(self) -> tuple[Problem, ...]:
        """What is odd about the storage as a whole (an import that was never finished)."""


def seen_by(agent: str, own: OwnAuth, *inherited: OwnAuth) -> AuthStore:
    """The store as an agent sees it: its own entries over those it inherits, each entry as a whole."""
    base = inherited[0] if inherited else OwnAuth("", "")
    rows = {profile.id: profile for profile in (*base.profiles, *own.profiles)}
    for place in (base, own):
        rows.update((name, _inline(name, place)) for name in place.stats if name.startswith(INLINE_KEY))
    order = {**base.order, **own.order}
    return AuthStore(
        agent=agent,
        path=own.path,
        profiles=tuple(_with_stats(row, own, base) for row in rows.values()),
        order=order,
        order_owner={provider: own.owner if provider in own.order else base.owner for provider in order},
        last_good={**base.last_good, **own.last_good},
        problem=own.problem or base.problem,
        parts=tuple(place.part for place in (own, *inherited)),
        fingerprint=repr(tuple(place.digest or place.stamps for place in (own, *inherited))),
    )


def _inline(name: str, place: OwnAuth) -> Profile:
    """A row for statistics of a key that openclaw.json itself holds."""
    return Profile(name, name.removeprefix(INLINE_KEY), Credential("api_key"), place.owner, place.path)


def _with_stats(row: Profile, own: OwnAuth, base: OwnAuth) -> Profile:
    place = own if row.id in own.stats else base
    found = place.stats.get(row.id)
    if found is None:
        return row
    return replace(row, stats=found[0], stats_owner=place.owner, problems=(*row.problems, *found[1]))


def lost_or_landed(updated: Updated, now: AuthState) -> Landing:
    """LOST where a value that the update changed is what it was before."""
    pairs = (
        (updated.before.stats, updated.after.stats, now.stats),
        (updated.before.order, updated.after.order, now.order),
        (updated.before.last_good, updated.after.last_good, now.last_good),
    )
    lost = any(
        before.get(key) != after.get(key) and current.get(key) == before.get(key)
        for before, after, current in pairs
        for key in {**before, **after}
    )
    return Landing.LOST if lost else Landing.LANDED
