"""How long a provider asks to wait, and when a client library must not wait by itself.

Agrees with OpenClaw 2026.5.20: its SDK transport waits out short ones and leaves long ones to the failover. Replayed
against OpenClaw's rows only: clawtop's own client never waits or retries.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from clawtop.core.javascript import to_number
from clawtop.core.rules import WaitHeaders

DEFAULT_MAX_WAIT_SECONDS = 60.0
MAX_WAIT_VARIABLE = "OPENCLAW_SDK_RETRY_MAX_WAIT_SECONDS"
NO_CAP = frozenset({"0", "false", "off", "none", "disabled"})
RETRIED_STATUSES = frozenset({408, 409, 429})


def retry_after_seconds(headers: Mapping[str, str], now_ms: int) -> float | None:
    """The wait that `retry-after-ms` or `retry-after` (seconds or an HTTP date) asks for; None if unreadable.

    `headers` are keyed in lower case. A past date and a negative number mean no wait.
    """
    milliseconds = _figure(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after")
    seconds = _figure(value)
    if seconds is not None or value is None:
        return seconds
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now_ms / 1000)
    except (ValueError, OverflowError, TypeError):
        return None


def _asked_wait(headers: Mapping[str, str], now_ms: int, reading: WaitHeaders) -> float | None:
    if reading.negative_is_none:
        headers = {name: value for name, value in headers.items() if not value.strip().startswith("-")}
    waits = [retry_after_seconds(headers, now_ms)]
    if reading.seconds_too:
        waits.append(retry_after_seconds({"retry-after": headers.get("retry-after", "")}, now_ms))
    return max((wait for wait in waits if wait is not None), default=None)


def _figure(text: str | None) -> float | None:
    if text is None or not text.strip():
        return None
    number = to_number(text)
    return max(0.0, number) if math.isfinite(number) else None


def max_wait_seconds(environment: Mapping[str, str]) -> float | None:
    """The longest wait that a client library may do by itself, None if there is no cap."""
    text = environment.get(MAX_WAIT_VARIABLE, "").strip().lower()
    if text in NO_CAP:
        return None
    number = to_number(text) if text else math.nan
    return number if math.isfinite(number) and number > 0 else DEFAULT_MAX_WAIT_SECONDS


def should_bypass_long_sdk_retry(
    status: int,
    headers: Mapping[str, str],
    environment: Mapping[str, str],
    *,
    now_ms: int,
    reading: WaitHeaders,
) -> bool:
    """Whether an answer must surface at once instead of being retried inside the client library.

    True where the wait is longer than the cap, and for a 429 that does not say how long.
    """
    if status not in RETRIED_STATUSES and status < 500:
        return False
    cap = max_wait_seconds(environment)
    if cap is None:
        return False
    wait = _asked_wait(headers, now_ms, reading)
    return status == 429 if wait is None else wait > cap
