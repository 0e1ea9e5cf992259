"""`clawtop explain profile ID`: why it is or is not next, until when, and what its next failure costs."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from clawtop.cli.operation_output import print_json, print_lines
from clawtop.errors import RefusedError
from clawtop.text import safe

if TYPE_CHECKING:
    from clawtop.core.rotation.explanation import ProfileExplanation


def explain(args: argparse.Namespace) -> int:
    """Print what is known of the profile `args.what`. Raises RefusedError where there is none."""
    from clawtop.cli.common import load_incident
    from clawtop.core.nearest import did_you_mean
    from clawtop.core.operations.target import refuse_unread
    from clawtop.core.rotation.explanation import explain_profile
    from clawtop.view.explain_profile_lines import profile_lines

    snapshot = load_incident(args)
    now = snapshot.as_of
    found = explain_profile(snapshot, args.what, now, agent=args.agent)
    if found is None:
        refuse_unread(snapshot, f"profile {safe(args.what)}", "")
        known = sorted({p.id for agent in snapshot.agents if agent.store for p in agent.store.profiles})
        hint = f"known profiles: {', '.join(safe(id_) for id_ in known)}" if known else "no profiles found"
        near = did_you_mean(args.what, known)
        raise RefusedError(f"there is no profile {safe(args.what)} here{near}", hint="" if near else hint)
    if args.json:
        print_json({"schema": 1, "profile": _profile_report(found, now)})
    else:
        print_lines(profile_lines(found, snapshot.semantics.retries, now))
    return 0


def _profile_report(found: ProfileExplanation, now: int) -> dict[str, Any]:
    from clawtop.view.explain_profile_lines import shown_state
    from clawtop.view.report import provider_time_report

    place, rejection, recovery = found.place, found.rejection, found.recovery
    return {
        "id": found.profile.id,
        "provider": found.profile.provider,
        "agent": found.agent,
        "owner": found.profile.owner_agent,
        "judged_at": now,
        "state": found.state,
        "shown_state": shown_state(found)[1],
        "until": found.until,
        "is_next": found.is_next,
        "place": {"rank": place.rank, "why": place.why, "cooling_until": place.cooling_until} if place else None,
        "rejection": {"code": rejection.code, "why": rejection.why} if rejection else None,
        "order_source": found.order_source,
        "windows": [
            {"kind": window.kind, "until": window.until, "reason": window.reason, "model": window.model}
            for window in found.windows
        ],
        "provider_time": provider_time_report(found.profile, now),
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
