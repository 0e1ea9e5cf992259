"""The engine's interface: drive a session, watch the run, rotate it, cancel it.

    async with Driver("~/.openclaw") as driver:
        run = driver.drive(TurnRequest("agent:main:main", "hello"))
        async for item in run:        # events, phases and the reply's text as it comes
            ...
        answer = await run.result()

One `Driver` belongs to one event loop and one state directory. It creates nothing before the first `drive`.
"""

from __future__ import annotations

import asyncio
import os
import random
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from clawtop.clock import Clock, SystemClock
from clawtop.core.model import Event
from clawtop.core.session.turn_request import TurnRequest
from clawtop.engine.drive.candidates import ProbeBook
from clawtop.engine.drive.events import AccountWait, Phase, ReplyDiscarded, ReplyText, Teller
from clawtop.engine.drive.handle import Drive
from clawtop.engine.drive.journal_writer import JournalWriter
from clawtop.engine.drive.opening import EngineSettings, Ground, open_resources
from clawtop.engine.drive.resolving import Resolver
from clawtop.engine.drive.turn import DrivenTurn, TurnAnswer, TurnTimeoutError
from clawtop.engine.drive.turn_run import TurnRun
from clawtop.engine.prompt.choice import RegistryChoice, registry_choice
from clawtop.errors import ClawtopError
from clawtop.store.locks.processes import ProcessTable, SystemProcesses
from clawtop.store.locks.standpoint import evidence
from clawtop.store.own.journal import Journal
from clawtop.store.place.layout import Layout

__all__ = ["AccountWait", "Drive", "Driver", "EngineSettings", "Phase", "ReplyDiscarded", "ReplyText", "TurnAnswer"]

_LOOK_EVERY_S = 30.0


class Driver:
    """Drives sessions of one state directory."""

    def __init__(
        self,
        state_dir: str | Path | None = None,
        *,
        clock: Clock | None = None,
        processes: ProcessTable | None = None,
        environ: Mapping[str, str] | None = None,
        home: Path | None = None,
        settings: EngineSettings | None = None,
        listen: Callable[[Event], None] | None = None,
        compaction_wait: Callable[[Path], Awaitable[None]] | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Find the state directory; nothing is created or opened yet.

        Args:
            listen: gets every event of the engine, in the loop's thread.
            compaction_wait: awaited before each prompt of a session; raises TimeoutError when that takes too long.
            jitter: returns a number in [0, 1) each time; spreads retries.

        Raises:
            StateUnreadableError: there is no such directory.
            RefusedError: its generation keeps sessions or credentials where clawtop does not write.
        """
        self._clock: Clock = clock or SystemClock()
        given = dict(os.environ) if environ is None else environ
        self._settings = _with_registry(settings or EngineSettings(), given)
        self._ground = Ground(
            state_dir,
            self._clock,
            processes or SystemProcesses(),
            given,
            home or Path.home(),
            jitter,
        )
        self._listen = listen
        self._drives: dict[str, Drive] = {}
        self._probes = ProbeBook()
        self._adopted = False
        self._looked_at: float | None = None
        self.resources = open_resources(self._ground, self._settings, self.emit, compaction_wait)
        self._resolver = Resolver(self.resources)
        self._writer = JournalWriter(Journal(self.layout.state_dir))

    @property
    def layout(self) -> Layout:
        return self.resources.layout

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Cancel all runs, release everything, write or spool every mark, and finish writing the journal."""
        runs = tuple(self._drives.values())
        for run in runs:
            run.cancel()
        for run in runs:
            await run.ended()
        await self.resources.marks.aclose(self._settings.drain_s)
        await self.resources.registry.aclose()
        await self.resources.foreign.aclose()
        await self.resources.aclose()
        await asyncio.to_thread(self._writer.close)

    @property
    def registry(self) -> RegistryChoice | None:
        """Where the registry of several hosts is; None: on this host alone."""
        return self._settings.registry

    @property
    def journal_problem(self) -> ClawtopError | None:
        """Why the journal could not be written, if it could not."""
        return self._writer.problem

    def adopt_marks(self) -> int:
        """Take over the spooled marks of dead clawtop processes, once; returns how many there were."""
        if self._adopted:
            return 0
        self._adopted = True
        return self.resources.marks.adopt()

    def running(self) -> tuple[Drive, ...]:
        """The runs that are under way."""
        return tuple(self._drives.values())

    # --- driving -------------------------------------------------------------------------------------------------

    def drive(self, request: TurnRequest) -> Drive:
        """Begin a turn; needs a running event loop."""
        self.adopt_marks()
        run = Drive(request.run_id or uuid.uuid4().hex[:12])
        self._drives[run.run_id] = run
        task = asyncio.get_running_loop().create_task(self._turn(run, request), name=f"clawtop run {run.run_id}")
        task.add_done_callback(lambda _: self._drives.pop(run.run_id, None))
        run.begin(task)
        return run

    async def _turn(self, run: Drive, request: TurnRequest) -> TurnAnswer:
        began, began_ms = self._clock.monotonic(), self._clock.now_ms()
        last = began + self._limit_s(request.timeout_s)
        try:
            async with self._clock.timeout_at(last):
                await self._look_around()
                choice, asked = await self._resolver.resolve(run.run_id, request)
        except TimeoutError:
            if self._clock.monotonic() < last:
                raise
            spent = self._clock.monotonic() - began
            raise TurnTimeoutError(
                f"the turn's time is over after {spent:.1f} s, while the session was looked up",
                hint="a disk or mount does not answer: clawtop status names it",
                unchanged="nothing was sent and nothing was written",
            ) from None
        file = str(asked.session_file)
        run.turn = turn = DrivenTurn(
            asked=asked,
            clock=self._clock,
            teller=Teller(self._clock, self.emit, run.run_id, asked.agent, asked.session_key, file, asked.lane),
            hear=run.hear,
            deadline=began + self._limit_s(request.timeout_s),
            began=began,
            session_file=asked.session_file,
            session_id=asked.session_id,
        )
        course = TurnRun(self.resources, self._settings, self._probes, turn, choice, began_ms=began_ms)
        return await course.run(request.wait_for_account_s or 0.0)

    def _limit_s(self, asked: float | None) -> float:
        """How long a turn may take, in seconds: as asked, else as the configuration says, else the default."""
        return asked or self.resources.turn_limit_s or self._settings.turn_s

    def emit(self, event: Event) -> None:
        """Journal an event, and pass it to the run it belongs to and to all listeners."""
        self._writer.put(event)
        run = self._drives.get(event.run_id) if event.run_id else None
        if run is not None:
            run.hear(event)
        if self._listen is not None:
            self._listen(event)

    async def _look_around(self) -> None:
        """Apply the current configuration, and find out whether this directory's pids can be judged here."""
        ground, resources = self._ground, self.resources
        if not self.layout.config.is_current():
            layout = ground.layout()
            resources.moved(layout, ground.config(layout), ground.sources(layout))
        now = self._clock.monotonic()
        if self._looked_at is None or now - self._looked_at >= _LOOK_EVERY_S:
            self._looked_at = now
            resources.environment = evidence(resources.layout.state_dir, await resources.foreign.gateway())


def _with_registry(settings: EngineSettings, environ: Mapping[str, str]) -> EngineSettings:
    """`settings` with the registry that the environment names, where they name none. Raises UsageError."""
    url = environ.get("CLAWTOP_REGISTRY", "")
    if settings.registry is not None or not url:
        return settings
    return replace(settings, registry=registry_choice(url, environ.get("CLAWTOP_REGISTRY_MOUNTS", "").split(",")))
