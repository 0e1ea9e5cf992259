"""The two kinds of changes that a plan makes: fields of auth stores, and a stale lock that is removed.

With the marks, the only writer of OpenClaw's store. A change is exactly what the plan showed, or none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from clawtop.core.locks.staleness import proof_words
from clawtop.core.model import LockFile, Verdict
from clawtop.core.operations.edit import AuthState, FieldChange, differences
from clawtop.core.operations.plan import Plan, StoreStep
from clawtop.core.operations.receipt import (
    Receipt,
    Sight,
)
from clawtop.engine.operations.locked import settled, update_store
from clawtop.errors import ClawtopError, OperationFailedError, RefusedError
from clawtop.redaction import masked
from clawtop.store.auth.backends import auth_backend
from clawtop.store.auth.machine import LockOwner, Machine
from clawtop.store.auth.port import AuthPlace, Landing, Updated
from clawtop.store.locks.lockfile import read_lock
from clawtop.store.locks.openclaw import BreakOutcome, break_stale
from clawtop.store.locks.owners import lock_verdict
from clawtop.store.owners import check_owner
from clawtop.store.place.layout import Layout
from clawtop.store.sqlite.pool import Databases
from clawtop.text import safe
from clawtop.values import dataclass

SECOND_LOOK_S = 1.0
"""A stale lock is removed if it is the same in two checks, this far apart."""


@dataclass(frozen=True, slots=True)
class _Part:
    """One place that a plan changes, and what it changes there."""

    step: StoreStep
    place: AuthPlace


class StoreChange:
    """A plan that changes auth stores: one place after the other, each under its own lock."""

    def __init__(
        self, plan: Plan, layout: Layout, machine: Machine, *, wait_s: float, on_wait: Callable[[LockOwner], None]
    ) -> None:
        """Args:
        wait_s: how long to wait for a store's lock. on_wait: receives from time to time who has it.

        Raises:
            RefusedError: an agent of the plan is gone.
        """
        self._databases = Databases(machine.clock)
        backend = auth_backend(layout, self._databases)
        parts: list[_Part] = []
        for step in plan.steps:
            place = backend.place(step.owner)
            if place is None:
                raise RefusedError(f"there is no agent {safe(step.owner)} any more", unchanged="nothing was changed")
            parts.append(_Part(step, place))
        self.plan = plan
        self.layout = layout
        self.machine = machine
        self.parts = tuple(parts)
        self._wait_s = wait_s
        self._on_wait = on_wait
        self.written: list[Updated] = []
        self.done: Receipt | None = None

    def close(self) -> None:
        """Close what was opened."""
        self._databases.close()

    def check(self) -> None:
        """Raise RefusedError before anything is created or journaled."""
        for part in self.parts:
            part.place.check_writable(self.machine)

    async def run(self, receipt: Receipt) -> Receipt:
        """Make the changes. Raises ClawtopError if not even the first could be made."""
        before = receipt
        for number, part in enumerate(self.parts):

            def on_written(updated: Updated, number: int = number) -> None:
                self.written[number:] = [updated]
                self.done = self._receipt(before)

            try:
                updated = await update_store(
                    part.place,
                    partial(self._change, part.step),
                    self.machine,
                    wait=self._wait_s,
                    on_wait=self._on_wait,
                    on_written=on_written,
                )
            except ClawtopError as error:
                if self.done is None:
                    raise
                left = f"{safe(part.place.file)} was not changed: {error.title}"
                self.done = replace(self.done, notes=(*self.done.notes, left))
                return self.done
            self.written[number:] = [updated]
            self.done = receipt = self._receipt(before)
        return receipt

    @staticmethod
    def _change(step: StoreStep, state: AuthState) -> AuthState:
        """The plan's edit, if it still does exactly what the plan showed."""
        after = state.changed_by(step.edit)
        now = differences(state, after)
        if _by_place(now) != _by_place(step.changes):
            raise RefusedError(
                f"the state has changed since the preview: {_first_difference(step.changes, now)}",
                unchanged="nothing was written",
                hint="look again before deciding",
            )
        return after

    def _receipt(self, receipt: Receipt) -> Receipt:
        """What was done so far."""
        last = self.written[-1]
        steps = self.plan.steps[: len(self.written)]
        broke = [updated.broke for updated in self.written if updated.broke]
        receipt = replace(
            receipt,
            at=last.at,
            file=last.path if len(self.written) == 1 else receipt.file,
            steps=steps,
            changes=tuple(change for step in steps for change in step.changes),
            lock_how=last.lock_how,
            waited_ms=round(sum(updated.waited_s for updated in self.written) * 1000),
            held_ms=round(sum(updated.held_s for updated in self.written) * 1000),
            broke="; ".join(broke) or None,
            undo=receipt.id,
            notes=(
                *(("it was lost once and written again",) if any(u.tries > 1 for u in self.written) else ()),
                *(updated.danger for updated in self.written if updated.danger is not None),
            ),
        )
        landings = {updated.landing for updated in self.written}
        if landings == {Landing.LANDED}:
            return receipt
        how = "the old values came back at once, twice" if Landing.LOST in landings else "the store was deleted"
        return replace(receipt, sight=Sight.REVERTED, sight_how=how)


