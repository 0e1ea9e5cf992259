"""No wait without a bound, no bound without a test."""

from __future__ import annotations

import ast
from pathlib import Path

from tests.engine.waits import WAITS, waits

TESTS = Path(__file__).parents[1]


def test_every_wait_of_a_turn_has_a_bound_that_a_test_names() -> None:
    found = set(waits())
    assert found - WAITS.keys() == set(), "a new wait: what bounds it, and which test fails without that bound?"
    assert WAITS.keys() - found == set(), "these waits are gone"


def test_each_of_these_tests_is_there() -> None:
    for bound in set(WAITS.values()):
        names = {
            node.name
            for node in ast.walk(ast.parse((TESTS / bound.file).read_text()))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }
        assert bound.test in names, f"{bound.what}: {bound.file} has no {bound.test}"
