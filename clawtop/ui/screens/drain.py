"""Draining a session: the preview, a confirmation, its stages live, its outcome."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from enum import Enum, auto
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType

from clawtop.errors import ClawtopError
from clawtop.text import safe
from clawtop.ui.screens.dialog import DialogScreen
from clawtop.ui.shell import shell
from clawtop.view.drain_lines import preview_lines, progress_lines
from clawtop.view.error_lines import error_lines
from clawtop.view.fitting import wrapped
from clawtop.view.line import EMPTY, Line, Tone, piece

if TYPE_CHECKING:
    from clawtop.core.session.drain import DrainPreview, DrainRequest
    from clawtop.ui.jobs import DrainJob, Jobs


class DialogState(Enum):
    """The dialog's state: preview, running, asking whether to stop, over."""

    LOOKING = auto()
    PREVIEW = auto()
    STARTING = auto()
    RUNNING = auto()
    ASKING = auto()
    OVER = auto()


_STATES = {
    DialogState.LOOKING: "looking",
    DialogState.PREVIEW: "preview",
    DialogState.STARTING: "beginning",
    DialogState.RUNNING: "under way",
    DialogState.ASKING: "stop it?",
    DialogState.OVER: "over",
}
_BUTTONS: dict[DialogState, tuple[tuple[str, str], ...]] = {
    DialogState.LOOKING: (("leave", "Leave (n)"),),
    DialogState.PREVIEW: (("leave", "No, leave it (n)"), ("confirm", "Yes, drain it (y)")),
    DialogState.STARTING: (),
    DialogState.RUNNING: (("leave", "Stop, or leave it running (Esc)"),),
    DialogState.ASKING: (
        ("back", "Back (Esc)"),
        ("background", "Keep it running in the background (k)"),
        ("stop", "Stop and reopen (s)"),
    ),
    DialogState.OVER: (("leave", "Close (Esc)"),),
}


