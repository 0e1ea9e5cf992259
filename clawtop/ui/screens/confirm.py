"""One operation: preview, confirmation, progress, receipt. The plan is fixed when the dialog opens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.worker import Worker

from clawtop.commands import Arming, Command, Target
from clawtop.core.model import GatewayState
from clawtop.core.operations.plan import Plan
from clawtop.core.operations.receipt import Receipt, Sight
from clawtop.errors import ClawtopError, RefusedError
from clawtop.text import safe, shown
from clawtop.ui.arming import DISARMED
from clawtop.ui.ports import Executor, StoreHolder
from clawtop.ui.screens.dialog import DialogScreen
from clawtop.ui.shell import shell
from clawtop.view.error_lines import error_lines
from clawtop.view.fitting import wrapped
from clawtop.view.humanize import span
from clawtop.view.line import EMPTY, Line, Tone, piece, text_of
from clawtop.view.plan_lines import preview_lines, receipt_lines
from clawtop.view.row_plans import plan_for


class ConfirmScreen(DialogScreen):
    """Shows the plan. `y` executes it; `n`, `q` and Escape close the dialog, and stop waiting for a lock."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "confirm", show=False),
        Binding("n,q,escape", "leave", show=False),
    ]

    def __init__(self, item: Command, target: Target | None, plan: Plan, execute: Executor) -> None:
        super().__init__()
        self._item = item
        self._target = target
        self._plan = plan
        self._execute = execute
        self._worker: Worker[None] | None = None
        self._started = 0.0
        self._holder: StoreHolder | None = None
        self._ended: tuple[Line, ...] = ()

    # --- drawing -------------------------------------------------------------------------------------------------

    def title_line(self) -> Line:
        state = "stopped" if self._ended else "working" if self._worker is not None else "preview"
        return ((f" {self._item.title} ", Tone.ACCENT), (f" {state}", Tone.DIM))

    def buttons(self) -> Sequence[tuple[str, str]]:
        if self._ended:
            return (("leave", "Close (Esc)"),)
        if self._worker is not None:
            return (("leave", "Stop (Esc)"),)
        return (("leave", "No, leave it (n)"), ("confirm", "Yes, do it (y)"))

    def lines(self, width: int) -> Sequence[Line]:
        if self._ended:
            return [part for line in self._ended for part in wrapped(line, width, 2) if text_of(part).strip()]
        return self._progress(width) if self._worker is not None else self._preview(width)

    def _preview(self, width: int) -> list[Line]:
        app = shell(self)
        lines = list(preview_lines(self._plan, app.now, width, app.options.zone))
        moved = self._moved_on()
        if moved:
            lines += [EMPTY, *wrapped(piece(f"✗ {moved}", Tone.BAD), width, 2)]
        return lines

    def _moved_on(self) -> str | None:
        """Why the plan on the screen can no longer be executed; None if it can."""
        snapshot = shell(self).snapshot
        if snapshot is None:
            return None
        try:
            fresh = plan_for(self._item.id, snapshot, self._target)
        except RefusedError as error:
            return str(error)
        if fresh.fingerprint != self._plan.fingerprint:
            return "The state has changed since this preview. Go back and preview it again."
        return None

    def _progress(self, width: int) -> list[Line]:
        lines: list[Line] = [*wrapped(piece(self._plan.title, Tone.STRONG), width), EMPTY]
        waited = span(round((shell(self).clock.monotonic() - self._started) * 1000))
        holder = self._holder
        if holder is None:
            lines.append(piece(f"working for {waited}", Tone.PLAIN))
        elif self._is_gateway(holder):
            lines += wrapped(piece("✗ THE LIVE GATEWAY HOLDS THE STORE'S LOCK", Tone.BADGE_BAD), width)
            lines += wrapped(piece(shown(holder.text), Tone.BAD), width)
            lines += wrapped(
                piece("It is working; its lock is never removed. Waiting for it to finish.", Tone.PLAIN), width
            )
            lines.append(piece(f"waited {waited}", Tone.WARN))
        else:
            lines += wrapped(piece(f"waiting for the lock, held by {shown(holder.text)}", Tone.WARN), width, 2)
            lines.append(piece(f"waited {waited}", Tone.WARN))
        return [*lines, EMPTY, piece("Escape stops; nothing changes while it waits", Tone.DIM)]

    def _is_gateway(self, holder: StoreHolder) -> bool:
        snapshot = shell(self).snapshot
        live = snapshot is not None and snapshot.gateway.state is GatewayState.LIVE
        return live and snapshot is not None and holder.pid is not None and holder.pid == snapshot.gateway.pid

    # --- acting --------------------------------------------------------------------------------------------------

    def action_confirm(self) -> None:
        """Execute the plan, unless the state no longer allows it."""
        if self._worker is not None or self._ended:
            return
        app = shell(self)
        disarmed = DISARMED if app.arming.state is not Arming.ARMED else None
        why_not = disarmed or self._moved_on()
        if why_not is not None:
            self._end(piece(why_not, Tone.BAD), piece("nothing was changed", Tone.DIM))
            return
        self._started = app.clock.monotonic()
        self._worker = self.carry_out(self._execute_plan(), f"executing: {self._item.title}", self._failed)
        self.refresh_time()

    def action_leave(self) -> None:
        """Close, and stop waiting for a lock."""
        if self._worker is not None and not self._worker.is_finished and not self._ended:
            self._worker.cancel()
            shell(self).say(f"{self._item.title}: stopped", Tone.WARN)
        self.dismiss()

    async def _execute_plan(self) -> None:
        app = shell(self)
        assert app.snapshot is not None  # noqa: S101 - the plan was made from one
        try:
            self._done(await self._execute(self._plan, app.snapshot, self._waits_for))
        finally:
            app.source.poke()

    def _failed(self, error: ClawtopError) -> None:
        self._end(*error_lines(error))

    def _waits_for(self, holder: StoreHolder) -> None:
        self._holder = holder
        self.refresh_time()

    def _done(self, receipt: Receipt) -> None:
        if receipt.sight is Sight.REVERTED:
            self._end(*receipt_lines(receipt, 200))
            return
        lines = receipt_lines(receipt, 60)
        shell(self).toast("\n".join(text_of(line) for line in lines))
        shell(self).say(f"done: {safe(receipt.title)}", Tone.OK)
        self.dismiss()

    def _end(self, *texts: Line) -> None:
        """Stay open and show what went wrong."""
        self._ended = texts
        self.refresh_time()
