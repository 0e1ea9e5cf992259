"""The history: events from every source in one order, filtered by what the operator asks for."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field, replace
from heapq import merge
from types import MappingProxyType

from clawtop.core.model import Event, EventKind
from clawtop.values import dataclass

BACKGROUND = frozenset({EventKind.LANE, EventKind.ACQUIRE, EventKind.RELEASE, EventKind.RUN_START, EventKind.RUN_END})
"""Kinds that happen all the time, shown only on request, as are events whose data has `routine`."""


def is_background(event: Event) -> bool:
    """Whether an event happens all the time even if nothing is wrong."""
    return event.kind in BACKGROUND or _is_routine(event)


def _is_routine(event: Event) -> bool:
    return event.data.get("routine") is True


KIND_GROUPS: Mapping[str, frozenset[EventKind]] = MappingProxyType(
    {
        "trouble": frozenset(
            {
                EventKind.FAILURE,
                EventKind.TAKEOVER,
                EventKind.CONTENDED,
                EventKind.STUCK,
                EventKind.MARK_LOST,
                EventKind.REVERTED,
            }
        ),
        "failover": frozenset(
            {
                EventKind.ATTEMPT,
                EventKind.FAILURE,
                EventKind.ROTATE,
                EventKind.MARK,
                EventKind.MARK_LOST,
                EventKind.FALLBACK,
                EventKind.REPLY,
                EventKind.PROFILE,
            }
        ),
        "contention": frozenset(
            {
                EventKind.TAKEOVER,
                EventKind.CONTENDED,
                EventKind.WAIT,
                EventKind.ACQUIRE,
                EventKind.RELEASE,
                EventKind.STUCK,
                EventKind.RECOVERY,
                EventKind.LOCK,
                EventKind.LANE,
            }
        ),
        "operators": frozenset({EventKind.INTENT, EventKind.OPERATION, EventKind.REVERTED, EventKind.DRAIN}),
        "gateway": frozenset({EventKind.GATEWAY, EventKind.SESSION, EventKind.RUN_START, EventKind.RUN_END}),
    }
)
"""Groups of kinds that are shown together, in the order in which the kinds key cycles through them."""

ACTS = KIND_GROUPS["operators"]
"""What an operator did: kept for longer than other events."""
KEPT_ACTS = 50

ABOUT = ("profile", "session", "lane")
"""What an entry may be about, in the order in which the key that narrows the timeline cycles through it."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which events to show. Empty fields let everything through; `text` is a case-insensitive part of the line."""

    kinds: frozenset[EventKind] = frozenset()
    profile: str | None = None
    session: str | None = None
    lane: str | None = None
    text: str = ""
    background: bool = False
    since: int | None = None

    def admits(self, event: Event) -> bool:
        """Whether `event` is shown."""
        if self.kinds and event.kind not in self.kinds:
            return False
        if not self.background and (_is_routine(event) if self.kinds else is_background(event)):
            return False
        if self.since is not None and event.at < self.since:
            return False
        if self.profile is not None and event.profile != self.profile:
            return False
        if self.session is not None and self.session not in {event.session_key, event.session_file}:
            return False
        if self.lane is not None and event.lane != self.lane:
            return False
        needle = self.text.casefold()
        return not needle or any(
            part and needle in part.casefold()
            for part in (
                event.text,
                event.kind,
                event.profile,
                event.session_key,
                event.lane,
                event.source,
                event.run_id,
            )
        )

    def narrowed(self, name: str | None = None, value: str | None = None) -> Filter:
        """Narrowed to one value of one field in `ABOUT` and no other; without a name, not narrowed."""
        return replace(
            self,
            profile=value if name == "profile" else None,
            session=value if name == "session" else None,
            lane=value if name == "lane" else None,
        )


@dataclass(frozen=True, slots=True)
class Timeline:
    """Events oldest first, without duplicates from two sources."""

    events: tuple[Event, ...] = ()
    limit: int = field(default=5_000)

    def extended(self, *sources: Iterable[Event]) -> Timeline:
        """With the events of `sources` (each oldest first) merged in; the newest `limit` stay, and the newest acts
        of operators.
        """
        fresh = list(merge(*sources, key=_time))
        if not fresh:
            return self
        place = bisect_left(self.events, fresh[0].at, key=_time)
        seen: set[tuple[int, EventKind, str, str | None, str | None]] = set()
        merged = list(self.events[:place])
        for event in merge(self.events[place:], fresh, key=_time):
            identity = (event.at, event.kind, event.text, event.run_id, event.lane)
            if identity not in seen:
                seen.add(identity)
                merged.append(event)
        return Timeline(newest(merged, self.limit), self.limit)


def newest(events: Sequence[Event], limit: int) -> tuple[Event, ...]:
    """The newest `limit` events (given oldest first), after the newest acts of operators among the older ones."""
    acts = [event for event in events[:-limit] if event.kind in ACTS]
    return (*acts[-KEPT_ACTS:], *events[-limit:])


def _time(event: Event) -> int:
    return event.at


def narrowings(event: Event) -> tuple[tuple[str, str], ...]:
    """What `event` is about: pairs of a field of `Filter` and its value, in the order of `ABOUT`."""
    values = {"profile": event.profile, "session": event.session_key or event.session_file, "lane": event.lane}
    return tuple((name, value) for name in ABOUT if (value := values[name]))
