"""An explained profile, in lines: why it is or is not next, until when, and what its next failure costs."""

from __future__ import annotations

from collections.abc import Iterator

from clawtop.core.cooldown.stats import Window
from clawtop.core.rotation.explanation import ProfileExplanation
from clawtop.text import safe, shown
from clawtop.view.humanize import ago, countdown, counted, duration, time_near
from clawtop.view.named import columns


def profile_lines(found: ProfileExplanation, now: int) -> Iterator[str]:
    """Its place in the order and why, its windows, what its next failure costs. `now`: ms since the epoch."""
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


def _cost_facts(found: ProfileExplanation) -> list[tuple[str, str]]:
    if found.bypasses:
        return [("next failure", "no cost: this provider bypasses cooldowns")]
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
    return f"{time_near(at, now, None)} ({'in ' + countdown(at, now) if at > now else ago(at, now)})"
