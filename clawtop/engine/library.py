"""For programs that use the engine: read a state, watch it, execute plans. Driving is `engine.drive.driver`."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from clawtop.clock import Clock, SystemClock
from clawtop.core.model import Snapshot
from clawtop.engine.drive.leftovers import land_leftovers
from clawtop.engine.live.hub import Hub
from clawtop.engine.operations.execute import Operations
from clawtop.errors import ClawtopError
from clawtop.store.config_part import config_part
from clawtop.store.incident import IncidentPart
from clawtop.store.locks.processes import SystemProcesses
from clawtop.store.own.journal import Journal
from clawtop.store.place.locating import locate
from clawtop.store.snapshot import SnapshotReader


def read_state(
    state_dir: str | Path | None = None, *, environ: Mapping[str, str] | None = None, home: Path | None = None
) -> Snapshot:
    """The state directory as it is now: accounts, sessions, locks, holders, events, warnings. Writes nothing.

    Args:
        state_dir: None finds it as OpenClaw does, by `environ` and `home`.

    Raises:
        StateUnreadableError: there is no such directory.
    """
    return _reader(state_dir, SystemClock(), environ, home).read()


async def watch_state(
    state_dir: str | Path | None = None,
    *,
    clock: Clock | None = None,
    environ: Mapping[str, str] | None = None,
    home: Path | None = None,
) -> AsyncIterator[Snapshot]:
    """Each snapshot that differs from the one before, the current one first; at most four a second, and the latest
    wins.

    Close the iterator (`contextlib.aclosing`) to stop watching.

    Raises:
        StateUnreadableError: the directory cannot be read, now or later.
    """
    clock = clock or SystemClock()
    hub = Hub(_reader(state_dir, clock, environ, home), clock)
    latest: list[Snapshot] = []
    broken: list[ClawtopError] = []
    arrived = asyncio.Event()

    def deliver(snapshot: Snapshot) -> None:
        latest[:] = [snapshot]
        arrived.set()

    def failed(error: ClawtopError) -> None:
        broken.append(error)
        arrived.set()

    task = asyncio.create_task(hub.run(deliver, failed))
    try:
        while True:
            await arrived.wait()
            arrived.clear()
            if broken:
                raise broken[0]
            yield latest[0]
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def open_operations(
    state_dir: str | Path | None = None, *, environ: Mapping[str, str] | None = None, home: Path | None = None
) -> Operations:
    """Executes plans in this directory; marks left behind by ended clawtop processes are written first.

    Plans come from modules of `clawtop.core.operations`: `clear` (`clear_profile(snapshot, id)`), `order`, `unlock` and
    `undo`.
    """
    environ, home = dict(os.environ) if environ is None else environ, home or Path.home()
    layout = locate(state_dir, env=environ, home=home)
    land_leftovers(layout.state_dir)
    return Operations(lambda: locate(state_dir, env=environ, home=home), journal=Journal(layout.state_dir))


def _reader(
    state_dir: str | Path | None, clock: Clock, environ: Mapping[str, str] | None, home: Path | None
) -> SnapshotReader:
    return SnapshotReader(
        state_dir=state_dir,
        env=dict(os.environ) if environ is None else environ,
        home=home or Path.home(),
        clock=clock,
        processes=SystemProcesses(),
        extra_parts=(config_part, IncidentPart()),
    )
