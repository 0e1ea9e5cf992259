"""What this dashboard runs in the state directory: its driven runs, and one drain at a time.

It outlives the screens that show it and ends with the dashboard. All on the event loop; the drain's reader and the
making of the engine are in threads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from clawtop.clock import Clock
from clawtop.commands import Target, own_run_name
from clawtop.core.model import counted
from clawtop.errors import ClawtopError, RefusedError
from clawtop.text import safe, shown
from clawtop.ui.ports import Draining, Engine, JobPorts
from clawtop.view.error_lines import error_lines
from clawtop.view.line import Tone, piece

if TYPE_CHECKING:
    from clawtop.core.session.attention import AttentionReport
    from clawtop.core.session.drain import DrainPreview, DrainRequest, DrainWishes, Wait
    from clawtop.core.session.recovery import SessionRecovery
    from clawtop.core.session.turn_request import TurnRequest
    from clawtop.ui.driven import DrivenRun

KEPT_RUNS = 20


class DrainJob:
    """One drain, from its beginning to its outcome. Screens show its `log`."""

    def __init__(self, request: DrainRequest, clock: Clock) -> None:
        from clawtop.core.session.drain import DrainListener  # not needed for the first paint
        from clawtop.view.drain_lines import DrainLog

        self._clock = clock
        self.log = log = DrainLog(request.session, request.wishes, "", clock.monotonic())
        self.listener = DrainListener(log.stepped, self._waits)
        self._task: asyncio.Task[None] | None = None

    @property
    def under_way(self) -> bool:
        return self._task is not None and self.log.released is None

    def begin(self, draining: Draining, ended: Callable[[DrainJob], None]) -> None:
        self.log.drain_id = draining.drain_id
        self._task = asyncio.get_running_loop().create_task(self._drain(draining), name=f"drain {draining.drain_id}")
        self._task.add_done_callback(self._make_sure)
        self._task.add_done_callback(lambda _: ended(self))

    async def stop(self) -> None:
        """Stop between two steps; when this returns, the session is open again."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    def _waits(self, wait: Wait, left_s: float) -> None:
        self.log.waits(wait.why, self._clock.monotonic() + left_s)

    def _make_sure(self, task: asyncio.Task[None]) -> None:
        """Finish a drain that failed, so that it does not count as under way forever."""
        error = None if task.cancelled() else task.exception()
        if self.log.released is None:
            name = type(error).__name__ if error is not None else "cancelled"
            self.log.ended(False, piece(f"aborted, NOT released ({name})", Tone.BAD))

    async def _drain(self, draining: Draining) -> None:
        from clawtop.view.drain_lines import outcome_lines, stopped_lines

        try:
            outcome = await draining.drain()
        except asyncio.CancelledError:
            self.log.ended(False, *stopped_lines(draining.drain_id))
        except ClawtopError as error:
            self.log.ended(False, *error_lines(error))
        else:
            self.log.ended(outcome.released, *outcome_lines(outcome))


