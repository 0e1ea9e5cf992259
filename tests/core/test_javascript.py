"""Numbers and dates as JavaScript reads them."""

from __future__ import annotations

import math

import pytest

from clawtop.core.javascript import is_finite, is_whole, parse_date, to_number, whole


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("123", 123.0), (" 12 ", 12.0), ("", 0.0), ("-1", -1.0), ("1e3", 1000.0), (".5", 0.5), ("5.", 5.0),
        ("0x10", 16.0), ("0b11", 3.0), ("0o17", 15.0), ("Infinity", math.inf), ("-Infinity", -math.inf),
    ],
)  # fmt: skip
def test_number(text: str, number: float) -> None:
    assert to_number(text) == number


@pytest.mark.parametrize(
    "text", ["abc", "1_000", "0x", "0x_1", "nan", "inf", "1 2", "--1", "1e", "0xg", "٣", "+-Infinity"]
)
def test_not_a_number(text: str) -> None:
    assert math.isnan(to_number(text))


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("2026-05-20T12:00:00.000Z", 1779278400000),
        ("2026-05-20T12:00:00Z", 1779278400000),
        ("2026-05-20T12:00Z", 1779278400000),
        ("2026-05-20T14:00:00+02:00", 1779278400000),
        ("2026-05-20", 1779235200000),
        ("2026-05", 1777593600000),
        ("2026", 1767225600000),
        ("2026-05-20T12:00:00.5Z", 1779278400500),
        ("2026-05-20T12:00:00.123456Z", 1779278400123),
        ("2026-05-19T24:00:00Z", 1779235200000),
        ("1969-12-31T23:59:59.999Z", -1),
    ],
)
def test_date(text: str, ms: int) -> None:
    assert parse_date(text) == ms


@pytest.mark.parametrize("text", ["", "garbage", "2026-13-01", "2026-02-30T00:00:00Z", "2026-05-20T25:00:00Z", "12:00"])
def test_no_date(text: str) -> None:
    assert parse_date(text) is None


def test_whole_numbers() -> None:
    assert [whole(value) for value in (5, 5.0, 0, -1, True, "5", 5.5, None, 2**53, math.inf)] == [
        5, 5, 0, None, None, None, None, None, None, None,
    ]  # fmt: skip
    assert whole(0, minimum=1) is None
    assert is_whole(1.0)
    assert not is_whole(math.nan)


@pytest.mark.parametrize(
    ("value", "finite"),
    [
        (0, True), (-1.5, True), (1e308, True), (2**1023, True), (10**309, False), (-(10**400), False),
        (math.inf, False), (-math.inf, False), (math.nan, False),
    ],
)  # fmt: skip
def test_finite(value: float, finite: bool) -> None:
    assert is_finite(value) is finite
