"""The table of seeded bugs holds: every pattern stands once in the package, every named test is there."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.mutants.__main__ import places
from tests.mutants.table import MUTANTS, Mutant

ROOT = Path(__file__).resolve().parent.parent


def test_there_are_enough_and_no_name_stands_twice() -> None:
    assert len(MUTANTS) >= 30
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_seeded_bug_applies_exactly_once_and_parses(mutant: Mutant) -> None:
    found = places(mutant, ROOT / "clawtop")
    assert len(found) == 1, f"{mutant.name}: {found}; its code changed: look at the bug again"
    ast.parse(found[0].read_text().replace(mutant.old, mutant.new))


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_tests_that_catch_it_are_there(mutant: Mutant) -> None:
    assert mutant.caught_by
    for test in mutant.caught_by:
        path, _, name = test.partition("::")
        tree = ast.parse((ROOT / path).read_text())
        functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
        assert name in functions, f"{mutant.name}: {path} has no {name!r}"
