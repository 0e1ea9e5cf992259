"""An explained profile: why it is or is not next, until when, and what its next failure costs; for shell and screen."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import tzinfo

from clawtop.core.cooldown.stats import Window
from clawtop.core.failover.same_account import retries_by_reason
from clawtop.core.model import counted
from clawtop.core.operations.target import store_name
from clawtop.core.rotation.explanation import ProfileExplanation
from clawtop.core.rules import SameAccountRetries
from clawtop.text import safe, shown
from clawtop.view.aligned import aligned
from clawtop.view.fact_lines import Fact
from clawtop.view.humanize import ago, countdown, duration, problem_text, time_near
from clawtop.view.line import Tone, piece, text_of
from clawtop.view.provider_times import models_words, provider_time_words
from clawtop.view.words import StateWords, profile_state_words, retry_words


def profile_lines(found: ProfileExplanation, retries: SameAccountRetries, now: int) -> Iterator[str]:
    """Its place in the order and why, its windows, what its next failure costs.

    Args:
        retries: how often this OpenClaw retries an account before it rotates.
        now: ms since the epoch.
    """
    profile = found.profile
    owner = "" if profile.owner_agent == found.agent else f" (from {store_name(profile.owner_agent)})"
    until = f" until {_when(found.until, now)}" if found.until is not None else ""
    yield from aligned(
        [
            ("profile", safe(profile.id)),
            ("provider", safe(profile.provider)),
            ("agent", safe(found.agent) + owner),
            ("state", shown_state(found)[1] + until),
            ("next" if found.is_next else "not next", _why(found)),
            *((window.kind, f"{_when(window.until, now)}, {window_words(window)}") for window in found.windows),
            *((window.kind, lapsed_words(window, now)) for window in found.lapsed),
            *([("its provider", told)] if (told := provider_time_words(profile, now, None)) else ()),
            *(("problem", problem_text(problem, now, None)) for problem in found.problems),
            *((label, text_of(line)) for label, line in cost_facts(found, retries, now, None)),
            ("provider back", _recovery(found, now)),
            ("pinned", counted(len(found.pinned), "session")),
        ]
    )
    yield from (f"  {safe(session.key)}" for session in found.pinned)


def shown_state(found: ProfileExplanation) -> StateWords:
    """The state as the table shows it."""
    in_order = found.place is not None
    return profile_state_words(found.state, in_order=in_order, has_windows=bool(found.windows))


def window_words(window: Window) -> str:
    """Why it is open and for which models, without its end."""
    return f"{shown(window.reason or 'no reason recorded')}, {models_words(window.model)}"


def lapsed_words(window: Window, now: int) -> str:
    """Words for a recorded window that has no effect."""
    past = 0 < window.until <= now
    when = f"ended {ago(window.until, now)}" if past else f"{window.until} is not a valid time"
    return f"{when}; it stays recorded until the next use, without effect"


def cost_facts(found: ProfileExplanation, retries: SameAccountRetries, now: int, zone: tzinfo | None) -> list[Fact]:
    """What one more failure would cost for each common reason, and from when on it is the first again."""
    if found.bypasses:
        return [("next error", piece("no cost: this provider bypasses cooldowns", Tone.DIM))]
    facts: list[Fact] = []
    if any(cost.keeps_window for cost in found.costs.values()):
        facts.append(("next error", piece("only the counters would rise; the open window stays", Tone.DIM)))
    new = [f"{reason} {duration(cost.duration_ms)}" for reason, cost in found.costs.items() if not cost.keeps_window]
    if new:
        facts.append(("would cost", piece(", ".join(new))))
    alike: dict[str, list[str]] = {}
    for reason, spent in retries_by_reason(retries).items():
        alike.setdefault(retry_words(spent), []).append(reason)
    facts += [("retries", piece(f"after {', '.join(reasons)}: {words}", Tone.DIM)) for words, reasons in alike.items()]
    at = found.counters_reset_at
    if at is not None:
        when = f"in {duration(at - now)}" if at > now else "already"
        facts.append(("count ends", ((time_near(at, now, zone), Tone.PLAIN), (f"  {when}", Tone.DIM))))
    return facts


def _why(found: ProfileExplanation) -> str:
    if found.rejection is not None:
        return f"left out: {shown(found.rejection.why)}"
    if found.place is None:
        return "it is not in the order"
    return f"place {found.place.rank}: {shown(found.place.why)}"


def _recovery(found: ProfileExplanation, now: int) -> str:
    if found.recovery.usable:
        return "now: " + ", ".join(safe(id_) for id_ in found.recovery.usable)
    if found.recovery.at is None:
        return "never by itself: none of its profiles is waiting for a window to end"
    return f"{_when(found.recovery.at, now)}: " + ", ".join(safe(id_) for id_ in found.recovery.waves[0].ids)


def _when(at: int, now: int) -> str:
    return f"{time_near(at, now, None)} ({'in ' + countdown(at, now) if at > now else ago(at, now)})"
