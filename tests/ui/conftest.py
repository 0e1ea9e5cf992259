"""A pilot that waits until the app has nothing left to do, not until the machine looks idle.

Textual takes a process that gets no processor time for one that is done: on a busy machine its pause ends in the
middle of a key's work. Here it ends when every queue of the app is empty, nothing is left to draw, and that stays so.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator

import pytest
from textual import _context, _wait, pilot
from textual import app as textual_app
from textual.app import App
from textual.message_pump import MessagePump

CALM_LOOKS = 4
LOOK_S = 0.002
HANDLER_S = 1.0
"""A handler that waits longer than this for something else is left waiting."""


def _pumps(app: App[object]) -> Iterator[MessagePump]:
    yield app
    for screen in app.screen_stack:
        yield screen
        yield from screen.walk_children(with_self=False)


def _queued(app: App[object]) -> bool:
    top = app.screen  # nothing is drawn or called back below a full screen until it is on top again
    return any(pump.message_queue_size for pump in _pumps(app)) or bool(
        top._dirty_widgets or top._layout_required or top._callbacks
    )


def _handling(app: App[object]) -> bool:
    return any(getattr(pump._message_queue, "_unfinished_tasks", 0) for pump in _pumps(app))


async def until_quiet(min_sleep: float = 0.0, max_sleep: float = 1.0) -> None:
    """In the place of `textual._wait.wait_for_idle`; the times of its arguments do not matter."""
    del min_sleep, max_sleep
    app = _context.active_app.get()
    began, calm = time.monotonic(), 0
    while calm < CALM_LOOKS and not app._exit:  # an app that is leaving draws nothing any more
        await asyncio.sleep(LOOK_S)
        with contextlib.suppress(Exception):  # a screen that is going away has no queue any more
            app.screen._on_timer_update()
        busy = _queued(app) or (_handling(app) and time.monotonic() - began < HANDLER_S)
        calm = 0 if busy else calm + 1


@pytest.fixture(autouse=True)
def _quiet_pilot(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (_wait, pilot, textual_app):
        if hasattr(module, "wait_for_idle"):
            monkeypatch.setattr(module, "wait_for_idle", until_quiet)
