"""How long a provider asks to wait, in each of the forms that providers use."""

from __future__ import annotations

import pytest

from tests.conformance.openclaw_only import (
    MAX_WAIT_VARIABLE,
    WaitHeaders,
    max_wait_seconds,
    retry_after_seconds,
    should_bypass_long_sdk_retry,
)

NOON = 1_784_548_800_000  # Mon, 20 Jul 2026 12:00:00 GMT


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "30"}, 30),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "-5"}, 0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after-ms": "1500", "retry-after": "99"}, 1.5),
        ({"retry-after-ms": "?", "retry-after": "7"}, 7),
        ({"retry-after": "Mon, 20 Jul 2026 12:01:30 GMT"}, 90),
        ({"retry-after": "Mon, 20 Jul 2026 11:00:00 GMT"}, 0),
        ({"retry-after": "Mon, 99 Jul 2026 11:00:00 GMT"}, None),
    ],
)
def test_a_wait_is_read(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_seconds(headers, NOON) == seconds


@pytest.mark.parametrize(
    ("value", "cap"), [("", 60), ("90", 90), ("off", None), (" NONE ", None), ("0", None), ("x", 60)]
)
def test_the_cap_comes_from_the_environment(value: str, cap: float | None) -> None:
    assert max_wait_seconds({MAX_WAIT_VARIABLE: value}) == cap


def test_a_date_too_far_away_is_bypassed() -> None:
    headers = {"retry-after": "Mon, 20 Jul 2026 12:01:30 GMT"}
    assert should_bypass_long_sdk_retry(503, headers, {}, now_ms=NOON, reading=WaitHeaders())
    assert not should_bypass_long_sdk_retry(503, headers, {}, now_ms=NOON + 40_000, reading=WaitHeaders())
    assert not should_bypass_long_sdk_retry(404, headers, {}, now_ms=NOON, reading=WaitHeaders())
