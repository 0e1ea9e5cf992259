"""The timeline as a table: one line per event, newest first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from clawtop.commands import Target, TargetKind
from clawtop.core.incident.lane_stats import session_of_lane
from clawtop.core.incident.timeline import ABOUT, KIND_GROUPS, Filter
from clawtop.core.model import Event, EventKind, Snapshot
from clawtop.text import safe, shown
from clawtop.view.columns import Column, Env, Table
from clawtop.view.facts import base_name
from clawtop.view.humanize import age, span, time_near
from clawtop.view.line import EMPTY, Line, Tone, piece
from clawtop.view.long_rows import TableRow

EVERYTHING = Filter()

_TONES: Mapping[EventKind, Tone] = {
    EventKind.FAILURE: Tone.BAD,
    EventKind.TAKEOVER: Tone.BAD,
    EventKind.MARK_LOST: Tone.BAD,
    EventKind.REVERTED: Tone.BAD,
    EventKind.STUCK: Tone.BAD,
    EventKind.ROTATE: Tone.WARN,
    EventKind.FALLBACK: Tone.WARN,
    EventKind.CONTENDED: Tone.WARN,
    EventKind.WAIT: Tone.WARN,
    EventKind.MARK: Tone.NOTE,
    EventKind.PROFILE: Tone.NOTE,
    EventKind.REPLY: Tone.OK,
    EventKind.RECOVERY: Tone.OK,
    EventKind.OPERATION: Tone.ACCENT,
    EventKind.INTENT: Tone.ACCENT,
    EventKind.DRAIN: Tone.ACCENT,
    EventKind.NOTICE: Tone.ACCENT,
    EventKind.GATEWAY: Tone.INFO,
}


def _time(event: Event, env: Env) -> Line:
    return piece(time_near(event.at, env.now, env.zone), Tone.DIM)


def _age(event: Event, env: Env) -> Line:
    return piece(age(event.at, env.now), Tone.FAINT)


def _kind(event: Event, _env: Env) -> Line:
    return piece(event.kind, _TONES.get(event.kind, Tone.PLAIN))


def _text(event: Event, _env: Env) -> Line:
    took = ((f" ({span(event.duration_ms)})", Tone.DIM),) if event.duration_ms is not None else EMPTY
    return ((shown(event.text), Tone.PLAIN), *took)


def _about(event: Event, env: Env) -> Line:
    key = event.session_key or session_of_lane(event.lane)
    if event.profile is None and key:
        return piece(env.facts.session_name(key), Tone.DIM)
    file = base_name(event.session_file) if event.session_file else None
    agent = env.facts.agent_name(event.agent) if event.agent else ""
    return piece(safe(event.profile or event.lane or file) if event.profile or event.lane or file else agent, Tone.DIM)


def _source(event: Event, _env: Env) -> Line:
    return piece(safe(event.source), Tone.FAINT)


TIMELINE_COLUMNS: tuple[Column[Event], ...] = (
    Column("time", "", 9, _time, lambda e, _env: e.at),
    Column("age", "", 6, _age, right=True, rank=2),
    Column("kind", "", 10, _kind, lambda e, _env: e.kind),
    Column("text", "", 32, _text, grow=60),
    Column("about", "ABOUT", 20, _about, lambda e, _env: e.profile or e.session_key, grow=24, rank=1, middle=True),
    Column("source", "FROM", 11, _source, lambda e, _env: e.source, rank=3),
)


def timeline_table(env: Env, chosen: Filter = EVERYTHING) -> Table[Event]:
    """The events of the snapshot that `chosen` admits, newest first."""
    events = env.facts.snapshot.events
    rows = tuple(
        TableRow(key, event, Target(TargetKind.EVENT, key)) for key, event in _keyed(events) if chosen.admits(event)
    )
    return Table(
        "timeline",
        "TIMELINE",
        TIMELINE_COLUMNS,
        rows[::-1],
        env,
        band=lambda _item, _env: EMPTY,
        ids=_ids,
        empty=_nothing(events),
        title_note=_note(len(rows), chosen, env),
    )


def event_of(snapshot: Snapshot, key: str) -> Event | None:
    """The event with the key of a row."""
    return next((event for found, event in _keyed(snapshot.events) if found == key), None)


def about(event: Event) -> Target | None:
    """The target of a jump from an entry: its profile, else its session, else its lane."""
    if event.profile is not None:
        return Target(TargetKind.PROFILE, event.profile, event.agent, event.provider)
    if event.session_key is not None:
        return Target(TargetKind.SESSION, event.session_key, event.agent, session_key=event.session_key)
    if event.kind is EventKind.LOCK and event.session_file is not None:
        return Target(TargetKind.LOCK, event.session_file, event.agent)
    if event.lane is not None:
        return Target(TargetKind.LANE, event.lane)
    return None


def _keyed(events: tuple[Event, ...]) -> Iterator[tuple[str, Event]]:
    """An event's key is its time and its number within that millisecond, so that it stays when others are added."""
    within = 0
    last: int | None = None
    for event in events:
        within = within + 1 if event.at == last else 0
        last = event.at
        yield f"{event.at}:{within}", event


def _ids(event: Event) -> str:
    parts = (event.profile, event.session_key, event.lane, event.run_id, event.agent)
    return safe(" ".join(part for part in parts if part))


def _nothing(events: tuple[Event, ...]) -> Line:
    if events:
        return piece("Nothing of this kind has happened.", Tone.DIM)
    return piece("Nothing has happened yet. Events come from the journal, the gateway's log and the state.", Tone.DIM)


def _note(shown_count: int, chosen: Filter, env: Env) -> Line:
    """How many events are shown, of how many, and the current filter; without one, what the last operator did."""
    events = env.facts.snapshot.events
    if not events and chosen == EVERYTHING:
        return EMPTY
    count = len(events)
    group = next((name for name, kinds in KIND_GROUPS.items() if kinds == chosen.kinds), None)
    words = [str(count) if shown_count == count else f"{shown_count} of {count}"]
    words += [f"only {group}"] if group else []
    words += [f"only {field} {safe(value)}" for field in ABOUT if (value := getattr(chosen, field)) is not None]
    words += ["with routine events"] if chosen.background else []
    note: Line = ((" · ".join(words), Tone.WARN if len(words) > 1 else Tone.DIM),)
    act = next((event for event in reversed(events) if event.kind is EventKind.OPERATION), None)
    if act is None or chosen != EVERYTHING:
        return note
    return (*note, (f" · {time_near(act.at, env.now, env.zone)} {shown(act.text)}", Tone.ACCENT))
