"""`clawtop explain profile ID`: why it is or is not next, until when, and what its next failure costs."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from clawtop.cli.columns import columns
from clawtop.cli.operation_output import print_json, print_lines
from clawtop.errors import RefusedError
from clawtop.text import safe, shown

if TYPE_CHECKING:
    from clawtop.core.cooldown.stats import Window
    from clawtop.core.rotation.explanation import ProfileExplanation

FactRows = list[tuple[str, str]]


def explain(args: argparse.Namespace) -> int:
    """Print what is known of the profile `args.what`. Raises RefusedError where there is none."""
    from clawtop.cli.common import judged_at, load_incident
    from clawtop.core.rotation.explanation import explain_profile

    snapshot = load_incident(args)
    now = judged_at(snapshot)
    found = explain_profile(snapshot, args.what, now, agent=args.agent)
    if found is None:
        known = sorted({p.id for agent in snapshot.agents if agent.store for p in agent.store.profiles})
        hint = f"known profiles: {', '.join(safe(id_) for id_ in known)}" if known else "no profiles found"
        raise RefusedError(f"there is no profile {safe(args.what)}", hint=hint)
    if args.json:
        print_json({"schema": 1, "profile": _profile_report(found, now)})
    else:
        print_lines(_profile_lines(found, now))
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
    from clawtop.view.humanize import counted

    profile = found.profile
    owner = "" if profile.owner_agent == found.agent else f" (owned by {safe(profile.owner_agent)})"
    yield from columns(
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
    if found.rejection is not None:
        return f"left out: {shown(found.rejection.why)}"
    if found.place is None:
        return "it is not in the order"
    return f"place {found.place.rank}: {shown(found.place.why)}"


def _window(window: Window, now: int) -> str:
    scope = f"model {safe(window.model)} only" if window.model else "all models"
    return f"{_when(window.until, now)}, {safe(window.reason or 'no reason recorded')}, {scope}"


def _cost_facts(found: ProfileExplanation) -> FactRows:
    from clawtop.view.humanize import duration

    if found.bypasses:
        return [("next failure", "costs nothing: this provider bypasses cooldowns")]
    kept = "only counters would rise; the open window stays"
    return [
        (f"next {reason}", kept if cost.keeps_window else f"{cost.kind} for {duration(cost.duration_ms)}")
        for reason, cost in found.costs.items()
    ]


def _recovery(found: ProfileExplanation, now: int) -> str:
    if found.recovery.usable:
        return "now: " + ", ".join(safe(id_) for id_ in found.recovery.usable)
    if found.recovery.at is None:
        return "not by itself: no profile of it waits for a window to end"
    return f"{_when(found.recovery.at, now)}: " + ", ".join(safe(id_) for id_ in found.recovery.waves[0].ids)


def _when(at: int, now: int) -> str:
    from clawtop.view.humanize import ago, countdown, time_near

    return f"{time_near(at, now, None)} ({'in ' + countdown(at, now) if at > now else ago(at, now)})"