class LockRemoval:
    """A plan that removes a stale lock."""

    def __init__(self, plan: Plan, layout: Layout, machine: Machine) -> None:
        assert plan.lock is not None  # noqa: S101 - what makes it an unlock
        self.plan = plan
        self.layout = layout
        self.machine = machine
        self.lock: LockFile = plan.lock
        self.done: Receipt | None = None

    def close(self) -> None:
        """Nothing is open."""

    def check(self) -> None:
        """Raise RefusedError before anything is created or journaled."""
        path = Path(self.lock.path)
        if not path.is_symlink() and not path.exists():
            raise RefusedError(f"{safe(path)} is already gone", unchanged="nothing was changed")
        self.layout.resolve_inside(path)
        check_owner(str(path.parent), self.machine.euid())

    async def run(self, receipt: Receipt) -> Receipt:
        """Remove the lock, if it is still the same and still stale. Raises RefusedError, OperationFailedError."""
        now = await asyncio.to_thread(read_lock, self.lock.path, self.lock.kind)
        if now is None or now.identity != self.lock.identity:
            raise RefusedError(
                f"{safe(self.lock.path)} is no longer the lock in the preview", unchanged="nothing was removed"
            )
        await self.machine.clock.sleep(SECOND_LOOK_S)
        return await settled(asyncio.to_thread(self._remove, receipt))

    def _remove(self, receipt: Receipt) -> Receipt:
        result = break_stale(self.lock.path, self.lock, self._judge)
        if result.outcome is BreakOutcome.DISPLACED:
            raise OperationFailedError(
                f"another lock appeared at {safe(self.lock.path)} at the last moment and could not be put back",
                unchanged="the stale lock was already gone",
                hint="its owner is working without its lock for this turn",
            )
        if result.outcome not in {BreakOutcome.REMOVED, BreakOutcome.GONE}:
            reasons = proof_words(result.verdict.reasons) if result.verdict else "another lock is there now"
            raise RefusedError(
                f"{safe(self.lock.path)} was not removed: {result.outcome.value} ({reasons})",
                unchanged="nothing was removed",
            )
        notes = ("it was already gone",) if result.outcome is BreakOutcome.GONE else ()
        how = f"proof: {proof_words(self.plan.proof)}"
        at = self.machine.clock.now_ms()
        self.done = replace(receipt, at=at, sight_how=how, notes=notes)
        return self.done

    def _judge(self, found: LockFile) -> Verdict:
        return lock_verdict(found, self.machine.processes, self.machine.clock.now_ms(), self.machine.environment)


def _by_place(changes: tuple[FieldChange, ...]) -> dict[tuple[str, str, str | None], FieldChange]:
    return {(change.section, change.key, change.field): change for change in changes}


def _first_difference(shown: tuple[FieldChange, ...], now: tuple[FieldChange, ...]) -> str:
    before, after = _by_place(shown), _by_place(now)
    place = next(place for place in {**before, **after} if before.get(place) != after.get(place))
    change = after.get(place) or before[place]
    if place not in after:
        return f"{safe(change.where)} has changed"
    return f"{safe(change.where)} is now {safe(masked(str(change.before)), 60)}"
