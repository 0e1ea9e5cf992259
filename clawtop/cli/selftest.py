"""`clawtop selftest`: replay the five threads here and now, next to OpenClaw's figures."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from clawtop import threads

if TYPE_CHECKING:
    from clawtop.demo.threads import ThreadReplay

SCHEMA = 1
FAILED_EXIT = 3
NOTE = "OpenClaw's figures: released programs, loopback, 2 cores, a provider that answers in 2 ms (2026-11-20)."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    parser.epilog = (
        f"Touches no state directory but its own temporary ones. Exit 0 if all five are prevented, else {FAILED_EXIT}."
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")


def run(args: argparse.Namespace) -> int:
    """Replay, print, and say whether all five are prevented."""
    findings = threads.run(_replay(as_json=args.json))
    holds = all(finding.holds for finding in findings)
    if args.json:
        print(
            json.dumps({"schema": SCHEMA, "holds": holds, "threads": [asdict(one) for one in findings], "note": NOTE})
        )
    else:
        print(f"{'None of the five happens here' if holds else 'NOT all five are prevented here'}. {NOTE}")
    return 0 if holds else FAILED_EXIT


async def _replay(*, as_json: bool) -> list[ThreadReplay]:
    from clawtop.demo.threads import replay_all

    findings: list[ThreadReplay] = []
    async for finding in replay_all():
        findings.append(finding)
        if not as_json:
            _print(finding)
    return findings


def _print(finding: ThreadReplay) -> None:
    print(f"{finding.thread}. {finding.name}: {'does not happen here' if finding.holds else 'HAPPENS HERE TOO'}")
    print(f"   OpenClaw  {finding.openclaw}")
    print(f"   here      {finding.here}\n")
    sys.stdout.flush()
