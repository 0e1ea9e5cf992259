"""What holds in every dialog and on every page: keys that scroll, keys that leave, and what is pasted into an input."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from textual import events
from textual.app import App
from textual.pilot import Pilot
from textual.widgets import Input

from clawtop.core.model import Snapshot
from clawtop.demo.provider import Stall
from clawtop.demo.world import CAST
from clawtop.ui.app import ClawtopApp
from clawtop.ui.screens.overview import OverviewScreen
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
