"""What the verbs share: opening the state directory that the options name."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from clawtop.clock import Clock, SystemClock
from clawtop.commands import verbs
from clawtop.errors import RefusedError, UsageError
from clawtop.text import safe

if TYPE_CHECKING:
    from clawtop.core.model import Snapshot
    from clawtop.engine.drive.driver import Driver
    from clawtop.engine.gateway.caller import Caller
    from clawtop.engine.gateway.watch import GatewayWatch
    from clawtop.engine.live.feed import Feed
    from clawtop.engine.live.tape import Tape
    from clawtop.engine.prompt.choice import RegistryChoice
    from clawtop.store.place.layout import Layout
    from clawtop.store.snapshot import ExtraPart, SnapshotReader


def open_reader(
    args: argparse.Namespace,
    clock: Clock | None = None,
    extra_parts: Sequence[ExtraPart] = (),
    *,
    asks_live: bool = True,
    progressive: bool = False,
    on_accounts: Callable[[Snapshot], None] | None = None,
) -> SnapshotReader:
    """The reader for `--state-dir`, `--agent` and `--at`. Raises StateUnreadableError.

    `asks_live`: it asks a gateway that is known to live whether it answers; else somebody else does. `progressive`: it
    reads again and again, so that details of many sessions may come later. `on_accounts`: as for the reader.
    """
    from clawtop.store.gateway.liveness import ask_patiently
    from clawtop.store.locks.processes import SystemProcesses, UncheckedProcesses
    from clawtop.store.snapshot import SnapshotReader

    return SnapshotReader(
        state_dir=args.state_dir,
        env=os.environ,
        home=Path.home(),
        clock=clock or SystemClock(),
        processes=SystemProcesses() if args.at is None else UncheckedProcesses(),
        agent=args.agent,
        at=args.at,
        live_probe=ask_patiently if asks_live and not getattr(args, "no_gateway", False) else None,
        extra_parts=extra_parts,
        progressive=progressive,
        on_accounts=on_accounts,
    )


def open_incident_reader(args: argparse.Namespace, clock: Clock | None = None) -> SnapshotReader:
    """Like `open_reader`; its snapshots also have holders, lanes, events and config warnings."""
    return open_reader(args, clock, _incident_parts(args))


def registry_of(args: argparse.Namespace) -> RegistryChoice | None:
    """The registry that several hosts share, as the settings name it. Raises UsageError."""
    url = getattr(args, "settings", {}).get("registry")
    if not url:
        return None
    from clawtop.engine.prompt.choice import registry_choice

    try:
        return registry_choice(url, args.settings["registry_mounts"])
    except UsageError as error:
        raise UsageError(f"in the settings: {error.title}", hint=error.hint) from error


def make_driver(args: argparse.Namespace) -> Driver:
    """The engine as the settings want it. Raises UsageError, StateUnreadableError, RefusedError."""
    from clawtop.engine.drive.driver import Driver, EngineSettings

    return Driver(args.state_dir, settings=EngineSettings(registry=registry_of(args)))


def _incident_parts(args: argparse.Namespace) -> tuple[ExtraPart, ...]:
    from clawtop.core.operations.loaded import with_unloaded
    from clawtop.store.config_part import config_part
    from clawtop.store.incident import IncidentPart

    shared: tuple[ExtraPart, ...] = ()
    try:
        choice = registry_of(args)
    except UsageError as error:  # what only displays continues without it
        if any(item.dangerous for item in verbs() if item.verb == getattr(args, "verb", None)):
            raise
        shared = (_with_warning("registry-unusable", "registry", error.title),)
    else:
        if choice is not None:
            from clawtop.engine.etcd.shown import SharedHolders

            shared = (SharedHolders(choice, SystemClock()),)
    return config_part, IncidentPart(), *shared, lambda _layout, snapshot: with_unloaded(snapshot)


def _with_warning(code: str, where: str, text: str) -> ExtraPart:
    from clawtop.core.model import Problem

    return lambda _layout, snapshot: replace(snapshot, warnings=(*snapshot.warnings, Problem(code, where, text)))


class LiveReader(NamedTuple):
    """A reader that reads again and again, and what its snapshots get from the second one on."""

    reader: SnapshotReader
    parts: _LaterParts


def live_reader(
    args: argparse.Namespace, clock: Clock, on_accounts: Callable[[Snapshot], None] | None = None
) -> LiveReader:
    """What a live screen or a recording reads with. Raises StateUnreadableError."""
    parts = _LaterParts(lambda: _incident_parts(args))
    return LiveReader(
        open_reader(args, clock, (parts,), asks_live=False, progressive=True, on_accounts=on_accounts), parts
    )


def live_feed(
    args: argparse.Namespace,
    clock: Clock,
    tape: Tape | None = None,
    *,
    seen: Callable[[], None] = lambda: None,
    live: LiveReader | None = None,
    interval: float | None = None,
) -> tuple[SnapshotReader, Feed]:
    """The reader and what feeds a live screen or a recording from it: hub, gateway, tape.

    `seen`, `interval`: as for the hub. `live`: what `live_reader` made, if it was needed before.
    """
    from clawtop.engine.gateway.watch import GatewayWatch
    from clawtop.engine.live.feed import Feed
    from clawtop.engine.live.hub import MIN_INTERVAL, Hub

    reader, parts = live or live_reader(args, clock)
    watch = GatewayWatch(clock, enabled=not args.no_gateway) if args.at is None else None
    if watch is not None:
        parts.then(watch)
    return reader, Feed(Hub(reader, clock, interval=interval or MIN_INTERVAL, seen=seen), tape, watch)


def notice_hook(args: argparse.Namespace) -> Callable[[str], None] | None:
    """What receives each notice: the operator's `on_notice` command; None without one. Raises UsageError."""
    command = args.settings["on_notice"]
    if command is None:
        return None
    from clawtop.engine.live.hook import NoticeHook

    return NoticeHook(command).tell


