"""The question before the dashboard quits while it drives or drains: both end with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType

from clawtop.errors import ClawtopError
from clawtop.text import safe
from clawtop.ui.screens.dialog import DialogScreen
from clawtop.ui.shell import shell
from clawtop.view.error_lines import error_lines
from clawtop.view.fitting import wrapped
from clawtop.view.line import EMPTY, Line, Tone, piece

if TYPE_CHECKING:
    from clawtop.ui.jobs import Jobs


class LeaveScreen(DialogScreen):
    """`y` stops everything and quits; any other key stays."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "leave", show=False),
        Binding("n,q,escape", "stay", show=False),
    ]

    def __init__(self, jobs: Jobs) -> None:
        super().__init__()
        self._jobs = jobs
        self._leaving = False
        self._problem: tuple[Line, ...] = ()

    def title_line(self) -> Line:
        return ((" Leave ", Tone.ACCENT), (" releasing everything" if self._leaving else "", Tone.DIM))

    def buttons(self) -> Sequence[tuple[str, str]]:
        return () if self._leaving else (("stay", "No, stay (n)"), ("leave", "Yes, stop them and leave (y)"))

    def lines(self, width: int) -> Sequence[Line]:
        lines: list[Line] = []
        if self._jobs.draining is not None:
            session = safe(self._jobs.draining.log.session)
            lines += wrapped(
                piece(f"‖ a drain of {session}: it would stop, NOT released; the session is reopened"), width, 2
            )
        for run in self._jobs.running:
            words = f"▶ run {run.log.run_id} on {safe(run.log.request.session)} ({run.log.step}): it would be cancelled"
            lines += wrapped(piece(words, Tone.INFO), width, 2)
        if self._leaving:
            return [*lines, EMPTY, piece("cancelling, releasing, writing marks ...", Tone.WARN)]
        problem = [part for line in self._problem for part in wrapped(line, width, 2)]
        if not lines:
            return [*problem, piece("Everything has ended in the meantime.", Tone.OK)]
        return [*problem, *lines, EMPTY, piece("They belong to this dashboard and end with it.", Tone.STRONG)]

    def action_leave(self) -> None:
        """Stop everything, then quit."""
        if not self._leaving:
            self._leaving = True
            self.carry_out(self._end(), "releasing everything", self._failed)
            self.refresh_time()

    async def _end(self) -> None:
        await self._jobs.aclose()
        shell(self).leave()

    def _failed(self, error: ClawtopError) -> None:
        self._leaving = False
        self._problem = error_lines(error)
        self.refresh_time()

    def action_stay(self) -> None:
        """Close the question; nothing is stopped."""
        if not self._leaving:
            self.dismiss()
