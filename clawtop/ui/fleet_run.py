"""Show a fleet, or the dashboard of one host in its place, until the operator quits."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
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
    theme, chosen = choose(options.theme, os.environ), None
    notices = _Notices(fleet, clock, options.incident)
    keeping = (
        asyncio.create_task(fleet.run(notices.deliver), name="fleet"),
        asyncio.create_task(notices.keep(), name="fleet notices"),
    )
    for task in keeping:
        task.add_done_callback(notices.leave)
    try:
        while True:
            app = FleetApp(clock, options, theme=theme, hosts=notices.looked, retry=fleet.retry_now, chosen=chosen)
            with notices.on(app):
                chosen = await app.run_async(mouse=options.mouse)
            _raise_what_ended(keeping)
            if chosen is None:
                return app.return_code or 0
            opened = fleet.open(chosen)
            of_host = replace(options, incident=IncidentPorts(opens="overview"), agent=None, of_fleet=True)
            jobs = JobPorts(opened.drains, partial(_same, opened.engine), opened.recoveries)
            host = make_app(opened.source, opened.clock, of_host, execute=opened.execute, jobs=jobs)
            with notices.on(host):
                await show(host, mouse=options.mouse)
            _raise_what_ended(keeping)
            if host.return_code:
                return host.return_code
    finally:
        for task in keeping:
            task.cancel()
        await asyncio.gather(*keeping, return_exceptions=True)


class _Notices:
    """Tells what becomes worse or better on the hosts, on the screen that is open and outside of it."""

    def __init__(self, fleet: Hosts, clock: Clock, ports: IncidentPorts) -> None:
        self._fleet = fleet
        self._clock = clock
        self._ports = ports
        self._open: list[NoticeScreen] = []
        self._seen: dict[str, HostSeen] = {}

    @contextmanager
    def on(self, app: NoticeScreen) -> Iterator[None]:
        """`app` is the screen that is open."""
        self._open.append(app)
        try:
            yield
        finally:
            self._open.clear()

    def look(self) -> None:
        """Give notice of what has become worse or better since the last look."""
        blocked_ms = round(self._ports.blocked_minutes * 60_000)
        self._seen, told = host_notices(self._seen, self._fleet.hosts, self._clock.now_ms(), blocked_ms)
        if told is None:
            return
        for app in self._open:
            app.call_later(app.tell, told)
        pass_on(told, self._open, self._ports)

    def looked(self) -> Sequence[Host]:
        """The hosts for the screen; each state that it shows is what the next one is compared with."""
        self.look()
        return self._fleet.hosts

    def deliver(self, _hosts: tuple[Host, ...]) -> None:
        """The fleet has changed."""
        self.look()
        for app in self._open:
            if isinstance(app, FleetApp):
                app.call_later(app.redraw)

    async def keep(self) -> None:
        """Look regularly until cancelled, since time alone may make something worse."""
        while True:
            self.look()
            await self._clock.sleep(LOOK_SECONDS)

    def leave(self, ended: asyncio.Task[None]) -> None:
        """Leave a screen that nothing keeps up to date any more."""
        if not ended.cancelled() and ended.exception() is not None:
            for app in self._open:
                app.call_later(app.exit)


def _raise_what_ended(keeping: Sequence[asyncio.Task[None]]) -> None:
    for task in keeping:
        if task.done():
            task.result()


def _same(engine: Engine) -> Engine:
    """Returns the host's engine as it is: nothing has to be made in a thread."""
    return engine
