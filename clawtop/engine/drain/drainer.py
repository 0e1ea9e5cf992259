"""Carries out a drain: observes, acts as `core.session.drain` decides, journals every step, and reports whether the
end is proven.

While a drain runs, its record keeps new runs of clawtop's engines out of the session. The record is renewed as long as
this process lives and is void afterwards, so a closed terminal leaves no closed session; the journal has the rest, and
`resumable` finds drains to continue.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from clawtop import threads
from clawtop.clock import Clock
from clawtop.core.generations import storage_of
from clawtop.core.locks.staleness import proof_words
from clawtop.core.model import Event, EventKind, GatewayState
from clawtop.core.session.admission import (
    Admission,
    AdmissionEffect,
    AdmissionRequest,
    Close,
    Closed,
    Closing,
    Reopen,
    Wake,
)
from clawtop.core.session.drain import (
    AskToStop,
    CloseAdmission,
    DrainAction,
    Drained,
    DrainListener,
    DrainOutcome,
    DrainPreview,
    DrainProgress,
    DrainStage,
    DrainStep,
    DrainWishes,
    EndRun,
    NotReleased,
    RemoveLock,
    Terms,
    Wait,
    decide,
    held_by,
    preview_of,
    remedy_lines,
)
from clawtop.core.session.remedies import Means, Remedy
from clawtop.engine.drain.processes import stop_stack
from clawtop.engine.drain.scene import DrainLook, DrainTarget, GatewayReply, Watcher
from clawtop.engine.gateway.answers import Abort
from clawtop.engine.gateway.caller import Caller
from clawtop.engine.gateway.door import Door
from clawtop.engine.gateway.errors import GatewayCallError
from clawtop.engine.prompt.fork import fork_session
from clawtop.engine.prompt.records import FileRecords, PromptRecords, busy_pause
from clawtop.errors import OperationFailedError, RefusedError
from clawtop.store.locks.openclaw import break_stale
from clawtop.store.locks.processes import ProcessTable
from clawtop.store.own.journal import Journal
from clawtop.store.own.presence import holders_dir
from clawtop.store.own.wake import Word
from clawtop.store.snapshot import SnapshotReader
from clawtop.text import safe

__all__ = [
    "DrainStep",
    "DrainWishes",
    "Drainer",
    "new_drain_id",
    "resumable",
]

LOOK_S = 0.25
ASK_EVERY_S = 1.0
"""How old the gateway's answer may be when the session is observed."""

CLOSED_FOR_MS = 30_000
RENEW_AFTER_S = 5.0
BUSY_S = 10.0
"""A step on a record takes microseconds: a process that has not finished after this long counts as hung."""

_JOURNAL_DEPTH = 20_000
_ENDS = {DrainStage.DRAINED: "drained", DrainStage.NOT_RELEASED: "aborted, NOT released"}


def resumable(state_dir: str | Path, drain_id: str) -> DrainTarget:
    """The session of an unfinished drain. Raises RefusedError if there is no such drain."""
    events = Journal(state_dir).tail(_JOURNAL_DEPTH)
    steps = [event for event in events if event.kind is EventKind.DRAIN and event.data.get("drain") == drain_id]
    if not steps or steps[-1].session_file is None:
        raise RefusedError(f"the journal has no drain {safe(drain_id, 60)}", unchanged="nothing was done")
    last = steps[-1]
    if last.data.get("stage") == DrainStage.DRAINED:
        raise RefusedError(f"drain {safe(drain_id, 60)} has ended", unchanged="nothing was done")
    return DrainTarget(last.agent or "", last.session_key, Path(last.session_file or ""))


def new_drain_id() -> str:
    return uuid.uuid4().hex[:10]


