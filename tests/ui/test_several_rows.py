"""Marked rows with one preview, a heading's click, a session's label: by the keys and clicks of an operator."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from textual.widgets import Input

from clawtop.core.model import Snapshot
from clawtop.core.operations.plan import Plan
from clawtop.core.operations.receipt import Receipt, Sight
from clawtop.ui.ports import StoreHolder
from clawtop.ui.screens.bulk import BulkScreen
from clawtop.ui.screens.label import LabelScreen
from clawtop.ui.screens.overview import OverviewScreen
from tests.support.screens import make_app, screen_text
from tests.support.worlds import INCIDENT, NOW

pytestmark = pytest.mark.anyio
WIDE = (120, 40)


def receipt(plan: Plan) -> Receipt:
    return Receipt(
        id="op-1",
        kind=plan.kind,
        title=plan.title,
        target=plan.target,
        agent=None,
        file=plan.file,
        changes=(),
        at=NOW,
        by="somebody",
        sight=Sight.NO_GATEWAY,
        sight_how="the next gateway reads it",
    )


async def test_marked_accounts_are_cleared_with_one_preview() -> None:
    done: list[Plan] = []

    async def execute(plan: Plan, snapshot: Snapshot, on_wait: Callable[[StoreHolder], None]) -> Receipt:
        done.append(plan)
        return receipt(plan)

    app, _, _ = make_app(INCIDENT, execute=execute)
    async with app.run_test(size=WIDE) as pilot:
        await pilot.pause()
        await pilot.press("g", "j", "space", "space", "a", "c")
        await pilot.pause()
        assert isinstance(app.screen, BulkScreen)
        text = screen_text(app)
        assert "Clear cooldown: 2 rows" in text
        assert "Yes, do all 2 (y)" in text
        assert done == []
        await pilot.press("y")
        await pilot.pause()
        assert len(done) == 2
        assert len({plan.target for plan in done}) == 2
        assert screen_text(app).count("✓ ") >= 2
        await pilot.press("escape")
        await pilot.pause()
        assert isinstance(app.screen, OverviewScreen)


async def test_leaving_the_preview_of_several_rows_does_nothing() -> None:
    async def never(plan: Plan, snapshot: Snapshot, on_wait: Callable[[StoreHolder], None]) -> Receipt:
        raise AssertionError("nothing was confirmed")

    app, _, _ = make_app(INCIDENT, execute=never)
    async with app.run_test(size=WIDE) as pilot:
        await pilot.pause()
        await pilot.press("g", "j", "space", "space", "a", "c", "n")
        await pilot.pause()
        assert isinstance(app.screen, OverviewScreen)


async def test_marked_locks_are_unlocked_only_where_the_owner_is_dead() -> None:
    app, _, _ = make_app(INCIDENT, execute=None)
    async with app.run_test(size=WIDE) as pilot:
        await pilot.pause()
        await pilot.press("tab", "tab", "g", *["space"] * len(INCIDENT.locks))
        await pilot.pause()
        assert {target.id for target in app.view.marked} == {lock.file.path for lock in INCIDENT.locks}
        await pilot.press("escape")
        await pilot.pause()
        assert app.view.marked == ()


async def test_a_click_on_a_heading_sorts_by_it_and_a_second_one_turns_it_round() -> None:
    app, _, _ = make_app(INCIDENT)
    async with app.run_test(size=WIDE) as pilot:
        await pilot.pause()
        table = app.view.tables[1]  # type: ignore[attr-defined]
        place = screen_text(app).splitlines()[table.region.y].index(" AGE ") + 1
        orders = []
        for _ in range(2):
            await pilot.click("#sessions", offset=(place + 1 - table.region.x, 0))
            await pilot.pause()
            assert table.sorting is not None
            assert table.sorting.column == "age"
            orders.append(table._rows)
        assert [row.key for row in orders[0]] == [row.key for row in orders[1]][::-1]


async def test_a_label_is_kept_by_enter_and_shown_in_the_keys_place() -> None:
    kept: list[tuple[str, str]] = []
    app, _, _ = make_app(INCIDENT, save_label=lambda key, label: kept.append((key, label)))
    async with app.run_test(size=WIDE) as pilot:
        await pilot.pause()
        await pilot.press("tab", "g", "L")
        await pilot.pause()
        assert isinstance(app.screen, LabelScreen)
        app.screen.query_one(Input).value = "the loud group"
        await pilot.press("escape")
        await pilot.pause()
        assert kept == []
        await pilot.press("L")
        await pilot.pause()
        app.screen.query_one(Input).value = "the loud group"
        await pilot.press("enter")
        for _ in range(200):
            await pilot.pause()
            if isinstance(app.screen, OverviewScreen) and "the loud group" in screen_text(app):
                break
        assert [label for _, label in kept] == ["the loud group"]
        assert "the loud group" in screen_text(app)


async def test_the_look_is_saved_by_its_key_alone_and_opens_so() -> None:
    kept: list[tuple[str, dict[str, str]]] = []
    app, _, _ = make_app(INCIDENT, save_look=lambda theme, orders: kept.append((theme, dict(orders))))
    async with app.run_test(size=WIDE) as pilot:
        await pilot.pause()
        await pilot.press("tab", "s", "S", "t")
        await pilot.pause()
        assert kept == []
        await pilot.press("T")
        await app.workers.wait_for_complete(worker for worker in app.workers if worker.name == "save-look")
        assert kept == [(app.theme, {"sessions": "-session"})]
        assert f"saved: theme {app.theme}" in screen_text(app)
    app, _, _ = make_app(INCIDENT, sorting=kept[0][1])
    async with app.run_test(size=WIDE) as pilot:
        await pilot.pause()
        keys = [row.item.key for row in app.view.tables[1]._rows]  # type: ignore[attr-defined]
        assert keys == sorted(keys, reverse=True)


async def test_an_order_that_no_table_has_is_no_order() -> None:
    app, _, _ = make_app(INCIDENT, sorting={"sessions": "colour", "nothing": "age"})
    async with app.run_test(size=WIDE) as pilot:
        await pilot.pause()
        await pilot.press("tab", "s")
        assert "sorted by session, upwards" in screen_text(app)
