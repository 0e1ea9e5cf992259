"""Values as JavaScript reads them: OpenClaw wrote the files, so its reading of numbers and dates counts."""

from __future__ import annotations

import math
import re
import sys
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from clawtop.patterns import regex

MAX_SAFE_INTEGER = 2**53 - 1
_LONGEST_DATE = 64

_NUMBER = regex(r"[+-]?(?:\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)", re.ASCII)
_RADIX = {"0x": 16, "0o": 8, "0b": 2}
_DATE_TIME = regex(
    r"(?P<date>\d{4}(?:-\d{2}(?:-\d{2})?)?)"
    r"(?:T(?P<time>\d{2}:\d{2}(?::\d{2}(?P<fraction>\.\d+)?)?)(?P<zone>Z|[+-]\d{2}:\d{2})?)?",
    re.ASCII,
)


def to_number(text: str) -> float:
    """`Number(text)`: NaN where JavaScript gives NaN, so `math.isnan` detects nonsense."""
    word = text.strip()
    if not word:
        return 0.0
    base = _RADIX.get(word[:2].lower())
    if base is not None:
        try:
            return float(int(word[2:], base)) if word[2:3].isalnum() and "_" not in word else math.nan
        except (ValueError, OverflowError):
            return math.nan
    if word.lstrip("+-") == "Infinity" and len(word) - len(word.lstrip("+-")) <= 1:
        return -math.inf if word.startswith("-") else math.inf
    return float(word) if _NUMBER.fullmatch(word) else math.nan


def parse_date(text: str) -> int | None:
    """`Date.parse(text)` in ms since the epoch, for the ISO forms; None where it is NaN.

    A date alone is UTC, a date with a time but without a zone is local time, as ECMAScript says.
    """
    return _parsed_date(text) if len(text) <= _LONGEST_DATE else None


@lru_cache(maxsize=4096)  # the dates of the same locks are read at every snapshot
def _parsed_date(text: str) -> int | None:
    match = _DATE_TIME.fullmatch(text.strip())
    if match is None:
        return None
    date, time, zone = match["date"], match["time"], match["zone"]
    full_date = date + "-01" * ((10 - len(date)) // 3)
    milliseconds = int((match["fraction"] or ".0")[1:4].ljust(3, "0")) if time else 0
    clock = time.partition(".")[0] if time else "00:00"
    next_day = clock in {"24:00", "24:00:00"} and milliseconds == 0
    try:
        moment = datetime.fromisoformat(f"{full_date}T{'00:00' if next_day else clock}")
        if time is None or zone == "Z":
            moment = moment.replace(tzinfo=UTC)
        elif zone is not None:
            moment = datetime.fromisoformat(f"{moment.isoformat()}{zone}")
        seconds = moment.timestamp()
    except (ValueError, OverflowError):
        return None
    return round(seconds) * 1000 + milliseconds + (86_400_000 if next_day else 0)


def is_finite(value: float) -> bool:
    """`Number.isFinite(value)`: an integer too large for a JavaScript number is infinite there."""
    return -sys.float_info.max <= value <= sys.float_info.max


def is_whole(value: Any) -> bool:
    """`Number.isInteger(value)` for a parsed JSON value: 12, 12.0 and 1.2e1 alike."""
    if isinstance(value, bool):
        return False
    return isinstance(value, int) or (isinstance(value, float) and value.is_integer())


def whole(value: Any, *, minimum: int = 0) -> int | None:
    """An integer of at least `minimum` that JavaScript can represent exactly, else None."""
    if type(value) is int:  # nearly always: thousands of fields are read at once
        return value if minimum <= value <= MAX_SAFE_INTEGER else None
    if not is_whole(value):
        return None
    number = int(value)
    return number if minimum <= number <= MAX_SAFE_INTEGER else None
