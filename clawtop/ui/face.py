"""What every widget may ask of the app, typed."""

from __future__ import annotations

from typing import Protocol, cast

from textual.dom import DOMNode

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
