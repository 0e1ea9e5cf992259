"""Executing plans: clear, rotate, unlock, undo.

Each operation is journaled before and after, makes exactly the change that its plan showed or none, and ends in a
receipt that says whether a live gateway has loaded it.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Callable
from dataclasses import replace

from clawtop import threads
from clawtop.core.generations import semantics_of
from clawtop.core.model import Event, Gateway, GatewayState, Snapshot
from clawtop.core.operations.late import late_sight
from clawtop.core.operations.loading import loads, reload_loads
from clawtop.core.operations.plan import Plan
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
from clawtop.engine.operations.changes import LockRemoval, StoreChange
from clawtop.engine.operations.locked import settled
from clawtop.engine.operations.verification import RELOAD, Watched, watch
from clawtop.errors import ClawtopError, OperationFailedError, RefusedError
from clawtop.store.auth.machine import LockOwner, Machine
from clawtop.store.locks.standpoint import evidence
from clawtop.store.own.journal import Journal
from clawtop.store.owners import user_name
from clawtop.store.place.layout import Layout
from clawtop.text import safe
from clawtop.values import dataclass

DEFAULT_WAIT_S = 15.0
DEFAULT_VERIFY_S = 10.0
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
        job = (
            LockRemoval(plan, layout, machine)
            if plan.lock is not None
            else StoreChange(plan, layout, machine, wait_s=request.wait_s, on_wait=request.on_wait)
        )
        try:
            return await self._carried_out(job, receipt, request)
        finally:
            job.close()

    async def _carried_out(
        self, job: LockRemoval | StoreChange, receipt: Receipt, request: OperationRequest
    ) -> Receipt:
        plan, machine = job.plan, job.machine
        await asyncio.to_thread(job.check)
        intent = intent_event(plan, receipt.id, at=receipt.at, by=self._by, reason=request.reason)
        await self._begin(intent)
        try:
            receipt = await job.run(receipt)
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
        return await self._watched(job, receipt, request) if isinstance(job, StoreChange) else receipt

    async def _begin(self, intent: Event) -> None:
        """Journal what is about to be done. Raises RefusedError if that id is already there."""
        try:
            if await settled(asyncio.to_thread(self._journal.claim, intent)):
                return
        except ClawtopError as error:
            raise OperationFailedError(
                error.title, unchanged="nothing was changed", hint="nothing is done without a journal entry"
            ) from error
        known = safe(intent.data["id"], 60)
        raise RefusedError(
            f"operation {known} was already started or withdrawn",
            unchanged="nothing was done twice",
            hint=f"clawtop receipt {known}",
        )

    async def _watched(self, job: StoreChange, receipt: Receipt, request: OperationRequest) -> Receipt:
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

    async def _ask_gateway(self, job: StoreChange, receipt: Receipt, request: OperationRequest) -> Receipt:
        state = request.gateway.state
        if state.is_gone:
            return replace(receipt, sight=Sight.NO_GATEWAY, sight_how="the next gateway reads it when it starts")
        if state is GatewayState.UNKNOWN:
            return replace(receipt, sight_how="whether a gateway runs is not known")
        remote = semantics_of(job.layout.version, job.layout.generation).row.remote
        live = loads(receipt.changes, remote, all_out=job.plan.all_out)
        reloaded = False
        if request.reload:
            error = await self._reload(job, request.gateway)
            reloaded = error is None
            note = "the gateway has reloaded its secrets" if error is None else _not_reloaded(error)
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

    async def _reload(self, job: StoreChange, gateway: Gateway) -> GatewayCallError | None:
        """Tell the gateway to reload its stores; returns why it did not, or None. A refusal changes nothing."""
        caller = self._caller
        if caller is None:
            door = Door(lambda: job.layout, processes=job.machine.processes)
            caller = Caller(door, job.machine.clock)
        try:
            await caller.reload(gateway)
        except GatewayCallError as error:
            return error
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


def _not_reloaded(error: GatewayCallError) -> str:
    if error.leaves_open:
        return f"whether the gateway has reloaded its secrets is not known: {error.words}"
    return f"not reloaded: {error.words}"


def _operation_id(now: int) -> str:
    return f"{now:x}-{os.getpid():x}-{next(_serial)}"