class _LaterParts:
    """Parts that are loaded after the first snapshot, so that the first frame does not wait for them."""

    def __init__(self, load: Callable[[], Sequence[ExtraPart]]) -> None:
        self._load = load
        self._parts: Sequence[ExtraPart] | None = None
        self._also: tuple[ExtraPart, ...] = ()
        self._is_first = True

    def then(self, part: ExtraPart) -> None:
        """Add another part after them, from now on."""
        self._also = (*self._also, part)

    def __call__(self, layout: Layout, snapshot: Snapshot) -> Snapshot:
        if self._is_first:
            self._is_first = False
            return snapshot
        if self._parts is None:
            self._parts = self._load()
        for part in self._all:
            snapshot = part(layout, snapshot)
        return snapshot

    def watch_directories(self) -> tuple[Path, ...]:
        """What these parts read besides the state's own directories."""
        from clawtop.store.snapshot import watching

        return tuple(path for part in watching(self._all) for path in part.watch_directories())

    def files_elsewhere(self) -> tuple[Path, ...]:
        """As `watch_directories`: files outside of them."""
        from clawtop.store.snapshot import watching

        return tuple(path for part in watching(self._all) for path in part.files_elsewhere())

    @property
    def _all(self) -> tuple[ExtraPart, ...]:
        """Those that are loaded by now."""
        return (*(self._parts or ()), *self._also)


def make_caller(args: argparse.Namespace, reader: SnapshotReader) -> Caller:
    """What queries the gateway of this directory, unless that is off."""
    from clawtop.engine.gateway.caller import Caller
    from clawtop.engine.gateway.door import Door
    from clawtop.store.locks.processes import SystemProcesses

    door = Door(lambda: reader.layout, processes=SystemProcesses(), enabled=not args.no_gateway)
    return Caller(door, SystemClock())


def load_snapshot(args: argparse.Namespace) -> Snapshot:
    """Read the state once. Raises StateUnreadableError."""
    return open_reader(args).read()


