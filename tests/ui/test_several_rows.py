"""Marked rows with one preview, a heading's click, a session's label: by the keys and clicks of an operator."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
from textual.widgets import Input

from clawtop.core.model import LockKind, Snapshot
from clawtop.core.operations.plan import Plan
from clawtop.core.operations.receipt import Receipt, Sight
from clawtop.ui.ports import StoreHolder
from clawtop.ui.screens.bulk import BulkScreen
from clawtop.ui.screens.label import LabelScreen
from clawtop.ui.screens.overview import OverviewScreen
from tests.support.live_dashboard import until
from tests.support.screens import make_app, screen_lines, screen_text
from tests.support.worlds import INCIDENT, NOW, agent, profile

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


async def test_a_lock_that_is_gone_was_removed_not_written() -> None:
    async def execute(plan: Plan, snapshot: Snapshot, on_wait: Callable[[StoreHolder], None]) -> Receipt:
        return replace(receipt(plan), sight=Sight.WRITTEN)

    app, _, _ = make_app(INCIDENT, execute=execute)
    async with app.run_test(size=(120, 60)) as pilot:
        await pilot.pause()
        await pilot.press("tab", "tab", "g", *["space"] * len(INCIDENT.locks), "a", "u", "y")
        await pilot.pause()
        said = dialog_text(screen_lines(app))
        assert "✓ Remove the stale session lock of pid 3120" in said
        assert ": removed" in said
        assert "written" not in said


def dialog_text(lines: list[str]) -> str:
    """What stands between the sides of a dialog, in single blanks."""
    inside = [line.split("│", 1)[1].rsplit("│", 1)[0] for line in lines if line.count("│") >= 2]
    return " ".join(" ".join(inside).split())


async def test_the_preview_of_several_locks_names_what_is_removed_and_why_others_are_not() -> None:
    app, _, _ = make_app(INCIDENT, execute=never)
    async with app.run_test(size=(120, 60)) as pilot:
        await pilot.pause()
        await pilot.press("tab", "tab", "g", *["space"] * len(INCIDENT.locks), "a", "u")
        await pilot.pause()
        text = dialog_text(screen_lines(app))
        for words in (
            "Unlock: 1 row preview",
            "• Remove the stale session lock of pid 3120",
            "skipped: coder: auth store: its owner is not proven dead (not readable as a lock)",
            "skipped: gateway.5be1c6d0.lock: a gateway's own lock is never removed",
            "skipped: telegram:group:-100238841: its owner is not proven dead (owner lives, same start time)",
            "skipped: discord:channel:deploys: its owner is not proven dead (owner lives, same start time)",
            "Lost × the lock file; this cannot be undone",
            "Yes, do it (y)",
        ):
            assert words in text


async def test_the_preview_of_several_accounts_tells_effect_and_loss_of_each_before_the_changes() -> None:
    app, _, _ = make_app(INCIDENT, execute=never)
    async with app.run_test(size=(120, 80)) as pilot:
        await pilot.pause()
        await pilot.press("g", "j", "space", "space", "space", "a", "c")
        await pilot.pause()
        text = dialog_text(screen_lines(app))
        places = [
            text.index(words)
            for words in (
                "• Clear anthropic:max-reef in the store of agent main",
                "• Clear anthropic:team-key in the store of agent main",
                "Effect → anthropic:max-reef is usable at once instead of from 03:12:29",
                "it keeps failing until its account has credit again",
                "Lost × anthropic:max-reef's failure counts (rate_limit 1)",
                "Know first ⚠ the live gateway (pid 4711) does not see this at once",
                "cooldownUntil 1795144349000 (03:12:29 UTC) → absent",
                "disabledUntil 1795169527000 (10:12:07 UTC) → absent",
                "Yes, do all 3 (y)",
            )
        ]
        assert places == sorted(places)


async def never(plan: Plan, snapshot: Snapshot, on_wait: Callable[[StoreHolder], None]) -> Receipt:
    raise AssertionError("nothing was confirmed")


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


async def test_a_second_click_turns_the_order_round_though_sorting_moved_the_heading_away() -> None:
    app, _, _ = make_app(INCIDENT)
    async with app.run_test(size=WIDE) as pilot:
        await pilot.pause()
        table = app.view.tables[0]  # type: ignore[attr-defined]
        place = screen_text(app).splitlines()[table.region.y].index(" STATE ") + 1 - table.region.x
        orders = []
        for _ in range(2):
            await pilot.click("#profiles", offset=(place, 0))
            await pilot.pause()
            orders.append(str(table.sorting))
        assert orders == ["state", "-state"]
        heading = screen_text(app).splitlines()[table.region.y]
        assert "STATE▼" in heading
        assert not heading[place + table.region.x :].startswith("STATE")
        await pilot.click("#profiles", offset=(heading.index(" AGENT ") + 1 - table.region.x, 0))
        assert str(table.sorting) == "agent"


async def test_no_column_moves_when_a_run_starts_and_ends() -> None:
    app, source, _ = make_app(INCIDENT)
    unheld = tuple(lock for lock in INCIDENT.locks if lock.file.kind is not LockKind.SESSION)
    stand_in = INCIDENT.locks[-1]  # as many locks, so that no table gets higher
    locks = (*unheld, *(replace(stand_in, file=replace(stand_in.file, path=f"/s/{n}.lock")) for n in range(9)))
    sessions = tuple(replace(each, problems=()) for each in INCIDENT.sessions)
    calm = replace(INCIDENT, locks=locks[: len(INCIDENT.locks)], holders=(), sessions=sessions)
    async with app.run_test(size=WIDE) as pilot:
        table = app.view.tables[1]  # type: ignore[attr-defined]
        await until(pilot, lambda: table.table is not None)

        def is_shown(told: Snapshot) -> bool:
            return app.snapshot is told

        headings, needs = [], []
        for snapshot in (INCIDENT, calm, replace(INCIDENT), replace(calm)):
            source.tell(snapshot)
            await until(pilot, partial(is_shown, snapshot))
            await pilot.pause()
            headings.append(screen_text(app).splitlines()[table.region.y])
            needs.append(table.table.needs)
        assert needs[0] != needs[1]
        assert len(set(headings)) == 1
        assert "HELD BY" in headings[0]


async def test_an_answer_is_over_once_the_operator_went_on() -> None:
    app, _, _ = make_app(INCIDENT)
    async with app.run_test(size=WIDE) as pilot:
        await pilot.pause()
        for keys, answer in (
            (("escape", "f"), "nothing to go back from"),
            (("g", "j", "space", "escape"), "1 row marked"),
            (("3", "c", "escape"), "Clear cooldown: "),
        ):
            await pilot.press(*keys[:-1])
            await pilot.pause()
            assert answer in screen_lines(app)[-1]
            await pilot.press(keys[-1])
            await pilot.pause()
            assert answer not in screen_lines(app)[-1]
            await pilot.press("1")
            await pilot.pause()


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
        assert f"saved in clawtop's config file: theme {app.theme}" in screen_text(app)
    app, _, _ = make_app(INCIDENT, sorting=kept[0][1])
    async with app.run_test(size=WIDE) as pilot:
        await pilot.pause()
        keys = [row.item.key for row in app.view.tables[1]._rows]  # type: ignore[attr-defined]
        shown = [key.split(":", 2)[2].casefold() for key in keys]
        assert shown == sorted(shown, reverse=True)


async def test_sorting_names_the_agents_at_once_and_no_id_is_cut_where_there_is_room() -> None:
    ids = ("anthropic:a-long-name-of-work", "anthropic:a-long-name-of-home")
    agents = tuple(agent(name, tuple(profile(id_) for id_ in ids[:count])) for name, count in (("main", 1), ("ops", 2)))
    app, _, _ = make_app(replace(INCIDENT, agents=agents))
    async with app.run_test(size=(200, 50)) as pilot:
        await pilot.pause()
        assert "AGENT" not in next(line for line in screen_lines(app) if " PROFILES " in line)
        await pilot.press("s")
        shown = screen_text(app)
        assert "AGENT" in next(line for line in screen_lines(app) if " PROFILES " in line)
        assert all(re.search(rf"{id_} +{name} ", shown) for id_, name in zip(ids, ("main", "ops"), strict=True))


async def test_an_order_that_no_table_has_is_no_order() -> None:
    app, _, _ = make_app(INCIDENT, sorting={"sessions": "colour", "nothing": "age"})
    async with app.run_test(size=WIDE) as pilot:
        await pilot.pause()
        await pilot.press("tab", "s")
        assert "sorted by session, ascending" in screen_text(app)
        for key in ("2", "1"):  # what was said there leaves the footer to the keys of the next screen
            await pilot.press("s", key)
            await pilot.pause()
            assert "sorted by" not in screen_text(app)
