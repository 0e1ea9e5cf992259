"""The replay of many rows in one test: none is left out, and a failure names each wrong one."""

from __future__ import annotations

import copy

import pytest

from tests.conformance.harness import Row, Rows, replay, rows, versions


def given_to(test: object) -> list[Rows]:
    """The rows of each of the tests that `replay` made."""
    (mark,) = test.pytestmark  # type: ignore[attr-defined]
    return [copy.copy(parameter.values[0]) for parameter in mark.args[1]]


def test_each_row_is_replayed_once_in_its_order() -> None:
    seen: list[Row] = []
    replayed = replay("order")(seen.append)
    for given in given_to(replayed):
        replayed(given)
    assert seen == [row for version in versions("order") for row in rows("order", version)]


def test_a_failure_names_every_wrong_row_and_says_what_is_wrong_with_it() -> None:
    def refuse_two(row: Row) -> None:
        assert row.id not in {first.id, third.id}, "not this one"
        if row is last:
            raise LookupError("no such account")

    replayed = replay("order")(refuse_two)
    given = given_to(replayed)[0]
    first, _, third, *_, last = given.rows
    with pytest.raises(pytest.fail.Exception) as failed:
        replayed(given)
    told = str(failed.value)
    names = ", ".join(f"{row.version}-{row.id}" for row in (first, third, last))
    assert told.startswith(f"3 of {len(given.rows)} rows are wrong: {names}\n")
    assert "not this one" in told
    assert "LookupError: no such account" in told
    assert given.wrong == 3
