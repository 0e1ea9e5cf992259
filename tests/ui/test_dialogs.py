"""What holds in every dialog and on every page: keys that scroll, keys that leave, and what is pasted into an input."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from textual import events
from textual.app import App
from textual.command import CommandPalette
from textual.pilot import Pilot
from textual.widgets import Button, Input

from clawtop.commands import Target, TargetKind
from clawtop.core.model import Snapshot
from clawtop.demo.provider import Stall
from clawtop.demo.world import CAST
from clawtop.ui.app import ClawtopApp
from clawtop.ui.jobs import Jobs
from clawtop.ui.screens.confirm import ConfirmScreen
from clawtop.ui.screens.drive import DriveScreen
from clawtop.ui.screens.incident import TreeScreen
from clawtop.ui.screens.leave import LeaveScreen
from clawtop.ui.screens.overview import OverviewScreen
from clawtop.ui.screens.reading import ReadingScreen
from clawtop.ui.screens.run import RunScreen
from clawtop.ui.widgets.line_scroll import LineScroll
from clawtop.ui.widgets.message_editor import MessageEditor
from tests.support.live_dashboard import LiveDashboard, is_back, live_dashboard, until
from tests.support.screens import make_app, screen_text
from tests.support.worlds import TOLD
from tests.ui.test_everywhere import SIZES, never

pytestmark = pytest.mark.anyio

SMALL, TINY = (60, 12), (50, 7)
"""So small that no dialog shows all that it says."""

ON_MADE_UP: dict[str, Sequence[str]] = {
    "help": ["question_mark"],
    "detail": ["enter"],
    "preview": ["a", "c"],
    "bulk": ["tab", "tab", "space", "space", "a", "u"],
    "label": ["tab", "L"],
}
"""What opens over the overview of a made-up incident, by its keys."""

ON_THE_REEF = {"drain": "d", "recover": "V", "drive": "D"}
"""What opens over a session of a living world, by its key."""

WITH_INPUT = {"label", "drive"}
"""There Home and End belong to what is typed."""


def shown(app: App[None]) -> LineScroll:
    return app.screen.query(LineScroll).first()


async def scrolls(pilot: Pilot[None], *, edges: bool) -> None:
    app = pilot.app
    await until(pilot, lambda: 0 < shown(app).size.height < len(shown(app)._lines))
    pane, screen = shown(app), app.screen
    end = len(pane._lines) - pane.page
    await pilot.press("pagedown")
    assert 0 < pane._top <= end
    await pilot.press("pageup")
    assert pane._top == 0
    if edges:
        await pilot.press("end")
        assert pane._top == max(0, len(pane._lines) - pane.page)
        await pilot.press("home")
        assert pane._top == 0
    assert app.screen is screen


def made_up(size: tuple[int, int]) -> tuple[ClawtopApp, Snapshot]:
    """An incident that has two stale locks."""
    stale = TOLD.locks[0]
    other = replace(stale, file=replace(stale.file, path=f"{stale.file.path}.second", session_id="other"))
    snapshot = replace(TOLD, locks=(stale, other, *TOLD.locks[1:]))
    app, _, _ = make_app(snapshot, execute=never, save_label=lambda _key, _label: None)
    return app, snapshot


@pytest.fixture
async def dashboard(tmp_path: Path) -> AsyncIterator[LiveDashboard]:
    async with live_dashboard(tmp_path) as made:
        yield made


@pytest.mark.parametrize("dialog", ON_MADE_UP)
async def test_a_dialog_scrolls_by_its_keys(dialog: str) -> None:
    app, _ = made_up(SMALL)
    async with app.run_test(size=SMALL) as pilot:
        await pilot.pause()
        await pilot.press(*ON_MADE_UP[dialog])
        await until(pilot, lambda: not isinstance(app.screen, OverviewScreen))
        if dialog == "label":
            shown(app).show([*shown(app)._lines] * 9)
        await scrolls(pilot, edges=dialog not in WITH_INPUT)


@pytest.mark.parametrize("dialog", ON_THE_REEF)
async def test_a_dialog_on_a_session_scrolls_by_its_keys(dashboard: LiveDashboard, dialog: str) -> None:
    async with dashboard.app.run_test(size=TINY) as pilot:
        await dashboard.open_on(pilot, CAST[0])
        await pilot.press(ON_THE_REEF[dialog])
        await until(pilot, lambda: not is_back(dashboard.app))
        await scrolls(pilot, edges=dialog not in WITH_INPUT)


async def test_the_screen_of_a_run_scrolls_by_its_keys(dashboard: LiveDashboard) -> None:
    dashboard.behave(Stall())
    async with dashboard.app.run_test(size=SMALL) as pilot:
        await dashboard.open_on(pilot, CAST[0])
        await pilot.press("D")
        await until(pilot, lambda: bool(dashboard.app.screen.query(MessageEditor)))
        dashboard.app.screen.query_one(MessageEditor).insert("hello " * 100)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(dashboard.app.screen, RunScreen))
        await until(pilot, lambda: 0 < shown(dashboard.app).size.height < len(shown(dashboard.app)._lines))
        for first, then in (("home", "pagedown"), ("home", "end")):
            await pilot.press(first)
            assert shown(dashboard.app)._top == 0
            await pilot.press(then)
            assert shown(dashboard.app)._top > 0
        await pilot.press("end", "pageup")
        assert shown(dashboard.app)._top < len(shown(dashboard.app)._lines) - shown(dashboard.app).page
        await pilot.press("X")


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("key", ["escape", "q"])
@pytest.mark.parametrize("dialog", ON_MADE_UP)
async def test_escape_and_q_close_it_at_every_size(dialog: str, key: str, size: tuple[int, int]) -> None:
    app, _ = made_up(size)
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        await pilot.press(*ON_MADE_UP[dialog])
        await until(pilot, lambda: not isinstance(app.screen, OverviewScreen))
        await pilot.press(key)
        await pilot.pause()
        if dialog in WITH_INPUT and key == "q":
            assert app.screen.query_one(Input).value.endswith("q")
        else:
            assert isinstance(app.screen, OverviewScreen)
        assert app.return_code is None


# --- pasting ----------------------------------------------------------------------------------------------------------

PASTED = "one\x1b[31m two\x1b]0;title\x07\r\nthree\x00\u202e"


@pytest.mark.parametrize("keys", [["slash"], ["tab", "L"], ["colon"]], ids=["filter", "label", "palette"])
async def test_what_is_pasted_into_a_line_is_text(keys: list[str]) -> None:
    app, _ = made_up((120, 30))
    async with app.run_test(size=(120, 30)) as pilot:
        await pilot.pause()
        await pilot.press(*keys)
        await until(pilot, lambda: isinstance(app.focused, Input))
        screen, focused = app.screen, app.focused
        assert isinstance(focused, Input)
        app.post_message(events.Paste(PASTED))
        await until(pilot, lambda: "one" in focused.value)
        await pilot.pause()
        assert app.screen is screen, "a pasted line break presses nothing"
        assert not {char for char in focused.value if not char.isprintable()}
        assert "\x1b" not in screen_text(app)


# --- closing twice, and below another -----------------------------------------------------------------------------


async def page_over_the_tree(pilot: Pilot[None], app: ClawtopApp) -> ReadingScreen:
    await pilot.press("2")
    await until(pilot, lambda: isinstance(app.screen, TreeScreen))
    await pilot.press("question_mark")
    await until(pilot, lambda: isinstance(app.screen, ReadingScreen))
    assert isinstance(app.screen, ReadingScreen)
    return app.screen


async def test_a_page_that_is_closed_twice_leaves_what_lies_below_it() -> None:
    app, _, _ = make_app(TOLD)
    async with app.run_test(size=(120, 30)) as pilot:
        page = await page_over_the_tree(pilot, app)
        page.dismiss()
        page.dismiss()
        await until(pilot, lambda: not page.is_running)
        assert isinstance(app.screen, TreeScreen)


async def test_a_dialog_that_ends_below_the_palette_closes_itself_once_that_is_closed() -> None:
    app, _, _ = make_app(TOLD, execute=never)
    async with app.run_test(size=(120, 30)) as pilot:
        await pilot.pause()
        await pilot.press("a", "c")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        dialog = app.screen
        await pilot.press("ctrl+p")
        await until(pilot, lambda: isinstance(app.screen, CommandPalette))
        dialog.dismiss()
        await pilot.pause()
        assert isinstance(app.screen, CommandPalette)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, OverviewScreen))


async def test_a_button_pressed_twice_closes_its_dialog_only() -> None:
    app, _, _ = make_app(TOLD, execute=never)
    async with app.run_test(size=(120, 30)) as pilot:
        await pilot.press("2")
        await until(pilot, lambda: isinstance(app.screen, TreeScreen))
        dialog = LeaveScreen(cast("Jobs", SimpleNamespace(draining=None, running=())))
        app.open(dialog)
        await until(pilot, lambda: isinstance(app.screen, LeaveScreen) and bool(app.screen.query(Button)))
        button = dialog.query(Button).first()
        button.press()
        button.press()
        await until(pilot, lambda: not dialog.is_running)
        assert isinstance(app.screen, TreeScreen)


async def test_a_message_that_is_sent_after_its_dialog_was_left_opens_nothing_in_the_place_of_the_overview() -> None:
    app, _, _ = make_app(TOLD, execute=never)
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def start_run(_request: object) -> object:
        begun.set()
        while not go_on.is_set():  # as a run that is begun while its dialog closes
            with contextlib.suppress(asyncio.CancelledError):
                await go_on.wait()
        return object()

    async with app.run_test(size=(120, 30)) as pilot:
        await pilot.pause()
        app.arming.toggle()
        jobs = cast("Jobs", SimpleNamespace(start_run=start_run))
        dialog = DriveScreen(jobs, Target(TargetKind.SESSION, TOLD.sessions[0].key, "main"))
        app.open(dialog)
        await until(pilot, lambda: isinstance(app.screen, DriveScreen) and bool(app.screen.query(MessageEditor)))
        dialog.query_one(MessageEditor).insert("hello")
        dialog.action_send()
        await until(pilot, begun.is_set)
        dialog.action_leave()
        go_on.set()
        await until(pilot, lambda: not dialog.is_running and bool(app.flash.answer.line))
        assert isinstance(app.screen, OverviewScreen)
        assert len(app.screen_stack) == 1


async def close_a_page_in_several_ways(pilot: Pilot[None], app: ClawtopApp, steps: int) -> None:
    app.run_command("help")
    page = app.screen
    assert isinstance(page, ReadingScreen)
    for _ in range(steps):
        await asyncio.sleep(0)
    app.post_message(events.Key("escape", None))
    if steps % 3:
        page.call_later(page.run_action, "close")
    if steps % 5 == 0:
        page.dismiss()
    await until(pilot, lambda: app.screen_stack == [app.view] and not page.is_running)


@pytest.mark.long
async def test_a_page_closed_at_any_step_of_its_opening_by_its_key_and_by_others_is_closed() -> None:
    """No step leaves the app waiting for a page, or a page for the app."""
    app, _, _ = make_app(TOLD, execute=never)
    async with app.run_test(size=(120, 30)) as pilot:
        await pilot.pause()
        for steps in range(60):
            await close_a_page_in_several_ways(pilot, app, steps)
        await pilot.press("2")
        await until(pilot, lambda: isinstance(app.screen, TreeScreen))
