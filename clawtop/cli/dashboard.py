"""`clawtop` alone: the dashboard, or plain text where the terminal cannot show it."""

from __future__ import annotations

import argparse
import gc
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from clawtop.cli.common import LiveReader
    from clawtop.clock import Clock
    from clawtop.core.session.attention import AttentionReport
    from clawtop.core.session.drain import DrainListener, DrainRequest
    from clawtop.core.session.recovery import SessionRecovery
    from clawtop.engine.drain.drainer import Drainer
    from clawtop.engine.drain.scene import DrainTarget
    from clawtop.engine.drive.driver import Driver
    from clawtop.engine.operations.execute import Operations
    from clawtop.store.snapshot import SnapshotReader
    from clawtop.ui.ports import Engine, JobPorts
    from clawtop.view.facts import Facts
    from clawtop.view.tour import Tour


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the dashboard."""
    from clawtop.core.settings import THEMES, VIEWS

    group = parser.add_argument_group("dashboard")
    group.add_argument("--read-only", action="store_true", help="operations cannot be armed")
    group.add_argument("--no-mouse", action="store_true", help="leave the mouse to the terminal")
    group.add_argument("--theme", choices=THEMES, metavar="NAME", help=f"colour theme: {', '.join(THEMES)}")
    group.add_argument(
        "--view",
        choices=VIEWS,
        help="the view to open first (default: the tree when something is blocked, else the overview)",
    )
    from clawtop.cli.fleet import BEFORE_VERB, add_host_arguments

    add_host_arguments(group, BEFORE_VERB)
    group.add_argument("--bell", action="store_true", help="ring the terminal bell on a notice")
    group.add_argument("--notify", action="store_true", help="send notices to the terminal (OSC 9)")
    group.add_argument(
        "--blocked-minutes",
        type=_minutes,
        default=5.0,
        metavar="N",
        help="give notice when a session has been blocked for N minutes (default: 5)",
    )


def run(args: argparse.Namespace) -> int:
    """Open the dashboard, or the fleet's where hosts are named. Without a terminal: print the status once."""
    from clawtop.cli.fleet import host_specs, named_before, watch

    if named_before(args).option is not None:
        return watch(args, host_specs(args))
    from clawtop.cli.common import has_terminal

    if not has_terminal():
        from clawtop.cli.status import print_plain

        return print_plain(args)
    gc.disable()  # until the first frame: collecting while everything is loaded only costs time
    from clawtop.cli.first_frame import FirstFrame
    from clawtop.clock import SystemClock

    clock, tour = SystemClock(), _tour(args)
    frame = FirstFrame(args, clock, tour)
    try:
        live, first = frame.read()
        return _dashboard(args, clock, tour, live, first)
    finally:
        frame.give_back()


def _dashboard(args: argparse.Namespace, clock: Clock, tour: Tour | None, live: LiveReader, first: Facts | None) -> int:
    """Show it, from the first snapshot on."""
    from clawtop import __version__
    from clawtop.cli.bundle import save
    from clawtop.cli.common import live_feed, notice_hook
    from clawtop.engine.live.tape import Tape
    from clawtop.ui.ports import CONFIG_FILE, IncidentPorts
    from clawtop.ui.run import Options, run_dashboard

    tape = Tape(clock, __version__, getattr(args, "recordings", None))
    reader, feed = live_feed(args, clock, tape, live=live)
    config_file = _config_file(args)
    options = Options(
        read_only=args.read_only or args.at is not None,
        mouse=not args.no_mouse,
        theme=args.theme,
        agent=args.agent,
        columns=args.settings["columns"],
        labels=args.settings["labels"],
        save_label=partial(_save_label, config_file),
        sorting=args.settings["sort"],
        save_look=partial(_save_look, config_file),
        kept_in=getattr(args, "kept_in", CONFIG_FILE),
        tour=tour,
        incident=IncidentPorts(
            save=save,
            tape=tape,
            bell=args.bell,
            notify=args.notify,
            on_notice=notice_hook(args),
            blocked_minutes=args.blocked_minutes,
            opens=args.view,
        ),
    )
    try:
        return run_dashboard(
            feed, clock, options, operations=lambda: _operations(args, reader), jobs=job_ports(args), first=first
        )
    finally:
        tape.close()


