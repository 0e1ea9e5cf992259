"""The table of seeded bugs holds: every pattern stands once in the package, every named test is there."""

from __future__ import annotations

import ast
import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from tests.mutants.table import MUTANTS, PARTS, Mutant

ROOT = Path(__file__).resolve().parent.parent


@cache
def package() -> tuple[str, ...]:
    """The text of each module."""
    return tuple(path.read_text() for path in sorted((ROOT / "clawtop").rglob("*.py")))


@cache
def functions_of(path: str) -> frozenset[str]:
    """The names of the functions of a test file."""
    body = ast.parse((ROOT / path).read_text()).body
    return frozenset(node.name for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_there_are_enough_and_no_name_stands_twice() -> None:
    assert len(MUTANTS) >= 30
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)


def test_each_promise_and_each_part_has_two_at_least() -> None:
    promises = re.findall(r"^## (\d+)\. ", (ROOT / "clawtop/docs/invariants.md").read_text(), re.MULTILINE)
    numbers = [int(number) for number in promises]
    assert numbers == list(range(1, 16))
    counts: Counter[int | str] = Counter(broken for mutant in MUTANTS for broken in mutant.breaks)
    needed: tuple[int | str, ...] = (*numbers, *PARTS)
    assert {broken for broken in counts if broken not in numbers} == set(PARTS)
    assert {broken: counts[broken] for broken in needed if counts[broken] < 2} == {}


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_seeded_bug_applies_exactly_once_and_parses(mutant: Mutant) -> None:
    found = [text for text in package() if mutant.old in text]
    assert sum(text.count(mutant.old) for text in found) == 1, f"{mutant.name}: its code changed, look at the bug again"
    ast.parse(found[0].replace(mutant.old, mutant.new))


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_tests_that_catch_it_are_there(mutant: Mutant) -> None:
    assert mutant.caught_by
    for test in mutant.caught_by:
        path, _, name = test.partition("::")
        assert name in functions_of(path), f"{mutant.name}: {path} has no {name!r}"
