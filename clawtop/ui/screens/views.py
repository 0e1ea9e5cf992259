"""The registry of views: command id -> its screen. A screen is imported when it is first opened."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import cast

from clawtop.ui.screens.base import DashboardScreen

SCREENS: Mapping[str, str] = {
    "tree": "clawtop.ui.screens.incident:TreeScreen",
    "lanes": "clawtop.ui.screens.incident:LanesScreen",
    "timeline": "clawtop.ui.screens.incident:TimelineScreen",
    "forecast": "clawtop.ui.screens.incident:ForecastScreen",
    "warnings": "clawtop.ui.screens.warnings:WarningsScreen",
}
"""Views that open over the overview: id of the view and of its command -> module and class."""


def open_view(command_id: str) -> DashboardScreen:
    """A new screen of this view. Raises KeyError."""
    module_name, _, class_name = SCREENS[command_id].partition(":")
    screen = getattr(importlib.import_module(module_name), class_name)()
    return cast("DashboardScreen", screen)
