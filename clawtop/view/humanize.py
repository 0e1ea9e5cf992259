"""Numbers for people: durations, ages, clock times, bars. Milliseconds in, short fixed-width text out."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, tzinfo

from clawtop.core.model import Moment, Named, Problem, Sentence, plain_text
from clawtop.text import shown

_SECOND, _MINUTE, _HOUR, _DAY = 1000, 60_000, 3_600_000, 86_400_000
_SPARKS = "▁▂▃▄▅▆▇█"
_LATEST = 253_402_300_799_000  # the last second of the year 9999


def duration(ms: int) -> str:
    """At most six characters: `42s`, `4m12s`, `1h04m`, `3d04h`, `400d`. Negative spans carry a minus sign."""
    if ms < 0:
        return "-" + duration(-ms)
    seconds = ms // _SECOND
    if seconds < 60:
        return f"{seconds}s"
    if ms < _HOUR:
        return f"{seconds // 60}m{seconds % 60:02}s"
    if ms < _DAY:
        return f"{ms // _HOUR}h{ms % _HOUR // _MINUTE:02}m"
    days = ms // _DAY
    return f"{days}d{ms % _DAY // _HOUR:02}h" if days < 100 else f"{days}d" if days < 100_000 else "ages"


def rough(ms: int) -> str:
    """A duration in one unit up to an hour: `41s`, `25m`, `2h05m`. Minutes need no seconds."""
    return f"{ms // _MINUTE}m" if _MINUTE <= ms < _HOUR else duration(ms)


def span(ms: int) -> str:
    """A duration that may be shorter than a second: `12ms`, `0.4s`, `42s`."""
    if 0 <= ms < 100:
        return f"{ms}ms"
    if 0 <= ms < 10 * _SECOND:
        return f"{ms / _SECOND:.1f}s"
    return duration(ms)


def countdown(until: int, now: int) -> str:
    """Time left, rounded up, so that zero means over."""
    return duration(-(-(until - now) // _SECOND) * _SECOND) if until > now else "0s"


def is_ahead(then: int, now: int) -> bool:
    """Whether a time that should be past lies ahead of this machine's clock; clocks may differ by a second."""
    return then > now + _SECOND


def age(then: int | None, now: int) -> str:
    """How long ago; `+2h05m` for a time that lies ahead of the clock; a dash for an unknown one."""
    if then is None:
        return "-"
    if is_ahead(then, now):
        return f"+{rough(then - now)}"
    return rough(max(0, now - then))


def ago(then: int, now: int) -> str:
    """How long ago, in words: `4m ago`, `2h ahead of the clock`."""
    if is_ahead(then, now):
        return f"{rough(then - now)} ahead of the clock"
    return f"{rough(max(0, now - then))} ago"


def moment(ms: int, zone: tzinfo | None) -> datetime | None:
    """The time in `zone` (None: this machine's), or None if it is outside the calendar."""
    if not 0 <= ms <= _LATEST:
        return None
    at = datetime.fromtimestamp(ms / 1000, UTC)
    return at.astimezone(zone)


def clock_time(ms: int, zone: tzinfo | None) -> str:
    """`03:16:19`, or the number itself if it is not a time."""
    at = moment(ms, zone)
    return at.strftime("%H:%M:%S") if at else str(ms)


def zone_name(ms: int, zone: tzinfo | None) -> str:
    """The short name of the time zone at that time: `UTC`, `CET`."""
    at = moment(ms, zone)
    return at.strftime("%Z") if at else ""


def time_near(ms: int, now: int, zone: tzinfo | None) -> str:
    """`03:16:19` within the day of `now`, else with the date, and the year if that differs."""
    at, today = moment(ms, zone), moment(now, zone)
    if at is None or today is None:
        return str(ms)
    if at.date() == today.date():
        return at.strftime("%H:%M:%S")
    return at.strftime("%d %b %H:%M" if at.year == today.year else "%Y-%m-%d %H:%M")


def in_zone(sentence: Sentence, now: int, zone: tzinfo | None, called: Callable[[Named], str] = str) -> str:
    """A sentence with its times in `zone`, like every time beside it, and its names as `called` gives them."""
    return plain_text(
        sentence, lambda part: time_near(part.at, now, zone) if isinstance(part, Moment) else called(part)
    )


def problem_text(problem: Problem, now: int, zone: tzinfo | None) -> str:
    """A problem's text, safe to show, with its times in `zone`."""
    return shown(in_zone(problem.timed or problem.text, now, zone))


def bar(share: float, width: int) -> tuple[str, str]:
    """A bar of `width` cells as its filled and its empty part, in half cells; any remainder is visible."""
    halves = round(max(0.0, min(1.0, share)) * width * 2)
    if share > 0 and halves == 0:
        halves = 1
    full, rest = divmod(halves, 2)
    filled = "━" * full + "╸" * rest
    return filled, "─" * (width - len(filled))


def sparkline(values: tuple[int, ...], width: int) -> str:
    """The last `width` values as a row of bars from zero to the largest."""
    shown = values[-width:]
    top = max(shown, default=0)
    if top <= 0:
        return _SPARKS[0] * len(shown)
    return "".join(_SPARKS[min(7, value * 8 // (top + 1))] if value > 0 else _SPARKS[0] for value in shown)
