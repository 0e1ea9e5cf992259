"""Runs driven by this dashboard: each is followed to its end, whether a screen shows it or not."""

from __future__ import annotations

import asyncio

from clawtop.clock import Clock
from clawtop.core.model import Event, counted
from clawtop.core.session.turn_request import TurnRequest
from clawtop.engine.drive.driver import AccountWait, Phase, ReplyDiscarded, ReplyText, TurnAnswer
from clawtop.errors import ClawtopError
from clawtop.text import safe
from clawtop.ui.ports import RunHandle
from clawtop.view.error_lines import error_lines
from clawtop.view.line import Line, Tone
from clawtop.view.run_log import RunLog, end_lines


class DrivenRun:
    """One run: the engine's handle and its log. `done` is set when it is over."""

    def __init__(self, drive: RunHandle, request: TurnRequest, clock: Clock) -> None:
        self._drive = drive
        self._clock = clock
        self.log = RunLog(drive.run_id, request, clock.now_ms(), step_since=clock.now_ms())
        self.task: asyncio.Task[None] = asyncio.get_running_loop().create_task(
            self._follow(), name=f"watch run {drive.run_id}"
        )
        self.task.add_done_callback(self._make_sure)

    @property
    def under_way(self) -> bool:
        return self.log.end is None

    @property
    def names(self) -> tuple[str, ...]:
        """The names that identify it in `Context.own_runs`."""
        request = self.log.request
        return self.log.run_id, f"{request.agent}|{request.session}"

    def rotate(self) -> str | None:
        """Continue with the next profile, without a mark. Returns why that is not possible, or None."""
        return self._drive.rotate()

    def cancel(self) -> str | None:
        """Cancel the run. Returns why that is not possible, or None."""
        if not self.under_way:
            return "the run has ended"
        self._drive.cancel()
        return None

    async def _follow(self) -> None:
        log = self.log
        async for item in self._drive:
            match item:
                case Event():
                    log.happened(item)
                case Phase(name, at):
                    log.entered(name, at)
                case ReplyText(text):
                    log.said(text)
                case ReplyDiscarded():
                    log.discarded()
                case AccountWait(profile, until):
                    log.waits_for_account(profile, until)
        lines, well = await self._end()
        log.over(self._clock.now_ms(), lines, well=well)

    def _make_sure(self, task: asyncio.Task[None]) -> None:
        """Finish a run whose watcher failed, so that it does not count as under way forever."""
        if self.under_way:
            error = None if task.cancelled() else task.exception()
            words = f"✗ no longer watched ({type(error).__name__})" if error else "no longer watched"
            self.log.over(self._clock.now_ms(), end_lines(words, Tone.BAD), well=False)

    async def _end(self) -> tuple[tuple[Line, ...], bool]:
        await self._drive.ended()
        try:
            answer = await self._drive.result()
        except asyncio.CancelledError:
            return end_lines("cancelled: everything was released, nothing was marked", Tone.WARN), False
        except ClawtopError as error:
            return error_lines(error), False
        return _answered(answer), True


def _answered(answer: TurnAnswer) -> tuple[Line, ...]:
    profile = f" with {safe(answer.profile)}" if answer.profile else ""
    tokens = f"{counted(answer.attempts, 'request')}, {answer.usage.total} tokens"
    fork = f"the session was busy: this turn is in {safe(answer.session_file)}" if answer.forked_from else ""
    return end_lines(f"✓ {answer.model} replied{profile}", Tone.OK, f"{tokens}, {safe(answer.stop_reason)}", fork)
