"""One line to type a filter into."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.widgets import Input

if TYPE_CHECKING:
    from clawtop.ui.screens.main import TablesScreen


class FilterLine(Input):
    """Filters while it is typed into; Enter keeps the filter, Escape clears it."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "clear_filter", "Clear the filter", show=False)]

    def __init__(self, text: str) -> None:
        super().__init__(text, placeholder="filter: any part of a row; Enter keeps it, Escape clears it", compact=True)

    def on_mount(self) -> None:
        self.focus()

    @property
    def _tables(self) -> TablesScreen:
        return self.screen  # type: ignore[return-value]

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self._tables.filter_by(event.value, done=False)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._close(self.value)

    def action_clear_filter(self) -> None:
        """Show every row again."""
        self._close("")

    def _close(self, text: str) -> None:
        self._tables.filter_by(text, done=True)
        self.remove()
