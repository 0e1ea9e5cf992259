"""The Textual screens. Thin: they show what view/ made and pass on commands."""

from __future__ import annotations

import os

os.environ.setdefault("TEXTUAL_FPS", "240")
"""Textual reads it when it is imported. A key that arrives just after a frame waits for up to two more: at Textual's
own 60 frames a second that alone is 33 ms. Frames are drawn only where something changed.
"""
