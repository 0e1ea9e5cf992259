"""What was just said to the operator, in the footer's place for a few seconds."""

from __future__ import annotations

from clawtop.clock import Clock
from clawtop.view.line import Line, Tone

FLASH_SECONDS = 5.0


class Flash:
    """One short message; a later one takes its place. `line` is None while there is none."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until = 0.0
        self.line: Line | None = None

    def say(self, text: str, tone: Tone) -> None:
        """Show this from now on."""
        self.line = ((text, tone),)
        self._until = self._clock.monotonic() + FLASH_SECONDS

    def expire(self) -> bool:
        """Take the message away when its time is over; whether that happened now."""
        over = self.line is not None and self._clock.monotonic() >= self._until
        if over:
            self.line = None
        return over
