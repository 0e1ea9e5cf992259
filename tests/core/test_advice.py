"""What is advised about failed turns, by the reason that is told of them."""

from __future__ import annotations

import pytest

from clawtop.core.health.advice import advice


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("auth", "renew the key"),
        ("auth: 401 Incorrect API key provided", "renew the key"),
        ("401 OAuth token has expired. Please obtain a new token", "renew the key"),
        ("HTTP 403: no access", "renew the key"),
        ("billing", "credit"),
        ("402 insufficient credit", "credit"),
        ("timeout: Connection error.", "DNS"),
        ("timeout: getaddrinfo ENOTFOUND api.example", "DNS"),
        ("Connection error.", "DNS"),
        ("fetch failed", "DNS"),
        ("timeout", "does not answer in time"),
        ("timeout: LLM request timed out.", "does not answer in time"),
        ("model_not_found: 404 no such model", "does not have this model"),
        ("overloaded", "overloaded"),
        ("server_error: 500", "error of its own"),
        ("format: messages: text content blocks must be non-empty", "rejects the request"),
        ("not taken in: ENOSPC: no space left on device, write", "make room"),
        ("auth: no route: ECONNREFUSED", "renew the key"),
    ],
)
def test_what_is_advised(reason: str, words: str) -> None:
    assert words in (advice(reason) or "")


@pytest.mark.parametrize(
    "reason", [None, "", "takeover", "its gateway was gone", "an empty answer", "429 slow down", "4011 x"]
)
def test_where_nothing_is_known_nothing_is_advised(reason: str | None) -> None:
    assert advice(reason) is None
