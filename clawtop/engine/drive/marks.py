"""Marks in the background: what a run learned about a profile counts immediately and is written ("lands") when the
store is free.

No path of a run waits for a mark (threads 57281 and 342; docs/invariants.md 2). `note` returns at once; from then on
`overlay` shows the mark, and a task per store lands it under the store's lock. A failure is also written to the spool
by a separate thread, so that it outlives this process: for that a run waits a millisecond at most. The outcome
of each mark is reported as an event.

Mutable state: `_pending`, `changes`, `_landers` and `_hurry`, touched by the loop's own thread only.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

from clawtop.clock import Clock, settled_within
from clawtop.core.cooldown.marking import Mark, Merged, merge
from clawtop.core.cooldown.stats import Schedule, unusable_until
from clawtop.core.model import ENGINE, Event, EventKind, UsageStats
from clawtop.core.operations.edit import AuthState
from clawtop.errors import ClawtopError, LockNotObtainedError, OperationFailedError
from clawtop.store.auth.port import AuthPlace, Change
from clawtop.store.own.mark_spool import MarkSpool
from clawtop.store.own.spool_writer import SpooledMark, SpoolWriter
from clawtop.text import safe

Land = Callable[[AuthPlace, Change, float], Awaitable[object]]
"""Apply a change to a store under its lock, waiting for it up to this many seconds; raises like `update_store`."""

FIRST_WAIT_S = 0.25
"""A mark that waits longer than this for the lock is written to the spool."""
GATHER_S = 0.5
"""How long a success that only updates the time of the last use waits for others, to share one write of the store."""
NOTE_WAIT_S = 0.001
"""How long a run waits for its failure to be spooled, before it continues with the next profile."""
CLOSE_WAIT_S = 1.0
LATER_WAIT_S = 10.0
PAUSE_S = 0.5
"""Pause between two tries at a store that is contended or that the disk refused."""
DISK_TRIES = 5


@dataclass(eq=False, slots=True)
class _PendingMark:
    """A pending mark.

    Attributes:
        spooled: its spooling, once that has begun.
        told: whether its waiting was reported.
        landing: it is in the batch that is being landed now.
        routine: it may wait a while to be batched with others.
    """

    mark: Mark
    spooled: SpooledMark | None = None
    told: bool = False
    landing: bool = False
    routine: bool = False

    @property
    def replaceable(self) -> bool:
        """Whether a later success of the profile makes this one redundant."""
        return self.mark.success and not self.landing and self.spooled is None


class Marks:
    """The marks of one engine. Belongs to one event loop; `aclose` must be awaited at the end.

    Attributes:
        changes: rises whenever a mark becomes pending or stops being pending.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        schedule: Callable[[str], Schedule],
        land: Land,
        spool: MarkSpool,
        journal: Callable[[Event], None],
        targets: Callable[[str], AuthPlace | None],
        note_wait_s: float = NOTE_WAIT_S,
    ) -> None:
        """`schedule` gives a provider's cooldown rules, `targets` an agent's store (None: it no longer exists).

        `note_wait_s` bounds in real seconds how long `note` waits for the thread that writes to the spool.
        """
        self._clock = clock
        self._schedule = schedule
        self._land = land
        self._spool = spool
        self._writer = SpoolWriter(spool)
        self._journal = journal
        self._targets = targets
        self._note_wait_s = note_wait_s
        self._pending: dict[str, list[_PendingMark]] = {}
        self._landers: dict[str, asyncio.Task[None]] = {}
        self._hurry = asyncio.Event()
        self._closed = False
        self.changes = 0

    def expect(self) -> None:
        """A failure may follow: it is to reach the spool within a moment."""
        self._writer.start()

    def note(self, mark: Mark, *, routine: bool = False) -> None:
        """Queue `mark` for writing; `routine`: a success that clears nothing, which may wait for others.

        Never fails; waits for a moment at most (`NOTE_WAIT_S`), until a failure is written down.
        So the mark survives even if the process is killed right after a failure while another has the store's lock.
        """
        item = _PendingMark(mark, routine=routine and mark.success)
        self._enqueue(item)
        if not mark.success and not self._spooled(item, self._note_wait_s):
            self._clock.call_later(FIRST_WAIT_S, lambda: self._tell_unwritten(item))

    def pending(self, profile: str | None = None) -> tuple[Mark, ...]:
        """Marks that have not landed, oldest first; those of one profile if named."""
        found = [item.mark for items in self._pending.values() for item in items]
        return tuple(sorted((m for m in found if profile in (None, m.profile)), key=lambda mark: mark.at))

    @property
    def pending_count(self) -> int:
        """How many marks have not landed."""
        return sum(map(len, self._pending.values()))

    def overlay(self, agent: str, profile: str, stats: UsageStats) -> UsageStats:
        """`stats`, as read from the store of `agent`, with this engine's pending marks merged in.

        A mark may have landed between the reading and this call, so none is counted twice.
        """
        items = self._pending.get(agent, ())
        marks = [replace(item.mark, maybe_landed=True) for item in items if item.mark.profile == profile]
        return merge(stats, marks, self._schedule(marks[0].provider)).stats if marks else stats

    def adopt(self) -> int:
        """Take over the marks that dead clawtop processes left in the spool; returns how many there were."""
        count = 0
        for path, mark in self._spool.adopt():
            count += 1
            if mark is None:
                self._spool.drop(path)
                self._tell_text(EventKind.MARK_LOST, "a spooled mark could not be read", None, {"file": path.name})
            else:
                self._enqueue(_PendingMark(mark, spooled=self._writer.adopted(mark, path), told=True))
        return count

    async def drained(self) -> None:
        """Until nothing is pending any more."""
        while self._landers:
            self._hurry.set()
            await asyncio.wait(set(self._landers.values()))

    async def aclose(self, drain_s: float = 2.0) -> tuple[Mark, ...]:
        """Land what can be landed within `drain_s` seconds, spool the rest. Returns marks that were lost."""
        self._closed = True
        self._hurry.set()
        try:
            if self._landers:
                await settled_within(self._clock, drain_s, set(self._landers.values()))
        finally:
            left = [item for items in self._pending.values() for item in items]
            for item in left:
                self._spooled(item, 0.0)  # all are started before one is waited for
            lost = tuple(item.mark for item in left if not self._spooled(item, CLOSE_WAIT_S))
            for lander in (remaining := tuple(self._landers.values())):
                lander.cancel()
            for mark in lost:
                self._tell(EventKind.MARK_LOST, mark, "could be neither landed nor spooled")
        await asyncio.gather(*remaining, return_exceptions=True)
        self._pending.clear()
        self.changes += 1
        return lost

    def _enqueue(self, item: _PendingMark) -> None:
        agent, mark = item.mark.agent, item.mark
        items = self._pending.setdefault(agent, [])
        if mark.success:
            items[:] = [one for one in items if one.mark.profile != mark.profile or not one.replaceable]
        items.append(item)
        self.changes += 1
        if not item.routine:
            self._hurry.set()
        elif agent not in self._landers and not self._closed:
            self._hurry.clear()
        if agent not in self._landers and not self._closed:
            lander = asyncio.get_running_loop().create_task(self._land_store(agent), name=f"marks of {agent}")
            self._landers[agent] = lander
            lander.add_done_callback(lambda _: self._landers.pop(agent, None))

    async def _land_store(self, agent: str) -> None:
        """Land everything pending for one store, batch by batch; new marks join the next batch."""
        wait, disk_failures = FIRST_WAIT_S, 0
        await self._gathered(agent)
        while batch := tuple(self._pending.get(agent, ())):
            target = self._targets(agent)
            if target is None:
                self._lose(agent, batch, "its store is gone")
                continue
            for item in batch:
                item.landing = True
            landing = _MarkBatch(tuple(item.mark for item in batch), self._schedule)
            try:
                await self._land(target, landing.change, wait)
            except LockNotObtainedError as error:
                self._wait_on(batch, error.holder)
            except OperationFailedError as error:
                disk_failures += 1
                self._wait_on(batch, error.title)
                if disk_failures >= DISK_TRIES:
                    self._lose(agent, batch, error.title)
            except ClawtopError as error:
                self._lose(agent, batch, error.title)
                continue
            else:
                wait, disk_failures = FIRST_WAIT_S, 0
                self._landed(agent, batch, landing)
                continue
            for item in batch:
                item.landing = False
            wait = LATER_WAIT_S
            await self._clock.sleep(PAUSE_S)

    async def _gathered(self, agent: str) -> None:
        """If only routine marks are pending, wait a while, or until one is urgent."""
        if self._closed or not all(item.routine for item in self._pending.get(agent, ())):
            return
        with contextlib.suppress(TimeoutError):
            async with self._clock.timeout(GATHER_S):
                await self._hurry.wait()

    def _landed(self, agent: str, batch: tuple[_PendingMark, ...], landing: _MarkBatch) -> None:
        self._settle(agent, batch)
        overtaken = {id(mark) for merged in landing.merged.values() for mark in merged.overtaken}
        for item in batch:
            mark = item.mark
            merged = landing.merged.get(mark.profile)
            if merged is None:
                self._tell(EventKind.MARK_LOST, mark, "the profile is gone")
            elif id(mark) in overtaken:
                self._tell(EventKind.MARK, mark, "dropped: a later success overtook it", state="overtaken")
            else:
                until = unusable_until(merged.stats, self._schedule(mark.provider))
                self._tell(EventKind.MARK, mark, "landed", state="landed", until=until, routine=mark.success)

    def _wait_on(self, batch: tuple[_PendingMark, ...], why: str) -> None:
        """The batch stays pending: write it down, so that it survives this process, and say so once."""
        for item in batch:
            self._spooled(item, 0.0)
            if not item.told:
                item.told = True
                self._tell(EventKind.MARK, item.mark, f"pending: {safe(why, 200)}", state="pending")

    def _lose(self, agent: str, batch: tuple[_PendingMark, ...], why: str) -> None:
        self._settle(agent, batch)
        for item in batch:
            self._tell(EventKind.MARK_LOST, item.mark, why)

    def _settle(self, agent: str, batch: tuple[_PendingMark, ...]) -> None:
        self.changes += 1
        left = [item for item in self._pending.get(agent, ()) if item not in batch]
        if left:
            self._pending[agent] = left
        else:
            self._pending.pop(agent, None)
        for item in batch:
            if item.spooled is not None:
                item.spooled.settle()

    def _tell_unwritten(self, item: _PendingMark) -> None:
        note = item.spooled
        waits = not self._closed and item in self._pending.get(item.mark.agent, ())
        if waits and note is not None and not note.within(0.0):
            why = f": {safe(note.why, 200)}" if note.why else ""
            self._tell(EventKind.MARK, item.mark, f"neither landed nor spooled yet{why}", state="unwritten")

    def _spooled(self, item: _PendingMark, wait_s: float) -> bool:
        """Whether it is spooled within `wait_s` of being handed over."""
        if item.spooled is None or item.spooled.why is not None:
            item.spooled = self._writer.put(item.mark)
        return item.spooled.within(wait_s)

    def _tell(self, kind: EventKind, mark: Mark, what: str, **data: object) -> None:
        outcome = "success" if mark.success else mark.reason
        self._tell_text(kind, f"mark {outcome} of {safe(mark.profile, 80)} {what}", mark, data)

    def _tell_text(self, kind: EventKind, text: str, mark: Mark | None, data: Mapping[str, object]) -> None:
        now = self._clock.now_ms()
        facts = (
            {}
            if mark is None
            else {
                "agent": mark.agent,
                "run_id": mark.run_id,
                "provider": mark.provider,
                "model": mark.model,
                "profile": mark.profile,
                "reason": mark.reason,
                "duration_ms": max(0, now - mark.at),
            }
        )
        self._journal(Event(now, kind, ENGINE, text, data=dict(data), **facts))  # type: ignore[arg-type]


class _MarkBatch:
    """One batch as a change of a store. It may be called several times; `merged` is the last result."""

    def __init__(self, marks: tuple[Mark, ...], schedule: Callable[[str], Schedule]) -> None:
        self._schedule = schedule
        self._by_profile: dict[str, list[Mark]] = {}
        self._good = {mark.provider: mark.profile for mark in sorted(marks, key=lambda m: m.at) if mark.success}
        for mark in marks:
            self._by_profile.setdefault(mark.profile, []).append(mark)
        self.merged: dict[str, Merged] = {}

    def change(self, state: AuthState) -> AuthState:
        self.merged = {
            profile: merge(state.stats.get(profile, UsageStats()), marks, self._schedule(marks[0].provider))
            for profile, marks in self._by_profile.items()
            if profile in state.profiles
        }
        good = {provider: profile for provider, profile in self._good.items() if profile in state.profiles}
        return replace(
            state,
            stats={**state.stats, **{profile: merged.stats for profile, merged in self.merged.items()}},
            last_good={**state.last_good, **good},
        )
