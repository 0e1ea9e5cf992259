"""When a provider says that an account is usable again, in all the ways they say it.

`retry-after` in seconds, as a duration, a date or an epoch; the reset headers of the big providers; fields of the error
body; words such as "try again in 6m0s" or "resets 3pm (Europe/Berlin)", in several languages. Everything becomes a wait
in milliseconds from now. A time in the past means no wait; one more than `LONGEST_MS` ahead is ignored.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from clawtop.core.javascript import is_finite
from clawtop.patterns import regex

LONGEST_MS = 31 * 24 * 3_600_000
EPOCH_S = 1_000_000_000
"""A number of seconds this large is a point in time, not a wait; for milliseconds, a thousand times as much."""

RESET_HEADERS = (
    "anthropic-ratelimit-unified-reset",
    "anthropic-ratelimit-requests-reset",
    "anthropic-ratelimit-tokens-reset",
    "anthropic-ratelimit-input-tokens-reset",
    "anthropic-ratelimit-output-tokens-reset",
    "x-ratelimit-reset-requests",
    "x-ratelimit-reset-tokens",
    "x-ratelimit-reset-after",
    "x-ratelimit-reset",
    "x-rate-limit-reset",
    "ratelimit-reset",
)
"""Headers with a limit's end; the latest counts, but only for limits whose `remaining` is 0, if given."""

USED_UP_ONLY = (
    "x-ratelimit-reset-requests-minute",
    "x-ratelimit-reset-requests-hour",
    "x-ratelimit-reset-requests-day",
    "x-ratelimit-reset-tokens-minute",
    "x-ratelimit-reset-tokens-hour",
    "x-ratelimit-reset-tokens-day",
)
"""The same, of limits that are told with every answer: they count only where their `remaining` is 0."""

WAIT_HEADERS = (("retry-after-ms", 1), ("x-ms-retry-after-ms", 1), ("retry-after", 1000), ("x-retry-after", 1000))
"""Headers that give a wait, and the unit of their figures in ms."""

BODY_FIELDS = (
    "retry_after",
    "retryAfter",
    "retry_after_seconds",
    "retryDelay",
    "resets_in_seconds",
    "reset_in_seconds",
    "resets_at",
    "reset_at",
    "resetsAt",
    "resetAt",
)

