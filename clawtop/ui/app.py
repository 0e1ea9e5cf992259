"""The app: one snapshot, one clock, one arming switch. It is the `Shell` that the rest of ui/ is built on.

It owns the state that is shown, the screen stack, the clock's tick, and what ends the process; what a key does is in
`ui.commands`, what is on the screen in `ui.screens`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual import events
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.reactive import reactive
from textual.screen import Screen

from clawtop.clock import Clock
from clawtop.commands import Context, command
from clawtop.core.model import Snapshot
from clawtop.core.source import SnapshotSource
from clawtop.errors import ClawtopError
from clawtop.ui.arming import ArmingSwitch
from clawtop.ui.commands.dispatch import run_command
from clawtop.ui.executing import Executing
from clawtop.ui.flash import Flash
from clawtop.ui.messages import CommandRequested, SnapshotArrived
from clawtop.ui.notifier import Notifier
from clawtop.ui.palettes import THEMES
from clawtop.ui.pasting import PastingApp
from clawtop.ui.ports import Executor, Options
from clawtop.ui.preparation import Preparation
from clawtop.ui.screens.base import DashboardScreen
from clawtop.ui.screens.overview import OverviewScreen
from clawtop.ui.surviving import Survival, SurvivingApp
from clawtop.ui.terminal import CLOSED_TERMINAL_EXIT, on_ending_signals, terminal_is_gone
from clawtop.ui.terminal_output import SparingApp, TerminalDriver
from clawtop.ui.theme import ThemeStyles, textual_theme
from clawtop.ui.typed_ahead import TypedAheadApp
from clawtop.view.columns import Env
from clawtop.view.facts import Facts, Memory
from clawtop.view.headline import Unread
from clawtop.view.line import Tone

if TYPE_CHECKING:
    from textual.command import Provider

    from clawtop.ui.jobs import DrainJob, Jobs
    from clawtop.ui.shell import Shell


def _palette() -> type[Provider]:
    from clawtop.ui.commands.palette import InOrder  # not needed for the first paint

    return InOrder


TICK_SECONDS = 1.0
TOAST_SECONDS = 12.0
SETTLED_SECONDS = 0.25
"""With a first snapshot on the screen, the source starts this much later: what it loads would delay the first frame."""


class ClawtopApp(SurvivingApp, SparingApp, PastingApp, TypedAheadApp, App[None]):
    """The dashboard."""

    CSS_PATH = Path(__file__).with_name("clawtop.tcss")
    TITLE = "clawtop"
    COMMAND_PALETTE_BINDING = command("palette").keys[-1]
    COMMANDS: ClassVar[set[type[Provider] | Callable[[], type[Provider]]]] = {_palette}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+c", "interrupt", show=False, priority=True),
        Binding("ctrl+l", "redraw", show=False, priority=True),
    ]

    snapshot: reactive[Snapshot | None] = reactive(None, init=False, always_update=True, repaint=False)

    def __init__(
        self,
        source: SnapshotSource,
        clock: Clock,
        options: Options,
        *,
        theme: str,
        execute: Executor | None = None,
        jobs: Jobs | None = None,
        first: Facts | None = None,
    ) -> None:
        self.look = ThemeStyles(theme)
        self.clock, self.survival = clock, Survival(self)
        super().__init__(driver_class=TerminalDriver, ansi_color=self.look.ansi or None)
        self.source = source
        self.options = options
        self.ascii_glyphs = options.ascii_glyphs
        self.arming = ArmingSwitch(clock, locked=options.read_only)
        self._executing = Executing(execute) if execute is not None else None
        self.execute: Executor | None = self._executing
        self.jobs = jobs
        if jobs is not None:
            jobs.say = self.tell
            jobs.show_receipt = self._show_receipt
        self.notifier = Notifier(options.incident)
        self.paused = self._unseen = False
        self.labels: dict[str, str] = dict(options.labels)
        self.facts: Facts | None = None
        self._preparation = Preparation(judge=self._judge, prepare=self._prepare, adopt=self._adopt)
        self.on_first_paint: Callable[[], None] = lambda: None
        self.make_ready: Callable[[], object] = lambda: None
        self.failure: Unread | None = None
        self.flash = Flash(clock)
        self._pending: Snapshot | None = None
        self._first, self._settles = first, first is not None
        for name in THEMES:
            self.register_theme(textual_theme(name))
        self.theme = theme

    # --- life ----------------------------------------------------------------------------------------------------

    def get_default_screen(self) -> Screen[None]:
        return OverviewScreen()

    def on_mount(self) -> None:
        self.set_class(self.ascii_glyphs, "-ascii")
        on_ending_signals(lambda code: self.exit(return_code=code))
        self.survival.keep("preparation", self._preparation.run)
        if self._first is None:
            self._start_source()
        else:
            self._preparation.begin(self._first)
            self._first = None
            self.set_timer(SETTLED_SECONDS, self._start_source)
        self.set_interval(TICK_SECONDS, self._tick)

    def _start_source(self) -> None:
        """Load the rest of the program, once the first frame is painted."""
        self.on_first_paint()
        self._look()
        self.survival.keep("hub", lambda: self.source.run(self._deliver, self._failed))

    def _deliver(self, snapshot: Snapshot) -> None:
        self.post_message(SnapshotArrived(snapshot))

    def _failed(self, error: ClawtopError) -> None:
        self.failure = Unread.of(error, self.clock.now_ms(), self.failure)
        if self._has_view:
            self.view.refresh_time()

    def on_snapshot_arrived(self, message: SnapshotArrived) -> None:
        self.failure = None
        if self.paused:
            self._pending = message.snapshot
        else:
            self._preparation.offer(message.snapshot)

    def _judge(self, snapshot: Snapshot, memory: Memory) -> Facts:
        return Facts(
            snapshot, snapshot.present(self.clock.now_ms()), self.options.agent, memory=memory, labels=dict(self.labels)
        )

    def _prepare(self, facts: Facts) -> None:
        self.view.prepare(Env(facts, facts.now, self.options.zone))

    def _adopt(self, facts: Facts) -> None:
        """Show a snapshot that has been prepared."""
        if not self._has_view:
            return  # it came while the screens were being opened or closed
        before, self.facts = self.facts, facts
        self.snapshot = facts.snapshot
        if before is not None and before is not facts:
            before.let_go()

    def watch_snapshot(self) -> None:
        self.view.refresh_state()
        self._unseen = True
        if not self.notifier.opened and (not self._settles or self.options.incident.opens != "overview"):
            self._look()

    def _look(self) -> None:
        """Show the state to the notifier, at most once a second: its comparison takes milliseconds."""
        if self._unseen and self.snapshot is not None:
            self._unseen = False
            self.notifier.look(self, self.snapshot)

    def _tick(self) -> None:
        if terminal_is_gone():
            self.exit(return_code=CLOSED_TERMINAL_EXIT)
            return
        if not self._has_view:
            return  # the screens are being opened or closed
        if self.arming.expire():
            self.tell("disarmed: no key for five minutes", Tone.WARN)
        if self.screen is not self.view:
            self.flash.notice.stay()  # a page or a dialog may cover it
        if self.flash.answer.expire():
            self.view.draw_footer()
        if self.flash.notice.expire():
            self.view.draw_tabs()
        if self.paused:
            return
        self._look()  # first: what it is due for may have been judged since the last tick
        ends = self.facts.changes_at if self.facts is not None else None
        due = (ends is not None and self.now >= ends) or self.notifier.is_due(self.now)
        if due and self.snapshot is not None:
            self._preparation.offer(self.snapshot)  # time alone has changed something
        else:
            self.view.refresh_time()
        self._look()
        refresh_page = getattr(self.screen, "refresh_time", None)
        if refresh_page is not None and self.screen is not self.view:
            refresh_page()

    # --- what the views ask --------------------------------------------------------------------------------------

    @property
    def now(self) -> int:
        """The present, for countdowns (ms since epoch): the gateway's, or the time that a copied state is judged by."""
        now = self.clock.now_ms()
        return now if self.snapshot is None else self.snapshot.present(now)

    @property
    def env(self) -> Env | None:
        """What rows are made from: the facts of the snapshot and the present."""
        return Env(self.facts, self.now, self.options.zone) if self.facts is not None else None

    @property
    def _has_view(self) -> bool:
        return any(isinstance(screen, DashboardScreen) for screen in self.screen_stack)

    @property
    def view(self) -> DashboardScreen:
        """The topmost view, without the dialogs over it."""
        return next(s for s in reversed(self.screen_stack) if isinstance(s, DashboardScreen))

    @property
    def mood(self) -> str:
        """What the dashboard itself is doing, for the first line: paused, a run, a recording; empty if nothing."""
        return self.notifier.mood(paused=self.paused, also=self.jobs.words if self.jobs is not None else ())

    def context(self) -> Context:
        """What commands need to decide whether they can run."""
        return Context(
            self.snapshot,
            self.view.target,
            self.arming.state,
            undoable=self.facts is not None and self.facts.undoable,
            own_runs=self.jobs.own_runs if self.jobs is not None else frozenset(),
            underway=self.jobs is not None and bool(self.jobs.runs or self.jobs.drain),
            replaying=self.options.incident.playback is not None,
            view=self.view.view_id,
            of_fleet=self.options.of_fleet,
            marked=frozenset(target.kind for target in self.view.marked),
            stays=self._stays,
        )

    def _stays(self) -> str | None:
        """Why the process must not be suspended: others may wait for its locks, or no shell would continue it."""
        operating = self._executing is not None and self._executing.under_way > 0
        if operating or (self.jobs is not None and self.jobs.recovering):
            return "an operation is under way, and may hold a lock: wait for it to finish, or stop it"
        if self.jobs is not None and self.jobs.busy:
            return "what this dashboard runs holds locks (W shows it): wait for it to finish, or stop it"
        return self.why_not_suspended

    def set_label(self, key: str, label: str) -> None:
        """Label a session."""
        self.labels[key] = label
        if self.snapshot is not None:
            self._preparation.offer(self.snapshot)

    def set_paused(self, paused: bool) -> None:
        """Freeze the screen, or show the latest state again."""
        self.paused = paused
        if not paused and self._pending is not None:
            self._preparation.offer(self._pending)
            self._pending = None
        self.view.refresh_time()

    def say(self, text: str, tone: Tone = Tone.PLAIN) -> None:
        """Answer a key: the text replaces the footer for a few seconds."""
        self.flash.answer.show(text, tone)
        if self._has_view:
            self.view.draw_footer()

    def tell(self, text: str, tone: Tone = Tone.ACCENT) -> None:
        """Announce an event: the text replaces the other screens' names for a few seconds."""
        self.flash.notice.show(text, tone)
        if self._has_view:
            self.view.draw_tabs()

    def toast(self, text: str) -> None:
        """Show a few lines in a corner for a while."""
        self.notify(text, markup=False, timeout=TOAST_SECONDS)

    def clear_toasts(self) -> None:
        """Remove the toasts."""
        self.clear_notifications()

    def on_armed(self) -> object:
        """Prepare for operations: the operator has armed the dashboard."""
        return self.make_ready()

    def after_refresh(self, call: Any, *arguments: Any) -> None:
        """Call a function after the next refresh."""
        self.call_after_refresh(call, *arguments)

    # --- screens and commands ------------------------------------------------------------------------------------

    def open(self, screen: Screen[None]) -> None:
        """Push a screen. What answered a key of another view is over."""
        if isinstance(screen, DashboardScreen):
            self.flash.answer.withdraw()
        self.push_screen(screen)

    def to_overview(self) -> None:
        """Close every screen above the overview. What answered a key there is over."""
        if not isinstance(self.view, OverviewScreen):
            self.flash.answer.withdraw()
        while not isinstance(self.view, OverviewScreen):
            self.pop_screen()

    def open_palette(self) -> None:
        """Open the command palette."""
        self.action_command_palette()

    def leave(self) -> None:
        """End the dashboard, as `q` does."""
        self.exit(return_code=0)

    def _show_receipt(self, job: DrainJob) -> None:
        """Show the outcome of a drain whose dialog is closed."""
        from clawtop.ui.commands.driving import receipt_text
        from clawtop.ui.screens.drain import DrainScreen

        if self.is_running and not isinstance(self.screen, DrainScreen):
            self.toast(receipt_text(job))

    def run_command(self, command_id: str) -> None:
        """Run a command of the table, or say why not."""
        run_command(self, command_id)
        if self.options.tour is not None and self.options.tour.took(command_id):
            self.view.refresh_time()

    def action_command(self, command_id: str) -> None:
        """Run a command by its key: every key of the table is bound to this action."""
        self.run_command(command_id)

    def on_command_requested(self, message: CommandRequested) -> None:
        self.run_command(message.command_id)

    def action_suspend(self) -> None:
        """Ctrl-Z over a page or a dialog."""
        self.run_command("suspend")

    def action_interrupt(self) -> None:
        """Ctrl-C leaves from anywhere, as a signal would."""
        self.exit(return_code=130)

    def watch_theme(self, theme: str) -> None:
        self.look = ThemeStyles(theme)
        self.ansi_color = True if self.no_color else None
        if self.is_running:
            self.refresh(layout=True)

    def get_system_commands(self, _screen: Screen[object]) -> Iterable[SystemCommand]:
        """The palette's entries: the table of commands."""
        from clawtop.ui.commands.palette import entries

        return entries(self.context(), self.run_command)

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.Key):
            self.arming.stay()
        await super().on_event(event)


if TYPE_CHECKING:

    def _is_a_shell(app: ClawtopApp) -> Shell:
        """Let the type checker compare the app with the `Shell` protocol."""
        return app
