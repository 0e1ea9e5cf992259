"""Drive's editor: what is pasted never sends, also where a terminal hands it over as keys."""

from __future__ import annotations

import pytest
from textual import events
from textual.app import App, ComposeResult
from textual.pilot import Pilot

from clawtop.ui.widgets.message_editor import MessageEditor

pytestmark = pytest.mark.anyio


class EditorApp(App[None]):
    """An editor alone; it counts what was sent."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[str] = []

    def compose(self) -> ComposeResult:
        yield MessageEditor()

    def on_message_editor_sent(self) -> None:
        self.sent.append(self.editor.text)

    @property
    def editor(self) -> MessageEditor:
        return self.query_one(MessageEditor)


NAMES = {"\n": "enter", "\t": "tab", " ": "space"}


async def typed(pilot: Pilot[None], app: EditorApp, text: str, *, begin: float, gap: float) -> float:
    """Hand over keys with so many seconds between them, whatever the machine does meanwhile; the last one's time."""
    at = begin
    for number, letter in enumerate(text):
        at = begin + number * gap
        key = events.Key(NAMES.get(letter, letter), None if letter in "\n\t" else letter)
        key.time = at
        app.editor.post_message(key)
    await pilot.pause()
    return at


async def test_enter_sends_what_was_typed() -> None:
    app = EditorApp()
    async with app.run_test() as pilot:
        app.editor.focus()
        await typed(pilot, app, "hello\n", begin=100, gap=0.05)
        assert app.sent == ["hello"]


@pytest.mark.parametrize("text", ["one\ntwo\n", "one\n\n\n", "a\tb\nc\n", "ls -la\nrm x\n"])
async def test_keys_that_come_at_once_send_nothing(text: str) -> None:
    app = EditorApp()
    async with app.run_test() as pilot:
        app.editor.focus()
        last = await typed(pilot, app, text, begin=100, gap=0.0001)
        assert app.sent == []
        assert app.editor.text == text.replace("\t", "    ")
        assert app.focused is app.editor
        await typed(pilot, app, "\n", begin=last + 1, gap=0)
        assert app.sent == [text.replace("\t", "    ")]


async def test_a_paste_that_comes_in_pieces_sends_nothing() -> None:
    app = EditorApp()
    async with app.run_test() as pilot:
        app.editor.focus()
        last = await typed(pilot, app, "one two", begin=100, gap=0.0001)
        last = await typed(pilot, app, "\nthree", begin=last + 0.12, gap=0.0001)
        await typed(pilot, app, "\n", begin=last + 0.12, gap=0)
        assert app.sent == []
        assert app.editor.text == "one two\nthree\n"


async def test_a_tab_leads_to_no_button() -> None:
    app = EditorApp()
    async with app.run_test() as pilot:
        app.editor.focus()
        await typed(pilot, app, "\t", begin=100, gap=0)
        assert app.focused is app.editor
