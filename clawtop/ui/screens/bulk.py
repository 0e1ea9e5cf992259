"""One command for all marked rows: one preview, one confirmation, one result per row, with plans fixed on opening."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.worker import Worker

from clawtop.commands import Command, Target
from clawtop.core.model import counted
from clawtop.core.operations.plan import Plan, PlanKind
from clawtop.core.operations.receipt import Sight
from clawtop.errors import ClawtopError, RefusedError
from clawtop.text import safe, shown
from clawtop.ui.ports import Executor, StoreHolder
from clawtop.ui.screens.dialog import DialogScreen
from clawtop.ui.shell import shell
from clawtop.view.error_lines import error_lines
from clawtop.view.fitting import wrapped
from clawtop.view.line import EMPTY, Line, Tone, piece
from clawtop.view.plan_lines import bulk_lines
from clawtop.view.row_plans import plan_for

Planned = tuple[Target, Plan]


class BulkScreen(DialogScreen):
    """`y` executes all plans, one after the other; `n`, `q` and Escape close it, and stop before the next plan."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "confirm", show=False),
        Binding("n,q,escape", "leave", show=False),
    ]

    def __init__(self, item: Command, plans: Sequence[Planned], refused: Sequence[str], execute: Executor) -> None:
        super().__init__()
        self._item = item
        self._plans = plans
        self._refused = refused
        self._execute = execute
        self._worker: Worker[None] | None = None
        self._results: list[Line] = []
        self._ended = False

    def title_line(self) -> Line:
        state = "done" if self._ended else "working" if self._worker is not None else "preview"
        return ((f" {self._item.title}: {counted(len(self._plans), 'row')} ", Tone.ACCENT), (f" {state}", Tone.DIM))

    def buttons(self) -> Sequence[tuple[str, str]]:
        if self._ended:
            return (("leave", "Close (Esc)"),)
        if self._worker is not None:
            return (("leave", "Stop (Esc)"),)
        number = len(self._plans)
        return (("leave", "No, leave them (n)"), ("confirm", f"Yes, do {f'all {number}' if number > 1 else 'it'} (y)"))

    def lines(self, width: int) -> Sequence[Line]:
        if self._worker is None and not self._ended:
            app = shell(self)
            plans = [plan for _, plan in self._plans]
            return bulk_lines(plans, self._refused, app.now, width, app.options.zone)
        lines = [part for line in self._results for part in wrapped(line, width, 2)]
        left = len(self._plans) - len(self._results)
        return lines if self._ended or not left else [*lines, EMPTY, piece(f"{left} left", Tone.DIM)]

    def action_confirm(self) -> None:
        """Execute the plans."""
        if self._worker is not None or self._ended:
            return
        if self.closed_as_disarmed():
            return
        self._worker = self.carry_out(self._execute_all(), f"executing: {self._item.title}", self._failed)
        self.refresh_time()

    async def _execute_all(self) -> None:
        for target, plan in self._plans:
            self._results.append(await self._one(target, plan))
            self.refresh_time()
        self._end()

    def _failed(self, error: ClawtopError) -> None:
        """Report the error that ended it, and how many rows were not started."""
        rest = self._plans[len(self._results) :]
        self._results += [*(piece(f"at {safe(target.id)}:", Tone.BAD) for target, _ in rest[:1]), *error_lines(error)]
        if rest[1:]:
            self._results.append(piece(f"{counted(len(rest) - 1, 'row')} not started", Tone.STRONG))
        self._end()

    def _end(self) -> None:
        self._ended = True
        shell(self).source.poke()
        self.refresh_time()

    async def _one(self, target: Target, plan: Plan) -> Line:
        app = shell(self)
        snapshot = app.snapshot
        name = safe(target.id)
        if snapshot is None:
            return piece(f"✗ {name}: nothing has been read yet", Tone.BAD)
        try:
            if plan_for(self._item.id, snapshot, target).fingerprint != plan.fingerprint:
                return piece(f"‖ {name}: skipped, its state has changed since the preview", Tone.WARN)
            receipt = await self._execute(plan, snapshot, _hears_nothing)
        except RefusedError as error:
            return piece(f"‖ {name}: skipped, {shown(str(error))}", Tone.WARN)
        except ClawtopError as error:
            return piece(f"✗ {name}: {shown(error.title)}; {shown(error.unchanged)}", Tone.BAD)
        tone = Tone.BAD if receipt.sight is Sight.REVERTED else Tone.OK
        became = "removed" if receipt.kind is PlanKind.UNLOCK and receipt.sight is Sight.WRITTEN else receipt.sight
        return piece(f"✓ {shown(receipt.title)}: {shown(became)}", tone)

    def action_leave(self) -> None:
        """Close; plans that have not started are not executed."""
        if self._worker is not None and not self._ended:
            self._worker.cancel()
            shell(self).say(f"{self._item.title}: stopped after {counted(len(self._results), 'row')}", Tone.WARN)
        self.dismiss()


def _hears_nothing(_holder: StoreHolder) -> None:
    """Ignore the holder that a plan waits for: the next one may wait for another process."""
