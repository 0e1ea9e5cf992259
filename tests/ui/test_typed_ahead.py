"""Keys that come together, from a quick hand or over a slow line, do what they would do one by one."""

from __future__ import annotations

import pytest
from textual import events
from textual.app import App

from clawtop.ui.app import ClawtopApp
from clawtop.ui.screens.label import LabelScreen
from clawtop.ui.screens.overview import OverviewScreen
from clawtop.ui.screens.tables import TablesScreen
from clawtop.ui.typed_ahead import KeyHeard
from tests.support.live_dashboard import until
from tests.support.screens import make_app
from tests.support.worlds import TOLD
from tests.ui.test_everywhere import never

pytestmark = pytest.mark.anyio
NAMES = {"\r": "enter", "\x1b": "escape", "/": "slash", "?": "question_mark", "\t": "tab", ":": "colon"}


def at_once(app: App[None], text: str) -> None:
    """All keys stand in the queue before the first is looked at."""
    for letter in text:
        app.post_message(events.Key(NAMES.get(letter, letter), letter))


def filtered(app: ClawtopApp) -> str:
    assert isinstance(app.view, TablesScreen)
    return app.view.tables[1].filter_text


async def test_what_follows_the_key_of_the_filter_is_typed_into_it() -> None:
    app, _, _ = make_app(TOLD, execute=never)
    async with app.run_test(size=(120, 30)) as pilot:
        await pilot.pause()
        before = app.theme
        at_once(app, "/telegram\r")
        await until(pilot, lambda: filtered(app) == "telegram")
        assert app.theme == before
        at_once(app, "\x1b/tea")
        await until(pilot, lambda: filtered(app) == "tea")


async def test_a_label_is_typed_and_kept_at_once() -> None:
    kept: list[tuple[str, str]] = []
    app, _, _ = make_app(TOLD, save_label=lambda key, label: kept.append((key, label)))
    async with app.run_test(size=(120, 30)) as pilot:
        await pilot.pause()
        at_once(app, "\tLQuiet\r")
        await until(pilot, lambda: bool(kept))
        assert [label for _, label in kept] == ["Quiet"]
        assert not isinstance(app.screen, LabelScreen)


async def test_screens_open_and_close_in_the_order_of_their_keys() -> None:
    app, _, _ = make_app(TOLD, execute=never)
    async with app.run_test(size=(120, 30)) as pilot:
        await pilot.pause()
        at_once(app, "?q2q4\x1b?q\tac")
        await until(pilot, lambda: bool(app.flash.answer.line))
        await pilot.pause()
        assert isinstance(app.screen, OverviewScreen)
        assert app.return_code is None
        at_once(app, "q")
        await until(pilot, lambda: app.return_code == 0)


async def test_an_interrupt_waits_for_nothing() -> None:
    app, _, _ = make_app(TOLD)
    async with app.run_test(size=(120, 30)) as pilot:
        await pilot.pause()
        app._hearing = True
        app.post_message(events.Key("ctrl+c", "\x03"))
        await until(pilot, lambda: app.return_code == 130)


async def test_a_key_whose_end_is_never_told_keeps_the_others_for_a_moment_only() -> None:
    app, _, _ = make_app(TOLD)
    async with app.run_test(size=(120, 30)) as pilot:
        await pilot.pause()
        app._hearing = True
        at_once(app, "?")
        await until(pilot, lambda: not isinstance(app.screen, OverviewScreen))


async def test_a_key_that_comes_while_the_app_ends_is_heard_by_nobody() -> None:
    app, _, _ = make_app(TOLD)
    async with app.run_test(size=(120, 30)) as pilot:
        await pilot.pause()
    assert not app.screen_stack
    for key in ("j", "ctrl+c"):
        await app.on_event(events.Key(key, None))


async def test_the_keys_after_one_that_fails_are_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    app, _, _ = make_app(TOLD)
    app.survival.wanted = True

    def fail() -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(app, "action_command_palette", fail)
    async with app.run_test(size=(120, 30)) as pilot:
        await pilot.pause()
        app.post_message(events.Key("ctrl+p", None))
        at_once(app, "?")
        await until(pilot, lambda: app.survival.last is not None)
        await until(pilot, lambda: not isinstance(app.screen, OverviewScreen))


async def test_the_late_end_of_an_earlier_key_is_not_taken_for_that_of_the_last() -> None:
    app, _, _ = make_app(TOLD)
    async with app.run_test(size=(120, 30)) as pilot:
        await pilot.pause()
        app._hearing, app._number = True, 7
        app.on_key_heard(KeyHeard(6))
        assert app._hearing
        app.on_key_heard(KeyHeard(7))
        assert not app._hearing
