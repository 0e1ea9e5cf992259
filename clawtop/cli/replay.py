"""`clawtop replay FILE`: the dashboard over a recording or an incident file. Nothing can be changed there."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clawtop.engine.live.player import Player

SPEEDS = "0.25 0.5 1 2 4 8 16 32 64"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    parser.add_argument("file", metavar="FILE", help="a recording, or an incident file from clawtop bundle")
    parser.add_argument(
        "--speed",
        type=float,
        choices=[float(speed) for speed in SPEEDS.split()],
        default=1.0,
        metavar="X",
        help=f"how fast to play: {SPEEDS}",
    )
    parser.add_argument("--paused", action="store_true", help="start paused")
    parser.add_argument("--plain", action="store_true", help="no screen: print the state at the end (or at --at)")


def run(args: argparse.Namespace) -> int:
    """Play the file. Exit 0 after q; 3 when it cannot be read; 64 for wrong options."""
    from clawtop.clock import SystemClock
    from clawtop.engine.live.player import Player, PlayerClock
    from clawtop.errors import UsageError
    from clawtop.store.own.recording import load_recording

    if args.state_dir is not None:
        raise UsageError("a recording includes its own state directory", hint="leave out --state-dir")
    clock = SystemClock()
    with _telling(args.file) as read:
        player = Player(load_recording(Path(args.file), read), clock)
    if args.at is not None:
        player.seek(args.at)
    while player.speed != args.speed:
        player.faster(1 if player.speed < args.speed else -1)
    from clawtop.cli.common import has_terminal

    if args.plain or not has_terminal():
        return _print(player, args)
    if args.paused or args.at is not None:
        player.pause()
    from clawtop.cli.bundle import save
    from clawtop.ui.ports import IncidentPorts
    from clawtop.ui.run import Options, run_dashboard

    ports = IncidentPorts(save=save, playback=player, opens=args.view)
    options = Options(read_only=True, mouse=not args.no_mouse, theme=args.theme, agent=args.agent, incident=ports)
    return run_dashboard(player, PlayerClock(player, clock), options)


@contextmanager
def _telling(name: str) -> Iterator[Callable[[int, int], None]]:
    """Says on a terminal that the file is being read, and how much of it was, until it is."""
    from clawtop.cells import elided_middle
    from clawtop.cli.common import has_terminal
    from clawtop.text import safe

    if not (has_terminal() and sys.stderr.isatty()):
        yield lambda _done, _all: None
        return
    shown = elided_middle(safe(name), 40)
    said = -1

    def tell(done: int, of: int) -> None:
        nonlocal said
        percent = 100 * done // max(1, of)
        if percent != said:
            said = percent
            _say(f"\r\x1b[Kreading {shown}: {percent} %")

    _say(f"reading {shown} ...")
    try:
        yield tell
    finally:
        _say("\r\x1b[K")


def _say(text: str) -> None:
    """A terminal that takes nothing more loses the words, not the replay."""
    with suppress(OSError, ValueError):
        encoding = sys.stderr.encoding or "ascii"
        sys.stderr.write(text.encode(encoding, "replace").decode(encoding))
        sys.stderr.flush()


def _print(player: Player, args: argparse.Namespace) -> int:
    """The state at `--at`, else at the end, as text."""
    from clawtop.cli.output import columns
    from clawtop.view.plain import plain_lines

    if args.at is None:
        player.seek(player.end)
    player.pause()
    snapshot = player.latest
    encoding = sys.stdout.encoding or "ascii"
    for line in plain_lines(snapshot, player.now_ms(), columns(120), agent=args.agent):
        print(line.encode(encoding, "replace").decode(encoding))
    return 0
