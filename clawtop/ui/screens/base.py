"""What all views of the dashboard share: first line, headline, footer, keys from the table of commands."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen

from clawtop.commands import COMMANDS, Target
from clawtop.ui.messages import CommandRequested
from clawtop.ui.shell import shell
from clawtop.ui.surviving import Surviving
from clawtop.ui.widgets.line_bar import LineBar
from clawtop.view.columns import Env
from clawtop.view.footer import footer_command_at, footer_line
from clawtop.view.headline import first_line, headline, unread_first_line, unread_lines
from clawtop.view.line import Line, Tone
from clawtop.view.overview import BAR_LINES
from clawtop.view.tabs import notice_line, tab_at, tabs_line
from clawtop.view.tour import TOUR_LINES


def command_bindings() -> list[BindingType]:
    """A binding for each key of the table. Textual shows none of them, since the footer is our own; `dispatch` decides
    what a key means in a replay.
    """
    owner: dict[str, str] = {}
    for item in COMMANDS:
        for key in item.keys:
            owner.setdefault(key, item.id)
    return [Binding(key, f"app.command('{command_id}')", show=False) for key, command_id in owner.items()]


class DashboardScreen(Surviving, Screen[None]):
    """A view. Subclasses compose `body`, draw in `show_state` and `tick`, and return the `target` under the cursor."""

    BINDINGS: ClassVar[list[BindingType]] = command_bindings()
    view_id: str = ""
    opened_first: bool = False
    _refreshes: bool = False

    def __init__(self) -> None:
        super().__init__()
        self._first_line = LineBar(id="first-line", raised=True)
        self._tabs = LineBar(id="tabs")
        self._headline = LineBar(id="headline")
        self.foot = LineBar(id="footer", raised=True)
        self._tour = LineBar(id="tour", raised=True)

    def compose(self) -> ComposeResult:
        yield self._first_line
        yield self._headline
        yield self._tabs
        yield from self.body()
        if shell(self).options.tour is not None:
            yield self._tour
        yield self.foot

    @property
    def bars(self) -> int:
        """The lines above and below the body."""
        return BAR_LINES + (TOUR_LINES if shell(self).options.tour is not None else 0)

    def body(self) -> ComposeResult:
        """The widgets between headline and footer."""
        raise NotImplementedError

    def show_state(self, env: Env) -> None:
        """Draw new facts."""
        raise NotImplementedError

    def prepare(self, env: Env) -> None:
        """Compute what `show_state` will need. Runs in a thread for large states; touches nothing but `env.facts`."""
        headline(env)

    def tick(self, env: Env) -> None:
        """Draw ages and countdowns; nothing else has changed."""
        raise NotImplementedError

    @property
    def target(self) -> Target | None:
        """The row under the cursor."""
        return None

    @property
    def marked(self) -> tuple[Target, ...]:
        """The rows that the operator marked."""
        return ()

    # --- drawing -------------------------------------------------------------------------------------------------

    def refresh_state(self) -> None:
        """Draw everything from the app's latest facts."""
        env = shell(self).env
        if env is not None:
            self.show_state(env)
            self._draw_bars(env)

    def refresh_soon(self) -> None:
        """Draw everything before the next frame, once for any number of calls."""
        if not self._refreshes:
            self._refreshes = True
            self.call_later(self._refresh_now)

    def _refresh_now(self) -> None:
        self._refreshes = False
        self.refresh_state()

    def refresh_time(self) -> None:
        """Draw ages and countdowns, once a second."""
        env = shell(self).env
        if env is not None:
            self.tick(env)
        self._draw_bars(env)

    def _draw_bars(self, env: Env | None) -> None:
        app, width = shell(self), self.app.size.width
        failure = app.failure
        if env is None:
            first = unread_first_line(width, app.arming.state)
        else:
            first = first_line(env, width, app.arming.state, app.arming.left_ms, app.mood)
        self._first_line.show(first)
        self.draw_tabs()
        lines: tuple[Line, ...] = ()
        if failure is not None:
            lines = unread_lines(failure, app.clock.now_ms(), anything_shown=env is not None)
        elif env is not None:
            lines = headline(env, width - 1)
        self._headline.show(*(((" ", Tone.PLAIN), *line) for line in lines))
        if app.options.tour is not None:
            self._tour.show(*app.options.tour.lines(width))
        self.draw_footer()

    def draw_tabs(self) -> None:
        """Draw the names of the screens, or the notice that replaces all but this one's for now."""
        app, width = shell(self), self.app.size.width
        notice = app.flash.notice.line
        self._tabs.show(
            tabs_line(self.view_id, app.env, width) if notice is None else notice_line(self.view_id, notice, width)
        )

    def draw_footer(self) -> None:
        """Draw the footer, or the answer that replaces it for now."""
        self.foot.show(self._footer())

    def _footer(self) -> Line:
        return footer_line(shell(self).context(), self.app.size.width, shell(self).flash.answer.line)

    def on_mount(self) -> None:
        self.refresh_soon()

    def on_screen_resume(self) -> None:
        self.refresh_soon()

    def on_resize(self) -> None:
        self.refresh_soon()

    def on_click(self, event: events.Click) -> None:
        command_id: str | None = None
        if event.widget is self._tabs:
            noticed = shell(self).flash.notice.line is not None
            command_id = None if noticed else tab_at(self.view_id, event.x, self.size.width)
        elif event.widget is self.foot:
            said = shell(self).flash.answer.line
            command_id = footer_command_at(shell(self).context(), self.size.width, event.x, said)
        if command_id is not None:
            self.post_message(CommandRequested(command_id))
