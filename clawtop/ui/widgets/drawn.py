"""The base of widgets that draw their own lines."""

from __future__ import annotations

from collections.abc import Sequence

from textual._styles_cache import StylesCache
from textual.filter import ANSIToTruecolor, LineFilter
from textual.widget import Widget

from clawtop.ui.surviving import Surviving


class Drawn(Surviving, Widget):
    """A widget that draws with the theme's styles. They need no conversion by line filters, which would keep a second
    copy of every line.
    """

    def get_line_filters(self) -> Sequence[LineFilter]:
        """The app's filters, without the one for named colours."""
        return [each for each in super().get_line_filters() if not isinstance(each, ANSIToTruecolor)]

    def on_unmount(self) -> None:
        """Release what was drawn. The library remembers two colours for each of the last thousand widgets, and with
        them the widgets' caches, a screenful of lines each.
        """
        StylesCache.get_inner_outer.cache_clear()