def _tour(args: argparse.Namespace) -> Tour | None:
    if not getattr(args, "tour", False):
        return None
    from clawtop.view.tour import Tour  # the demo's alone

    return Tour()


def _config_file(args: argparse.Namespace) -> Path:
    """Where settings are saved: the demo has its own file."""
    import os
    from pathlib import Path

    from clawtop.store.own.settings import settings_path

    return getattr(args, "config_file", None) or settings_path(os.environ, Path.home())


def _save_label(path: Path, key: str, label: str) -> None:
    from clawtop.store.own.settings import save_entry

    save_entry(path, "labels", key, label)


def _save_look(path: Path, theme: str, sorting: Mapping[str, str]) -> None:
    from clawtop.store.own.settings import save_entry, save_setting

    save_setting(path, "theme", theme)
    for table, column in sorting.items():
        save_entry(path, "sort", table, column)


def _minutes(text: str) -> float:
    minutes = float(text)
    if not 0 < minutes < 1e6:
        raise argparse.ArgumentTypeError("minutes must be more than 0")
    return minutes


def job_ports(args: argparse.Namespace) -> JobPorts:
    """The ports for drains and runs; what they need is loaded on demand."""
    from clawtop.ui.ports import JobPorts

    return JobPorts(_CommandDrains(args), lambda: _driver(args), _CommandRecoveries(args))


def _driver(args: argparse.Namespace) -> Driver:
    from clawtop.cli.common import make_driver

    return make_driver(args)


def _found(args: argparse.Namespace, session: str, agent: str | None) -> tuple[SnapshotReader, DrainTarget]:
    """A session of the directory that the options name, with a reader of its own. RefusedError if there is none."""
    from clawtop.cli.common import open_incident_reader
    from clawtop.cli.drain import target_of

    reader = open_incident_reader(argparse.Namespace(**{**vars(args), "agent": None}))
    return reader, target_of(reader, session, agent)


class _CommandDrains:
    """Prepares drains in the directory that the options name, each with its own reader."""

    def __init__(self, args: argparse.Namespace) -> None:
        self._args = args

    @property
    def can_abort(self) -> bool:
        return not self._args.no_gateway

    def prepare(self, request: DrainRequest, listener: DrainListener) -> Drainer:
        from clawtop.cli.drain import make_drainer

        reader, target = _found(self._args, request.session, request.agent)
        return make_drainer(self._args, reader, target, request.wishes, listener=listener)


class _CommandRecoveries:
    """Recovers sessions of the directory that the options name."""

    def __init__(self, args: argparse.Namespace) -> None:
        self._args = args

    def assess(self, session: str, agent: str | None) -> AttentionReport | None:
        from clawtop.engine.drain.recovery import assess

        reader, target = _found(self._args, session, agent)
        return assess(reader.read(), target)

    async def recover(
        self, engine: Engine, session: str, agent: str | None, wait_s: float, told: Callable[[str], None]
    ) -> SessionRecovery:
        import asyncio

        from clawtop.clock import SystemClock
        from clawtop.engine.drain.recovery import Telling, recover
        from clawtop.engine.drive.driver import Driver
        from clawtop.store.locks.processes import SystemProcesses

        assert isinstance(engine, Driver)  # noqa: S101 - `_driver` made it
        reader, target = await asyncio.to_thread(_found, self._args, session, agent)
        telling = Telling(lambda event: told(event.text), lambda step: told(step.text), lambda _wait, _left: None)
        return await recover(
            engine,
            reader,
            target,
            clock=SystemClock(),
            processes=SystemProcesses(),
            telling=telling,
            wait_s=wait_s,
        )


def _operations(args: argparse.Namespace, reader: SnapshotReader) -> Operations:
    """Created when the dashboard is armed: marks left by ended clawtops land before anything is planned."""
    from clawtop.cli.common import make_caller
    from clawtop.engine.drive.leftovers import land_leftovers
    from clawtop.engine.operations.execute import Operations
    from clawtop.store.own.journal import Journal

    land_leftovers(reader.layout.state_dir)
    return Operations(
        lambda: reader.layout, journal=Journal(str(reader.layout.state_dir)), caller=make_caller(args, reader)
    )
