"""Driving a session: the message, and the options of the turn."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.widget import Widget

from clawtop.commands import Arming, Target, command, key_label
from clawtop.core.model import AgentInfo, ModelRef, Session
from clawtop.core.session.admission import OnContention
from clawtop.core.session.turn_request import TurnRequest
from clawtop.errors import ClawtopError
from clawtop.text import safe
from clawtop.ui.screens.dialog import DialogScreen
from clawtop.ui.shell import shell
from clawtop.ui.widgets.choice_line import ChoiceLine
from clawtop.ui.widgets.message_editor import MessageEditor
from clawtop.view.error_lines import error_lines
from clawtop.view.fitting import wrapped
from clawtop.view.line import Line, Tone, piece
from clawtop.view.recovery_lines import is_stuck, reason_words
from clawtop.view.words import session_words

if TYPE_CHECKING:
    from clawtop.ui.jobs import Jobs

LANES: tuple[tuple[str | None, str], ...] = (
    (None, "the session's own"),
    *((name, name) for name in ("main", "channel", "direct", "heartbeat", "cron")),
)
CONTENTION: tuple[tuple[OnContention, str], ...] = (
    (OnContention.WAIT, "wait in line"),
    (OnContention.RAISE, "give up"),
    (OnContention.FORK, "continue in a fresh copy"),
)
DEADLINES: tuple[tuple[float | None, str], ...] = (
    (300.0, "5 minutes, waiting included"),
    (60.0, "1 minute, waiting included"),
    (1800.0, "30 minutes, waiting included"),
    (None, "none"),
)


ACCOUNT_WAITS: tuple[tuple[float | None, str], ...] = (
    (None, "give up"),
    (600.0, "wait 10 minutes for the first to return"),
    (3600.0, "wait 1 hour for the first to return"),
    (21600.0, "wait 6 hours for the first to return"),
)


class DriveScreen(DialogScreen):
    """Asks for a message to a session. Enter sends it and shows the run; Escape closes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", show=False),
        Binding("enter", "send", show=False),
        Binding("tab", "other_field(1)", show=False, priority=True),
        Binding("shift+tab", "other_field(-1)", show=False, priority=True),
        Binding("down", "other_field(1)", show=False),
        Binding("up", "other_field(-1)", show=False),
    ]

    def __init__(self, jobs: Jobs, target: Target) -> None:
        super().__init__()
        self._jobs = jobs
        self._target = target
        self._problem: tuple[Line, ...] = ()
        self._sending = False
        self._editor = MessageEditor()
        self._model: ChoiceLine[ModelRef | None] = ChoiceLine("model", ((None, "the agent's own"),))
        self._lane = ChoiceLine("lane", LANES)
        self._contention = ChoiceLine("if busy", CONTENTION)
        self._deadline = ChoiceLine("deadline", DEADLINES)
        self._account_wait = ChoiceLine("if all cool", ACCOUNT_WAITS)

    def extra(self) -> Iterable[Widget]:
        snapshot = shell(self).snapshot
        agents = snapshot.agents if snapshot is not None else ()
        agent = next((agent for agent in agents if agent.id == self._target.agent), None)
        self._model.offer(_models(agent))
        yield from (self._editor, self._model, self._lane, self._contention, self._deadline, self._account_wait)

    def on_mount(self) -> None:
        super().on_mount()
        self.set_focus(self._editor)

    # --- drawing -------------------------------------------------------------------------------------------------

    def title_line(self) -> Line:
        return ((" Drive ", Tone.ACCENT), (f" {'sending' if self._sending else 'a real turn'}", Tone.DIM))

    def buttons(self) -> Sequence[tuple[str, str]]:
        return () if self._sending else (("leave", "Leave (Esc)"), ("send", "Send (Enter)"))

    def lines(self, width: int) -> Sequence[Line]:
        lines = [*wrapped(piece(safe(self._target.id), Tone.STRONG), width, 2), *self._standing(width)]
        for line in self._problem:
            lines += wrapped(line, width, 2)
        return lines

    def _standing(self, width: int) -> list[Line]:
        """Who holds the session now, for the choice of what to do on contention."""
        facts = shell(self).facts
        session = facts.session(self._target.id, self._target.agent) if facts is not None else None
        if facts is None or session is None:
            return []
        stuck = facts.attention(session)
        if is_stuck(stuck) and stuck is not None:
            key = key_label(command("recover").keys[0])
            words = f"stuck: {reason_words(stuck)}. A message would wait; leave and press {key} to recover it first."
            return wrapped(piece(words, Tone.BAD), width, 2)
        holder = facts.holder_of(session)
        if holder is None:
            return wrapped(_state(session), width, 2)
        who = f"pid {holder.pid}" if holder.pid is not None else "an unknown process"
        waits = f", {len(holder.waiters)} waiting" if holder.waiters else ""
        words = f"held by {who} ({safe(holder.phase)}, known from {safe(holder.source)}){waits}"
        return wrapped(piece(words, Tone.WARN), width, 2)

    # --- acting --------------------------------------------------------------------------------------------------

    def on_message_editor_sent(self, message: MessageEditor.Sent) -> None:
        message.stop()
        self.action_send()

    def action_send(self) -> None:
        """Begin the turn, unless the state no longer allows it."""
        if self._sending:
            return
        if not self._editor.text.strip():
            self._say("nothing to send yet", Tone.WARN)
        elif shell(self).arming.state is not Arming.ARMED:
            self._say("The dashboard has disarmed itself: leave, arm it, come back.", Tone.BAD)
        else:
            self._sending = True
            self._problem = ()
            self.carry_out(self._send(self._request()), "starting the run", self._failed)
            self.refresh_time()

    def _request(self) -> TurnRequest:
        return TurnRequest(
            agent=self._target.agent,
            session=self._target.id,
            message=self._editor.text,
            lane=self._lane.value,
            model=self._model.value,
            on_contention=self._contention.value,
            timeout_s=self._deadline.value,
            wait_for_account_s=self._account_wait.value,
        )

    async def _send(self, request: TurnRequest) -> None:
        from clawtop.ui.screens.run import RunScreen

        run = await self._jobs.start_run(request)
        if self.on_top:
            self.app.switch_screen(RunScreen(self._jobs, run))
        else:  # it was closed meanwhile, or another screen covers it
            shell(self).say("the run continues; W shows it")
            self.dismiss()

    def _failed(self, error: ClawtopError) -> None:
        self._sending = False
        self._problem = error_lines(error)
        self.refresh_time()

    def _say(self, text: str, tone: Tone) -> None:
        self._problem = (piece(text, tone),)
        self.refresh_time()

    def action_leave(self) -> None:
        """Close without sending anything."""
        self.dismiss()

    def action_other_field(self, step: int) -> None:
        """Focus the next field, or the previous one."""
        if step > 0:
            self.focus_next()
        else:
            self.focus_previous()


def _models(agent: AgentInfo | None) -> tuple[tuple[ModelRef | None, str], ...]:
    models = agent.models if agent is not None else ()
    if not models:
        return ((None, "the agent's own"),)
    then = f", then {len(models) - 1} more" if len(models) > 1 else ""
    return (
        (None, f"the agent's own: {safe(models[0], 40)}{then}"),
        *((model, f"{safe(model, 50)} first") for model in models[1:]),
    )


def _state(session: Session) -> Line:
    glyph, word, tone = session_words(session)
    return ((f"{glyph} {word}", tone), (", not held", Tone.DIM))
