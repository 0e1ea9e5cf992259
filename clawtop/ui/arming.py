"""READ-ONLY or ARMED: one key arms, idleness disarms."""

from __future__ import annotations

from collections.abc import Mapping

from clawtop.clock import Clock
from clawtop.commands import Arming

ARMED_SECONDS = 300.0
"""Idle time after which the dashboard disarms itself."""

DISARMED = "The dashboard has disarmed itself."

MEANING: Mapping[Arming, str] = {
    Arming.READ_ONLY: "nothing can be changed",
    Arming.ARMED: "operations ask first; a disarms",
    Arming.LOCKED: "it cannot be armed",
}


class ArmingSwitch:
    """The operator's permission to operate. Any key extends it while it is armed."""

    def __init__(self, clock: Clock, *, locked: bool) -> None:
        self._clock = clock
        self._locked = locked
        self._ends: float | None = None

    @property
    def state(self) -> Arming:
        """The words for the first line."""
        if self._locked:
            return Arming.LOCKED
        return Arming.READ_ONLY if self._ends is None else Arming.ARMED

    @property
    def left_ms(self) -> int | None:
        """Ms until it disarms itself; None while it is not armed."""
        return None if self._ends is None else max(0, round((self._ends - self._clock.monotonic()) * 1000))

    def toggle(self) -> Arming:
        """Arm or disarm. A locked switch does not change."""
        if not self._locked:
            self._ends = self._clock.monotonic() + ARMED_SECONDS if self._ends is None else None
        return self.state

    def stay(self) -> None:
        """Restart the idle time: the operator pressed a key."""
        if self._ends is not None:
            self._ends = self._clock.monotonic() + ARMED_SECONDS

    def expire(self) -> bool:
        """Disarm if the idle time is over. True if that happened now."""
        over = self._ends is not None and self._clock.monotonic() >= self._ends
        if over:
            self._ends = None
        return over
