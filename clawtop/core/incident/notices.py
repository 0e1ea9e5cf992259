"""What an operator should be notified of, derived from the previous and the current state."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field

from clawtop.core.cooldown.stats import ProfileState, Schedules, profile_state
from clawtop.core.health.judgement import Cause, Health, Level
from clawtop.core.health.wording import some_names
from clawtop.core.model import Event, EventKind, Snapshot
from clawtop.core.session.key import short_key
from clawtop.text import shown
from clawtop.values import dataclass

CAPTION = "demo"
"""Source of what the demo's narrator says."""

FALLBACK_QUIET_MS = 30 * 60_000
"""A session that goes on falling back gets one notice; another after so long without a fallback."""


@dataclass(frozen=True, slots=True)
class NoticeState:
    """The state at `at` (ms since the epoch).

    Attributes:
        usable: owner and id of each profile that can be used.
        known: the same of each profile there is.
        silent: what makes bots silent, as health judges it: a cause's code and subject -> its text.
        blocked: session key -> since when (ms since the epoch).
        reverted: writes that a gateway has undone, each by time and words.
        fallbacks: session key -> when it last went on with another model (ms since the epoch).
        back_at: when the next profile's window ends (ms since the epoch).
    """

    at: int
    usable: frozenset[tuple[str, str]] = frozenset()
    known: frozenset[tuple[str, str]] = frozenset()
    silent: Mapping[tuple[str, str], str] = field(default_factory=dict)
    blocked: Mapping[str, int] = field(default_factory=dict)
    reverted: frozenset[tuple[int, str]] = frozenset()
    fallbacks: Mapping[str, int] = field(default_factory=dict)
    back_at: int | None = None


def notice_state(snapshot: Snapshot, now: int, health: Health) -> NoticeState:
    """The state in `snapshot` at `now`, as `health` judges it: profiles count as the gateway knows them."""
    stored = health.view.snapshot.profiles
    schedules = Schedules(health.view.snapshot)
    states = [(profile, *profile_state(profile, now, schedules[profile.provider])) for profile in stored]
    return NoticeState(
        at=now,
        usable=frozenset((each.owner_agent, each.id) for each, state, _ in states if state is ProfileState.USABLE),
        known=frozenset((profile.owner_agent, profile.id) for profile in stored),
        silent={
            (cause.code, whom): cause.text
            for cause in health.causes
            if cause.level is Level.SILENT
            for whom in _whom(cause)
        },
        blocked={key: found.since for (_, key), found in health.blocked.items() if found.since is not None},
        reverted=frozenset((event.at, event.text) for event in snapshot.events if event.kind is EventKind.REVERTED),
        fallbacks=_fallbacks(snapshot.events),
        back_at=min((until for *_, until in states if until is not None and until > now), default=None),
    )


def _fallbacks(events: Iterable[Event]) -> dict[str, int]:
    found: dict[str, int] = {}
    for event in events:
        if event.kind is EventKind.FALLBACK and event.session_key is not None and event.data.get("over") is not True:
            found[event.session_key] = max(event.at, found.get(event.session_key, event.at))
    return found


def _whom(cause: Cause) -> Iterator[str]:
    """The subject of a cause; everything if it names none."""
    yield from (*cause.agents, *cause.sessions) or ("",)


def notices(before: NoticeState | None, now: NoticeState, blocked_ms: int) -> tuple[str, ...]:
    """What has become worse or better, the most serious first, each as one safe line.

    Args:
        before: None at the start: what is already on screen needs no notice.
        blocked_ms: a session that has been blocked for this long gets one notice.
    """
    if before is None:
        return ()
    told: list[str] = []
    told += dict.fromkeys(shown(text, 120) for key, text in now.silent.items() if key not in before.silent)
    overdue = [
        key
        for key, since in sorted(now.blocked.items())
        if since + blocked_ms <= now.at and (key not in before.blocked or since + blocked_ms > before.at)
    ]
    if overdue:
        told.append(f"blocked for {blocked_ms / 60_000:g} min: {some_names(map(short_key, overdue))}")
    fell_back = [
        key
        for key, at in sorted(now.fallbacks.items())
        if at > before.fallbacks.get(key, at - FALLBACK_QUIET_MS - 1) + FALLBACK_QUIET_MS
    ]
    if fell_back:
        told.append(f"fell back to another model: {some_names(map(short_key, fell_back))}")
    told += [shown(text, 120) for _, text in sorted(now.reverted - before.reverted)]
    back = sorted({profile for _, profile in (now.usable - before.usable) & before.known})
    if back:
        told.append(f"usable again: {some_names(back)}")
    return tuple(told)


def next_due(now: NoticeState, blocked_ms: int) -> int | None:
    """When a profile is back or a session will have been blocked for too long, if nothing changes (ms since the
    epoch).
    """
    overdue = [since + blocked_ms for since in now.blocked.values() if since + blocked_ms > now.at]
    return min(overdue if now.back_at is None else [*overdue, now.back_at], default=None)


def captions(before: int | None, events: Iterable[Event]) -> tuple[str, ...]:
    """What the demo's narrator has said since `before` (ms since the epoch); at first only the latest caption."""
    said = [event for event in events if event.source == CAPTION and event.kind is EventKind.NOTICE]
    fresh = said[-1:] if before is None else [event for event in said if event.at > before]
    return tuple(shown(event.text, 160) for event in fresh)
