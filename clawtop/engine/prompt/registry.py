"""The registry of active prompt holders: at most one run of clawtop prompts a session at a time (docs/invariants.md 1).

Across tasks, threads and processes of one host, or of several with `engine.etcd`. The rules are
`core.session.admission`; the records are `PromptRecords`. A `PromptRegistry` belongs to one event loop. No call blocks
a thread: an attempt on a record that another process is changing is repeated after a millisecond.

Mutable state: `_waiting` (token -> the event of a task that waits here), `_out` (token -> the prompt that is held) and
`_cleanups` (releases that could not be done at once), all touched by the loop's own thread only.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
import os
import uuid
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from clawtop.clock import Clock, settled_within
from clawtop.core.model import Event, EventKind, PromptHolder
from clawtop.core.session.admission import (
    AdmissionEffect,
    AdmissionRequest,
    Ask,
    Claimant,
    ClaimRefused,
    Describe,
    ForeignHolder,
    Granted,
    Holding,
    Leave,
    OnContention,
    Released,
    Wake,
)
from clawtop.engine.prompt.fork import fork_session
from clawtop.engine.prompt.holder import HeldPrompt, cancels_current_task, how_of
from clawtop.engine.prompt.prompt_events import prompt_event
from clawtop.engine.prompt.records import FileRecords, PromptRecords, busy_pause
from clawtop.errors import OperationFailedError, RefusedError, SessionContendedError
from clawtop.store import atomic
from clawtop.store.own.holder_record import canonical
from clawtop.store.own.presence import holders_dir
from clawtop.store.own.wake import Word
from clawtop.text import safe
from clawtop.values import dataclass

LOOK_S = 0.2
"""How often a waiter checks by itself, in case a wake-up was lost or a holder was killed."""

FOREIGN_LOOK_S = 0.25
"""How often a granted session is checked again while an OpenClaw run is in it."""

LEAVE_S = 0.25
"""How long to wait for a release that did not succeed at once, before it continues in the background."""

FRESH_S = 5.0
"""Minimum time to acquire a fresh session: no other process knows it, but its record may be busy or the disk full."""

CLOSE_S = 2.0
"""How long `aclose` waits for releases on a disk that refuses them; the end of the process releases them anyway."""

Foreign = Callable[[Path], ForeignHolder | None]
OnEvent = Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class _Wish:
    """What a caller of `acquire` asked for. `began`, `deadline`: monotonic seconds."""

    lane: str
    run_id: str
    session_key: str | None
    agent: str | None
    on_contention: OnContention
    began: float
    deadline: float | None
    on_stop: Callable[[], object]
    profile: str | None


class PromptRegistry:
    """Hands out session prompts of one state directory. Use as an async context manager, or call `aclose`."""

    def __init__(
        self,
        state_dir: str | Path,
        *,
        clock: Clock,
        journal: OnEvent | None = None,
        max_wait_s: float | None = 300.0,
        new_id: Callable[[], str] = lambda: str(uuid.uuid4()),
        records: PromptRecords | None = None,
    ) -> None:
        """Creates nothing yet: the first acquire creates `<state>/clawtop/holders/`.

        Args:
            journal: gets an event for each grant, wait, contention and release.
            max_wait_s: limits a wait without a deadline, in seconds, to OpenClaw's max hold; None: no limit.
            new_id: makes tokens and the ids of forked sessions.
            records: where the registry is kept; None: files in the state directory.
        """
        self._records: PromptRecords = records or FileRecords(holders_dir(os.path.realpath(state_dir)))
        self._clock = clock
        self._journal = journal
        self._max_wait_s = max_wait_s
        self._new_id = new_id
        self._waiting: dict[str, asyncio.Event] = {}
        self._out: dict[str, HeldPrompt] = {}
        self._cleanups: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Finish pending releases and close the wake channel. Prompts still held stay valid."""
        if self._cleanups:
            await settled_within(self._clock, CLOSE_S, set(self._cleanups))
        await self._records.aclose()

    # --- acquire -------------------------------------------------------------------------------------------------

    async def acquire(
        self,
        session_file: Path,
        *,
        session_key: str | None = None,
        agent: str | None = None,
        lane: str,
        run_id: str,
        on_contention: OnContention = OnContention.WAIT,
        deadline: float | None = None,
        foreign: Foreign | None = None,
        profile: str | None = None,
    ) -> HeldPrompt:
        """Take the prompt of a session. When a drain asks the run to stop, the task that acquired it is cancelled.

        Args:
            profile: the account that the run will use, which others see as in use from the grant on.
            deadline: monotonic seconds (of the clock) at which waiting ends.
            foreign: says which OpenClaw run, if any, holds the session; asked again and again while waiting.

        Raises:
            SessionContendedError: another run has it, and the caller asked not to wait, or waited until its deadline.
            RefusedError: this user cannot coordinate runs in this state directory.
            OperationFailedError: the disk refused the record, or the copy of a fork.
        """
        began = self._clock.monotonic()
        if deadline is None and self._max_wait_s is not None:
            deadline = began + self._max_wait_s
        wish = _Wish(lane, run_id, session_key, agent, on_contention, began, deadline, cancels_current_task(), profile)
        try:
            return await self._take(session_file, wish, foreign)
        except SessionContendedError:
            if on_contention is not OnContention.FORK:
                raise
        child = await fork_session(_named(session_file), self._new_id(), self._clock.now_ms())
        soon = self._clock.monotonic() + FRESH_S
        try:
            holder = await self._take(child, replace(wish, deadline=max(soon, wish.deadline or soon)), None)
        except BaseException:
            atomic.remove(os.fspath(child))  # an unused copy would be in the way of the next one
            raise
        holder.forked_from = _named(session_file)
        return holder

    async def _take(self, session_file: Path, wish: _Wish, foreign: Foreign | None) -> HeldPrompt:
        named = _named(session_file)
        path = canonical(named) if named.is_symlink() else str(named)
        who = await self._claimant(wish)
        try:
            holding = await self._grant(path, who, wish)
            if foreign is not None:
                await self._until_alone(path, foreign, wish)
        except BaseException as error:
            await self.leave(path, Leave(who.token, how_of(error)), who)
            if isinstance(error, SessionContendedError):
                self._tell(EventKind.CONTENDED, error.title, path, who)
            raise
        waited_ms = self._since(wish.began)
        self._tell(
            EventKind.ACQUIRE, f"{who.lane} holds the prompt (run {who.run_id})", path, who, duration_ms=waited_ms
        )
        holder = HeldPrompt(self, holding, named, self._clock, record=path, stop=wish.on_stop, waited_ms=waited_ms)
        self._out[who.token] = holder
        return holder

    async def _claimant(self, wish: _Wish) -> Claimant:
        claimed = await self._records.enter(self._hear)
        now = self._clock.now_ms()
        return Claimant(
            token=self._new_id().replace("-", ""),
            member=claimed.member,
            pid=os.getpid(),
            lane=wish.lane,
            run_id=wish.run_id,
            since=now,
            session_key=wish.session_key,
            agent=wish.agent,
            deadline=None if wish.deadline is None else now + round((wish.deadline - wish.began) * 1000),
            wake=claimed.wake,
        )

    async def _grant(self, path: str, who: Claimant, wish: _Wish) -> Holding:
        woken = asyncio.Event()
        self._waiting[who.token] = woken
        told = False
        try:
            while True:
                woken.clear()
                left = self._left(wish)
                waits = wish.on_contention is OnContention.WAIT and left > 0
                ask = Ask(who, OnContention.WAIT if waits else OnContention.RAISE, wish.profile)
                for effect in await self._apply(path, ask, wish.deadline):
                    if isinstance(effect, Granted) and effect.holding.who.token == who.token:
                        return effect.holding
                    if isinstance(effect, ClaimRefused):
                        raise self._contended(path, _holder_line(effect), wish)
                if not told:
                    told = True
                    self._tell(EventKind.WAIT, f"{who.lane} waits for the prompt (run {who.run_id})", path, who)
                with contextlib.suppress(TimeoutError):
                    async with self._clock.timeout(min(LOOK_S, left)):
                        await woken.wait()
        finally:
            del self._waiting[who.token]

    async def _until_alone(self, path: str, foreign: Foreign, wish: _Wish) -> None:
        """Keep our place in line while an OpenClaw run is in the session."""
        while (run := foreign(Path(path))) is not None:
            left = self._left(wish)
            if wish.on_contention is not OnContention.WAIT or left <= 0:
                raise self._contended(path, f"{run.who} (known from {run.source})", wish)
            await self._clock.sleep(min(FOREIGN_LOOK_S, left))

    def _left(self, wish: _Wish) -> float:
        """Seconds that may still be waited."""
        return math.inf if wish.deadline is None else wish.deadline - self._clock.monotonic()

    # --- change and release --------------------------------------------------------------------------------------

    def describe(self, path: str, request: Describe) -> bool:
        """Write a holder's phase and profile; False while another process is changing the record."""
        try:
            return self._records.step_now(path, request, self._clock.now_ms()) is not None
        except (OSError, RefusedError):
            return True

    async def describe_later(self, path: str, request: Describe) -> bool:
        """The same where it takes a while."""
        try:
            return await self._records.step(path, request, self._clock.now_ms()) is not None
        except (OSError, RefusedError):
            return True

    async def assert_held(self, path: str, token: str) -> None:
        """Raises SessionTakeoverError unless the holder with this token certainly still has the session."""
        await self._records.assert_held(path, token)

    async def leave(self, path: str, request: Leave, who: Claimant) -> None:
        """Release or stop waiting: at once if the record is free, else in the background.

        Cancellation does not stop it. The end of the process would do it in any case.
        """
        self._out.pop(request.token, None)
        if not await self._leave_once(path, request, who, at_once=True):
            leaving = self.in_background(self._leave_later(path, request, who))
            await settled_within(self._clock, LEAVE_S, {leaving})

    async def _leave_later(self, path: str, request: Leave, who: Claimant) -> None:
        tries = 0
        while not await self._leave_once(path, request, who, at_once=False):
            await busy_pause(self._clock, tries)
            tries += 1

    async def _leave_once(self, path: str, request: Leave, who: Claimant, *, at_once: bool) -> bool:
        """Whether the claimant is gone from the record, after one try."""
        now = self._clock.now_ms()
        try:
            effects = (
                self._records.step_now(path, request, now) if at_once else await self._records.step(path, request, now)
            )
        except (FileNotFoundError, RefusedError):
            return True
        except OSError:
            return False
        if effects is None:
            return False
        await self._spread(effects)
        if any(isinstance(effect, Released) and effect.holding.who.token == who.token for effect in effects):
            self._tell(EventKind.RELEASE, f"{who.lane} (run {who.run_id}) left the prompt: {request.how}", path, who)
        return True

    def in_background(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        """Run work that `aclose` waits for."""
        task = asyncio.get_running_loop().create_task(work)
        self._cleanups.add(task)
        task.add_done_callback(self._cleanups.discard)
        return task

    # --- one step ------------------------------------------------------------------------------------------------

    async def _apply(
        self, path: str, request: AdmissionRequest, deadline: float | None = None
    ) -> tuple[AdmissionEffect, ...]:
        for tries in itertools.count():
            try:
                effects = await self._records.step(path, request, self._clock.now_ms())
            except OSError as error:
                raise OperationFailedError(
                    f"the record of the session's holder cannot be written: {error.strerror}",
                    unchanged="nothing was sent and nothing was written",
                ) from error
            if effects is not None:
                await self._spread(effects)
                return effects
            if deadline is not None and self._clock.monotonic() >= deadline:
                raise self._contended(path, "another clawtop process, which is changing the record")
            await busy_pause(self._clock, tries)
        raise AssertionError("unreachable")

    async def holder_of(self, session_file: Path) -> PromptHolder | None:
        """Who has the prompt of a session now, in any process."""
        return await self._records.holder_of(canonical(session_file))

    async def _spread(self, effects: tuple[AdmissionEffect, ...]) -> None:
        for effect in effects:
            if isinstance(effect, Wake):
                woken = self._waiting.get(effect.who.token)
                if woken is not None:
                    woken.set()
                else:
                    await self._records.tell(effect.who, Word.WAKE)

    def _hear(self, word: Word, token: str) -> None:
        if word is Word.STOP and token in self._out:
            self._out[token].ask_to_stop()
        elif word is Word.LOST and token in self._out:
            self._out[token].lose()
        elif word is Word.WAKE and token in self._waiting:
            self._waiting[token].set()

    # --- words ---------------------------------------------------------------------------------------------------

    def _since(self, began: float) -> int:
        return round((self._clock.monotonic() - began) * 1000)

    def _contended(self, path: str, holder: str, wish: _Wish | None = None) -> SessionContendedError:
        waited = wish is not None and wish.on_contention is OnContention.WAIT
        after = f" after {self._since(wish.began)} ms" if wish is not None and waited else ""
        return SessionContendedError(
            f"the session is held by {holder}{after}: {safe(path)}",
            holder=holder,
            hint="wait, or fork the session to a fresh id",
            unchanged="nothing was sent and nothing was written",
        )

    def _tell(self, kind: EventKind, text: str, path: str, who: Claimant, *, duration_ms: int | None = None) -> None:
        if self._journal is not None:
            at = self._clock.now_ms()
            self._journal(prompt_event(at, kind, text, who, path, duration_ms=duration_ms, pid=who.pid))


def _named(session_file: Path) -> Path:
    return Path(os.path.realpath(session_file.parent)) / session_file.name


def _holder_line(refused: ClaimRefused) -> str:
    if refused.holder is not None:
        who = refused.holder.who
        return safe(f"run {who.run_id} on lane {who.lane} (pid {who.pid}, {refused.holder.phase})")
    if refused.closing is not None:
        return safe(f"drain {refused.closing.drain_id} (pid {refused.closing.pid}), which keeps it closed")
    return "runs that were waiting already"
