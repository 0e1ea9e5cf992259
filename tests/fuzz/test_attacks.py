"""Some of the hostile things at some of the places under some of the verbs, the same in every run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from tests.fuzz.attacked_screen import wrong_on_screen
from tests.fuzz.attacks import attacks
from tests.fuzz.hostile_places import DATABASES, FILES, THINGS, VERBS, Put, deep, pipe
from tests.fuzz.standpoints import CLOCKS, NAMESPACES, sights

SOME = 20
LONGEST_S = 400


@pytest.mark.long
@pytest.mark.timeout(LONGEST_S)
def test_hostile_things_at_some_places() -> None:
    """In a process without threads, since each of them is a child."""
    argv = [sys.executable, "-m", "tests.fuzz", "--attacks", "--number", str(SOME)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"attacks: {SOME} of " in done.stdout


def test_they_are_a_part_of_every_kind() -> None:
    some = attacks(root=True)[: 150 * SOME]
    assert {attack.place for attack in some} == {*FILES, *DATABASES}
    assert {attack.verb for attack in some} == {*VERBS}
    assert {attack.thing for attack in some} == {*THINGS}


@pytest.mark.long
@pytest.mark.parametrize("thing", [pipe, deep], ids=lambda thing: thing.__name__)
def test_the_dashboard_draws_and_ends(thing: Put, tmp_path: Path) -> None:
    assert wrong_on_screen(tmp_path, thing) == []


@pytest.mark.long
@pytest.mark.timeout(LONGEST_S)
def test_locks_from_some_standpoints() -> None:
    argv = [sys.executable, "-m", "tests.fuzz", "--standpoints", "--number", "6"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "standpoints: 6 of 84" in done.stdout


def test_they_look_from_everywhere() -> None:
    every = sights(Random(1))
    assert len(set(every)) == len(every) == 84
    assert {sight.namespace for sight in every} == {*NAMESPACES}
    assert {sight.step for sight in every} == {0, *CLOCKS}