class Drainer:
    """One drain of one session. Use it once."""

    def __init__(
        self,
        reader: SnapshotReader,
        target: DrainTarget,
        wishes: DrainWishes,
        *,
        drain_id: str,
        clock: Clock,
        processes: ProcessTable,
        caller: Caller | None = None,
        shared: Callable[[], PromptRecords] | None = None,
        listener: DrainListener = DrainListener(),
    ) -> None:
        """Args:
        drain_id: `new_drain_id()`, or the id of a drain that is resumed.
        caller: asks the gateway; None: one that may.
        shared: makes the records of a registry that several hosts share; None: this host's files.

        Raises:
            RefusedError: the target's file is not a transcript of this state directory.
        """
        self.drain_id = drain_id
        if storage_of(reader.layout.generation).session_files:
            target = replace(target, file=reader.layout.transcript(target.file))
        self.target = target
        self._wishes = wishes
        self._clock = clock
        self._caller = caller or Caller(Door(lambda: reader.layout, processes=processes), clock)
        self._listener = listener
        self._state_dir = os.path.realpath(reader.layout.state_dir)
        self._watcher = Watcher(
            reader,
            target,
            clock=clock,
            processes=processes,
            drain_id=drain_id,
            admission=None if shared is None else lambda: self._admission,
        )
        self._make_shared = shared
        self._shared: PromptRecords | None = None
        self._files = FileRecords(holders_dir(self._state_dir))
        self._admission: Admission | None = None
        self._journal = Journal(self._state_dir)
        self._steps: list[DrainStep] = []
        self._closed_at: float | None = None
        self._waited_for = ""
        self._asked: GatewayReply | None = None

    def preview(self, told: Callable[[DrainPreview], None] = lambda _preview: None) -> DrainPreview:
        """What is held, what waits, what would be lost and what would be done. Changes nothing.

        Args:
            told: receives what the disk shows before a gateway is asked, which may take long.
        """
        return self._preview_of(threads.run(self._look_once(lambda look: told(self._preview_of(look, complete=False)))))

    def _preview_of(self, look: DrainLook, *, complete: bool = True) -> DrainPreview:
        live = {GatewayState.LIVE: True, GatewayState.UNKNOWN: None}.get(look.gateway.state, False)
        return preview_of(look.scene, self._terms(), gateway_live=live, complete=complete)

    async def drain(self) -> DrainOutcome:
        """Drain the session. Cancelling stops it between two steps; the session is open again in any case.

        Raises:
            RefusedError: another drain of the session is under way, or this user may not coordinate runs here.
            OperationFailedError: the disk refused; nothing is done without a journal entry.
        """
        terms, progress = self._terms(), DrainProgress()
        look = await self._look()
        await self._say(DrainStage.SURVEY, held_by(look.scene) or "nothing holds the session now")
        try:
            while True:
                progress, action = decide(progress, look.scene, terms)
                outcome = await self._carry_out(action, progress.stage, look, terms)
                if outcome is not None:
                    return outcome
                look = await self._look()
        except asyncio.CancelledError:
            await self._say(DrainStage.NOT_RELEASED, "stopped by the operator")
            raise
        finally:
            try:
                await self._reopen()
            finally:
                await self._forget_shared()

    def _terms(self) -> Terms:
        now, wishes = round(self._clock.monotonic() * 1000), self._wishes
        return Terms(
            deadline=now + round(wishes.deadline_s * 1000),
            stop_at=now + round(wishes.stops_after_s * 1000),
            still_ms=round(wishes.still_s * 1000),
            abort_in_gateway=wishes.abort_in_gateway,
            stop_processes=wishes.stop_processes,
        )

    async def _look(self, before: Callable[[DrainLook], None] = lambda _look: None) -> DrainLook:
        """The session now, with a fresh answer of the gateway if one is required; `before` is called before the gateway
        is asked.
        """
        asked = self._asked or GatewayReply(self._caller.access())
        if self._make_shared is not None:
            self._admission = await self._records().admission_of(str(self.target.file))
        look = await asyncio.to_thread(self._watcher.look, asked)
        now = self._clock.monotonic()
        if not look.must_ask or (asked.at is not None and now - asked.at / 1000 < ASK_EVERY_S):
            return look
        before(look)
        words = await self._caller.words(look.gateway, self.target.key)
        self._asked = GatewayReply(asked.access, words, round(self._clock.monotonic() * 1000))
        return await asyncio.to_thread(self._watcher.look, self._asked)

    # --- the steps -----------------------------------------------------------------------------------------------

    async def _carry_out(
        self, action: DrainAction, stage: DrainStage, look: DrainLook, terms: Terms
    ) -> DrainOutcome | None:
        match action:
            case CloseAdmission():
                await self._close()
            case Wait():
                await self._wait(action, stage)
            case AskToStop():
                await self._ask_to_stop(action, look)
            case EndRun(remedy):
                await self._end_run(remedy, look)
            case RemoveLock():
                await self._remove_lock(action, look)
            case Drained(proof):
                return await self._drained(proof)
            case NotReleased(why):
                await self._say(DrainStage.NOT_RELEASED, why)
                lines = () if look.scene.openclaw.is_free else tuple(remedy_lines(look.scene, terms))
                return DrainOutcome(
                    self.drain_id,
                    released=False,
                    words=(why,),
                    steps=tuple(self._steps),
                    offer=next((r.command for r in look.scene.remedies if r.command is not None), None),
                    remedies=lines,
                )
        return None

    async def _close(self) -> None:
        if self._closed_at is None:
            await self._say(DrainStage.CLOSE, "new runs of clawtop's engines are kept out; a gateway cannot be")
        await self._renew()

    async def _wait(self, action: Wait, stage: DrainStage) -> None:
        if action.why != self._waited_for:
            self._waited_for = action.why
            await self._say(stage, action.why)
        if self._closed_at is None or self._clock.monotonic() - self._closed_at > RENEW_AFTER_S:
            await self._renew()
        self._listener.on_wait(action, max(0.0, action.until / 1000 - self._clock.monotonic()))
        await self._clock.sleep(LOOK_S)

    async def _ask_to_stop(self, action: AskToStop, look: DrainLook) -> None:
        admission = look.admission
        if admission is not None and admission.holder is not None:
            await self._say(DrainStage.STOP, f"run {action.holder.run_id} (pid {action.holder.pid}) was asked to stop")
            await self._records().tell(admission.holder.who, Word.STOP)

    async def _end_run(self, remedy: Remedy, look: DrainLook) -> None:
        if look.scene.queue is not None:
            await self._say(DrainStage.STOP, look.scene.queue)
        await self._say(DrainStage.STOP, remedy.words)
        try:
            await self._say(DrainStage.STOP, await self._ended_by(remedy, look))
        except GatewayCallError as error:
            await self._say(DrainStage.STOP, f"not done: {error.words}")
        self._asked = None

    async def _ended_by(self, remedy: Remedy, look: DrainLook) -> str:
        """Apply the remedy; returns the outcome in words. Raises GatewayCallError."""
        if remedy.means is Means.ABORT and self.target.key is not None:
            said = await self._caller.abort(look.gateway, self.target.key)
            if said.status is Abort.NO_RUN:
                return "the gateway reports no run to abort"
            return f"the gateway says it is aborting {safe(said.run_id or 'the run', 60)}; it is not released yet"
        if remedy.means is Means.CANCEL and remedy.task is not None:
            why_not = await self._caller.cancel_task(look.gateway, remedy.task)
            return "the gateway says the task is cancelled" if why_not is None else f"not cancelled: {why_not}"
        if remedy.means is Means.STOP and remedy.process is not None and look.gateway.pid is not None:
            return await stop_stack(remedy.process, look.gateway.pid, self._clock)
        return "nothing to apply it to"

    async def _remove_lock(self, action: RemoveLock, look: DrainLook) -> None:
        path, proof = action.lock.file.path, proof_words(action.lock.verdict.reasons)
        await self._say(DrainStage.UNLOCK, f"removing the stale lock of process {action.lock.pid} ({proof})")
        result = await asyncio.to_thread(
            break_stale, path, action.lock.file, lambda lock: self._watcher.judge(lock, look.gateway)
        )
        await self._say(DrainStage.UNLOCK, f"lock {result.outcome}")

    async def _drained(self, proof: tuple[str, ...]) -> DrainOutcome:
        fresh: Path | None = None
        if self._wishes.fresh:
            now = self._clock.now_ms()
            fresh = await fork_session(self.target.file, str(uuid.uuid4()), now)
            await self._say(DrainStage.PROVE, f"the conversation was copied to {fresh.name}")
        await self._say(DrainStage.DRAINED, "; ".join(proof))
        return DrainOutcome(
            self.drain_id,
            released=True,
            words=proof,
            steps=tuple(self._steps),
            fresh=None if fresh is None else str(fresh),
        )

    # --- the record ----------------------------------------------------------------------------------------------

    async def _renew(self) -> None:
        member = await self._member()
        now = self._clock.now_ms()
        closing = Closing(self.drain_id, member, os.getpid(), now, now + CLOSED_FOR_MS, "an operator drains it")
        before = await self._records().admission_of(str(self.target.file))
        other = before.closing if before is not None else None
        if other is not None and (other.drain_id, other.member) != (self.drain_id, member):
            raise RefusedError(
                f"drain {safe(other.drain_id, 60)} of this session is under way (pid {other.pid})",
                unchanged="nothing was done",
            )
        effects = await self._apply(Close(closing))
        if not any(isinstance(effect, Closed) for effect in effects):
            raise RefusedError("another drain of this session has just begun", unchanged="nothing was done")
        self._closed_at = self._clock.monotonic()

    async def _reopen(self) -> None:
        if self._closed_at is not None:
            await self._apply(Reopen(self.drain_id))
            self._closed_at = None

    async def _apply(self, request: AdmissionRequest) -> tuple[AdmissionEffect, ...]:
        until = self._clock.monotonic() + BUSY_S
        for tries in itertools.count():
            effects = await self._records().step(str(self.target.file), request, self._clock.now_ms())
            if effects is None and self._clock.monotonic() >= until:
                raise OperationFailedError(
                    f"another clawtop process has been changing the record of this session for {BUSY_S:.0f} s",
                    hint="it is stopped (Ctrl-Z), or its disk hangs: resume it, or kill it",
                )
            if effects is not None:
                for effect in effects:
                    if isinstance(effect, Wake):
                        await self._records().tell(effect.who, Word.WAKE)
                return effects
            await busy_pause(self._clock, tries)
        raise AssertionError("unreachable")

    def _records(self) -> PromptRecords:
        if self._make_shared is None:
            return self._files
        if self._shared is None:
            self._shared = self._make_shared()
        return self._shared

    async def _member(self) -> str:
        """This process's name in the registry; with files it needs no channel, since nothing messages a drain."""
        if self._make_shared is None:
            return self._files.member
        return (await self._records().enter(lambda _word, _token: None)).member

    async def _look_once(self, before: Callable[[DrainLook], None]) -> DrainLook:
        """One observation, on a separate event loop."""
        try:
            return await self._look(before)
        finally:
            await self._forget_shared()

    async def _forget_shared(self) -> None:
        shared, self._shared = self._shared, None
        if shared is not None:
            await shared.aclose()

    async def _say(self, stage: DrainStage, text: str) -> None:
        """Journal a step, then report it. The journal has no field for the stage, so its text names an end."""
        step = DrainStep(self._clock.now_ms(), stage, safe(text))
        end = _ENDS.get(stage)
        event = Event(
            at=step.at,
            kind=EventKind.DRAIN,
            source="operations",
            text=f"{end}: {step.text}" if end else step.text,
            agent=self.target.agent,
            session_key=self.target.key,
            session_file=str(self.target.file),
            pid=os.getpid(),
            data={"drain": self.drain_id, "stage": str(stage)},
        )
        try:
            await asyncio.to_thread(self._journal.append, event)
        except OperationFailedError as error:
            raise OperationFailedError(
                error.title,
                unchanged="the session was not touched" if not self._steps else "the session was not proven free",
                hint="nothing is done without a journal entry",
            ) from error
        self._steps.append(step)
        self._listener.on_step(step)