class Jobs:
    """The runs and the drain of this dashboard."""

    def __init__(self, ports: JobPorts, clock: Clock, wishes: DrainWishes | None = None) -> None:
        self._wishes = wishes
        self._ports = ports
        self._clock = clock
        self._driver: Engine | None = None
        self._making = asyncio.Lock()
        self.runs: list[DrivenRun] = []
        self.drain: DrainJob | None = None
        self._recoveries = 0
        self.say: Callable[[str, Tone], None] = _ignore
        self.show_receipt: Callable[[DrainJob], None] = _ignore

    # --- what the app shows --------------------------------------------------------------------------------------

    @property
    def running(self) -> list[DrivenRun]:
        return [run for run in self.runs if run.under_way]

    @property
    def draining(self) -> DrainJob | None:
        """The drain that is under way."""
        return self.drain if self.drain is not None and self.drain.under_way else None

    @property
    def own_runs(self) -> frozenset[str]:
        """The ids of the runs under way, for `Context.own_runs`."""
        return frozenset(name for run in self.running for name in run.names)

    @property
    def words(self) -> tuple[str, ...]:
        """What is under way and until when, for the first line."""
        drain = self.draining
        drains = (f"DRAIN {drain.log.left_s(self._clock.monotonic()):.0f}s",) if drain is not None else ()
        runs = (counted(len(self.running), "RUN", "RUNS"),) if self.running else ()
        return (*drains, *runs)

    def run_of(self, target: Target | None) -> DrivenRun | None:
        """The run of a row that is under way; else its latest one."""
        if target is None:
            return None
        name = own_run_name(target)
        return next((run for run in reversed([*self.runs, *self.running]) if name in run.names), None)

    @property
    def wishes(self) -> DrainWishes:
        """The default options of a drain."""
        from clawtop.core.session.drain import DrainWishes

        return self._wishes or DrainWishes()

    # --- drains --------------------------------------------------------------------------------------------------

    @property
    def can_abort(self) -> bool:
        return self._ports.drains.can_abort

    async def survey(self, request: DrainRequest, told: Callable[[DrainPreview], None]) -> DrainPreview:
        """The preview of a drain; `told` receives what is known before a gateway has answered. Raises ClawtopError."""
        from clawtop.core.session.drain import DrainListener

        loop = asyncio.get_running_loop()

        def tell(preview: DrainPreview) -> None:
            with suppress(RuntimeError):  # the dashboard has ended meanwhile
                loop.call_soon_threadsafe(told, preview)

        def look() -> DrainPreview:
            return self._ports.drains.prepare(request, DrainListener()).preview(tell)

        return await asyncio.to_thread(look)

    async def start_drain(self, request: DrainRequest) -> DrainJob:
        """Begin a drain. Raises ClawtopError; RefusedError while another one is under way."""
        if self.draining is not None:
            raise RefusedError(f"a drain of {safe(self.draining.log.session)} is under way: one at a time")
        job = DrainJob(request, self._clock)
        draining = await asyncio.to_thread(self._ports.drains.prepare, request, job.listener)
        self.drain = job
        job.begin(draining, self._drain_ended)
        return job

    def _drain_ended(self, job: DrainJob) -> None:
        how = "drained" if job.log.released else "NOT released"
        self.say(f"drain of {safe(job.log.session)}: {how} (W shows it)", Tone.OK if job.log.released else Tone.BAD)
        self.show_receipt(job)

    # --- recoveries ----------------------------------------------------------------------------------------------

    async def assess(self, session: str, agent: str | None) -> AttentionReport | None:
        """Why a session is stuck, if it is. Raises ClawtopError."""
        return await asyncio.to_thread(self._ports.recoveries.assess, session, agent)

    async def recover(
        self, session: str, agent: str | None, wait_s: float, told: Callable[[str], None]
    ) -> SessionRecovery:
        """Recover a stuck session. Raises ClawtopError."""
        self._recoveries += 1
        try:
            return await self._ports.recoveries.recover(await self._engine(), session, agent, wait_s, told)
        finally:
            self._recoveries -= 1

    # --- runs ----------------------------------------------------------------------------------------------------

    async def start_run(self, request: TurnRequest) -> DrivenRun:
        """Send a message to a session. Raises ClawtopError when nothing can be driven here."""
        from clawtop.ui.driven import DrivenRun

        drive = (await self._engine()).drive(request)
        run = DrivenRun(drive, request, self._clock)
        run.task.add_done_callback(lambda _: self._run_ended(run))
        over = [old for old in self.runs if not old.under_way]
        self.runs = [old for old in self.runs if old not in over[: max(0, len(over) - KEPT_RUNS)]]
        self.runs.append(run)
        return run

    async def _engine(self) -> Engine:
        async with self._making:
            if self._driver is None:
                self._driver = await asyncio.to_thread(self._ports.engine)
            return self._driver

    def _run_ended(self, run: DrivenRun) -> None:
        problem = self._driver.journal_problem if self._driver is not None else None
        if problem is not None:
            self.say(f"the journal: {shown(str(problem))}", Tone.BAD)
        elif run.log.end:
            tone = Tone.OK if run.log.ended_well else Tone.WARN
            self.say(f"run on {safe(run.log.request.session)}: {run.log.end[0][0][0]} (W shows it)", tone)

    # --- the end -------------------------------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        return bool(self.running) or self.draining is not None

    @property
    def recovering(self) -> bool:
        """Whether a session is being recovered; neither `draining` nor `own_runs` shows that."""
        return self._recoveries > 0

    async def aclose(self) -> None:
        """Stop the drain, cancel the runs, release everything; marks are written within a bounded time or spooled."""
        if self.draining is not None:
            await self.draining.stop()
        driver, self._driver = self._driver, None
        if driver is not None:
            await driver.aclose()
        if self.runs:
            await asyncio.wait({run.task for run in self.runs})


def _ignore(*_facts: object) -> None:
    """Ignore the steps of a preview."""