_UNITS_MS: Mapping[str, float] = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_PART = regex(
    r"(\d{1,12}(?:\.\d{1,9})?)\s{0,2}"
    r"(ms|milliseconds?|seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|hr|h|days?|d)(?![a-z])",
    re.IGNORECASE,
)
_WAIT_WORDS = regex(
    r"(?:(?:re)?try(?:ing)?(?: your request)?(?: again)?|available(?: again)?|resets?|reset|wait(?:ing)?|retry-after)"
    r"\s{0,2}(?:in|after|for|:)?\s{0,2}(?:about |approximately |at least )?"
    r"(?=\d)((?:\d{1,12}(?:\.\d{1,9})?\s{0,2}[a-z]{1,12}[\s,]{0,2}(?:and )?){1,4})",
    re.IGNORECASE,
)
_TIME_OF_DAY = (
    r"(\d{1,2})(?::(\d{2}))?\s?(am|pm)?"
    r"(?:\s{0,2}\(?((?:[A-Za-z]{2,20}/[A-Za-z_]{2,30}(?:/[A-Za-z_]{2,30})?)|UTC|GMT)\)?)?(?![\d.:a-z])"
)
"""With the four fields of `_TimeOfDay`."""
_CLOCK_WORDS = regex(
    r"(?:resets?|try again|available(?: again)?)(?: (?:at|on))?\s{1,2}" + _TIME_OF_DAY,
    re.IGNORECASE,
)
_STAMP = regex(
    r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?\s?(?:Z|UTC|GMT|[+-]\d{2}:?\d{2})", re.IGNORECASE
)
_UTC = regex(r"\s?(?:Z|UTC|GMT)\Z", re.IGNORECASE)
_ISO_DURATION = regex(
    r"P(?:(\d{1,6})D)?(?:T(?:(\d{1,6})H)?(?:(\d{1,6})M)?(?:(\d{1,9}(?:\.\d{1,9})?)S)?)?\Z", re.IGNORECASE
)
_ISO_UNITS_MS = (86_400_000, 3_600_000, 60_000, 1000)
_LIMIT_RESET = regex(r"\b(?:t|reset)=(\d{1,9})\b", re.IGNORECASE)
_LIMIT_LEFT = regex(r"\b(?:r|remaining)=(\d{1,9})\b", re.IGNORECASE)
"""What the `ratelimit` header says, in both drafts of its standard."""
_STAMP_WORDS = regex(
    rf"(?:resets?|try again|available|after|until|[于在至])[^\d]{{0,24}}"
    rf"({_STAMP.pattern}|\d{{4}}-\d{{2}}-\d{{2}}[T ]\d{{2}}:\d{{2}}(?::\d{{2}})?(?![\d:.]))",
    re.IGNORECASE,
)
_EPOCH_WORDS = regex(
    r"(?:resets?|try again|available|retry)(?: (?:at|after))?[\s:]{1,2}(\d{10}|\d{13})(?!\d)", re.IGNORECASE
)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DATE_WORDS = regex(
    rf"(?:resets?|try again|available(?: again)?|until)(?: on)? ({'|'.join(_MONTHS)})[a-z]{{0,6}}\.? (\d{{1,2}})"
    r"(?:, (\d{4}))?(?:,? at|,)? " + _TIME_OF_DAY,
    re.IGNORECASE,
)
_AGAIN = regex(
    r"重试|重試|再试|再試|重置|恢复|恢復|稍后|erneut|wieder|versuch|wart|zurück|réessay|patient|intent|espere|aguard"
    r"|tente|riprova|повтор|попроб|подожд"
)
"""Words in other languages that mark a wait: retry, again, wait, reset."""
_FOREIGN_WAIT = regex(
    r"(?:(?:\bin|\bnach|\bdans|\baprès|\ben|\bem|\bdentro de|\btra|\bfra|через)\s{1,2})?(\d{1,9})\s{0,2}"
    r"(毫秒|秒|分|小时|小時|時間|天|日|sek|min|stunde|tag|seg|sec|heure|jour|hora|d[ií]a|giorn|ore|сек|мин|час|дн)[钟鐘]?"
)
_FOREIGN_UNITS_MS: Mapping[str, float] = {
    "毫": 1,
    **dict.fromkeys("秒sс", 1000),
    **dict.fromkeys("分mм", 60_000),
    **dict.fromkeys("小時hoч", 3_600_000),
    **dict.fromkeys("天日tjdgд", 86_400_000),
}
"""By the first letter of the unit, except German `Stunde` (hour), which starts like the word for second."""
_FOREIGN_CLOCK = regex(r"\bum (\d{1,2})[:.](\d{2}) uhr")
TEXT_LIMIT = 4096


def provider_wait_ms(
    headers: Mapping[str, str],
    body: Mapping[str, Any] | None,
    message: str,
    now_ms: int,
    zone: tzinfo | None = None,
) -> int | None:
    """How long the provider asks to wait, in ms from now; None where it does not say.

    Args:
        headers: keyed in lower case.
        body: the error object of the answer.
        message: the error's words.
        zone: the host's time zone, for clock times that name none; None: UTC.
    """
    waits = (
        *(_of_value(headers.get(name), now_ms, scale=scale) for name, scale in WAIT_HEADERS),
        _of_body(body, now_ms),
        _of_words(message[:TEXT_LIMIT], now_ms, zone or UTC),
        _of_resets(headers, now_ms),
    )
    for wait in waits:
        if wait is not None and 0 <= wait <= LONGEST_MS:
            return math.ceil(wait)
    return None


