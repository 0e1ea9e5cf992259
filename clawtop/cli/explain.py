"""`clawtop explain`: how an error is classified and what follows; why a profile is or is not next."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from clawtop.cli import options
from clawtop.errors import UsageError

if TYPE_CHECKING:
    from clawtop.core.failover.consequences import Consequence
    from clawtop.core.failover.explained import Explained
    from clawtop.core.generations import Chosen
    from clawtop.store.place.layout import Layout

INPUT_LIMIT = 1_000_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    parser.add_argument("subject", choices=("error", "profile"), help="what to explain")
    parser.add_argument(
        "what",
        metavar="TEXT|-|ID",
        help="for error: its text, or an error or log line as JSON (- reads stdin); for profile: its id",
    )
    options.json(parser)
    error = parser.add_argument_group("for explain error")
    error.add_argument("--provider", metavar="P", help="the provider it came from")
    error.add_argument("--status", metavar="N", type=int, help="its HTTP status")
    error.add_argument("--code", metavar="C", help="its error code")
    error.add_argument(
        "--openclaw", metavar="VERSION", help="explain it for this OpenClaw version, not the state directory's"
    )
    error.add_argument(
        "--timeouts",
        choices=("terminal", "fallback", "rotate"),
        default="terminal",
        help="what a timeout does to a clawtop run (default: %(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """Explain. Exit 0; raises UsageError, RefusedError for an unknown profile, StateUnreadableError."""
    if args.subject == "error":
        return _explain_error(args)
    from clawtop.cli.explain_profile import explain

    return explain(args)


# --- an error ----------------------------------------------------------------------------------------------------


def _explain_error(args: argparse.Namespace) -> int:
    from datetime import datetime

    from clawtop.cli.operation_output import print_json, print_lines
    from clawtop.clock import SystemClock
    from clawtop.core.failover.decision import TimeoutPolicy
    from clawtop.core.failover.explained import explained
    from clawtop.core.failure.pasted import read_error
    from clawtop.view.explain_error_lines import error_lines

    text = _given(args.what)
    if not text.strip():
        raise UsageError("no error text was given", hint="pass it as an argument, or on stdin with -")
    record = read_error(text, provider=args.provider, status=args.status, code=args.code)
    version, chosen = _openclaw(args)
    now = args.at if args.at is not None else SystemClock().now_ms()
    zone = datetime.fromtimestamp(now / 1000).astimezone().tzinfo
    timeouts = TimeoutPolicy(args.timeouts)
    found = explained(record, args.provider, chosen.row, now=now, timeouts=timeouts, zone=zone)
    if args.json:
        print_json({"schema": 2, "error": _error_report(found, version, chosen, args.timeouts)})
    else:
        print_lines(error_lines(found, version, chosen, args.timeouts))
    return 0


def _openclaw(args: argparse.Namespace) -> tuple[str | None, Chosen]:
    """The OpenClaw to explain for: the named version, else the state directory's, else none."""
    import os
    from pathlib import Path

    from clawtop.core.generations import is_version, known_versions, semantics_of
    from clawtop.errors import StateUnreadableError
    from clawtop.store.place.locating import locate
    from clawtop.text import safe

    if args.openclaw is not None and not is_version(args.openclaw):
        known = ", ".join(known_versions())
        raise UsageError(f"not an OpenClaw version: {safe(args.openclaw, 80)}", hint=f"known are {known}")
    version, generation = args.openclaw, None
    try:
        layout = locate(args.state_dir, env=os.environ, home=Path.home())
    except StateUnreadableError:
        if args.state_dir is not None and args.openclaw is None:
            raise
    else:
        _remember_keys(layout)
        if args.openclaw is None:
            version, generation = layout.version, layout.generation
    return version, semantics_of(version, generation)


def _remember_keys(layout: Layout) -> None:
    """Read the accounts, so that none of their keys is shown if the error quotes it."""
    from contextlib import suppress

    from clawtop.clock import SystemClock
    from clawtop.errors import ClawtopError
    from clawtop.store.auth.reader import AuthReader
    from clawtop.store.timed_reads import ANSWER_S, NoAnswerError, TimedReads

    clock = SystemClock()
    reader = AuthReader(layout, clock, reads=TimedReads(clock, ANSWER_S))
    for agent in layout.agents:
        with suppress(ClawtopError, NoAnswerError):
            reader.store(agent, [])


def _given(text: str) -> str:
    if text != "-":
        return text
    return sys.stdin.read(INPUT_LIMIT)


def _error_report(found: Explained, version: str | None, chosen: Chosen, timeouts: str) -> dict[str, Any]:
    from clawtop.redaction import masked

    theirs, ours = found.openclaw, found.engine
    return {
        "openclaw": {"version": version, "rules": chosen.row.name, "note": chosen.note},
        "message": masked(ours.follows.failure.detail),
        "kind": theirs.found.kind,
        "reason": theirs.found.reason,
        "rule": theirs.found.rule,
        "matched": masked(theirs.found.matched),
        "status": theirs.found.status,
        "coordination": theirs.found.coordination,
        "timeout": theirs.found.timeout,
        "marked": theirs.found.marked,
        "asked_again": {"requests": theirs.retries.count, "waits_ms": theirs.retries.waits_ms},
        "replayable": theirs.replayable,
        "moves_on": theirs.moves_on,
        "follows": [_side_report(side) for side in theirs.follows],
        "engine": {
            "reason": ours.reason,
            "local": ours.local,
            "reach": ours.reach,
            "marked": ours.marked,
            "provider_wait_ms": ours.wait_ms,
            "timeouts": timeouts,
            "chain": {"kind": ours.follows.failure.kind, "moves_on": ours.follows.chain_moves_on},
            "follows": [_side_report(side) for side in ours.follows.sides],
        },
        "differences": [{"id": each.id, "text": each.text} for each in found.differences],
    }


def _side_report(side: Consequence) -> dict[str, Any]:
    return {
        "stage": side.stage,
        "fallback_configured": side.fallback_configured,
        "action": side.first.action,
        "reason": side.first.reason,
        "without_profile": {
            "action": side.last.action,
            "reason": side.last.reason,
            "waits_for_mark": side.waits_for_mark,
        },
    }
