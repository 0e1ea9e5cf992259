"""`clawtop` alone: the dashboard, or plain text where there is no terminal for it."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clawtop.engine.operations import Operations
    from clawtop.store.snapshot import SnapshotReader


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the dashboard."""
    group = parser.add_argument_group("dashboard")
    group.add_argument("--read-only", action="store_true", help="operations cannot be armed")
    group.add_argument("--no-mouse", action="store_true", help="leave the mouse to the terminal")
    group.add_argument("--theme", metavar="NAME", help="colour theme")


def has_terminal() -> bool:
    """Whether a full-screen program can be shown."""
    return sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM", "dumb") not in ("", "dumb")


def run(args: argparse.Namespace) -> int:
    """Open the dashboard. Without a terminal: print the status once."""
    if not has_terminal():
        from clawtop.cli.status import print_plain

        return print_plain(args)
    from clawtop.cli.common import open_incident_reader
    from clawtop.clock import SystemClock
    from clawtop.ui.run import Options, run_dashboard

    clock = SystemClock()
    options = Options(
        read_only=args.read_only or args.at is not None, mouse=not args.no_mouse, theme=args.theme, agent=args.agent
    )
    reader = open_incident_reader(args, clock)
    return run_dashboard(reader, clock, options, operations=lambda: _operations(reader))


def _operations(reader: SnapshotReader) -> Operations:
    """Made when the first operation is confirmed."""
    from clawtop.engine.operations import Operations
    from clawtop.store.journal import Journal

    return Operations(lambda: reader.layout, journal=Journal(str(reader.layout.state_dir)))
