"""The door to the screen: nothing that moves the cursor, hides, reorders, or is a secret gets through."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clawtop import text


@given(st.text())
def test_safe_text_has_no_hidden_characters_and_is_one_line(raw: str) -> None:
    shown = text.safe(raw)
    assert all(unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"} for char in shown)
    assert text.safe(shown) == shown or unicodedata.combining(raw[:1] or "a")


@given(st.text(), st.integers(0, 60))
def test_a_limit_is_a_limit_in_cells(raw: str, limit: int) -> None:
    assert text.cells(text.safe(raw, limit)) <= limit


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain", "plain"),
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("a\nb\tc", "a\\x0ab\\x09c"),
        ("user\u202egpj", "user\\u202egpj"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("\udcff", "\\udcff"),
        ("[/nope] x", "[/nope] x"),
        ("\x9b31m", "\\x9b31m"),
        ("z" + "\u0301" * 40, "z\u0301\u0301"),
    ],
)
def test_hostile_text_is_made_visible(raw: str, shown: str) -> None:
    assert text.safe(raw) == shown


def test_eliding_counts_wide_characters() -> None:
    assert text.elided("日本語テスト", 7) == "日本語…"
    assert text.cells("日本語") == 6
    assert text.elided("short", 5) == "short"
    assert text.elided("longer", 0) == ""


@pytest.mark.parametrize(
    "raw",
    [
        "key sk-ant-api03-abcdefghijklmnop refused",
        "Authorization: Bearer abcdef0123456789",
        "authorization: Basic dXNlcjpwYXNz",
        '{"api_key": "abcd1234"}',
        "x-api-key=abcd1234",
        "https://user:hunter22@example.org/v1",
        "AIzaSyA-1234567890abcdefghijk",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.SflKxwRJSMeKKF2QT4",
    ],
)
def test_what_looks_like_a_secret_is_masked(raw: str) -> None:
    shown = text.masked(raw)
    assert text.MASK in shown
    for secret in (
        "abcdefghijklmnop",
        "abcdef0123456789",
        "dXNlcjpwYXNz",
        "abcd1234",
        "hunter22",
        "SyA-12345",
        "SflKxw",
    ):
        assert secret not in shown


def test_every_loaded_secret_is_masked_by_value() -> None:
    with forgotten_afterwards():
        text.remember_secrets(["a plain sentence as password", "tiny"])
        assert text.masked("it said: a plain sentence as password!") == f"it said: {text.MASK}!"
        assert text.masked("tiny stays") == "tiny stays"


@pytest.mark.parametrize(
    "raw", ["has_secret: false", "tokens: 1234", "key agent:main:main", "sk-", "the bearer of news"]
)
def test_ordinary_words_are_left_alone(raw: str) -> None:
    assert text.masked(raw) == raw


@contextmanager
def forgotten_afterwards() -> Iterator[None]:
    """What is loaded as a secret meanwhile is none for the tests that follow."""
    known = text._known_secrets
    try:
        yield
    finally:
        text._known_secrets = known


def test_a_short_secret_inside_a_long_one_uncovers_nothing() -> None:
    with forgotten_afterwards():
        text.remember_secrets(["innermost", "an innermost and more", "more than enough"])
        assert text.masked("key sk-abcinnermostdef.") == f"key {text.MASK}."
        assert text.masked("say an innermost and more than enough!") == f"say {text.MASK}!"
        assert text.masked("innermostinnermost innermost") == f"{text.MASK} {text.MASK}"


@given(
    st.lists(st.text(st.sampled_from("abc-"), min_size=6, max_size=9), max_size=4), st.text(st.sampled_from("abc- x"))
)
def test_no_loaded_secret_survives_wherever_it_stands(secrets: list[str], around: str) -> None:
    with forgotten_afterwards():
        text.remember_secrets(secrets)
        for secret in secrets:
            assert secret not in text.masked(around + secret + around)


@pytest.mark.parametrize(
    ("raw", "width"),
    [
        ("กรุงเทพ", 6),
        ("ที่นี่", 2),
        ("नमस्ते", 4),
        ("क्षि", 2),
        ("👍🏽", 2),
        ("❤\ufe0f", 2),
        ("⚠", 1),
        ("e\u0301", 1),
        ("🇩🇪", 2),
        ("한국", 4),
    ],
)
def test_what_is_drawn_in_one_place_counts_once(raw: str, width: int) -> None:
    assert text.cells(text.safe(raw)) == width


@given(st.text(st.sampled_from("กีิ้่नमस्तेक्षि👍🏽❤\ufe0f⚠日e\u0301 ab·…▶─"), max_size=30), st.integers(0, 20))
def test_cutting_never_splits_what_is_drawn_in_one_place(raw: str, limit: int) -> None:
    clean = text.safe(raw)
    cut = text.elided(clean, limit)
    assert text.cells(cut) <= limit
    assert sum(text.cells(part) for part in text.clusters(clean)) == text.cells(clean)
    if cut != clean and limit:
        assert clean.startswith(cut.removesuffix("…"))
        assert [*text.clusters(clean)][: len([*text.clusters(cut[:-1])])] == [*text.clusters(cut[:-1])]


def test_the_short_way_of_counting_agrees_with_the_tables() -> None:
    import wcwidth

    quick = [chr(point) for point in range(0x3000) if text._NARROW.fullmatch(chr(point))]
    assert len(quick) > 900
    assert [char for char in quick if wcwidth.wcwidth(char) != 1] == []
