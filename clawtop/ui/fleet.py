"""The fleet on one screen: one row per host, worst first; below, shared accounts, who can answer, one timeline.

Enter opens a host's whole dashboard in its place; leaving that dashboard returns to the fleet.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import tzinfo
from pathlib import Path
from typing import ClassVar

from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen

from clawtop.clock import Clock
from clawtop.commands import command
from clawtop.core.fleet.hosts import Host, in_frozen_order, worst_first
from clawtop.core.fleet.merged import answering, timeline
from clawtop.core.fleet.shared import SharedAccounts
from clawtop.ui.flash import Flash
from clawtop.ui.palettes import THEMES
from clawtop.ui.pasting import PastingApp
from clawtop.ui.ports import Options
from clawtop.ui.screens.table_control import TableControl
from clawtop.ui.surviving import Survival, SurvivingApp
from clawtop.ui.terminal import on_ending_signals
from clawtop.ui.terminal_output import SparingApp, TerminalDriver
from clawtop.ui.theme import ThemeStyles, textual_theme
from clawtop.ui.typed_ahead import TypedAheadApp
from clawtop.ui.widgets.line_bar import LineBar
from clawtop.ui.widgets.line_scroll import LineScroll
from clawtop.ui.widgets.live_table import LiveTable
from clawtop.view import fleet_rows
from clawtop.view.fitting import cut_at_words
from clawtop.view.line import EMPTY, Line, LinesOf, Tone, piece

TICK_SECONDS = 1.0
FROZEN_SECONDS = 6.0
"""After the operator moved, hosts keep their places for this long."""


class Below:
    """The pages below the hosts, updated by the hosts that changed; Tab shows the next."""

    TITLES = ("Accounts on several hosts", "Who can answer", "Timeline")

    def __init__(self) -> None:
        self._accounts, self._answering, self._timeline = SharedAccounts(), answering(), timeline()

    def lines(self, page: int, hosts: Sequence[Host], now: int, zone: tzinfo | None) -> Sequence[Line]:
        """One of them at `now` (ms since epoch by this machine's clock)."""
        title: Line = ((self.TITLES[page], Tone.TITLE), ("   Tab: next", Tone.FAINT))
        lines: LinesOf
        match page:
            case 0:
                lines = LinesOf(title, self._accounts.of(hosts), lambda each: fleet_rows.shared_line(each, now))
            case 1:
                lines = LinesOf(title, self._answering.of(hosts), lambda each: fleet_rows.answering_line(each, now))
            case _:
                lines = LinesOf(title, self._timeline.of(hosts), lambda each: fleet_rows.timeline_line(each, zone))
        return lines if len(lines) > 1 else [title, piece(f"{self.TITLES[page]}: nothing to show", Tone.DIM)]


ACTIONS: dict[str, str] = {
    "detail": "open_host",
    "quit": "leave",
    "suspend": "suspend",
    "back": "back",
    "up": "move(-1)",
    "down": "move(1)",
    "page-up": "page(-1)",
    "page-down": "page(1)",
    "first": "edge(-1)",
    "last": "edge(1)",
    "next-pane": "pane(1)",
    "previous-pane": "pane(-1)",
    "filter": "filter",
    "sort": "sort",
    "sort-reverse": "reverse",
    "refresh": "retry",
    "help": "help",
}
"""Command of the table -> what it does here. Keys are the table's own."""

HINTS = ("detail", "filter", "sort", "sort-reverse", "next-pane", "help", "refresh", "quit")


class FleetScreen(TableControl):
    """The rows, and the pane below them."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(key, f"screen.{action}", show=False)
        for command_id, action in ACTIONS.items()
        for key in command(command_id).keys
    ]

    def __init__(self) -> None:
        super().__init__()
        self.table = LiveTable(id="fleet")
        self.tables = (self.table,)
        self._first_line = LineBar(id="first-line", raised=True)
        self._headline = LineBar(id="headline")
        self._lower = LineScroll(id="lower")
        self.foot = LineBar(id="footer", raised=True)
        self._below = Below()
        self._pane = 0
        self._hosts: Sequence[Host] = ()
        self._counts: Line = EMPTY
        self._order: tuple[str, ...] = ()
        self._moved_at = float("-inf")

    def compose(self) -> ComposeResult:
        yield self._first_line
        yield self._headline
        yield self.table
        yield self._lower
        yield self.foot

    def on_mount(self) -> None:
        self.set_focus(self.table)

    @property
    def fleet_app(self) -> FleetApp:
        app = self.app
        assert isinstance(app, FleetApp)  # noqa: S101 - this screen belongs to it alone
        return app

    def show_hosts(self, hosts: Sequence[Host], now: int) -> None:
        """Draw everything. `now`: ms since epoch by this machine's clock."""
        frozen = self.fleet_app.clock.monotonic() - self._moved_at < FROZEN_SECONDS
        ordered = in_frozen_order(hosts, self._order) if frozen else worst_first(hosts)
        self._order = tuple(host.name for host in ordered)
        self.table.show(fleet_rows.fleet_table(ordered, now, self.fleet_app.options.zone), now)
        if self._moved_at < 0:
            self.table.point_at(0)  # the worst, until the operator chooses another
        self.draw(ordered, now)

    def draw(self, hosts: Sequence[Host], now: int) -> None:
        """The lines around the table."""
        width, zone = self.size.width, self.fleet_app.options.zone
        self._hosts, self._counts = hosts, fleet_rows.headline(hosts)
        self._first_line.show(fleet_rows.first_line(hosts, now, width, zone))
        self._tell_chosen(now)
        self._lower.show(self._below.lines(self._pane, hosts, now, zone))
        said = self.fleet_app.flash.answer.line
        self.foot.show(said if said is not None else fleet_rows.hints([command(name) for name in HINTS], width))

    def _tell_chosen(self, now: int) -> None:
        """The host under the cursor in full."""
        under = self.table.target.id if self.table.target is not None else ""
        chosen = next((host for host in self._hosts if host.name == under), None)
        notice = self.fleet_app.flash.notice.line
        counts = self._counts if notice is None else cut_at_words(((" ", Tone.PLAIN), *notice), self.size.width)
        self._headline.show(counts, fleet_rows.about_line(chosen, now))

    def on_target_changed(self) -> None:
        self._tell_chosen(self.fleet_app.clock.now_ms())

    def moved(self) -> None:
        self._moved_at = self.fleet_app.clock.monotonic()

    def rows_changed(self) -> None:
        self.fleet_app.redraw()

    def action_move(self, rows: int) -> None:
        """Move the cursor."""
        self.move_rows(rows)

    def action_page(self, pages: int) -> None:
        """Move the cursor by pages."""
        self.move_pages(pages)

    def action_edge(self, direction: int) -> None:
        """Move to the first host or the last."""
        self.move_to_edge(direction)

    def action_pane(self, step: int) -> None:
        """Show the next pane."""
        self._pane = (self._pane + step) % len(Below.TITLES)
        self.fleet_app.redraw()

    def action_filter(self) -> None:
        """Type a filter."""
        self.open_filter()

    def action_sort(self) -> None:
        """Sort by the next column; after the last: worst first."""
        self.sort_next()

    def action_reverse(self) -> None:
        """Reverse the sort order."""
        self.sort_reverse()

    def action_retry(self) -> None:
        """Try again now to reach the hosts that are not reached."""
        self.fleet_app.retry()
        self.fleet_app.say("retrying unreachable hosts")

    def action_help(self) -> None:
        """Show every key of this screen."""
        from clawtop.ui.screens.reading import ReadingScreen  # not needed for the first paint

        commands = [command(name) for name in ACTIONS]
        self.app.push_screen(ReadingScreen("Help", lambda width: fleet_rows.help_lines(commands, width)))

    def action_back(self) -> None:
        """Clear the filter."""
        self.clear_filter()

    def action_leave(self) -> None:
        """End."""
        self.app.exit(None)

    def action_suspend(self) -> None:
        """Return to the shell for a while."""
        self.fleet_app.action_suspend()

    def action_open_host(self) -> None:
        """Open the host under the cursor."""
        target = self.table.target
        if target is not None:
            self.app.exit(target.id)


class FleetApp(SurvivingApp, SparingApp, PastingApp, TypedAheadApp, App[str | None]):
    """The fleet. Its result is the host to open; None: the operator leaves."""

    CSS_PATH = Path(__file__).with_name("clawtop.tcss")
    TITLE = "clawtop"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+l", "redraw", show=False, priority=True)]

    def __init__(
        self,
        clock: Clock,
        options: Options,
        *,
        theme: str,
        hosts: Callable[[], Sequence[Host]],
        retry: Callable[[], None],
        chosen: str | None = None,
    ) -> None:
        """`hosts` returns their latest state; `chosen` is the host under the cursor."""
        self.look = ThemeStyles(theme)
        self.clock, self.survival = clock, Survival(self)
        super().__init__(driver_class=TerminalDriver, ansi_color=self.look.ansi or None)
        self.options = options
        self.ascii_glyphs = options.ascii_glyphs
        self.flash = Flash(clock)
        self.retry = retry
        self._hosts = hosts
        self._chosen = chosen
        self._screen = FleetScreen()
        for name in THEMES:
            self.register_theme(textual_theme(name))
        self.theme = theme

    def get_default_screen(self) -> Screen[None]:
        return self._screen

    def on_mount(self) -> None:
        self.set_class(self.ascii_glyphs, "-ascii")
        on_ending_signals(lambda code: self.exit(None, return_code=code))
        self.set_interval(TICK_SECONDS, self.redraw)
        self.call_after_refresh(self._begin)

    def _begin(self) -> None:
        self.redraw()
        if self._chosen is not None and self._screen.table.select(self._chosen):
            self._screen.moved()  # back from a host: the cursor stays on it

    def action_suspend(self) -> None:
        """Return to the shell for a while, over a page too; nothing here holds a lock."""
        why_not = self.why_not_suspended
        if why_not is None:
            self.to_shell()
        else:
            self.say(f"{command('suspend').title}: {why_not}", Tone.WARN)

    def redraw(self) -> None:
        """Draw the hosts in their latest state."""
        self.flash.answer.expire()
        self.flash.notice.expire()
        if self._screen.is_mounted:
            self._screen.show_hosts(self._hosts(), self.clock.now_ms())

    def say(self, text: str, tone: Tone = Tone.PLAIN) -> None:
        """Answer a key in the footer's place."""
        self.flash.answer.show(text, tone)
        self.redraw()

    def tell(self, text: str, tone: Tone = Tone.ACCENT) -> None:
        """Announce what happened on a host, in the place of the counts."""
        self.flash.notice.show(text, tone)
        self.redraw()
