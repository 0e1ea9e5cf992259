"""When a provider says that an account is usable again, however it says it."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clawtop.core.failure.provider_time import LONGEST_MS, provider_wait_ms

NOW = int(datetime(2026, 11, 20, 22, 35, 31, tzinfo=UTC).timestamp() * 1000)
MINUTE = 60_000


@pytest.mark.parametrize(
    ("headers", "body", "message", "wait"),
    [
        ({"retry-after": "7"}, None, "", 7000),
        ({"retry-after": "2.5"}, None, "", 2500),
        ({"retry-after": "34s"}, None, "", 34_000),
        ({"retry-after": "1h 2m"}, None, "", 62 * MINUTE),
        ({"retry-after": formatdate(NOW / 1000 + 90, usegmt=True)}, None, "", 90_000),
        ({"retry-after": str(NOW // 1000 + 30)}, None, "", 30_000),
        ({"retry-after": str(NOW + 30_000)}, None, "", 30_000),
        ({"retry-after": "1771404540"}, None, "", 0),
        ({"retry-after": "-5"}, None, "", 0),
        ({"retry-after": "soon"}, None, "", None),
        ({"retry-after": "PT1M30S"}, None, "", 90_000),
        ({"retry-after": "P1DT2H"}, None, "", 26 * 60 * MINUTE),
        ({"retry-after": "30, 60"}, None, "", 60_000),
        ({"retry-after": "30, soon"}, None, "", None),
        ({"ratelimit": '"default";r=0;t=33'}, None, "", 33_000),
        ({"ratelimit": '"minute";r=5;t=90, "day";r=0;t=40'}, None, "", 40_000),
        ({"ratelimit": "limit=10, remaining=0, reset=25"}, None, "", 25_000),
        ({"ratelimit": "limit=10"}, None, "", None),
        ({}, {"metadata": {"headers": {"X-RateLimit-Reset": str(NOW + 44_000)}}}, "", 44_000),
        ({}, {"metadata": {"headers": {"Retry-After": "9"}}}, "", 9_000),
        ({}, {"metadata": {"headers": [["Retry-After", "9"]]}}, "", None),
        ({"x-ms-retry-after-ms": "2500"}, None, "", 2500),
        ({"x-retry-after": "9"}, None, "", 9000),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, None, "", 0),
        ({"retry-after": "Sat, 28 Nov 2099 07:28:00 GMT"}, None, "", None),
        ({"x-rate-limit-reset": "30"}, None, "", 30_000),
        ({"x-ratelimit-reset-requests-day": "3600", "x-ratelimit-remaining-requests-day": "0"}, None, "", 60 * MINUTE),
        ({"x-ratelimit-reset-requests-day": "3600", "x-ratelimit-remaining-requests-day": "9"}, None, "", None),
        ({}, None, "Your limit will reset at 2026-11-21 08:00 UTC", (9 * 60 + 24) * MINUTE + 29_000),
        ({}, None, f"reset at {NOW // 1000 + 60}", 60_000 - NOW % 1000),
        ({}, None, "You've hit your weekly limit · resets Nov 23 at 10am (UTC)", (59 * 60 + 24) * MINUTE + 29_000),
        ({}, None, "resets Dec 1, 2026 at 3:30 pm (UTC)", ((10 * 24 + 16) * 60 + 54) * MINUTE + 29_000),
        ({}, None, "resets Jan 2 at 3am", None),  # further ahead than is believed
        ({}, None, "resets Nov 31 at 3am", None),
        ({}, None, "请在30秒后重试", 30_000),
        ({}, None, "速率限制：将在 5 分钟后重置", 5 * MINUTE),
        ({}, None, "请稍后再试，限制将于2026-11-21 00:00:00重置", 84 * MINUTE + 29_000),
        ({}, None, "30秒後に再試行してください", 30_000),
        ({}, None, "每 60 秒最多 5 次请求，请稍后重试", None),
        ({}, None, "Bitte in 30 Sekunden erneut versuchen", 30_000),
        ({}, None, "Versuchen Sie es in 2 Stunden wieder", 120 * MINUTE),
        ({}, None, "Höchstens 5 Anfragen in 60 Sekunden", None),
        ({}, None, "Das Limit wird um 23:00 Uhr zurückgesetzt", 24 * MINUTE + 29_000),
        ({}, None, "Réessayez dans 20 secondes", 20_000),
        ({}, None, "Intente de nuevo en 3 minutos", 3 * MINUTE),
        ({}, None, "Tente novamente em 20 segundos", 20_000),
        ({}, None, "Riprova tra 1 ora", None),
        ({}, None, "Riprova tra 2 ore", 120 * MINUTE),
        ({}, None, "Повторите попытку через 30 секунд", 30_000),
        ({"retry-after": "nan"}, None, "", None),
        ({"retry-after": "1e300"}, None, "", None),
        ({"retry-after-ms": "1234", "retry-after": "9"}, None, "", 1234),
        ({"retry-after-ms": "soon", "retry-after": "7"}, None, "", 7000),
        ({"anthropic-ratelimit-requests-reset": "2026-11-20T22:40:31Z"}, None, "", 5 * MINUTE),
        ({"x-ratelimit-reset-tokens": "6m0s", "x-ratelimit-remaining-tokens": "0"}, None, "", 6 * MINUTE),
        (
            {
                "x-ratelimit-reset-requests": "20s",
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-tokens": "6m0s",
                "x-ratelimit-remaining-tokens": "5",
            },
            None,
            "",
            20_000,
        ),
        ({"x-ratelimit-reset": str(NOW // 1000 + 60)}, None, "", MINUTE),
        ({}, {"details": [{"@type": "RetryInfo", "retryDelay": "34.5s"}]}, "", 34_500),
        ({}, {"resets_in_seconds": 120}, "", 120_000),
        ({}, {"resets_at": NOW // 1000 + 600}, "", 600_000),
        ({}, {"metadata": {"retry_after": 3}}, "", 3000),
        ({}, None, "Please try again in 20s.", 20_000),
        ({}, None, "Please try again in 6m0s. Contact us", 6 * MINUTE),
        ({}, None, "retry after 5 minutes", 5 * MINUTE),
        ({}, None, "Try again in 1 hour and 5 minutes", 65 * MINUTE),
        ({}, None, "resets at 2026-11-21T00:00:00Z", 5_069_000),
        ({}, None, "You've hit your limit · resets 11pm", 24 * MINUTE + 29_000),
        ({}, None, "5-hour limit reached ∙ resets 2am (UTC)", 12_269_000),
        ({}, None, "resets 3pm (Europe/Berlin)", 55_469_000),
        ({}, None, "resets 3pm (Nowhere/Land)", None),
        ({}, None, "you have 3 tries in 5 languages", None),
        ({}, None, "model 4 resets 99 counters", None),
        ({}, None, "", None),
    ],
)
def test_every_spelling_is_a_wait(
    headers: dict[str, str], body: dict[str, Any] | None, message: str, wait: int | None
) -> None:
    assert provider_wait_ms(headers, body, message, NOW) == wait


def test_a_clock_time_without_a_zone_is_the_hosts() -> None:
    tokyo = provider_wait_ms({}, None, "resets 8am", NOW, ZoneInfo("Asia/Tokyo"))
    assert tokyo == 24 * MINUTE + 29_000


@given(st.text(max_size=300), st.text(max_size=60))
def test_whatever_is_said_is_a_bounded_wait_or_none(message: str, header: str) -> None:
    wait = provider_wait_ms({"retry-after": header, "x-ratelimit-reset": header}, {"resets_at": header}, message, NOW)
    assert wait is None or 0 <= wait <= LONGEST_MS
