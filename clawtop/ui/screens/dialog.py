"""A dialog of lines over the dashboard, with buttons that also have keys."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widget import Widget
from textual.widgets import Button
from textual.worker import Worker

from clawtop.commands import Arming
from clawtop.crash import unexpected
from clawtop.errors import ClawtopError
from clawtop.ui.arming import DISARMED
from clawtop.ui.screens.pane import PaneScreen
from clawtop.ui.shell import shell
from clawtop.ui.widgets.line_bar import LineBar
from clawtop.ui.widgets.line_scroll import LineScroll
from clawtop.view.line import Line, Tone

MARGINS = 6
"""Lines of the dialog besides its text."""


class DialogScreen(PaneScreen):
    """Subclasses make `lines` and `title_line` from the current state, and `buttons`: action -> label."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,right,tab,shift+tab", "other_button", show=False),
    ]
    LOOK_SECONDS: ClassVar[float] = 0.25

    def __init__(self) -> None:
        super().__init__(LineBar(id="dialog-title", raised=True), LineScroll(id="dialog-lines", raised=True, margin=2))
        self._extra: tuple[Widget, ...] = ()
        self._row = Horizontal(id="dialog-buttons")
        self._shown: tuple[tuple[str, str], ...] = ()
        self._made: list[Button] = []

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Disable `confirm` until the preview has been drawn: operators cannot confirm what they have not seen."""
        return self.pane.painted if action == "confirm" else super().check_action(action, parameters)

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
        self._extra = tuple(self.extra())
        self._shown = tuple(self.buttons())
        with Vertical(id="dialog"):
            yield self.title_bar
            yield self.pane
            yield from self._extra
            with self._row:
                yield from self._make()

    def on_mount(self) -> None:
        self._focus_first()
        self.set_interval(self.LOOK_SECONDS, self.refresh_time)
        self.call_after_refresh(self.refresh_time)

    def on_resize(self) -> None:
        self.call_after_refresh(self.refresh_time)

    def refresh_time(self) -> None:
        """Draw the current state."""
        pane = self.pane
        if not pane.size.width:
            return  # not laid out yet
        lines = self.lines(pane.text_width)
        extra = sum(widget.outer_size.height for widget in self._extra)
        height = max(1, min(len(lines), self.size.height - MARGINS - extra))
        if pane.styles.height is None or pane.styles.height.value != height:
            pane.styles.height = height
        pane.show(lines)
        self.title_bar.show(self.title_line())
        self._show_buttons()

    def _show_buttons(self) -> None:
        buttons = tuple(self.buttons())
        if buttons != self._shown and self._row.is_attached:
            self._shown = buttons
            self._row.remove_children()
            self._row.mount(*self._make())
            self._focus_first()

    def _make(self) -> list[Button]:
        self._made = [Button(label, name=action, compact=True) for action, label in self._shown]
        return self._made

    def _focus_first(self) -> None:
        if self._made and not self._extra:
            self.set_focus(self._made[0])

    def on_button_pressed(self, event: Button.Pressed) -> None:
        event.stop()
        if event.button.name:
            self.call_later(self.run_action, event.button.name)

    def carry_out(
        self, work: Coroutine[Any, Any, None], doing: str, failed: Callable[[ClawtopError], None]
    ) -> Worker[None]:
        """Run `work` beside the screen; `failed` shows whatever it raises, so that no dialog looks busy for ever.

        Args:
            doing: completes "unexpected error while ..."; such an error has its report by then.
        """

        async def told() -> None:
            try:
                await work
            except ClawtopError as error:
                failed(error)
            except Exception as error:  # noqa: BLE001 - whatever it is, the operator is told
                failed(unexpected(error, doing))

        return self.run_worker(told())

    def closed_as_disarmed(self) -> bool:
        """Whether the dashboard has disarmed itself meanwhile; it says so then, and closes this dialog."""
        if shell(self).arming.state is Arming.ARMED:
            return False
        shell(self).say(DISARMED, Tone.BAD)
        self.dismiss()
        return True

    def action_other_button(self) -> None:
        """Focus the other button."""
        self.focus_next("Button")
