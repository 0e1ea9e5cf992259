"""The lock of one auth store, generations A and B: waited for fairly, held briefly, never taken from a live owner.

OpenClaw waits by backing off from 100 ms to 10 s and, after ten tries, writes without the lock (docs/formats.md 3). So
clawtop polls at growing intervals, which leaves the lock free part of the time however many processes wait, and a
process that has just released it pauses for as long as it held it. A process that has waited for a while polls more
often again, which bounds the longest wait.
"""

from __future__ import annotations

import contextlib
import math
import os
import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Generic, Self, TypeVar

from clawtop.clock import Clock
from clawtop.core.generations import storage_of
from clawtop.core.locks.staleness import created_at, owner_pid, proof_words
from clawtop.core.model import Generation, LockFile, LockKind, ProcessEvidence, Verdict, VerdictKind
from clawtop.errors import LockNotObtainedError, OperationFailedError
from clawtop.store.auth.machine import Machine
from clawtop.store.locks.lockfile import read_lock
from clawtop.store.locks.openclaw import BreakOutcome, Proposal, Published, break_stale, release, still_ours, timestamp
from clawtop.store.locks.owners import judged, owner_of
from clawtop.text import safe, shown
from clawtop.values import dataclass

T = TypeVar("T")

MAX_HOLD_S = 5.0
"""2026.3.28 removes any lock that is 30 s old, so clawtop stops long before."""

_FIRST_POLL_S = 0.0003
_POLL_GROWTH = 1.5
_LONGEST_POLLS_S = ((0.5, 0.016), (3.0, 0.004), (math.inf, 0.02))
"""(having waited for less than, longest pause): first contention, then bad luck, then a holder that is stuck."""
_LOOK_EVERY_S = 0.25
_LONGEST_REST_S = 0.05
_SHORTEST_REST_S = 0.0002
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


_held: ContextVar[frozenset[str]] = ContextVar("clawtop_auth_locks", default=frozenset())
_rest_until: dict[str, float] = {}  # lock path -> monotonic time before which it is not taken again; under _rest_guard
_rest_guard = threading.Lock()


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
        with _rest_guard:
            rest = _rest_until.get(self._lock.path, now) - now
        if rest > 0 and now < self._deadline + _LONGEST_REST_S:  # others here may make it rest again and again
            return rest
        proposal = self._fresh_proposal(now)
        published = None if os.path.lexists(self._lock.path) else proposal.publish(keep=True)
        if published is None:
            return self._contended(now)
        return self._under_lock(published)

    def give_up(self) -> None:
        """Discard what was prepared; to be called at the end, however it ends."""
        self._lock.keep(self._prepared)
        self._prepared = None

    def _under_lock(self, published: Published) -> Done[T]:
        taken_at = self._clock.monotonic()
        try:
            return Done(self._work(Hold(published, taken_at, taken_at - self._began, self._broke, self._clock)))
        finally:
            release(published)
            now = self._clock.monotonic()
            rest = min(max(now - taken_at, _SHORTEST_REST_S), _LONGEST_REST_S)
            with _rest_guard:
                _rest_until[self._lock.path] = now + rest

    def _fresh_proposal(self, now: float) -> Proposal:
        """The lock to publish; made again once its `createdAt` is out of date. It is flushed to disk before the lock
        is free, so that a slow flush costs nobody their turn.
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

    def _contended(self, now: float) -> float:
        if now >= self._deadline:
            self._fail()
        if now >= self._look_at:
            self._look_at = now + _LOOK_EVERY_S
            self._look(now)
        pause = self._pause * (0.5 + self._lock.machine.jitter())
        waited = now - self._began
        self._pause = min(
            self._pause * _POLL_GROWTH, next(longest for until, longest in _LONGEST_POLLS_S if waited < until)
        )
        return min(pause, max(self._deadline - now, 0.0))

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
            hint=_hint(holder),
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


def _hint(holder: LockHolder | None) -> str:
    if holder is None or holder.verdict.kind is VerdictKind.HELD:
        return "try again, or wait longer with --wait"
    if holder.verdict.kind is VerdictKind.STALE:
        return "its owner is dead: try again, or use clawtop unlock"
    return "check the lock file and its owner first; clawtop removes a lock only on proof"