def _of_value(value: object, now_ms: int, *, scale: float = 1000) -> float | None:
    """The wait that a header or field means: a number (in units of `scale` ms), a duration, a date, an epoch."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    if isinstance(value, str):
        text = value.strip()[:100]
        try:
            value = float(text)
        except ValueError:
            return _of_text(text, now_ms)
    if not is_finite(value):
        return None
    if value >= EPOCH_S * 1000:
        return max(0.0, value - now_ms)
    if scale == 1000 and value >= EPOCH_S:
        return max(0.0, value * 1000 - now_ms)
    return max(0.0, value * scale)


def _of_text(text: str, now_ms: int) -> float | None:
    stamp = _STAMP.match(text)
    if stamp is not None:
        return _until(stamp.group(), now_ms)
    if "," in text and (waits := _figures(text)):  # the header came twice
        return max(waits) * 1000
    if text[:1] in {"P", "p"} and (iso := _ISO_DURATION.match(text)) is not None:
        return sum(float(part or 0) * unit for part, unit in zip(iso.groups(), _ISO_UNITS_MS, strict=True))
    whole = _duration(text)
    if whole is not None:
        return whole
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() * 1000 - now_ms)
    except (ValueError, OverflowError, TypeError):
        return None


def _figures(text: str) -> list[float]:
    """The numbers of a list; empty if it contains anything else, or a point in time."""
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        return []
    return numbers if all(is_finite(number) and 0 <= number < EPOCH_S for number in numbers) else []


def _until(stamp: str, now_ms: int, zone: tzinfo = UTC) -> float | None:
    """`zone`: of a stamp that names none."""
    try:
        at = datetime.fromisoformat(_UTC.sub("+00:00", stamp.upper()))
    except ValueError:
        return None
    at = at if at.tzinfo is not None else at.replace(tzinfo=zone)
    return max(0.0, at.timestamp() * 1000 - now_ms)


def _duration(text: str) -> float | None:
    """`34s`, `6m0s`, `1h 2m`, `20 seconds`; None for anything else."""
    total, found, rest = 0.0, False, _PART.sub("", text)
    for number, unit in _PART.findall(text):
        short = unit.lower()
        key = "ms" if short.startswith(("ms", "milli")) else short[0]
        total += float(number) * _UNITS_MS[key]
        found = True
    return total if found and not re.sub(r"[\s,]|and", "", rest) else None


def _of_body(body: Mapping[str, Any] | None, now_ms: int, depth: int = 0) -> float | None:
    if body is None or depth > 3:
        return None
    for name in BODY_FIELDS:
        if name in body and (wait := _of_value(body[name], now_ms)) is not None:
            return wait
    for sent in _objects(body.get("headers")):  # by the provider behind a router
        headers = {str(name).lower(): value for name, value in sent.items()}
        if (wait := _of_headers(headers, now_ms)) is not None:
            return wait
    for inner in _objects(body.get("details"), body.get("metadata"), body.get("error")):
        if (wait := _of_body(inner, now_ms, depth + 1)) is not None:
            return wait
    return None


def _of_headers(headers: Mapping[str, Any], now_ms: int) -> float | None:
    told = {name: str(value) for name, value in headers.items() if isinstance(value, str | int | float)}
    first = (_of_value(told.get(name), now_ms, scale=scale) for name, scale in WAIT_HEADERS)
    return next((wait for wait in first if wait is not None), None) or _of_resets(told, now_ms)


def _objects(*values: object) -> Iterator[Mapping[str, Any]]:
    for value in values:
        members: Iterable[object] = value[:16] if isinstance(value, list) else (value,)
        yield from (member for member in members if isinstance(member, Mapping))


def _of_words(message: str, now_ms: int, zone: tzinfo) -> float | None:
    if (found := _STAMP_WORDS.search(message)) is not None:
        return _until(found[1], now_ms, zone)
    if (date := _DATE_WORDS.search(message)) is not None:
        return _of_date(date, now_ms, zone)
    if (epoch := _EPOCH_WORDS.search(message)) is not None:
        return _of_value(int(epoch[1]), now_ms)
    for match in _WAIT_WORDS.finditer(message):
        parts = "".join(part.group() for part in _PART.finditer(match[1]))
        if parts and (wait := _duration(parts)) is not None:
            return wait
    if (clock := _CLOCK_WORDS.search(message)) is not None and (clock[2] or clock[3]):
        return _of_clock(_TimeOfDay(*clock.groups()), now_ms, zone)
    return _of_foreign_words(message.lower(), now_ms, zone)


def _of_foreign_words(message: str, now_ms: int, zone: tzinfo) -> float | None:
    """A wait in Chinese, Japanese, German, French, Spanish, Portuguese, Italian or Russian; lower case."""
    if _AGAIN.search(message) is None:
        return None
    for match in _FOREIGN_WAIT.finditer(message):
        if match[0][0].isdigit() and not message[match.end() :].lstrip("内之以 ").startswith(("后", "後")):
            continue  # neither "in 30 Sekunden" nor "30秒后": perhaps a rate, so many in that time
        unit = "o" if match[2] == "stunde" else match[2][0]
        return int(match[1]) * _FOREIGN_UNITS_MS[unit]
    clock = _FOREIGN_CLOCK.search(message)
    return _of_clock(_TimeOfDay(clock[1], clock[2], None, None), now_ms, zone) if clock is not None else None


class _TimeOfDay(NamedTuple):
    """A time of day in words: hour, minute, am or pm, and the zone, where it is named."""

    hour: str
    minute: str | None
    half: str | None
    zone: str | None

    def today(self, now_ms: int, zone: tzinfo) -> tuple[datetime, datetime] | None:
        """(now, today at that time) in the zone that the words name or the host's; None where there is no such time."""
        hour, minute = int(self.hour), int(self.minute or 0)
        if self.half:
            hour = hour % 12 + (12 if self.half.lower() == "pm" else 0)
        if hour > 23 or minute > 59:
            return None
        if self.zone:
            try:
                zone = ZoneInfo("UTC" if self.zone.upper() in {"UTC", "GMT"} else self.zone)
            except (ZoneInfoNotFoundError, ValueError):
                return None
        now = datetime.fromtimestamp(now_ms / 1000, zone)
        return now, now.replace(hour=hour, minute=minute, second=0, microsecond=0)


