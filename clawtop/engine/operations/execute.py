"""Executing plans: clear, rotate, unlock, undo. With the marks, the only writer of OpenClaw's store.

Each operation is journaled before and after, makes exactly the change that its plan showed or none, and ends in a
receipt that says whether a live gateway has loaded it.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from clawtop import threads
from clawtop.core.generations import semantics_of
from clawtop.core.locks.staleness import proof_words
from clawtop.core.model import Event, Gateway, GatewayState, LockFile, Snapshot, Verdict
from clawtop.core.operations.edit import AuthState, FieldChange, differences
from clawtop.core.operations.late import late_sight
from clawtop.core.operations.loading import loads, reload_loads
from clawtop.core.operations.plan import Plan, StoreStep
from clawtop.core.operations.receipt import (
    NOTHING_TO_DO,
    Receipt,
    Sight,
    failure_event,
    intent_event,
    result_event,
    sight_event,
)
from clawtop.engine.gateway.caller import Caller
from clawtop.engine.gateway.door import Door
from clawtop.engine.gateway.errors import GatewayCallError
from clawtop.engine.operations.locked import settled, update_store
from clawtop.engine.operations.verification import RELOAD, Watched, watch
from clawtop.errors import ClawtopError, OperationFailedError, RefusedError
from clawtop.store.auth.backends import auth_backend
from clawtop.store.auth.machine import LockOwner, Machine
from clawtop.store.auth.port import AuthPlace, Landing, Updated
from clawtop.store.locks.lockfile import read_lock
from clawtop.store.locks.openclaw import BreakOutcome, break_stale
from clawtop.store.locks.owners import lock_verdict
from clawtop.store.locks.standpoint import evidence
from clawtop.store.own.journal import Journal
from clawtop.store.owners import check_owner, user_name
from clawtop.store.place.layout import Layout
from clawtop.store.sqlite.pool import Databases
from clawtop.text import masked, safe
from clawtop.values import dataclass

DEFAULT_WAIT_S = 15.0
DEFAULT_VERIFY_S = 10.0
SECOND_LOOK_S = 1.0
"""A stale lock is removed if it is the same in two checks, this far apart."""

NO_GATEWAY_KNOWN = Gateway()
_serial = itertools.count(1)


@dataclass(frozen=True, slots=True)
class OperationRequest:
    """How an operation is to be done.

    Attributes:
        reason: the operator's words, for the journal.
        wait_s: for the store's lock. verify_s: how long a live gateway is watched afterwards.
        reload: have a live gateway read its stores again.
        gateway: as the snapshot showed it.
        on_wait: receives from time to time who has the lock.
        operation_id: the id to journal it under, from a caller that must find it again; None: a new one.
    """

    reason: str = ""
    wait_s: float = DEFAULT_WAIT_S
    verify_s: float = DEFAULT_VERIFY_S
    reload: bool = False
    gateway: Gateway = NO_GATEWAY_KNOWN
    on_wait: Callable[[LockOwner], None] = lambda _: None
    operation_id: str | None = None


def machine_for(layout: Layout, gateway: Gateway, machine: Machine | None = None) -> Machine:
    """The seams for this state directory, including whether its pids can be local (docs/invariants.md 7)."""
    return replace(machine or Machine(), environment=evidence(layout.state_dir, gateway))


class Operations:
    """Executes plans on one state directory."""

    def __init__(
        self,
        layout: Callable[[], Layout],
        *,
        journal: Journal,
        machine: Callable[[Layout, Gateway], Machine] = machine_for,
        caller: Caller | None = None,
    ) -> None:
        """`layout` gives the directory as it is now; `caller` asks its gateway; by default one that may."""
        self._layout = layout
        self._journal = journal
        self._machine = machine
        self._caller = caller
        self._by = f"{user_name(os.geteuid())} (pid {os.getpid()})"
        self._unseen: dict[str, tuple[Plan, Receipt]] = {}  # by id: operations that the gateway was not seen to load

    def execute_now(self, plan: Plan, request: OperationRequest = OperationRequest()) -> Receipt:
        """`execute` for a caller without a loop."""
        return threads.run(self.execute(plan, request))

    async def execute(self, plan: Plan, request: OperationRequest = OperationRequest()) -> Receipt:
        """Do exactly what the plan showed.

        Cancelling is safe at any moment: before the change nothing happens; a change that reached the disk is
        journaled, so it can be undone, and only the watch for the gateway ends early.

        Raises:
            RefusedError: it may not be done, or the state is not what the plan showed.
            LockNotObtainedError: the holder kept the store's lock.
            OperationFailedError: the disk refused; nothing was changed.
        """
        layout = await asyncio.to_thread(self._layout)
        machine = self._machine(layout, request.gateway)
        receipt = Receipt(
            request.operation_id or _operation_id(machine.clock.now_ms()),
            plan.kind,
            plan.title,
            plan.target,
            plan.agent,
            plan.file,
            plan.changes,
            machine.clock.now_ms(),
            self._by,
            request.reason,
        )
        if plan.is_empty:
            return replace(receipt, sight_how=NOTHING_TO_DO)
        job = _Unlock(plan, layout, machine) if plan.lock is not None else _StoreChange(plan, layout, machine)
        try:
            return await self._carried_out(job, receipt, request)
        finally:
            job.close()

    async def _carried_out(self, job: _Unlock | _StoreChange, receipt: Receipt, request: OperationRequest) -> Receipt:
        plan, machine = job.plan, job.machine
        await asyncio.to_thread(job.check)
        intent = intent_event(plan, receipt.id, at=receipt.at, by=self._by, reason=request.reason)
        await self._begin(intent)
        try:
            receipt = await job.run(receipt, request)
        except ClawtopError as error:
            await self._note(failure_event(plan, receipt.id, at=machine.clock.now_ms(), why=error.title))
            raise
        except asyncio.CancelledError:
            if job.done is not None:
                await self._note(result_event(plan, job.done))
            raise
        unwritten = await self._note(result_event(plan, receipt))
        if unwritten is not None:
            receipt = replace(receipt, undo=None, notes=(*receipt.notes, unwritten))
        return await self._watched(job, receipt, request) if isinstance(job, _StoreChange) else receipt

    async def _begin(self, intent: Event) -> None:
        """Journal what is about to be done. Raises RefusedError if that id is already there."""
        try:
            if await settled(asyncio.to_thread(self._journal.claim, intent)):
                return
        except ClawtopError as error:
            raise OperationFailedError(
                error.title, unchanged="nothing was changed", hint="nothing is done unrecorded"
            ) from error
        known = safe(intent.data["id"], 60)
        raise RefusedError(
            f"operation {known} was already started or withdrawn",
            unchanged="nothing was done twice",
            hint=f"clawtop receipt {known}",
        )

    async def _watched(self, job: _StoreChange, receipt: Receipt, request: OperationRequest) -> Receipt:
        """The receipt with the gateway's reaction to the change."""
        if receipt.sight is Sight.WRITTEN:
            receipt = await self._ask_gateway(job, receipt, request)
        if receipt.sight in {Sight.SEEN, Sight.REVERTED}:
            await self._note(sight_event(job.plan, receipt, at=job.machine.clock.now_ms()))
        elif receipt.sight is Sight.NOT_YET:
            self._unseen[receipt.id] = (job.plan, receipt)
        return receipt

    async def look_again(self, snapshot: Snapshot) -> tuple[Receipt, ...]:
        """New receipts for operations that have since been loaded or reverted; journaled once."""
        found: list[Receipt] = []
        for id_, (plan, receipt) in tuple(self._unseen.items()):
            sight = late_sight(snapshot, receipt)
            if sight is None or self._unseen.pop(id_, None) is None:
                continue
            told = replace(receipt, sight=sight[0], sight_how=sight[1], follow_up=())
            await self._note(sight_event(plan, told, at=snapshot.taken_at))
            found.append(told)
        return tuple(found)

    async def _ask_gateway(self, job: _StoreChange, receipt: Receipt, request: OperationRequest) -> Receipt:
        state = request.gateway.state
        if state.is_gone:
            return replace(receipt, sight=Sight.NO_GATEWAY, sight_how="the next gateway reads it when it starts")
        if state is GatewayState.UNKNOWN:
            return replace(receipt, sight_how="whether a gateway runs is not known")
        remote = semantics_of(job.layout.version, job.layout.generation).row.remote
        live = loads(receipt.changes, remote, all_out=job.plan.all_out)
        reloaded = False
        if request.reload:
            why_not = await self._reload(job, request.gateway)
            reloaded = why_not is None
            note = "the gateway has reloaded its secrets" if reloaded else f"not reloaded: {why_not}"
            receipt = replace(receipt, notes=(*receipt.notes, note))
        taken_in = reloaded and reload_loads(remote)
        receipt = replace(receipt, reloaded=taken_in)
        watched = [
            Watched(part.place, part.step.changes, receipt.at, self._others(receipt.id))
            for part, _ in zip(job.parts, job.written, strict=False)
        ]
        sight, how = await watch(watched, 0.0 if taken_in else request.verify_s, job.machine.clock)
        if taken_in and sight is Sight.NOT_YET:
            sight, how = Sight.SEEN, "the gateway was made to load it (secrets.reload)"
        if sight is not Sight.NOT_YET:
            return replace(receipt, sight=sight, sight_how=how)
        follow_up = RELOAD if reload_loads(remote) and not reloaded else ()
        return replace(receipt, sight=sight, sight_how=f"{how}; the gateway loads it {live}", follow_up=follow_up)

    async def _reload(self, job: _StoreChange, gateway: Gateway) -> str | None:
        """Tell the gateway to reload its stores; returns why it did not, or None. A refusal changes nothing."""
        caller = self._caller
        if caller is None:
            door = Door(lambda: job.layout, processes=job.machine.processes)
            caller = Caller(door, job.machine.clock)
        try:
            await caller.reload(gateway)
        except GatewayCallError as error:
            return error.words
        return None

    def _others(self, own_id: str) -> Callable[[int], list[Event]]:
        def since(at: int) -> list[Event]:
            return [event for event in self._journal.tail(200, since=at) if event.data.get("id") != own_id]

        return since

    async def _note(self, event: Event) -> str | None:
        """Journal what happened, or return why that failed."""
        try:
            await settled(asyncio.to_thread(self._journal.append, event))
        except ClawtopError as error:
            return error.title
        return None


@dataclass(frozen=True, slots=True)
class _Part:
    """One place that a plan changes, and what it changes there."""

    step: StoreStep
    place: AuthPlace


class _StoreChange:
    """A plan that changes auth stores: one place after the other, each under its own lock."""

    def __init__(self, plan: Plan, layout: Layout, machine: Machine) -> None:
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
        self.written: list[Updated] = []
        self.done: Receipt | None = None

    def close(self) -> None:
        """Close what was opened."""
        self._databases.close()

    def check(self) -> None:
        """Raise RefusedError before anything is created or journaled."""
        for part in self.parts:
            part.place.check_writable(self.machine)

    async def run(self, receipt: Receipt, request: OperationRequest) -> Receipt:
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
                    wait=request.wait_s,
                    on_wait=request.on_wait,
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


class _Unlock:
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

    async def run(self, receipt: Receipt, request: OperationRequest) -> Receipt:  # noqa: ARG002 - as the other kind
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


def _operation_id(now: int) -> str:
    return f"{now:x}-{os.getpid():x}-{next(_serial)}"