class DrainScreen(DialogScreen):
    """The dialog of a drain: of a new one, or of one that is under way or over (`job`)."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "confirm", show=False),
        Binding("n", "no", show=False),
        Binding("q,escape", "leave", show=False),
        Binding("f", "fresh", show=False),
        Binding("g", "gateway", show=False),
        Binding("s", "stop", show=False),
        Binding("k,up", "keep_or_scroll", show=False),
    ]

    def __init__(self, jobs: Jobs, session: str, agent: str | None = None, job: DrainJob | None = None) -> None:
        super().__init__()
        self._jobs = jobs
        self._session = session
        self._agent = agent
        self._job = job
        self._asking = False
        self._starting = False
        self._wishes = jobs.wishes
        self._preview: DrainPreview | None = None
        self._looking = False
        self._error: ClawtopError | None = None

    def on_mount(self) -> None:
        super().on_mount()
        if self._job is None:
            self._look()

    @property
    def scene(self) -> DialogState:
        """The dialog's state, from that of the drain."""
        if self._job is not None:
            if not self._job.under_way:
                return DialogState.OVER
            return DialogState.ASKING if self._asking else DialogState.RUNNING
        if self._error is not None:
            return DialogState.OVER
        if self._starting:
            return DialogState.STARTING
        return DialogState.PREVIEW if self._shows_what_is_lost() else DialogState.LOOKING

    def _shows_what_is_lost(self) -> bool:
        """Whether the lines tell all that the operator would agree to: only a gateway knows what it drops."""
        preview = self._preview
        return (
            preview is not None
            and preview.of(self._wishes) is not None
            and (preview.complete or not self._wishes.abort_in_gateway)
        )

    @property
    def _request(self) -> DrainRequest:
        from clawtop.core.session.drain import DrainRequest

        return DrainRequest(self._session, self._agent, self._wishes)

    # --- drawing -------------------------------------------------------------------------------------------------

    def title_line(self) -> Line:
        return ((" Drain ", Tone.ACCENT), (f" {_STATES[self.scene]}", Tone.DIM))

    def buttons(self) -> Sequence[tuple[str, str]]:
        return _BUTTONS[self.scene]

    def lines(self, width: int) -> Sequence[Line]:
        if self._error is not None:
            return [part for line in error_lines(self._error) for part in wrapped(line, width, 2)]
        if self._job is not None:
            lines = progress_lines(self._job.log, shell(self).clock.monotonic(), shell(self).options.zone, width)
            return [*lines, *self._question(width)] if self.scene is DialogState.ASKING else lines
        if self._preview is None:
            return [piece(f"looking at {safe(self._session)}", Tone.DIM)]
        return preview_lines(self._session, self._preview, self._wishes, can_abort=self._jobs.can_abort, width=width)

    @staticmethod
    def _question(width: int) -> list[Line]:
        text = "It can be stopped between any two steps: the session is then reopened, NOT released."
        return [EMPTY, *wrapped(piece(text, Tone.STRONG), width, 2)]

    # --- acting --------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        """Look at the session in the background, unless that is under way."""
        if not self._looking:
            self._looking = True
            self.carry_out(self._survey_it(), "checking the session", self._failed)

    async def _survey_it(self) -> None:
        try:
            self._preview = await self._jobs.survey(self._request, self._told)
        finally:
            self._looking = False
        if self._preview is not None and self._preview.of(self._wishes) is None:
            self._look()  # the options have changed meanwhile: this preview does not cover them
        self.refresh_time()

    def _told(self, preview: DrainPreview) -> None:
        """Show what is known before the gateway has answered; a complete preview stays until the next one."""
        if self._looking and self._preview is None:
            self._preview = preview
            self.refresh_time()

    def action_fresh(self) -> None:
        """Toggle between reopening the session and continuing under a fresh session id."""
        if self.scene is DialogState.PREVIEW:
            self._wishes = replace(self._wishes, fresh=not self._wishes.fresh)
            self.refresh_time()

    def action_gateway(self) -> None:
        """Toggle whether the gateway is asked to abort its run; the preview says what that means."""
        if self.scene in {DialogState.LOOKING, DialogState.PREVIEW} and self._jobs.can_abort:
            self._wishes = replace(self._wishes, abort_in_gateway=not self._wishes.abort_in_gateway)
            self.refresh_time()
            self._look()

    def action_confirm(self) -> None:
        """Begin the drain."""
        if self.scene is not DialogState.PREVIEW:
            return
        if self.closed_as_disarmed():
            return
        self._starting = True
        self.carry_out(self._begin(), "starting the drain", self._failed)
        self.refresh_time()

    async def _begin(self) -> None:
        self._job = await self._jobs.start_drain(self._request)
        self.refresh_time()

    def _failed(self, error: ClawtopError) -> None:
        self._error = error
        self.refresh_time()

    def action_leave(self) -> None:
        """Close; while the drain runs, ask first."""
        if self.scene is DialogState.RUNNING:
            self._asking = True
        elif self.scene is DialogState.ASKING:
            self._asking = False
        elif self.scene is not DialogState.STARTING:
            self.dismiss()
            return
        self.refresh_time()

    def action_no(self) -> None:
        """Answer no: close the preview, or keep the drain running."""
        if self.scene in {DialogState.LOOKING, DialogState.PREVIEW, DialogState.OVER}:
            self.dismiss()

    def action_back(self) -> None:
        """Keep the drain running."""
        self._asking = False
        self.refresh_time()

    def action_background(self) -> None:
        """Close the dialog; the drain continues, visible on the first line."""
        shell(self).say("the drain continues; W shows it")
        self.dismiss()

    def action_keep_or_scroll(self) -> None:
        """`k` keeps the drain running when asked whether to stop it; otherwise it scrolls."""
        if self.scene is DialogState.ASKING:
            self.action_background()
        else:
            self.action_scroll(-1)

    def action_stop(self) -> None:
        """Stop the drain and reopen the session."""
        if self.scene is DialogState.ASKING and self._job is not None:
            self.carry_out(self._job.stop(), "stopping the drain", self._failed)
