"""The line that names the screens, and the recent rate of failed calls."""

from __future__ import annotations

from clawtop.cells import cells
from clawtop.commands import command, key_label
from clawtop.core.model import GATEWAY_LOG, EventKind, Snapshot
from clawtop.core.settings import VIEWS
from clawtop.view.columns import Env
from clawtop.view.facts import Facts
from clawtop.view.fitting import cut, cut_at_words, fitted
from clawtop.view.humanize import clock_time, sparkline
from clawtop.view.line import Line, Piece, Tone, width_of

MINUTES = 20
_MINUTE_MS = 60_000
_GAP = "  "
_NARROW = " "


def tabs_line(view: str, env: Env | None, width: int) -> Line:
    """`1 Overview  2 Tree ...` with the current screen marked; failures per minute at the right."""
    tabs: list[Piece] = [(" ", Tone.PLAIN)]
    gap: Piece = (_gap(view, width), Tone.PLAIN)
    for name in VIEWS:
        tabs += [*_tab(name, here=name == view), gap]
    line = tuple(tabs[:-1])
    rate = failure_rate(env) if env is not None else ()
    room = width - width_of(rate)
    return (*fitted(line, room), *rate) if width_of(line) + 2 <= room else cut(line, width)


def notice_line(view: str, notice: Line, width: int) -> Line:
    """The current screen's name and a notice."""
    here = _tab(view, here=True) if view in VIEWS else ()
    return cut_at_words(((" ", Tone.PLAIN), *here, (_GAP if here else "", Tone.PLAIN), *notice), width)


def _tab(view: str, *, here: bool) -> Line:
    item = command(view)
    return (
        (f"{key_label(item.keys[0])} ", Tone.KEY if here else Tone.DIM),
        (f"▸{item.title}" if here else item.title, Tone.STRONG if here else Tone.DIM),
    )


def tab_at(view: str, column: int, width: int) -> str | None:
    """The screen whose name is at this cell of a line of `width` cells."""
    place, gap = 1, len(_gap(view, width))
    for name in VIEWS:
        size = _size(name, view)
        if place <= column < place + size:
            return name
        place += size + gap
    return None


def _size(name: str, view: str) -> int:
    item = command(name)
    return cells(key_label(item.keys[0])) + 1 + cells(item.title) + (name == view)


def _gap(view: str, width: int) -> str:
    """The gap between two names; narrower on a narrow line, so that all fit."""
    needed = 1 + sum(_size(name, view) for name in VIEWS) + len(_GAP) * (len(VIEWS) - 1)
    return _GAP if needed <= width else _NARROW


def failure_rate(env: Env) -> Line:
    """Failed calls of each of the last minutes as a row of bars, and of the present minute as a number."""
    counts = failures_per_minute(env.facts, env.now)
    if not any(counts):
        return _none_failed(env)
    return (
        ("failed calls/min ", Tone.DIM),
        (sparkline(counts, MINUTES), Tone.WARN),
        (f" {counts[-1]} ", Tone.BAD if counts[-1] else Tone.DIM),
    )


def _none_failed(env: Env) -> Line:
    """Words for no failed calls, with the time since which the gateway's log is known; empty if a profile's statistics
    contradict it.
    """
    window = env.now - MINUTES * _MINUTE_MS
    told = env.facts.once(_told_since, env.facts.snapshot)
    if told is None or told > env.now:
        return ()
    since = max(told, window)
    if any(since <= at <= env.now for at in env.facts.once(_profile_failures, env.facts.snapshot)):
        return ()
    span = f"in {MINUTES}m" if since == window else f"since {clock_time(since, env.zone)[:-3]}"
    return ((f"no failed calls {span} ", Tone.FAINT),)


def failures_per_minute(facts: Facts, now: int) -> tuple[int, ...]:
    """Failed calls in each of the last minutes, the present one last."""
    counts = [0] * MINUTES
    for at in facts.once(_failures, facts.snapshot):
        minute = (now - at) // _MINUTE_MS
        if 0 <= minute < MINUTES:
            counts[MINUTES - 1 - minute] += 1
    return tuple(counts)


def _failures(snapshot: Snapshot) -> tuple[int, ...]:
    return tuple(event.at for event in snapshot.events if event.kind is EventKind.FAILURE)


def _told_since(snapshot: Snapshot) -> int | None:
    """The time of the oldest known event of the gateway's log; None if no log is followed or it has no events."""
    if not snapshot.log_paths:
        return None
    return next((event.at for event in snapshot.events if event.source == GATEWAY_LOG), None)


def _profile_failures(snapshot: Snapshot) -> tuple[int, ...]:
    return tuple(at for profile in snapshot.profiles if (at := profile.stats.last_failure_at) is not None)
