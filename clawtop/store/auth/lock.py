"""The lock of one auth store, generations A and B: waited for fairly, held briefly, never taken from a live owner.

clawtop's processes wait in line and hand the lock on to each other (`clawtop.store.locks.line`); the first of them
polls it. OpenClaw waits by backing off from 100 ms to 10 s and, after ten repetitions, writes without the lock
(docs/formats.md 3): under use that would keep it out, whoever is first leaves the lock free for a part of the time
(`clawtop.core.locks.sharing`).
"""

from __future__ import annotations

import contextlib
import math
import os
import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import replace
from typing import Generic, Self, TypeVar

from clawtop.clock import Clock
from clawtop.core.generations import storage_of
from clawtop.core.locks.sharing import SEEN, left_free_s
from clawtop.core.locks.staleness import created_at, owner_pid, proof_words
from clawtop.core.model import Generation, LockFile, LockKind, ProcessEvidence, Verdict, VerdictKind
from clawtop.errors import LockNotObtainedError, OperationFailedError
from clawtop.store.auth.machine import Machine
from clawtop.store.locks.line import LinePlace
from clawtop.store.locks.lockfile import read_lock
from clawtop.store.locks.openclaw import (
    BreakOutcome,
    Proposal,
    Published,
    break_stale,
    last_read,
    release,
    still_ours,
    timestamp,
)
from clawtop.store.locks.owners import judged, owner_of
from clawtop.text import safe, shown
from clawtop.values import dataclass

T = TypeVar("T")

MAX_HOLD_S = 5.0
"""2026.3.28 removes any lock that is 30 s old, so clawtop stops long before."""

PASS_BY_S = 1.0
"""A waiter that has been in line for this long asks for the lock anyway: the first in line may be stopped. While that
lasts, the same process does not wait for it a second time.
"""

_FIRST_POLL_S = 0.0003
_POLL_GROWTH = 1.5
_LONGEST_POLLS_S = ((3.0, 0.004), (math.inf, 0.02))
"""(having waited for less than, longest pause): first contention, then a holder that is stuck."""
_IN_LINE_S = 0.05
_IN_LINE_PAUSE_S = 0.001
_LOOK_EVERY_S = 0.25
_LONGEST_REST_S = 0.05
_SHORTEST_REST_S = 0.0003
"""How long the next one in line takes to wake up."""

_PROPOSAL_FRESH_S = 5.0


@dataclass(frozen=True, slots=True)
class LockHolder:
    """The holder of a lock, for people: `text` names pid, command, since when, and whether it is alive."""

    lock: LockFile
    verdict: Verdict
    text: str

    @property
    def pid(self) -> int | None:
        return owner_pid(self.lock)


@dataclass(frozen=True, slots=True)
class Hold:
    """clawtop's hold of the lock, as seen by the work under it.

    Attributes:
        waited_s: how long we waited for it.
        broke: the stale lock that had to be removed first, with its proof.
    """

    published: Published
    taken_at: float
    waited_s: float
    broke: LockHolder | None
    clock: Clock

    def check(self) -> None:
        """Raise OperationFailedError unless the lock is still held and young; called right before data is renamed."""
        try:
            ours = still_ours(self.published)
        except OSError as error:
            raise OperationFailedError(
                f"the lock {safe(self.published.path)} cannot be checked: {error.strerror}",
                unchanged="nothing was written",
            ) from error
        if not ours:
            raise OperationFailedError(
                f"the lock {safe(self.published.path)} was taken from clawtop", unchanged="nothing was written"
            )
        held = self.clock.monotonic() - self.taken_at
        if held > MAX_HOLD_S:
            raise OperationFailedError(
                f"the lock was held for {held:.1f} s, more than the {MAX_HOLD_S:.0f} s that are safe",
                unchanged="nothing was written",
                hint="the disk or this machine is too slow right now; try again",
            )


@dataclass(frozen=True, slots=True)
class Done(Generic[T]):
    """What the work under the lock returned."""

    value: T


