"""Every screen opens and closes while ticks, snapshots and sizes come between any two steps of the event loop."""

from __future__ import annotations

import importlib
import pkgutil

import pytest
from textual.screen import Screen

import clawtop.ui.screens
from clawtop.ui.screens.dialog import DialogScreen
from tests.soak.opening import WAYS, open_dashboards_screens, open_fleets_screens

pytestmark = pytest.mark.anyio


def screens_of_the_package() -> set[str]:
    """Names of the screens that nothing else is built on."""
    found: list[type[Screen[object]]] = []
    for info in pkgutil.iter_modules(clawtop.ui.screens.__path__):
        module = importlib.import_module(f"clawtop.ui.screens.{info.name}")
        found += [
            each
            for each in vars(module).values()
            if isinstance(each, type) and issubclass(each, Screen) and each.__module__ == module.__name__
        ]
    kept = (each for each in found if not any(issubclass(other, each) and other is not each for other in found))
    return {each.__name__ for each in kept} | {"ReadingScreen", "FleetScreen"}


async def test_every_screen_of_the_package_is_opened() -> None:
    seen = (await open_dashboards_screens(1)).screens | (await open_fleets_screens(3)).screens
    assert screens_of_the_package() - seen == set()


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2, 6))
async def test_screens_open_and_close_two_thousand_times(seed: int) -> None:
    """Five hundred for each seed. `python -m tests.soak --screens 2000` does each of them so often."""
    opened = await open_dashboards_screens(-(-500 // len(WAYS)), seed)
    assert opened.times >= 500
    assert min(opened.counts.values()) > 50


async def test_a_tick_that_needs_what_is_not_mounted_yet_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dialog that asked for its buttons at a tick once ended the dashboard, now and then."""
    kept = DialogScreen.refresh_time

    def refresh_time(self: DialogScreen) -> None:
        self.query_one("#dialog-buttons")
        kept(self)

    monkeypatch.setattr(DialogScreen, "refresh_time", refresh_time)
    with pytest.raises(Exception, match="dialog-buttons"):
        await open_dashboards_screens(100, 1, [way for way in WAYS if way.screen == "ConfirmScreen"])