def _of_clock(clock: _TimeOfDay, now_ms: int, zone: tzinfo) -> float | None:
    """The next time that a clock shows this."""
    found = clock.today(now_ms, zone)
    if found is None:
        return None
    now, at = found
    if at <= now:
        at += timedelta(days=1)
    return at.timestamp() * 1000 - now_ms


def _of_date(match: re.Match[str], now_ms: int, zone: tzinfo) -> float | None:
    """That time on that day, in the named year or else the next year in which it lies ahead."""
    found = _TimeOfDay(*match.groups()[3:]).today(now_ms, zone)
    if found is None:
        return None
    now, at = found
    try:
        at = at.replace(month=_MONTHS.index(match[1].lower()) + 1, day=int(match[2]), year=int(match[3] or now.year))
        if match[3] is None and at < now - timedelta(days=1):
            at = at.replace(year=at.year + 1)
    except ValueError:
        return None
    return max(0.0, at.timestamp() * 1000 - now_ms)


def _of_resets(headers: Mapping[str, str], now_ms: int) -> float | None:
    """The latest end among the limits that are used up; among all where none says how much remains."""
    used_up: list[float] = []
    others: list[float] = []
    for name in (*RESET_HEADERS, *USED_UP_ONLY):
        wait = _of_value(headers.get(name), now_ms)
        if wait is None:
            continue
        if headers.get(name.replace("-reset", "-remaining"), "").strip() in {"0", "0.0"}:
            used_up.append(wait)
        elif name not in USED_UP_ONLY:
            others.append(wait)
    told = headers.get("ratelimit", "")[:400]
    for limit in (told,) if "reset=" in told.lower() else told.split(","):
        if (reset := _LIMIT_RESET.search(limit)) is not None:
            remaining = _LIMIT_LEFT.search(limit)
            (used_up if remaining is not None and int(remaining[1]) == 0 else others).append(float(reset[1]) * 1000)
    return max(used_up or others, default=None)
