"""`clawtop explain`: how an error is classified and what would follow it; why a profile is or is not next."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from clawtop.cli.columns import columns
from clawtop.errors import UsageError

if TYPE_CHECKING:
    from clawtop.core.failover.consequences import Consequence, Consequences
    from clawtop.core.failure.classify import ErrorExplanation

INPUT_LIMIT = 1_000_000
_TEXT_CELLS = 400

_ACTIONS = {
    "rotate_profile": "rotates to the next profile",
    "fallback_model": "the next model is asked",
    "surface_error": "the error is shown",
    "continue_normal": "nothing fails over; the answer stands as it is",
    "return_error_payload": "the error is returned as the answer",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    parser.add_argument("subject", choices=("error", "profile"), help="what to explain")
    parser.add_argument(
        "what",
        metavar="TEXT|-|ID",
        help="the error's text, or JSON of an error or a log line, - is stdin; a profile's id",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object, ASCII only, ids exact")
    error = parser.add_argument_group("of an error")
    error.add_argument("--provider", metavar="P", help="the provider that it came from")
    error.add_argument("--status", metavar="N", type=int, help="the HTTP status that it came with")
    error.add_argument("--code", metavar="C", help="the error code that it came with")
    error.add_argument(
        "--timeouts",
        choices=("terminal", "fallback", "rotate"),
        default="terminal",
        help="what a timeout does to a run (default: %(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """Explain. Exit 0; raises UsageError, RefusedError for an unknown profile, StateUnreadableError."""
    if args.subject == "error":
        return _explain_error(args)
    from clawtop.cli.explain_profile import explain

    return explain(args)


# --- an error ----------------------------------------------------------------------------------------------------


def _explain_error(args: argparse.Namespace) -> int:
    from clawtop.cli.operation_output import print_json, print_lines
    from clawtop.core.failover.consequences import consequences
    from clawtop.core.failover.decision import TimeoutPolicy
    from clawtop.core.failure.classify import explain_error
    from clawtop.core.failure.pasted import read_error
    from clawtop.core.generations import semantics_of

    text = _given(args.what)
    if not text.strip():
        raise UsageError("there is no error text to explain", hint="pass it as an argument, or on stdin with -")
    record = read_error(text, provider=args.provider, status=args.status, code=args.code)
    found = explain_error(record, args.provider, semantics_of(None, None).row.marking)
    follows = consequences(record, args.provider, TimeoutPolicy(args.timeouts))
    if args.json:
        print_json({"schema": 1, "error": _error_report(found, follows, args.timeouts)})
    else:
        print_lines(_error_lines(found, follows, args.timeouts))
    return 0


def _given(text: str) -> str:
    if text != "-":
        return text
    return sys.stdin.read(INPUT_LIMIT)


def _error_report(found: ErrorExplanation, follows: Consequences, timeouts: str) -> dict[str, Any]:
    from clawtop.text import masked

    return {
        "message": masked(follows.failure.detail),
        "kind": found.kind,
        "reason": found.reason,
        "rule": found.rule,
        "matched": masked(found.matched),
        "status": found.status,
        "coordination": found.coordination,
        "timeout": found.timeout,
        "marked": follows.marked,
        "marked_by_openclaw": found.marked,
        "timeouts": timeouts,
        "chain": {"kind": follows.failure.kind, "moves_on": follows.chain_moves_on},
        "follows": [_side_report(side) for side in follows.sides],
    }


def _side_report(side: Consequence) -> dict[str, Any]:
    return {
        "stage": side.stage,
        "fallback_configured": side.fallback_configured,
        "action": side.first.action,
        "reason": side.first.reason,
        "without_profile": {"action": side.last.action, "reason": side.last.reason},
    }


def _error_lines(found: ErrorExplanation, follows: Consequences, timeouts: str) -> Iterable[str]:
    from clawtop.text import safe, shown

    matched = f", matched “{shown(found.matched, 60)}”" if found.matched else ""
    status = f", HTTP {found.status:g}" if found.status is not None else ""
    facts = [
        ("error", shown(follows.failure.detail, _TEXT_CELLS)),
        ("class", safe(found.reason or _CLASSES[found.kind]) + status),
        ("rule", (safe(found.rule) or "none fits") + matched),
        ("timeout", "yes" if found.timeout or found.reason == "timeout" else "no"),
        ("local", _locality(found)),
        ("mark", _marking(found, follows)),
        ("chain", "goes on to the next model" if follows.chain_moves_on else "ends with this error"),
    ]
    yield from columns(facts)
    yield ""
    yield f"What follows an attempt (timeouts = {timeouts}):"
    if found.coordination:
        yield "  the run ends with this very error: no other profile, no other model, nothing recorded"
    yield from columns([_side_facts(side) for side in follows.sides], indent="  ")


_CLASSES = {
    "none": "not a failure of a provider",
    "context_overflow": "the conversation is too long for the model",
    "reason": "unclassified",
}


def _locality(found: ErrorExplanation) -> str:
    if found.coordination:
        return "yes: contention on one session, not a failure of the model"
    return "no"


def _marking(found: ErrorExplanation, follows: Consequences) -> str:
    from clawtop.text import safe

    if follows.marked is None:
        return "none: the profile stays as it is"
    told = f"the profile is marked ({safe(follows.marked)}), after the rotation and without waiting"
    return told if found.marked else f"{told}; OpenClaw 2026.5 would not mark it"


def _side_facts(side: Consequence) -> tuple[str, str]:
    where = f"{side.stage}, {'with a fallback' if side.fallback_configured else 'no fallback'}"
    if side.first == side.last:
        return where, _ACTIONS[side.first.action]
    return where, f"{_ACTIONS[side.first.action]}; when none is left, {_ACTIONS[side.last.action]}"
