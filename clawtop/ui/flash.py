"""The last message to the operator, shown in the footer for a few seconds."""

from __future__ import annotations

from clawtop.clock import Clock
from clawtop.view.line import Line, Tone

FLASH_SECONDS = 5.0


class Flash:
    """One short message at a time. An answer to a key takes the place of whatever stands there; a notice waits until
    an answer has been read. `line` is None while there is nothing.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until = 0.0
        self._is_answer = False
        self._waiting: Line | None = None
        self.line: Line | None = None

    def answer(self, text: str, tone: Tone) -> None:
        """Show an answer now; a notice that it replaces is shown again afterwards."""
        if self.line is not None and not self._is_answer:
            self._waiting = self.line
        self._show(((text, tone),), is_answer=True)

    def notice(self, text: str, tone: Tone) -> None:
        """Show a notice as soon as no answer is shown; a later notice replaces it."""
        if self.line is not None and self._is_answer:
            self._waiting = ((text, tone),)
        else:
            self._show(((text, tone),), is_answer=False)

    def expire(self) -> bool:
        """Remove the message when its time is over. True if that happened now."""
        over = self.line is not None and self._clock.monotonic() >= self._until
        if over:
            waiting, self._waiting, self.line = self._waiting, None, None
            if waiting is not None:
                self._show(waiting, is_answer=False)
        return over

    def _show(self, line: Line, *, is_answer: bool) -> None:
        self.line, self._is_answer = line, is_answer
        self._until = self._clock.monotonic() + FLASH_SECONDS
