"""One line for typing a filter."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widgets import Input

from clawtop.ui.messages import FilterChanged


class FilterLine(Input):
    """Filters while the operator types; Enter keeps the filter, Escape clears it. The screen then removes the line."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "clear_filter", "Clear the filter", show=False)]

    def __init__(self, text: str) -> None:
        super().__init__(text, placeholder="any part of a row; Enter keeps it, Escape clears it", compact=True)

    def on_mount(self) -> None:
        self.screen.set_focus(self)

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self.post_message(FilterChanged(event.value, done=False))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._close(self.value)

    def action_clear_filter(self) -> None:
        """Clear the filter and close."""
        self._close("")

    def _close(self, text: str) -> None:
        self.post_message(FilterChanged(text, done=True))
