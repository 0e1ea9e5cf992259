"""What the dashboard keeps: nothing of a state that it shows no more, little of screens that were closed."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from dataclasses import replace

import pytest

from clawtop.ui.run import GC_THRESHOLDS
from tests.support.screens import make_app
from tests.support.worlds import INCIDENT

pytestmark = pytest.mark.anyio

ROUNDS, WARM = 40, 2
SOME_SCREENS = 20_000
"""Objects. A screen that is opened and closed leaves about five thousand to the collector, which comes every ten rounds
or so: what the low points have in common stays.
"""


@pytest.fixture
def _collecting_as_when_shown() -> Iterator[None]:
    """What other tests have left is set aside: the collector waits until a quarter of all that lives is new."""
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.collect()
    gc.set_threshold(*GC_THRESHOLDS)
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


@pytest.fixture
def _without_collector() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("_without_collector")
async def test_a_state_ends_when_the_next_one_is_shown() -> None:
    app, source, _ = make_app(INCIDENT)
    async with app.run_test(size=(120, 30)) as pilot:
        await pilot.pause()
        shown: list[weakref.ref[object]] = []
        for number in range(2, 7):
            assert app.facts is not None
            shown.append(weakref.ref(app.facts))
            source.tell(replace(INCIDENT, number=number, taken_at=INCIDENT.taken_at + number))
            await pilot.pause()
        assert app.snapshot is not None
        assert app.snapshot.number == 6
        assert [facts for facts in shown if facts() is not None] == []


@pytest.mark.usefixtures("_collecting_as_when_shown")
async def test_closed_screens_do_not_pile_up() -> None:
    app, _, _ = make_app(INCIDENT)
    objects: list[int] = []
    async with app.run_test(size=(120, 30)) as pilot:
        for _ in range(ROUNDS):
            await pilot.press("2", "escape", "question_mark", "escape")
            objects.append(len(gc.get_objects()))
    early, late = min(objects[WARM : ROUNDS // 2]), min(objects[ROUNDS // 2 :])
    assert late - early < SOME_SCREENS
