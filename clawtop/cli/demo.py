"""`clawtop demo`: a simulated reef on the real engine, in a temporary directory, shown in the dashboard."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from collections import Counter
from typing import TYPE_CHECKING

from clawtop import threads
from clawtop.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from clawtop.core.model import Event

SCHEMA = 1

OPERATORS_OWN = ("sort", "columns")
"""Saved settings that also apply to the demo, besides those that are options, such as the theme. Others name the
operator's own sessions, hosts and commands.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    from clawtop.demo.scenarios import DEFAULT_SCENARIO, SCENARIOS, TOUR_SCENARIO

    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = "scenarios:\n" + "\n".join(f"  {name:8} {story.help}" for name, story in SCENARIOS.items())
    parser.add_argument("--scenario", choices=tuple(SCENARIOS), default=DEFAULT_SCENARIO, help="the story to play")
    parser.add_argument(
        "--tour",
        dest="scenario",
        action="store_const",
        const=TOUR_SCENARIO,
        help="walk through an incident: seven questions, one key each",
    )
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="seed of the random choices (default: 1)")
    parser.add_argument(
        "--headless", type=_seconds, metavar="SECONDS", help="no dashboard: play for this long and print events"
    )
    parser.add_argument("--json", action="store_true", help="with --headless: one JSON object per line")


def run(args: argparse.Namespace) -> int:
    """Play the demo. However it ends, its world and processes are removed afterwards."""
    saved = args.settings
    if args.state_dir not in {None, saved["state_dir"]} or args.at is not None:
        raise UsageError("the demo has its own state directory and clock", hint="leave out --state-dir and --at")
    if args.headless is not None:
        return _headless(args)
    if args.json:
        raise UsageError("--json needs --headless")
    from clawtop.cli import dashboard
    from clawtop.cli.common import has_terminal

    if not has_terminal():
        raise UsageError("there is no terminal here for the dashboard", hint="clawtop demo --headless SECONDS [--json]")
    from pathlib import Path

    from clawtop.core.settings import defaults
    from clawtop.demo.scenarios import TOUR_SCENARIO
    from clawtop.demo.stage import Stage
    from clawtop.store.own.recording import lasting_directory

    with Stage(args.scenario, args.seed) as stage:
        args.state_dir = str(stage.state_dir)
        args.agent = args.agent if args.agent != saved["agent"] else None
        args.settings = defaults() | {name: saved[name] for name in OPERATORS_OWN}
        args.config_file, args.kept_in = stage.config_file, "the demo's temporary config"
        args.tour = args.scenario == TOUR_SCENARIO
        args.recordings = lasting_directory(os.environ, Path.home())  # the demo's own directory is removed with it
        return dashboard.run(args)


def _headless(args: argparse.Namespace) -> int:
    import tempfile
    from pathlib import Path

    signalled: list[int] = []
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="clawtop-demo-", ignore_cleanup_errors=True) as root:
        try:
            asyncio.run(_play(Path(root), args, counts, signalled))
        except asyncio.CancelledError:
            return 128 + signalled[0] if signalled else 130
    _print_summary(counts, as_json=args.json)
    return 0


async def _play(root: Path, args: argparse.Namespace, counts: Counter[str], signalled: list[int]) -> None:
    from clawtop.clock import SystemClock
    from clawtop.demo.scenarios import SCENARIOS
    from clawtop.demo.story import run_story
    from clawtop.demo.world import build_world

    task = asyncio.current_task()

    def end(number: int) -> None:
        signalled.append(number)
        if task is not None:
            task.cancel()

    for number in (signal.SIGTERM, signal.SIGHUP):
        threads.on_signal(number, end, number)

    def hear(event: Event) -> None:
        counts[event.kind.value] += 1
        _print_event(event, as_json=args.json)

    clock = SystemClock()
    world = build_world(root, seed=args.seed, clock=clock)
    await run_story(world, clock=clock, scenario=SCENARIOS[args.scenario], seconds=args.headless, listen=hear)


def _print_event(event: Event, *, as_json: bool) -> None:
    if as_json:
        from clawtop.cli.drive_output import event_facts

        print(json.dumps({"schema": SCHEMA, "type": "event", **event_facts(event)}), flush=True)
    elif event.source == "demo":
        print(f"\n~ {event.text}", flush=True)
    else:
        print(f"  {event.kind.value:10} {event.text}", flush=True)


def _print_summary(counts: Counter[str], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"schema": SCHEMA, "type": "summary", "events": dict(sorted(counts.items()))}))
    else:
        told = ", ".join(f"{number} {kind}" for kind, number in sorted(counts.items()))
        print(f"\ncurtain: {told}", file=sys.stderr)


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < 1e6:
        raise argparse.ArgumentTypeError("seconds must be more than 0")
    return seconds
