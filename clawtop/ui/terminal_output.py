"""Textual's terminal driver, writing through `terminal_file`, and only where something changed."""

from __future__ import annotations

import signal
import termios
from contextlib import suppress
from types import FrameType
from typing import TYPE_CHECKING, Any, cast

from textual import events
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate
from textual.geometry import Size
from textual.message_pump import MessagePump

from clawtop.ui.early import waiting_screen
from clawtop.ui.painting import Canvas, Painted
from clawtop.ui.terminal import JobControl, why_not_suspended
from clawtop.ui.terminal_file import TerminalOutput, screen_file
from clawtop.ui.terminal_input import SleepingInput

if TYPE_CHECKING:
    import io

    from rich.console import RenderableType
    from textual.app import App
    from textual.driver import Driver
    from textual.screen import Screen

ENTER_ALTERNATE = "\x1b[?1049h"
HIDE_CURSOR = "\x1b[?25l"
REPORT_FOCUS = "\x1b[?1004h"

_drivers: set[TerminalDriver] = set()  # drivers in application mode; used by the event loop's thread alone


def drawn_on() -> bool:
    """Whether the terminal is in application mode, or on the way there, if the process ends now."""
    return bool(_drivers)


class TerminalDriver(SleepingInput):
    """Textual's driver, writing through `TerminalOutput`; after a stall everything is painted anew."""

    def __init__(
        self, app: App[object], *, debug: bool = False, mouse: bool = True, size: tuple[int, int] | None = None
    ) -> None:
        handlers = {number: signal.getsignal(number) for number in (signal.SIGTSTP, signal.SIGCONT)}
        super().__init__(app, debug=debug, mouse=mouse, size=size)
        for number, handler in handlers.items():  # the terminal is not this driver's yet
            signal.signal(number, handler)
        self._job = JobControl(self._let_go, self._take_again)
        self._attributes: list[Any] | None = None  # those that Textual set
        self._given_back = False  # while the process is stopped
        self._retaking = False
        self._open_output()
        self.canvas = Canvas()
        self._inherits = False  # the alternate screen, with what is on it
        self._tells_size = False  # the terminal is about to

    def _open_output(self) -> None:
        self._output = TerminalOutput(screen_file(), self._repaint_soon)
        self._file = cast("io.TextIOWrapper", self._output)

    def write(self, data: str) -> None:
        """Write at once, or as soon as the terminal takes it."""
        if self._inherits and data == ENTER_ALTERNATE:
            self._inherits = False
            return  # entering it again would clear it
        rest = self._output.write_now(data)
        if rest is not None:
            super().write(rest)

    def start_application_mode(self) -> None:
        """Take the terminal, with the first frame where that is on it already."""
        with self._job.held_off():
            self._job.begin()
            self._take()

    def _take(self) -> None:
        _drivers.add(self)
        self.canvas.forget()
        early = waiting_screen()
        if early is not None:
            size, rows = early.hand_over()
            self._inherits = True
            self.canvas.adopt(size, ((row.certain, row.looks) for row in rows))
        super().start_application_mode()  # type: ignore[no-untyped-call]
        if self._key_thread is None:
            return  # in the background: the process was stopped, and has just been told to continue
        self._given_back = False
        if early is not None and self.attrs_before is not None:
            self.attrs_before = early.attributes
            self._watch_the_window()
        with suppress(termios.error):
            self._attributes = termios.tcgetattr(self.fileno)

    def _let_go(self) -> None:
        """Give the terminal back, for as long as the process is stopped."""
        if self in _drivers:
            self.suspend_application_mode()
            self._open_output()
            self._given_back = self._must_signal_resume = True

    def suspend(self) -> None:
        """Stop the process, with the terminal given back, until the shell continues it."""
        self._job.suspend()

    def _take_again(self) -> None:
        """The process continues: take the terminal again."""
        if self._given_back or (self in _drivers and self._key_thread is None):
            self.resume_application_mode()
        elif self in _drivers and not self._retaking:
            self._retaking = True
            self._loop.call_soon_threadsafe(self._take_from_another)

    def _take_from_another(self) -> None:
        """The process was stopped without a warning, and others may have used the terminal as it was left."""
        self._retaking = False
        if self not in _drivers:
            return
        with suppress(termios.error):
            termios.tcsetattr(self.fileno, termios.TCSANOW, self._attributes or [])
        self.write(ENTER_ALTERNATE)
        self.write(HIDE_CURSOR + REPORT_FOCUS)
        self._enable_mouse_support()
        self._enable_bracketed_paste()
        self._disable_line_wrap()
        self.repaint()

    def _watch_the_window(self) -> None:
        """Textual's own request at the start looks like a resize; a real resize also sends a signal."""
        told = signal.getsignal(signal.SIGWINCH)

        def changed(number: int, frame: FrameType | None) -> None:
            self.canvas.forget()
            if callable(told):
                told(number, frame)

        signal.signal(signal.SIGWINCH, changed)

    def stop_application_mode(self) -> None:
        """Restore the terminal."""
        super().stop_application_mode()
        self._key_thread = None
        _drivers.discard(self)

    def _enable_in_band_window_resize(self) -> None:
        """A terminal that reports resizes starts with its current size."""
        self._tells_size = True
        super()._enable_in_band_window_resize()

    def resized(self, size: Size) -> None:
        """Paint everything anew: terminals keep an unknown part, and Textual paints nothing at the same size. Sizes
        reported before the first paint are no change, and neither is the terminal's own report of its size.
        """
        told, self._tells_size = self._tells_size, False
        if not self.canvas.adopted and not (told and self.canvas.size == size):
            self.repaint()

    def _repaint_soon(self) -> None:
        self._loop.call_soon_threadsafe(self.repaint)

    def repaint(self) -> None:
        """Write every cell again: what the terminal shows is unknown."""
        self.canvas.forget()
        self._app.refresh(layout=True)

    def close(self) -> None:
        """End the writing thread, then close its file."""
        super().close()
        self._output.close()


class SparingApp(MessagePump):
    """The app's mixin for its terminal: writes only what changed, and notices. Precedes Textual's App in the bases."""

    _driver: Driver | None

    def _display(self, screen: Screen[object], renderable: RenderableType | CompositorUpdate | None) -> None:
        if isinstance(self._driver, TerminalDriver) and isinstance(renderable, LayoutUpdate | ChopsUpdate):
            renderable = Painted(renderable, self._driver.canvas)
        super()._display(screen, renderable)  # type: ignore[misc]

    async def on_event(self, event: events.Event) -> None:
        await super().on_event(event)
        if isinstance(event, events.Resize) and isinstance(self._driver, TerminalDriver):
            self._driver.resized(event.size)

    def tell_terminal(self, text: str) -> None:
        """Send a notice to the terminal itself (OSC 9), as Textual sends the clipboard's OSC 52."""
        if self._driver is not None:
            self._driver.write(f"\x1b]9;clawtop: {text}\x07")

    @property
    def why_not_suspended(self) -> str | None:
        """Why the process cannot be suspended now; None: its shell takes over, and can continue it."""
        return why_not_suspended() if isinstance(self._driver, TerminalDriver) else "nothing is drawn on a terminal"

    def to_shell(self) -> None:
        """Suspend the process and give the terminal back to the shell, until the shell continues it."""
        if isinstance(self._driver, TerminalDriver):
            self._driver.suspend()

    def action_redraw(self) -> None:
        """Ctrl-L repaints everything, after another program has written on the terminal."""
        if isinstance(self._driver, TerminalDriver):
            self._driver.repaint()
