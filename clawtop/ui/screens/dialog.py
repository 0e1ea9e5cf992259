"""A dialog of lines over the dashboard, with buttons that keys press as well."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.css.query import NoMatches
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Button

from clawtop.ui.widgets.line_bar import LineBar
from clawtop.ui.widgets.line_scroll import LineScroll
from clawtop.view.line import Line

MARGINS = 6
"""Lines of the dialog besides its text."""


class DialogScreen(ModalScreen[None]):
    """Subclasses make `lines` and `title` from what stands, and `buttons`: action -> label."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,right,tab,shift+tab", "other_button", show=False),
        Binding("j,down", "scroll(1)", show=False),
        Binding("k,up", "scroll(-1)", show=False),
    ]
    LOOK_SECONDS: ClassVar[float] = 0.25

    def title_line(self) -> Line:
        raise NotImplementedError

    def lines(self, width: int) -> Sequence[Line]:
        raise NotImplementedError

    def buttons(self) -> Sequence[tuple[str, str]]:
        """Action and label of the buttons that can be pressed now; the first is the safe one."""
        raise NotImplementedError

    def extra(self) -> Iterable[Widget]:
        """Widgets between the lines and the buttons."""
        return ()

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog"):
            yield LineBar(id="dialog-title", raised=True)
            yield LineScroll(id="dialog-lines", raised=True, margin=2)
            yield from self.extra()
            yield Horizontal(id="dialog-buttons")

    def on_mount(self) -> None:
        self._shown: Sequence[tuple[str, str]] = ()
        self.set_interval(self.LOOK_SECONDS, self.refresh_time)
        self.call_after_refresh(self.refresh_time)

    def on_resize(self) -> None:
        self.call_after_refresh(self.refresh_time)

    def refresh_time(self) -> None:
        """Draw what stands now."""
        try:
            pane = self.query_one("#dialog-lines", LineScroll)
        except NoMatches:
            return  # the clock ticks before the dialog is composed, and while it is taken down
        if not pane.size.width:
            return
        lines = self.lines(pane.text_width)
        height = min(len(lines), self.size.height - MARGINS - self._extra_height())
        if pane.styles.height is None or pane.styles.height.value != height:
            pane.styles.height = height
        pane.show(lines)
        self.query_one("#dialog-title", LineBar).show(self.title_line())
        self._show_buttons()

    def _extra_height(self) -> int:
        return sum(widget.outer_size.height for widget in self.query(".dialog-extra"))

    def _show_buttons(self) -> None:
        buttons = tuple(self.buttons())
        if buttons == self._shown:
            return
        self._shown = buttons
        row = self.query_one("#dialog-buttons")
        row.remove_children()
        made = [Button(label, name=action, compact=True) for action, label in buttons]
        row.mount(*made)
        if made and not self.query(".dialog-extra"):
            made[0].focus()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        event.stop()
        if event.button.name:
            self.call_later(self.run_action, event.button.name)

    def action_other_button(self) -> None:
        """To the other button."""
        self.focus_next("Button")

    def action_scroll(self, rows: int) -> None:
        """Scroll the lines."""
        self.query_one("#dialog-lines", LineScroll).scroll_by(rows)