@dataclass(frozen=True, slots=True)
class _Spare:
    """A lock ready to be published, and when it was made (monotonic)."""

    proposal: Proposal
    made_at: float


@dataclass(frozen=True, slots=True)
class _Use:
    """How this process has used one lock. All times are monotonic, in seconds.

    Attributes:
        since: when it began to, without a pause until `until`.
        rest_until: the lock is not taken again before this time.
        wanted_at: when another program was last seen holding it or waiting for it.
    """

    since: float = -math.inf
    until: float = -math.inf
    rest_until: float = -math.inf
    wanted_at: float | None = None


_NEVER = _Use()

_held: ContextVar[frozenset[str]] = ContextVar("clawtop_auth_locks", default=frozenset())
_uses: dict[str, _Use] = {}  # by the lock's path; under _uses_guard
_uses_guard = threading.Lock()


class AuthStoreLock:
    """`<agent directory>/auth-profiles.json.lock`, which covers auth-profiles.json and auth-state.json alike.

    Use `run(work)`, or an `LockWait` a step at a time. Not re-entrant: taking it again
    inside the work of the same task or thread raises RuntimeError instead of waiting for itself. A `with` block around
    several runs reuses the prepared lock from one to the next.
    """

    def __init__(
        self,
        directory: str,
        generation: Generation | None,
        machine: Machine,
        *,
        on_wait: Callable[[LockHolder], None] = lambda _: None,
    ) -> None:
        """`directory` is the agent's directory; `on_wait` is called about every two seconds with the lock's holder."""
        self.path = os.path.join(os.path.realpath(directory), "auth-profiles.json.lock")  # noqa: PTH118 - text stays exact
        self.storage = storage_of(generation)
        self.machine = machine
        self.on_wait = on_wait
        self._keeps = False
        self._spare: _Spare | None = None  # swapped atomically; the taker owns it

    def __enter__(self) -> Self:
        self._keeps = True
        return self

    def __exit__(self, *_: object) -> None:
        self._keeps = False
        self.keep(self.spare())

    def spare(self) -> _Spare | None:
        """A lock that an earlier run prepared, if it kept one."""
        spare, self._spare = self._spare, None
        return spare

    def keep(self, prepared: _Spare | None) -> None:
        """Keep it for the next run, or remove it."""
        if prepared is not None and self._keeps and self._spare is None:
            self._spare = prepared
        elif prepared is not None:
            prepared.proposal.withdraw()

    def run(self, work: Callable[[Hold], T], *, wait: float) -> T:
        """Take the lock, waiting for at most `wait` seconds, and return what `work` returns under it.

        Raises:
            LockNotObtainedError: it stayed taken; `holder` says by whom.
            OSError: the directory is missing, read-only, full or another user's.
        """
        with self.entered():
            attempt = LockWait(self, work, wait)
            try:
                while not isinstance(result := attempt.once(), Done):
                    self.machine.clock.pause(result)
            finally:
                attempt.give_up()
            return result.value

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Marks this task or thread as one that is taking the lock."""
        if self.path in _held.get():
            raise RuntimeError(f"{safe(self.path)} is already being acquired by this task")
        token = _held.set(_held.get() | {self.path})
        try:
            yield
        finally:
            _held.reset(token)

    def look(self) -> LockHolder | None:
        """The lock's current holder, with clawtop's verdict; None if it is free."""
        found = read_lock(self.path, LockKind.AUTH)
        return None if found is None else self._judge(found)

    def _judge(self, found: LockFile) -> LockHolder:
        machine = self.machine
        owner = owner_of(found, machine.processes)
        said = judged(found, owner, machine.processes, machine.clock.now_ms(), machine.environment)
        return LockHolder(found, said, describe(found, owner, said, machine.clock.now_ms()))

    def remove_stale(self, holder: LockHolder) -> BreakOutcome:
        """Remove the lock if it is still the one that was judged and its owner is still proven dead."""
        return break_stale(self.path, holder.lock, lambda found: self._judge(found).verdict).outcome


class LockWait(Generic[T]):
    """One wait for the lock, a step at a time, so that threads and tasks can each pause in their own way.

    A step that gets the lock also does the work and releases it: the caller may stop between any two of them and
    leaves nothing behind.
    """

    def __init__(self, lock: AuthStoreLock, work: Callable[[Hold], T], wait: float) -> None:
        self._lock = lock
        self._clock = lock.machine.clock
        self._work = work
        self._began = self._clock.monotonic()
        self._deadline = self._began + wait
        self._place = LinePlace(os.path.dirname(lock.path))  # noqa: PTH120 - text stays exact
        self._first_since: float | None = None
        self._pause = _FIRST_POLL_S
        self._look_at = self._began + _LOOK_EVERY_S
        self._tell_at = self._began + _LOOK_EVERY_S
        self._seen: LockHolder | None = None
        self._broke: LockHolder | None = None
        self._prepared = lock.spare()

    def once(self) -> Done[T] | float:
        """Try once. Seconds to pause before the next try, or what the work returned.

        Raises LockNotObtainedError when the time is up, and whatever the work raises.
        """
        now = self._clock.monotonic()
        use = self._use()
        if use.rest_until > now and now < self._deadline + _LONGEST_REST_S:  # others may extend the rest repeatedly
            return use.rest_until - now
        proposal = self._fresh_proposal(now)
        first = self._is_first(now)
        now = self._clock.monotonic()
        if not first and now < min(self._deadline, min(self._began, self._place.waits_since) + PASS_BY_S):
            self._look_now_and_then(now)
            return _IN_LINE_PAUSE_S
        free = self._left_free_s(now)
        if free > 0 and now < self._deadline:
            self._pause = _FIRST_POLL_S
            return min(max(free, _FIRST_POLL_S), self._deadline - now)
        published = None if os.path.lexists(self._lock.path) else proposal.publish(keep=True)
        if published is None:
            return self._contended(now, first=first)
        return self._under_lock(published)

    def give_up(self) -> None:
        """Leave the line and discard what was prepared; to be called at the end, however it ends."""
        self._place.leave()
        self._lock.keep(self._prepared)
        self._prepared = None

    def _is_first(self, now: float) -> bool:
        """Whether we are first among clawtop's processes; waits a moment for that."""
        first = self._place.reached(self._clock, max(0.0, min(_IN_LINE_S, self._deadline - now)))
        if first and self._first_since is None:
            self._first_since = self._clock.monotonic()
        return first

    def _use(self) -> _Use:
        with _uses_guard:
            return _uses.get(self._lock.path, _NEVER)

    def _left_free_s(self, now: float) -> float:
        use = self._use()
        return left_free_s(now, wanted_at=use.wanted_at, pressing_since=self._pressing_since(use))

    def _pressing_since(self, use: _Use) -> float | None:
        """Since when clawtop's processes have used the lock without a pause, as far as this one knows."""
        if self._began - use.until < SEEN.cycle_s:
            return use.since
        return self._began if self._place.queued else None

    def _under_lock(self, published: Published) -> Done[T]:
        taken_at = self._clock.monotonic()
        read_at = last_read(published)
        try:
            return Done(self._work(Hold(published, taken_at, taken_at - self._began, self._broke, self._clock)))
        finally:
            wanted = last_read(published) != read_at
            release(published)
            self._place.leave()
            self._used(taken_at, self._clock.monotonic(), wanted=wanted)

    def _used(self, taken_at: float, now: float, *, wanted: bool) -> None:
        """Record this use of the lock. Without a line, the lock is left free for as long as it was held: the others
        poll and would hardly ever find it free.
        """
        held = 0.0 if self._place.ordered else min(now - taken_at, _LONGEST_REST_S)
        with _uses_guard:
            use = _uses.get(self._lock.path, _NEVER)
            since = self._pressing_since(use)
            _uses[self._lock.path] = _Use(
                since=self._began if since is None else since,
                until=now,
                rest_until=now + max(held, _SHORTEST_REST_S),
                wanted_at=now if wanted else use.wanted_at,
            )

    def _fresh_proposal(self, now: float) -> Proposal:
        """The lock to publish; made again once its `createdAt` is out of date. It is flushed to disk before the lock
        is free, so that a slow flush costs no one their turn.
        """
        if self._prepared is not None and now - self._prepared.made_at <= _PROPOSAL_FRESH_S:
            return self._prepared.proposal
        if self._prepared is not None:
            self._prepared.proposal.withdraw()
            self._prepared = None
        payload = {"pid": os.getpid(), "createdAt": timestamp(self._clock.now_ms())}
        proposal = Proposal(self._lock.path, payload, newline=self._lock.storage.lock_newline)
        self._prepared = _Spare(proposal, now)
        return proposal

    def _contended(self, now: float, *, first: bool) -> float:
        if now >= self._deadline:
            self._fail()
        if first and self._place.ordered:  # we are first among clawtop's processes, so another program holds it
            with _uses_guard:
                _uses[self._lock.path] = replace(_uses.get(self._lock.path, _NEVER), wanted_at=now)
        self._look_now_and_then(now)
        pause = self._pause * (0.5 + self._lock.machine.jitter())
        waited = now - (self._began if self._first_since is None else self._first_since)
        self._pause = min(
            self._pause * _POLL_GROWTH, next(longest for until, longest in _LONGEST_POLLS_S if waited < until)
        )
        return min(pause, max(self._deadline - now, 0.0))

    def _look_now_and_then(self, now: float) -> None:
        if now >= self._look_at:
            self._look_at = now + _LOOK_EVERY_S
            self._look(now)

    def _look(self, now: float) -> None:
        """Judge the holder; remove its lock if the same one is proven stale in two consecutive checks."""
        before, self._seen = self._seen, self._lock.look()
        if self._seen is None:
            return
        if self._seen.verdict.kind is VerdictKind.STALE:
            if before is not None and before.lock.identity == self._seen.lock.identity:
                if self._lock.remove_stale(self._seen) is BreakOutcome.REMOVED:
                    self._broke = self._seen
                self._seen = None
        elif now >= self._tell_at:
            self._tell_at = now + 2.0
            self._lock.on_wait(self._seen)

    def _fail(self) -> None:
        holder = self._lock.look() or self._seen
        waited = self._clock.monotonic() - self._began
        text = holder.text if holder else "several holders in turn"
        raise LockNotObtainedError(
            f"the auth store's lock was not free within {waited:.1f} s: it is held by {text}",
            holder=text,
            hint=_hint(holder, self._lock.path),
            unchanged="nothing was written",
        )