def load_incident(args: argparse.Namespace) -> Snapshot:
    """Read the state and what led to it, once. Raises StateUnreadableError."""
    return open_incident_reader(args).read()


def load_whole_incident(args: argparse.Namespace) -> Snapshot:
    """As `load_incident`, and a live gateway is asked for its health, runs and lanes. Raises StateUnreadableError."""
    return read_whole_incident(args)[1]


def read_whole_incident(args: argparse.Namespace) -> tuple[SnapshotReader, Snapshot]:
    """The same, with its reader. A gateway that does not answer at all is asked nothing more."""
    from clawtop.core.model import Serving

    reader = open_incident_reader(args)
    snapshot = reader.read()
    if snapshot.gateway.serving in {Serving.SILENT, Serving.REFUSES}:
        return reader, snapshot
    return reader, _AskedGateway(args, reader, SystemClock()).told(snapshot)


class WatchedIncident:
    """The state and what led to it, again and again, with what a live gateway says. Used by one thread.

    A gateway is asked everything before the first snapshot of it, and by a thread from then on.
    """

    def __init__(self, args: argparse.Namespace, clock: Clock) -> None:
        """Raises StateUnreadableError."""
        self.reader = open_reader(args, clock, _incident_parts(args), asks_live=False)
        self._asked = _AskedGateway(args, self.reader, clock)

    def read(self) -> Snapshot:
        """Read what changed. Raises StateUnreadableError."""
        snapshot = self._asked.told(self.reader.read())
        self._asked.go_on()
        return snapshot


class _AskedGateway:
    """What a live gateway says, added to snapshots. Nothing that asks is loaded before there is a gateway to ask."""

    def __init__(self, args: argparse.Namespace, reader: SnapshotReader, clock: Clock) -> None:
        self._may = args.at is None and not args.no_gateway
        self._reader = reader
        self._clock = clock
        self._watch: GatewayWatch | None = None
        self._goes_on = False

    def told(self, snapshot: Snapshot) -> Snapshot:
        """The snapshot with the answers; where the gateway had to be asked for them first, a later snapshot."""
        from clawtop.core.model import GatewayState

        if self._watch is not None:
            return self._watch(self._reader.layout, snapshot)
        if not self._may or snapshot.gateway.state is not GatewayState.LIVE:
            return snapshot
        from clawtop import threads
        from clawtop.engine.gateway.watch import GatewayWatch

        self._watch = GatewayWatch(self._clock)
        self._watch(self._reader.layout, snapshot)
        threads.run(self._watch.look_once())
        return self._watch(self._reader.layout, self._reader.read())

    def go_on(self) -> None:
        """Have a thread ask from now on, if there was a gateway to ask."""
        if self._watch is None or self._goes_on:
            return
        import threading

        from clawtop import threads

        watch, self._goes_on = self._watch, True
        threading.Thread(target=lambda: threads.run(watch.run(lambda: None)), daemon=True).start()


def unknown_session(snapshot: Snapshot, key: str, unchanged: str) -> RefusedError:
    """The error for a key that no session of the snapshot has: there is no such session, or not all were read."""
    from clawtop.core.nearest import did_you_mean
    from clawtop.core.operations.target import of_another_user, unread_sessions
    from clawtop.core.session.key import agent_of
    from clawtop.engine.drain.scene import unread_databases

    unread = unread_sessions(snapshot, agent_of(key)) or unread_databases(snapshot)
    if unread is not None:
        what = f"whether there is a session {safe(key, 120)} is not known: {unread}"
        return RefusedError(what, hint="clawtop doctor", unchanged=unchanged)
    near = did_you_mean(key, (row.key for row in snapshot.sessions))
    what = f"there is no session {safe(key, 120)}{near}{of_another_user(snapshot)}"
    return RefusedError(what, hint="`clawtop status` lists them", unchanged=unchanged)


def has_terminal() -> bool:
    """Whether a full-screen program can be shown."""
    return sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM", "dumb") not in ("", "dumb")
