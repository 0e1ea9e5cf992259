"""Labelling a session: the operator's name for it, kept in the config file."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widget import Widget
from textual.widgets import Input
from textual.worker import Worker

from clawtop.errors import ClawtopError
from clawtop.text import safe
from clawtop.ui.screens.dialog import DialogScreen
from clawtop.ui.shell import shell
from clawtop.view.error_lines import error_lines
from clawtop.view.fitting import wrapped
from clawtop.view.line import Line, Tone, piece

MOST = 60
"""Characters of a label."""


class LabelScreen(DialogScreen):
    """Enter saves the label, and removes it if it is empty; Escape changes nothing."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", show=False)]

    def __init__(self, key: str, label: str, save: Callable[[str, str], None], kept_in: str) -> None:
        super().__init__()
        self._key = key
        self._save = save
        self._kept_in = kept_in
        self._input = Input(label, max_length=MOST, compact=True, classes="dialog-extra")
        self._problem: tuple[Line, ...] = ()
        self._saving: Worker[None] | None = None

    def extra(self) -> Iterable[Widget]:
        yield self._input

    def on_mount(self) -> None:
        super().on_mount()
        self.set_focus(self._input)

    def title_line(self) -> Line:
        return ((" Label ", Tone.ACCENT), (f" kept in {self._kept_in}", Tone.DIM))

    def buttons(self) -> Sequence[tuple[str, str]]:
        return (("leave", "Leave (Esc)"), ("keep", "Keep (Enter)"))

    def lines(self, width: int) -> Sequence[Line]:
        lines = wrapped(piece(safe(self._key), Tone.STRONG), width, 2)
        return [*lines, *(part for line in self._problem for part in wrapped(line, width, 2))]

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.action_keep()

    def action_keep(self) -> None:
        """Save the label."""
        if self._saving is None or self._saving.is_finished:
            self._saving = self.carry_out(self._keep(safe(self._input.value.strip())), "saving the label", self._failed)

    async def _keep(self, label: str) -> None:
        await asyncio.to_thread(self._save, self._key, label)
        shell(self).set_label(self._key, label)
        self.dismiss()

    def _failed(self, error: ClawtopError) -> None:
        self._problem = error_lines(error)
        self.refresh_time()

    def action_leave(self) -> None:
        """Close without saving."""
        self.dismiss()