def describe(found: LockFile, owner: ProcessEvidence | None, said: Verdict, now: int) -> str:
    """Who holds this lock, on one safe line: pid, command, since when, and whether it is alive."""
    pid = owner_pid(found)
    if pid is None:
        return f"a file without an owner ({found.content_problem or 'it names no pid'})"
    command = shown(" ".join(owner.argv), 60) if owner and owner.argv else "command not visible"
    taken = created_at(found) or found.mtime
    return f"pid {pid} ({command}), for {max(0, now - taken) / 1000:.0f} s, {_life(said)}"


def _life(said: Verdict) -> str:
    reasons = proof_words(said.reasons)
    return {
        VerdictKind.HELD: "alive",
        VerdictKind.STALE: f"proven dead ({reasons})",
        VerdictKind.UNKNOWN: f"whether it is alive cannot be known here ({reasons})",
    }[said.kind]


def _hint(holder: LockHolder | None, path: str) -> str:
    if holder is None or holder.verdict.kind is VerdictKind.HELD:
        return "try again, or wait longer with --wait"
    if holder.verdict.kind is VerdictKind.STALE:
        return "its owner is dead: try again with --wait 1 or more, or use clawtop unlock"
    return f"check {safe(path)} and its owner first; clawtop removes a lock only on proof"
