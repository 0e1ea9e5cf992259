"""The position of a replay, in words for the first line."""

from __future__ import annotations

from typing import Protocol


class Position(Protocol):
    """A recording that is being played; times in ms since the epoch."""

    @property
    def start(self) -> int: ...
    @property
    def end(self) -> int: ...
    @property
    def speed(self) -> float: ...
    @property
    def playing(self) -> bool: ...
    def now_ms(self) -> int: ...


def replay_words(position: Position) -> str:
    """`REPLAY ▶ 12:03/59:58 ×4`; with `‖` while it is paused."""
    passed, whole = position.now_ms() - position.start, position.end - position.start
    glyph = "▶" if position.playing else "‖"
    speed = "" if position.speed == 1 else f" ×{position.speed:g}"
    return f"REPLAY {glyph} {_clock(passed)}/{_clock(whole)}{speed}"


def _clock(ms: int) -> str:
    """`12:03`, from an hour on `1:02:03`."""
    minutes, seconds = divmod(max(0, ms) // 1000, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes:02}:{seconds:02}"
