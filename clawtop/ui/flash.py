"""The last messages to the operator, each shown for a few seconds: answers to keys, and notices of what happens."""

from __future__ import annotations

from clawtop.clock import Clock
from clawtop.view.line import Line, Tone

ANSWER_SECONDS = 5.0
NOTICE_SECONDS = 8.0


class PassingMessage:
    """One short message at a time; a later one replaces it. `line` is None while there is nothing."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds
        self._until = 0.0
        self.line: Line | None = None

    def show(self, text: str, tone: Tone) -> None:
        """Show this."""
        self.line = ((text, tone),)
        self.stay()

    def withdraw(self) -> None:
        """Remove the message: the operator looks at something else, where the keys of that are of use."""
        self.line = None

    def stay(self) -> None:
        """Restart the time of the message shown."""
        self._until = self._clock.monotonic() + self._seconds

    def expire(self) -> bool:
        """Remove the message when its time is over. True if that happened now."""
        over = self.line is not None and self._clock.monotonic() >= self._until
        if over:
            self.line = None
        return over


class Flash:
    """What answers a key stands in the footer, a notice beside the name of the screen: neither covers the other."""

    def __init__(self, clock: Clock) -> None:
        self.answer = PassingMessage(clock, ANSWER_SECONDS)
        self.notice = PassingMessage(clock, NOTICE_SECONDS)
