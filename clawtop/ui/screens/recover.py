"""Recovering a stuck session: what is wrong, a confirmation, its steps live, the outcome."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.worker import Worker

from clawtop.errors import ClawtopError
from clawtop.text import safe, shown
from clawtop.ui.screens.dialog import DialogScreen
from clawtop.ui.shell import shell
from clawtop.view.error_lines import error_lines
from clawtop.view.fitting import wrapped
from clawtop.view.line import Line, Tone, piece
from clawtop.view.recovery_lines import is_stuck, recovery_lines, recovery_preview

if TYPE_CHECKING:
    from clawtop.core.session.attention import AttentionReport
    from clawtop.ui.jobs import Jobs

WAIT_S = 60.0


class RecoverScreen(DialogScreen):
    """`y` recovers; `n`, `q` and Escape close it, and stop a recovery under way."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "confirm", show=False),
        Binding("n,q,escape", "leave", show=False),
    ]

    def __init__(self, jobs: Jobs, session: str, agent: str | None) -> None:
        super().__init__()
        self._jobs = jobs
        self._session = session
        self._agent = agent
        self._report: AttentionReport | None = None
        self._assessed = False
        self._worker: Worker[None] | None = None
        self._steps: list[str] = []
        self._ended: tuple[Line, ...] = ()

    def on_mount(self) -> None:
        super().on_mount()
        self.carry_out(self._assess(), "checking the session", self._failed)

    # --- drawing -------------------------------------------------------------------------------------------------

    def title_line(self) -> Line:
        if self._ended:
            state = "done"
        elif self._worker is not None:
            state = "working"
        else:
            state = "preview" if self._assessed else "looking"
        return ((" Recover ", Tone.ACCENT), (f" {state}", Tone.DIM))

    def buttons(self) -> Sequence[tuple[str, str]]:
        if self._worker is not None and not self._ended:
            return (("leave", "Stop (Esc)"),)
        if self._ended or not is_stuck(self._report):
            return (("leave", "Close (Esc)"),)
        return (("leave", "No, leave it (n)"), ("confirm", "Yes, recover it (y)"))

    def lines(self, width: int) -> Sequence[Line]:
        if self._worker is None and not self._ended:
            if not self._assessed:
                return [piece(f"looking at {safe(self._session)}", Tone.DIM)]
            lines = recovery_preview(self._session, self._report, WAIT_S)
        else:
            lines = (*(piece(shown(step), Tone.PLAIN) for step in self._steps), *self._ended)
        return [part for line in lines for part in wrapped(line, width, 2)]

    # --- acting --------------------------------------------------------------------------------------------------

    async def _assess(self) -> None:
        self._report = await self._jobs.assess(self._session, self._agent)
        self._assessed = True
        self.refresh_time()

    def action_confirm(self) -> None:
        """Recover the session."""
        if self._worker is not None or self._ended or not is_stuck(self._report):
            return
        if self.closed_as_disarmed():
            return
        self._worker = self.carry_out(self._recover(), "recovering the session", self._failed)
        self.refresh_time()

    async def _recover(self) -> None:
        done = await self._jobs.recover(self._session, self._agent, WAIT_S, self._steps.append)
        self._end(*recovery_lines(self._session, done))

    def _failed(self, error: ClawtopError) -> None:
        self._end(*error_lines(error))

    def _end(self, *lines: Line) -> None:
        self._ended = lines
        shell(self).source.poke()
        self.refresh_time()

    def action_leave(self) -> None:
        """Close, and stop a recovery under way; nothing is held afterwards."""
        if self._worker is not None and not self._ended:
            self._worker.cancel()
            shell(self).say("Recover: stopped", Tone.WARN)
        self.dismiss()
