"""`clawtop explain`: how an error is classified and what would follow it; why a profile is or is not next."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from clawtop.errors import RefusedError, UsageError

if TYPE_CHECKING:
    from clawtop.core.consequences import Consequence, Consequences
    from clawtop.core.explanation import ProfileExplanation
    from clawtop.core.failure import ErrorExplanation

Facts = list[tuple[str, str]]

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
    return _explain_error(args) if args.subject == "error" else _explain_profile(args)


# --- an error ----------------------------------------------------------------------------------------------------


def _explain_error(args: argparse.Namespace) -> int:
    from clawtop.core.consequences import consequences
    from clawtop.core.error_text import read_error
    from clawtop.core.failover import TimeoutPolicy
    from clawtop.core.failure import explain_error

    text = _given(args.what)
    if not text.strip():
        raise UsageError("there is no error text to explain", hint="pass it as an argument, or on stdin with -")
    record = read_error(text, provider=args.provider, status=args.status, code=args.code)
    found = explain_error(record, args.provider)
    follows = consequences(record, args.provider, TimeoutPolicy(args.timeouts))
    if args.json:
        _print_json({"schema": 1, "error": _error_report(found, follows, args.timeouts)})
    else:
        _print(_error_lines(found, follows, args.timeouts))
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
    yield from _columns(facts)
    yield ""
    yield f"What follows an attempt (timeouts = {timeouts}):"
    if found.coordination:
        yield "  the run ends with this very error: no other profile, no other model, nothing recorded"
    yield from _columns([_side_facts(side) for side in follows.sides], indent="  ")


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


# --- a profile ---------------------------------------------------------------------------------------------------


def _explain_profile(args: argparse.Namespace) -> int:
    from clawtop.cli.common import judged_at, load_snapshot
    from clawtop.core.explanation import explain_profile
    from clawtop.text import safe

    snapshot = load_snapshot(args)
    now = judged_at(snapshot)
    found = explain_profile(snapshot, args.what, now, agent=args.agent)
    if found is None:
        known = sorted({p.id for agent in snapshot.agents if agent.store for p in agent.store.profiles})
        hint = f"known profiles: {', '.join(safe(id_) for id_ in known)}" if known else "no profile was found at all"
        raise RefusedError(f"there is no profile {safe(args.what)}", hint=hint)
    if args.json:
        _print_json({"schema": 1, "profile": _profile_report(found, now)})
    else:
        _print(_profile_lines(found, now))
    return 0


def _profile_report(found: ProfileExplanation, now: int) -> dict[str, Any]:
    place, rejection, recovery = found.place, found.rejection, found.recovery
    return {
        "id": found.profile.id,
        "provider": found.profile.provider,
        "agent": found.agent,
        "owner": found.profile.owner_agent,
        "judged_at": now,
        "state": found.state,
        "until": found.until,
        "is_next": found.is_next,
        "place": {"rank": place.rank, "why": place.why, "cooling_until": place.cooling_until} if place else None,
        "rejection": {"code": rejection.code, "why": rejection.why} if rejection else None,
        "order_source": found.order_source,
        "windows": [
            {"kind": window.kind, "until": window.until, "reason": window.reason, "model": window.model}
            for window in found.windows
        ],
        "problems": [{"code": problem.code, "text": problem.text} for problem in found.problems],
        "bypasses_cooldown": found.bypasses,
        "next_failure": {
            reason: {
                "kind": cost.kind,
                "until": cost.until,
                "duration_ms": cost.duration_ms,
                "keeps_window": cost.keeps_window,
            }
            for reason, cost in found.costs.items()
        },
        "counters_reset_at": found.counters_reset_at,
        "provider_recovery": {
            "model": recovery.model,
            "at": recovery.at,
            "usable": list(recovery.usable),
            "waves": [{"at": wave.at, "ids": list(wave.ids)} for wave in recovery.waves],
            "rejected": recovery.rejected,
        },
        "pinned_sessions": [session.key for session in found.pinned],
    }


def _profile_lines(found: ProfileExplanation, now: int) -> Iterable[str]:
    from clawtop.text import safe, shown
    from clawtop.view.humanize import counted

    profile = found.profile
    owner = "" if profile.owner_agent == found.agent else f" (owned by {safe(profile.owner_agent)})"
    yield from _columns(
        [
            ("profile", safe(profile.id)),
            ("provider", safe(profile.provider)),
            ("agent", safe(found.agent) + owner),
            ("state", found.state + (f" until {_when(found.until, now)}" if found.until is not None else "")),
            ("next" if found.is_next else "not next", _why(found)),
            *((window.kind, _window(window, now)) for window in found.windows),
            *(("problem", shown(problem.text)) for problem in found.problems),
            *_cost_facts(found),
            (
                "reset",
                _when(found.counters_reset_at, now) if found.counters_reset_at is not None else "nothing to forget",
            ),
            ("provider back", _recovery(found, now)),
            ("pinned", counted(len(found.pinned), "session")),
        ]
    )
    yield from (f"  {safe(session.key)}" for session in found.pinned)


def _why(found: ProfileExplanation) -> str:
    from clawtop.text import shown

    if found.rejection is not None:
        return f"left out: {shown(found.rejection.why)}"
    if found.place is None:
        return "it is not in the order"
    return f"place {found.place.rank}: {shown(found.place.why)}"


def _window(window: Any, now: int) -> str:
    from clawtop.text import safe

    scope = f"model {safe(window.model)} only" if window.model else "all models"
    return f"{_when(window.until, now)}, {safe(window.reason or 'no reason recorded')}, {scope}"


def _cost_facts(found: ProfileExplanation) -> Facts:
    from clawtop.view.humanize import duration

    if found.bypasses:
        return [("next failure", "costs nothing: this provider bypasses cooldowns")]
    kept = "only counters would rise; the open window stays"
    return [
        (f"next {reason}", kept if cost.keeps_window else f"{cost.kind} for {duration(cost.duration_ms)}")
        for reason, cost in found.costs.items()
    ]


def _recovery(found: ProfileExplanation, now: int) -> str:
    from clawtop.text import safe

    if found.recovery.usable:
        return "now: " + ", ".join(safe(id_) for id_ in found.recovery.usable)
    if found.recovery.at is None:
        return "not by itself: no profile of it waits for a window to end"
    return f"{_when(found.recovery.at, now)}: " + ", ".join(safe(id_) for id_ in found.recovery.waves[0].ids)


def _when(at: int, now: int) -> str:
    from clawtop.view.humanize import ago, countdown, time_near

    return f"{time_near(at, now, None)} ({'in ' + countdown(at, now) if at > now else ago(at, now)})"


# --- output ------------------------------------------------------------------------------------------------------


def _columns(facts: Iterable[tuple[str, str]], indent: str = "") -> Iterable[str]:
    rows = list(facts)
    width = max((len(name) for name, _ in rows), default=0)
    return (f"{indent}{name:<{width}}  {text}" for name, text in rows)


def _print(lines: Iterable[str]) -> None:
    encoding = sys.stdout.encoding or "ascii"
    sys.stdout.write("".join(line.encode(encoding, "replace").decode(encoding) + "\n" for line in lines))


def _print_json(report: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(report, separators=(",", ":")) + "\n")
