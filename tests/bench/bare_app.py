"""The least that a Textual program can be: one text. What the dashboard's start and memory are measured against."""

from __future__ import annotations

from textual.app import App, ComposeResult
from textual.content import Content
from textual.widgets import Static

MARK = "bare-app-is-here"


class BareApp(App[None]):
    """Shows its mark."""

    def compose(self) -> ComposeResult:
        yield Static(Content(MARK))


if __name__ == "__main__":
    BareApp().run()
