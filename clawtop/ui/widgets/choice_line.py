"""One line with a label and a choice; left and right change it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Generic, TypeVar

from textual import events
from textual.binding import Binding, BindingType

from clawtop.ui.widgets.line_bar import LineBar
from clawtop.view.line import Tone

T = TypeVar("T")
LABEL = 12


class ChoiceLine(LineBar, Generic[T], can_focus=True):
    """Shows the chosen one of `choices`, pairs of value and words. The first is chosen at first."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "step(-1)", show=False),
        Binding("right,l,space", "step(1)", show=False),
    ]

    def __init__(self, label: str, choices: Sequence[tuple[T, str]]) -> None:
        super().__init__(id=f"choice-{label.replace(' ', '-')}", raised=True)
        self.add_class("dialog-extra")
        self._label = label
        self._choices = choices
        self._place = 0

    def offer(self, choices: Sequence[tuple[T, str]]) -> None:
        """Replace the choices; the first is chosen."""
        self._choices, self._place = choices, 0

    @property
    def value(self) -> T:
        return self._choices[self._place][0]

    def on_mount(self) -> None:
        self._draw()

    def on_focus(self) -> None:
        self._draw()

    def on_blur(self) -> None:
        self._draw()

    def on_click(self, event: events.Click) -> None:
        event.stop()
        self.action_step(1)

    def action_step(self, step: int) -> None:
        """Choose the next, or the previous one."""
        self._place = (self._place + step) % len(self._choices)
        self._draw()

    def _draw(self) -> None:
        edge = Tone.KEY if self.has_focus else Tone.FAINT
        words = Tone.STRONG if self.has_focus else Tone.PLAIN
        label = (f"  {self._label:<{LABEL}}", Tone.KEY if self.has_focus else Tone.DIM)
        if len(self._choices) == 1:
            self.show((label, ("  ", Tone.PLAIN), (self._choices[0][1], words)))
        else:
            self.show((label, ("< ", edge), (self._choices[self._place][1], words), (" >", edge)))
