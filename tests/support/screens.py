"""What screen tests and pictures start the app with: a source that delivers what it is told to, a frozen clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC

from clawtop.core.model import Snapshot
from clawtop.errors import ClawtopError
from clawtop.ui.app import ClawtopApp
from clawtop.ui.jobs import Jobs
from clawtop.ui.ports import Executor, IncidentPorts, Options
from clawtop.view.tour import Tour
from tests.support.clocks import ManualClock
from tests.support.worlds import NOW


class ToldSource:
    """Delivers `first`, then whatever `tell` is given."""

    def __init__(self, first: Snapshot | None) -> None:
        self._first = first
        self._deliver: Callable[[Snapshot], None] | None = None
        self._failed: Callable[[ClawtopError], None] | None = None
        self.pokes = 0

    async def run(self, deliver: Callable[[Snapshot], None], failed: Callable[[ClawtopError], None]) -> None:
        self._deliver = deliver
        self._failed = failed
        if self._first is not None:
            deliver(self._first)
        await asyncio.Event().wait()

    def tell(self, snapshot: Snapshot) -> None:
        """Deliver another snapshot."""
        assert self._deliver is not None
        self._deliver(snapshot)

    def fail(self, error: ClawtopError) -> None:
        """Deliver that reading failed."""
        assert self._failed is not None
        self._failed(error)

    def poke(self) -> None:
        self.pokes += 1


def make_app(
    snapshot: Snapshot | None,
    *,
    theme: str = "lobster",
    read_only: bool = False,
    agent: str | None = None,
    ascii_glyphs: bool = False,
    execute: Executor | None = None,
    clock: ManualClock | None = None,
    incident: IncidentPorts | None = None,
    tour: Tour | None = None,
    save_label: Callable[[str, str], None] | None = None,
    sorting: Mapping[str, str] | None = None,
    save_look: Callable[[str, Mapping[str, str]], None] | None = None,
    jobs: Jobs | None = None,
) -> tuple[ClawtopApp, ToldSource, ManualClock]:
    """The app over a frozen clock at the incident's time, in UTC."""
    source = ToldSource(snapshot)
    clock = clock or ManualClock(NOW)
    options = Options(
        read_only=read_only,
        agent=agent,
        zone=UTC,
        ascii_glyphs=ascii_glyphs,
        incident=incident or IncidentPorts(),
        tour=tour,
        save_label=save_label,
        sorting=sorting or {},
        save_look=save_look,
    )
    return ClawtopApp(source, clock, options, theme=theme, execute=execute, jobs=jobs), source, clock


def screen_lines(app: ClawtopApp) -> list[str]:
    """The screen's content, dialogs included, as text without trailing blanks."""
    return [strip.text.rstrip() for strip in app.screen._compositor.render_strips()]


def screen_text(app: ClawtopApp) -> str:
    """The same as one string."""
    return "\n".join(screen_lines(app)) + "\n"
