"""Show a fleet, or the dashboard of one host in its place, until the operator quits."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol

from clawtop import threads
from clawtop.clock import Clock
from clawtop.core.fleet.hosts import Host
from clawtop.core.fleet.notices import HostSeen, host_notices
from clawtop.core.source import SnapshotSource
from clawtop.ui.fleet import FleetApp
from clawtop.ui.notifier import Noticed, pass_on
from clawtop.ui.palettes import choose
from clawtop.ui.ports import Drains, Engine, Executor, IncidentPorts, JobPorts, Options, Recoveries
from clawtop.ui.run import make_app, show
from clawtop.ui.terminal import given_environment, speaks_unicode


class Opened(Protocol):
    """An opened host: its snapshots, its clock, and what operates, drains and drives there."""

    @property
    def source(self) -> SnapshotSource: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def execute(self) -> Executor: ...
    @property
    def drains(self) -> Drains: ...
    @property
    def recoveries(self) -> Recoveries: ...
    @property
    def engine(self) -> Engine: ...


class NoticeScreen(Noticed, Protocol):
    """A screen that gives notices: the fleet's, or the dashboard of an opened host."""

    def call_later(self, callback: Callable[..., object], *arguments: object) -> object: ...
    def tell(self, text: str) -> None: ...
    def exit(self) -> None: ...


class Hosts(Protocol):
    """What the screen needs of `fleet.fleet.Fleet`."""

    @property
    def hosts(self) -> Sequence[Host]: ...

    def retry_now(self) -> None:
        """Try again now to reach the hosts that are not reached."""

    async def run(self, deliver: Callable[[tuple[Host, ...]], None]) -> None:
        """Keep the hosts connected until cancelled."""

    def open(self, name: str) -> Opened:
        """The ports for the dashboard of a host."""


LOOK_SECONDS = 5.0
"""How often hosts are checked that send nothing new."""


def run_fleet(fleet: Hosts, clock: Clock, options: Options) -> int:
    """Show the fleet, and give notices of its hosts, until the operator leaves.

    Returns the exit code: 0 after `q`, 128+n after signal n.
    """
    return threads.run(_run(fleet, clock, options))


async def _run(fleet: Hosts, clock: Clock, options: Options) -> int:
    options = replace(options, ascii_glyphs=options.ascii_glyphs or not speaks_unicode(given_environment()))
    theme, shown, chosen = choose(options.theme, os.environ), list[NoticeScreen](), None

    ports = options.incident
    seen: dict[str, HostSeen] = {}

    def look() -> None:
        """Give notice of what has become worse or better on the hosts."""
        nonlocal seen
        seen, told = host_notices(seen, fleet.hosts, clock.now_ms(), round(ports.blocked_minutes * 60_000))
        if told is not None:
            tell(told)

    def tell(text: str) -> None:
        for app in shown:
            app.call_later(app.tell, text)
        pass_on(text, shown, ports)

    def looked() -> Sequence[Host]:
        """The hosts for the screen; each state that it shows is what the next one is compared with."""
        look()
        return fleet.hosts

    def deliver(_hosts: tuple[Host, ...]) -> None:
        look()
        for app in shown:
            if isinstance(app, FleetApp):
                app.call_later(app.redraw)

    keeping = (
        asyncio.create_task(fleet.run(deliver), name="fleet"),
        asyncio.create_task(_regularly(look, clock), name="fleet notices"),
    )
    for task in keeping:
        task.add_done_callback(partial(_leave, shown))
    try:
        while True:
            _raise_what_ended(keeping)
            app = FleetApp(clock, options, theme=theme, hosts=looked, retry=fleet.retry_now, chosen=chosen)
            shown.append(app)
            chosen = await app.run_async(mouse=options.mouse)
            shown.clear()
            _raise_what_ended(keeping)
            if chosen is None:
                return app.return_code or 0
            opened = fleet.open(chosen)
            of_host = replace(options, incident=IncidentPorts(opens="overview"), agent=None, of_fleet=True)
            jobs = JobPorts(opened.drains, partial(_same, opened.engine), opened.recoveries)
            host = make_app(opened.source, opened.clock, of_host, execute=opened.execute, jobs=jobs)
            shown.append(host)
            await show(host, mouse=options.mouse)
            shown.clear()
            _raise_what_ended(keeping)
            if host.return_code:
                return host.return_code
    finally:
        for task in keeping:
            task.cancel()
        await asyncio.gather(*keeping, return_exceptions=True)


def _leave(shown: Sequence[NoticeScreen], ended: asyncio.Task[None]) -> None:
    """Leave a screen that nothing keeps up to date any more."""
    if not ended.cancelled() and ended.exception() is not None:
        for app in shown:
            app.call_later(app.exit)


def _raise_what_ended(keeping: Sequence[asyncio.Task[None]]) -> None:
    for task in keeping:
        if task.done():
            task.result()


async def _regularly(look: Callable[[], None], clock: Clock) -> None:
    """Check regularly, since time alone may make something worse."""
    while True:
        look()
        await clock.sleep(LOOK_SECONDS)


def _same(engine: Engine) -> Engine:
    """Returns the host's engine as it is: nothing has to be made in a thread."""
    return engine
