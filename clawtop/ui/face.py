"""What widgets that draw their own lines have in common, and what they may ask of the app, typed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, cast

from textual.dom import DOMNode
from textual.filter import ANSIToTruecolor, LineFilter
from textual.widget import Widget

from clawtop.clock import Clock
from clawtop.ui.theme import Look


class Face(Protocol):
    """The part of the app that drawing needs."""

    look: Look
    ascii_glyphs: bool
    clock: Clock


def face(node: DOMNode) -> Face:
    """The app of this widget, as a `Face`."""
    return cast("Face", node.app)


class Drawn(Widget):
    """A widget that draws with the styles of the theme, in which nothing needs to be converted: each conversion keeps
    a second copy of every line.
    """

    def get_line_filters(self) -> Sequence[LineFilter]:
        """The app's, without that for named colours."""
        return [each for each in super().get_line_filters() if not isinstance(each, ANSIToTruecolor)]
