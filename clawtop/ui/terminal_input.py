"""Keys and mouse from the terminal, by a thread that sleeps until there are any."""

from __future__ import annotations

import os
import select
from codecs import getincrementaldecoder
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from textual._xterm_parser import XTermParser
from textual.drivers.linux_driver import LinuxDriver
from textual.message import Message

from clawtop.ui.pasting import PasteFilter

AGAIN_S = 0.1
"""How often to check what only time decides: whether an escape was a key, whether a terminal is back."""

READ_BYTES = 4_096


class _TerminalParser(XTermParser):
    """Textual's parser of what the terminal sends, for which pasted escape characters are text."""

    def __init__(self, debug: bool = False) -> None:
        super().__init__(debug)
        self._filter = PasteFilter()

    def feed(self, data: str) -> Iterable[Message]:
        passed = self._filter.passed(data)
        return super().feed(passed) if passed or not data else ()  # an empty text is the end of the input


class SleepingInput(LinuxDriver):
    """Textual's driver, whose own thread wakes ten times a second to see whether it is to end."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        # open until the process ends: a suspended process takes its terminal again after `close`
        self._woken, self._wake = os.pipe()
        os.set_blocking(self._woken, False)

    def run_input_thread(self) -> None:
        """Pass on what is typed until `disable_input`."""
        parser, decoder = _TerminalParser(self._debug), getincrementaldecoder("utf-8")()
        while not self.exit_event.is_set():
            undecided = parser._timeout_time is not None
            readable, _, _ = select.select([self.fileno, self._woken], [], [], AGAIN_S if undecided else None)
            if self.fileno in readable:
                typed = os.read(self.fileno, READ_BYTES)
                if not typed:
                    self.exit_event.wait(AGAIN_S)
                elif text := decoder.decode(typed):
                    self._pass_on(parser.feed(text))
            self._pass_on(parser.tick())

    def _pass_on(self, messages: Iterable[Message]) -> None:
        for message in messages:
            self.process_message(message)

    def disable_input(self) -> None:
        """End the thread, and wait for it."""
        os.write(self._wake, b"x")
        super().disable_input()
        with suppress(BlockingIOError):
            os.read(self._woken, READ_BYTES)
