"""A pane over the dashboard: a title and lines that scroll."""

from __future__ import annotations

from typing import ClassVar

from textual.await_complete import AwaitComplete
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen

from clawtop.commands import command
from clawtop.ui.surviving import Surviving
from clawtop.ui.widgets.line_bar import LineBar
from clawtop.ui.widgets.line_scroll import LineScroll


class PaneScreen(Surviving, ModalScreen[None]):
    """Subclasses compose `title_bar` and `pane`, and say what closes them."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "scroll(1)", show=False),
        Binding("k,up", "scroll(-1)", show=False),
        Binding("pagedown,space,ctrl+f", "page(1)", show=False),
        Binding("pageup,ctrl+b", "page(-1)", show=False),
        Binding("home", "end(-1)", show=False),
        Binding("end", "end(1)", show=False),
        Binding(command("suspend").keys[0], "app.suspend", show=False),
    ]

    _closes = False  # as soon as no other screen covers it

    def __init__(self, title_bar: LineBar, pane: LineScroll) -> None:
        super().__init__()
        self.title_bar, self.pane = title_bar, pane

    @property
    def on_top(self) -> bool:
        """Whether no other screen covers it. `is_current` is also true of a screen visible below a pane."""
        return self.app.screen_stack[-1:] == [self]

    def dismiss(self, result: None = None) -> AwaitComplete:
        """Close this pane, and no other: Textual closes whatever is on top.

        A screen over it stays until that is closed; a second call does nothing. Both cases occur: a button is pressed
        twice, an operation ends while the palette is open.
        """
        if self.on_top:
            return super().dismiss(result)
        self._closes = True
        return AwaitComplete()

    def on_screen_resume(self) -> None:
        if self._closes:
            self.dismiss()

    def action_scroll(self, rows: int) -> None:
        """Scroll by lines."""
        self.pane.scroll_by(rows)

    def action_page(self, pages: int) -> None:
        """Scroll by pages."""
        self.pane.scroll_by(pages * max(1, self.pane.page - 1))

    def action_end(self, direction: int) -> None:
        """Scroll to the beginning or the end."""
        self.pane.scroll_to_edge(direction)
