"""Columns of the profiles table."""

from __future__ import annotations

from clawtop.core.cooldown.stats import ProfileState
from clawtop.text import safe, shown
from clawtop.view.columns import Column, Env
from clawtop.view.humanize import age, bar, countdown, duration
from clawtop.view.line import EMPTY, Line, Tone, piece
from clawtop.view.provider_facts import ProfileFacts, ProviderFacts
from clawtop.view.words import profile_words, said

ProfileRow = ProfileFacts | ProviderFacts
"""A group heading is the provider itself."""

_DASH = piece("-", Tone.FAINT)
BAR_WIDTH = 8
_MANY = 10_000
"""Larger counts of failures are not shown exactly."""


def _entry(item: ProfileRow) -> ProfileFacts:
    assert isinstance(item, ProfileFacts)  # noqa: S101 - headings never reach a column
    return item


def short_id(entry: ProfileFacts) -> str:
    """The profile's id without its provider, which the group's heading names."""
    return entry.profile.id.removeprefix(f"{entry.profile.provider}:") or entry.profile.id


def _profile(item: ProfileRow, env: Env) -> Line:
    entry = _entry(item)
    rank = f"{entry.rank:>2} " if entry.rank is not None else " - "
    marker = ("▸", Tone.ACCENT) if entry.is_next else (" ", Tone.PLAIN)
    tone = Tone.STRONG if entry.is_next else Tone.PLAIN if entry.state is ProfileState.USABLE else Tone.DIM
    return (marker, (rank, Tone.DIM), (safe(short_id(entry) if env.grouped else entry.profile.id), tone))


def _agents(item: ProfileRow, env: Env) -> Line:
    agents = _entry(item).agents
    if len(agents) == len(env.facts.agents):
        return piece("all", Tone.DIM)
    first, *others = map(env.facts.agent_name, agents)
    return ((first, Tone.DIM), *(((f" +{len(others)}", Tone.DIM),) if others else ()))


def _state(item: ProfileRow, _env: Env) -> Line:
    return said(profile_words(_entry(item)))


def window_share(entry: ProfileFacts, now: int) -> float | None:
    """How much of the active window is left, 0 to 1; 1 if its start is not known; None without a window."""
    window = entry.active_window(now)
    if window is None:
        return None
    start = entry.profile.stats.last_failure_at
    if start is None or start >= window.until or start > now:
        return 1.0
    return (window.until - now) / (window.until - start)


def _window(item: ProfileRow, env: Env) -> Line:
    entry = _entry(item)
    share = window_share(entry, env.now)
    if share is None:
        return EMPTY
    filled, empty = bar(share, BAR_WIDTH)
    return ((filled, profile_words(entry)[2]), (empty, Tone.FAINT))


def _left(item: ProfileRow, env: Env) -> Line:
    entry = _entry(item)
    window = entry.active_window(env.now)
    if window is not None:
        return piece(countdown(window.until, env.now), profile_words(entry)[2])
    return EMPTY


def _reason(item: ProfileRow, env: Env) -> Line:
    entry = _entry(item)
    window = entry.active_window(env.now)
    if window is not None:
        return piece(shown(window.reason or "no reason"))
    if entry.problems:
        return piece(safe(entry.problems[0].code), Tone.DIM)
    return EMPTY


def _model(item: ProfileRow, env: Env) -> Line:
    window = _entry(item).active_window(env.now)
    if window is None:
        return EMPTY
    return piece(safe(window.model), Tone.INFO) if window.model else piece("all", Tone.DIM)


def _error_count(item: ProfileRow) -> int:
    return _entry(item).profile.stats.error_count or 0


def _errors(item: ProfileRow, _env: Env) -> Line:
    count = _error_count(item)
    return piece(f"×{count}" if count < _MANY else f"×{_MANY - 1}+", Tone.WARN) if count else _DASH


def _next_cost(item: ProfileRow, env: Env) -> Line:
    cost = env.facts.next_cost(_entry(item))
    if cost is None:
        return _DASH
    return piece("+0s" if cost.keeps_window else f"+{duration(cost.duration_ms)}", Tone.DIM)


def _used(item: ProfileRow, env: Env) -> Line:
    return piece(age(_entry(item).profile.stats.last_used, env.now), Tone.DIM)


def _pins(item: ProfileRow, env: Env) -> Line:
    pins = env.facts.count_pins(_entry(item))
    return piece(str(pins), Tone.PLAIN) if pins else _DASH


def _owner(item: ProfileRow, _env: Env) -> Line:
    entry = _entry(item)
    if entry.profile.owner_agent in entry.agents:
        return EMPTY
    return piece(f"← {safe(entry.profile.owner_agent)}", Tone.INFO)


PROFILE_COLUMNS: tuple[Column[ProfileRow], ...] = (
    Column("profile", "PROFILE", 20, _profile, lambda i, _e: _entry(i).profile.id, grow=14, live=False, middle=True),
    Column(
        "agent",
        "AGENT",
        10,
        _agents,
        lambda i, _e: _entry(i).agents[0],
        grow=6,
        live=False,
        middle=True,
        of_group=True,
    ),
    Column("state", "STATE", 10, _state, lambda i, _e: _entry(i).state, live=False),
    Column("window", "WINDOW", BAR_WIDTH, _window, rank=3),
    Column(
        "left", "LEFT", 6, _left, lambda i, e: w.until if (w := _entry(i).active_window(e.now)) else None, right=True
    ),
    Column(
        "reason",
        "REASON",
        14,
        _reason,
        lambda i, e: w.reason if (w := _entry(i).active_window(e.now)) else None,
        grow=2,
    ),
    Column("model", "MODEL", 10, _model, grow=8, rank=8, live=False, middle=True),
    Column(
        "errors",
        "ERR",
        3,
        _errors,
        lambda i, _e: -_error_count(i),
        right=True,
        rank=2,
        live=False,
    ),
    Column("next", "IF FAILS", 8, _next_cost, right=True, rank=7, live=False),
    Column("used", "USED", 6, _used, lambda i, _e: -(_entry(i).profile.stats.last_used or 0), right=True, rank=4),
    Column("pins", "PINS", 4, _pins, lambda i, e: -e.facts.count_pins(_entry(i)), right=True, rank=5, live=False),
    Column("owner", "OWNER", 8, _owner, lambda i, _e: _entry(i).profile.owner_agent, rank=6, live=False),
)
"""IF FAILS is the window that one more failure of the same kind would open."""


def profile_ids(item: ProfileRow) -> str:
    """The exact id."""
    return "" if isinstance(item, ProviderFacts) else safe(item.profile.id)
