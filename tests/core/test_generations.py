"""Which row an OpenClaw takes, and what is said of versions that nobody looked at."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clawtop.core.generations import (
    SEMANTICS,
    STORAGE,
    Generation,
    generation_of,
    known_versions,
    semantics_of,
    storage_of,
)
from clawtop.core.rules import Schedule

HOUR = 3_600_000


@pytest.mark.parametrize(
    ("version", "name"),
    [
        ("2026.3.28", "3.28"),
        ("2026.5.18", "5.x"),
        ("v2026.6.1", "5.x"),
        ("2026.6.11-beta.1", "6.11"),
        ("2026.7.1", "7.1"),
        ("2026.8.2", "8.x"),
        (" 2026.9.6-beta.2", "9.x"),
    ],
)
def test_a_version_that_was_looked_at_has_its_row(version: str, name: str) -> None:
    for generation in (None, *Generation):
        chosen = semantics_of(version, generation)
        assert (chosen.row.name, chosen.note) == (name, None)


@pytest.mark.parametrize(
    ("version", "name", "behaves_as"),
    [
        ("2026.1.9", "3.28", "2026.3.28"),
        ("2026.4.30", "3.28", "2026.3.28"),
        ("2026.6.3", "5.x", "2026.6.1"),
        ("2026.6.30", "6.11", "2026.6.11"),
        ("2026.7.2", "7.1", "2026.7.1"),
        ("2026.8.9", "8.x", "2026.8.2"),
        ("2026.9.7", "9.x", "2026.9.6"),
        ("2999.1.1", tuple(SEMANTICS)[-1], known_versions()[-1]),
    ],
)
def test_a_version_between_or_beyond_takes_the_nearest_earlier_row_and_says_so(
    version: str, name: str, behaves_as: str
) -> None:
    chosen = semantics_of(version, None)
    assert chosen.row.name == name
    assert chosen.note is not None
    assert version in chosen.note
    assert behaves_as in chosen.note


@pytest.mark.parametrize("version", [None, "", "unreleased", "9.6"])
def test_without_a_version_the_files_decide_and_that_is_said(version: str | None) -> None:
    names = {generation: semantics_of(version, generation).row.name for generation in (None, *Generation)}
    assert names == {None: "5.x", Generation.A: "3.28", Generation.B: "5.x", Generation.C: "6.11", Generation.D: "9.x"}
    for generation in (None, *Generation):
        note = semantics_of(version, generation).note
        assert note is not None
        assert "not known" in note


def test_billing_on_2026_8_is_not_that_of_2026_9() -> None:
    eight, nine = SEMANTICS["8.x"].cooling, SEMANTICS["9.x"].cooling
    assert [eight.window_ms("billing", 1, n) for n in (1, 2)] == [5 * HOUR, 10 * HOUR]
    assert [nine.window_ms("billing", 1, n) for n in (1, 2)] == [HOUR // 6, HOUR // 3]
    assert [eight.window_ms("rate_limit", n, n) for n in (1, 2, 3)] == [30_000, 60_000, 300_000]
    assert [nine.window_ms("rate_limit", n, n) for n in (1, 2, 3)] == [30_000, 60_000, 120_000]


def test_rows_are_named_as_they_are_filed_and_stand_in_order() -> None:
    for name, row in SEMANTICS.items():
        assert row.name == row.cooling.name == name
        assert isinstance(row.cooling, Schedule)
    firsts = [row.first for row in SEMANTICS.values()]
    assert firsts == sorted(firsts)
    assert all(row.generation is generation for generation, row in STORAGE.items())


def test_an_unknown_generation_is_read_and_never_written() -> None:
    storage = storage_of(None)
    assert not storage.auth_in_database
    assert storage.session_files
    assert not storage.auth_writable
    assert not storage.drivable


def test_what_is_driven_has_a_file_to_fence() -> None:
    for generation in Generation:
        storage = storage_of(generation)
        assert not storage.drivable or storage.fence is not None
        assert (storage.fence is None) == (not storage.session_files)
        assert not (storage.locked_throughout and storage.prompt_unlocked)


@given(st.text(max_size=40), st.sampled_from([None, *Generation]))
def test_any_text_is_a_version(text: str, generation: Generation | None) -> None:
    assert semantics_of(text, generation).row in SEMANTICS.values()
    assert generation_of(text) in {None, *Generation}
