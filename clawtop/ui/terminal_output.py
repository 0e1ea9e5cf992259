"""The terminal as Textual's driver has it: written through `terminal_file`, and only where something changed."""

from __future__ import annotations

import signal
from types import FrameType
from typing import TYPE_CHECKING, cast

from textual import events
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate
from textual.drivers.linux_driver import LinuxDriver
from textual.geometry import Size
from textual.message_pump import MessagePump

from clawtop.ui.early import waiting_screen
from clawtop.ui.painting import Canvas, Painted
from clawtop.ui.terminal_file import TerminalOutput, screen_file

if TYPE_CHECKING:
    import io

    from rich.console import RenderableType
    from textual.app import App
    from textual.driver import Driver
    from textual.screen import Screen

ENTER_ALTERNATE = "\x1b[?1049h"

_drivers: set[LinuxDriver] = set()  # drivers in application mode; used by the event loop's thread alone


def drawn_on() -> bool:
    """Whether the terminal is in application mode, or on the way there, if the process ends now."""
    return bool(_drivers)


class TerminalDriver(LinuxDriver):
    """Textual's driver, writing through `TerminalOutput`; after a stall everything is painted anew."""

    def __init__(
        self, app: App[object], *, debug: bool = False, mouse: bool = True, size: tuple[int, int] | None = None
    ) -> None:
        super().__init__(app, debug=debug, mouse=mouse, size=size)
        self._output = TerminalOutput(screen_file(), self._repaint_soon)
        self._file = cast("io.TextIOWrapper", self._output)
        self.canvas = Canvas()
        self._inherits = False  # the alternate screen, with what is on it
        self._tells_size = False  # the terminal is about to

    def write(self, data: str) -> None:
        """Write at once, or as soon as the terminal takes it."""
        if self._inherits and data == ENTER_ALTERNATE:
            self._inherits = False
            return  # again, it would be cleared
        rest = self._output.write_now(data)
        if rest is not None:
            super().write(rest)

    def start_application_mode(self) -> None:
        """Take the terminal, with the first frame where that is on it already."""
        _drivers.add(self)
        self.canvas.forget()
        early = waiting_screen()
        if early is not None:
            size, rows = early.hand_over()
            self._inherits = True
            self.canvas.adopt(size, ((row.certain, row.looks) for row in rows))
        super().start_application_mode()  # type: ignore[no-untyped-call]
        if early is not None and self.attrs_before is not None:
            self.attrs_before = early.attributes
            self._watch_the_window()

    def _watch_the_window(self) -> None:
        """What Textual asks of itself at the start looks like a change of the window; a change also sends a signal."""
        told = signal.getsignal(signal.SIGWINCH)

        def changed(number: int, frame: FrameType | None) -> None:
            self.canvas.forget()
            if callable(told):
                told(number, frame)

        signal.signal(signal.SIGWINCH, changed)

    def stop_application_mode(self) -> None:
        """Restore the terminal."""
        super().stop_application_mode()
        _drivers.discard(self)

    def _enable_in_band_window_resize(self) -> None:
        """A terminal that tells when its window changes begins with the size that it has."""
        self._tells_size = True
        super()._enable_in_band_window_resize()

    def resized(self, size: Size) -> None:
        """Paint everything anew: terminals keep an unknown part, and Textual paints nothing at the same size. What it
        tells before it has painted is no change, and neither is the size that the terminal tells of itself.
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
    """The app's mixin for writing only what changed; must precede Textual's App in the bases."""

    _driver: Driver | None

    def _display(self, screen: Screen[object], renderable: RenderableType | CompositorUpdate | None) -> None:
        if isinstance(self._driver, TerminalDriver) and isinstance(renderable, LayoutUpdate | ChopsUpdate):
            renderable = Painted(renderable, self._driver.canvas)
        super()._display(screen, renderable)  # type: ignore[misc]

    async def on_event(self, event: events.Event) -> None:
        await super().on_event(event)
        if isinstance(event, events.Resize) and isinstance(self._driver, TerminalDriver):
            self._driver.resized(event.size)

    def action_redraw(self) -> None:
        """Ctrl-L paints everything anew, after another program has written on the terminal."""
        if isinstance(self._driver, TerminalDriver):
            self._driver.repaint()
