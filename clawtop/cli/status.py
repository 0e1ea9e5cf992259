"""`clawtop status`: the state as text, or as JSON for scripts."""

from __future__ import annotations

import argparse
import gc
import json
import sys
from typing import TYPE_CHECKING

from clawtop.cli import options
from clawtop.errors import StateUnreadableError

if TYPE_CHECKING:
    from clawtop.cli.alarm import Alarm
    from clawtop.cli.common import WatchedIncident
    from clawtop.clock import Clock
    from clawtop.core.health.judgement import Health
    from clawtop.core.model import Snapshot
    from clawtop.store.snapshot import SnapshotReader

WATCH_SECONDS = 1.0
PIPE_WIDTH = 120
CANNOT_READ = StateUnreadableError.exit_code


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    options.json(parser)
    parser.add_argument(
        "-o",
        "--output",
        choices=("fit", "wide"),
        help="fit: as wide as the terminal; wide: every column and id in full (default without a terminal)",
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="exit 0 all well, 1 attention, 2 silent or about to be, 3 cannot read",
    )
    parser.add_argument("--show-text", action="store_true", help="show the text of messages that have no answer")
    parser.add_argument(
        "--watch", action="store_true", help="print again at every change until interrupted; runs on_notice too"
    )


def run(args: argparse.Namespace) -> int:
    """Print the state. Exit 0, or 3 when it cannot be read; `--check` as its help says."""
    if args.watch:
        return _watch(args)
    gc.disable()  # everything that is read stays until the end: collecting in between finds nothing
    try:
        from clawtop.cli.common import read_whole_incident

        reader, snapshot = read_whole_incident(args)
        return _show(snapshot, reader, args)
    finally:
        gc.freeze()  # as above
        gc.enable()


def print_plain(args: argparse.Namespace) -> int:
    """The status as text, for a dashboard without a terminal."""
    return run(
        argparse.Namespace(
            **{**vars(args), "json": False, "check": False, "watch": False, "output": None, "show_text": False}
        )
    )


def _show(snapshot: Snapshot, reader: SnapshotReader, args: argparse.Namespace) -> int:
    from clawtop.core.health.judgement import judge
    from clawtop.view.check import check_line
    from clawtop.view.report import report

    now, labels = snapshot.as_of, args.settings["labels"]
    health = judge(snapshot, now)
    texts = _texts(snapshot, health, reader) if args.show_text else None
    if args.json:
        facts = report(snapshot, labels, texts, health)
        sys.stdout.write(json.dumps(facts, separators=(",", ":"), check_circular=False) + "\n")
    else:
        from clawtop.cli.output import columns
        from clawtop.view.plain import message_lines, plain_lines

        width = columns(PIPE_WIDTH)
        wide = args.output == "wide" or (args.output is None and not sys.stdout.isatty())
        lines = plain_lines(snapshot, now, width, wide=wide, labels=labels, health=health)
        if args.check:
            lines.insert(0, check_line(health))
        if texts is not None:
            lines += message_lines(health, now, texts)
        encoding = sys.stdout.encoding or "ascii"
        sys.stdout.write("".join(line.encode(encoding, "replace").decode(encoding) + "\n" for line in lines))
    sys.stdout.flush()
    if snapshot.generation is None and not snapshot.agents:
        return CANNOT_READ
    return int(health.level) if args.check else 0


def _texts(snapshot: Snapshot, health: Health, reader: SnapshotReader) -> dict[tuple[str, str], str | None]:
    """The texts of unanswered messages, by agent and session key."""
    rows = {(row.agent, row.key): row for row in snapshot.sessions}
    asked = [(one, rows.get((one.agent, one.session))) for one in health.waiting.unanswered]
    return {(one.agent, one.session): reader.message_text(row, one.since) for one, row in asked if row is not None}


def _watch(args: argparse.Namespace) -> int:
    from clawtop.cli.alarm import alarm_of
    from clawtop.cli.common import WatchedIncident
    from clawtop.clock import SystemClock

    clock = SystemClock()
    return _follow(WatchedIncident(args, clock), clock, args, alarm_of(args))


def _follow(incident: WatchedIncident, clock: Clock, args: argparse.Namespace, alarm: Alarm | None = None) -> int:
    from clawtop.core.diff import same_content

    before: Snapshot | None = None
    while True:
        after = incident.read()
        if before is None or not same_content(before, after):
            _show(after, incident.reader, args)
            before = after
        if alarm is not None:
            alarm.look(before, before.present(clock.now_ms()))
        clock.pause(WATCH_SECONDS)
