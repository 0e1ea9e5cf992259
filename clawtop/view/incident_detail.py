"""The details of rows that only the incident views have: runs, lanes, events."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from clawtop.commands import Target, TargetKind
from clawtop.core.model import Event, LaneStats, PromptHolder, counted
from clawtop.text import safe, shown
from clawtop.view.columns import Env
from clawtop.view.fact_lines import Fact, holder_facts, known, section, time_line
from clawtop.view.humanize import span, time_near
from clawtop.view.line import EMPTY, Line, Tone, piece
from clawtop.view.timeline_rows import event_of

LANE_EVENTS = 12

CLASSES: Mapping[str, str] = {
    "main": "main: an agent's own session, or the global lane of unnamed work",
    "heartbeat": "heartbeat: the periodic turn of an agent",
    "channel": "channel: a channel, group or room",
    "direct": "direct: one person",
    "cron": "cron: scheduled work",
    "cron-nested": "cron-nested: turns inside scheduled work",
    "subagent": "subagent: work that an agent delegated",
    "nested": "nested: turns between agents",
    "session": "session: one conversation with an explicit id",
    "other": "other: not a known class",
}


def _run(target: Target, env: Env) -> list[Fact] | None:
    holder = next((h for h in env.facts.snapshot.holders if target.id in (h.run_id, h.session_file)), None)
    if holder is None:
        return None
    name = f"run {safe(holder.run_id)}" if holder.run_id else "a run of OpenClaw"
    return known(
        (
            ("", piece(name, Tone.STRONG)),
            ("session", piece(safe(holder.session_key or "not in sessions.json"))),
            ("agent", piece(env.facts.agent_name(holder.agent)) if holder.agent else EMPTY),
            *holder_facts(holder, env),
            *_told(holder, env),
            *section("Transcript"),
            ("", piece(safe(holder.session_file), Tone.DIM)),
        )
    )


def _told(holder: PromptHolder, env: Env) -> list[Fact]:
    """The latest events of this run."""
    if holder.run_id is None:
        return []
    events = [event for event in env.facts.snapshot.events if event.run_id == holder.run_id]
    return _events(f"Its events: {len(events)}", events, env)


def _events(title: str, events: list[Event], env: Env) -> list[Fact]:
    if not events:
        return []
    lines: list[Fact] = [
        ("", ((f"{time_near(event.at, env.now, env.zone)} ", Tone.DIM), (shown(event.text), Tone.PLAIN)))
        for event in reversed(events[-LANE_EVENTS:])
    ]
    return [*section(title), *lines]


def happened_to(session_key: str, env: Env) -> list[Fact]:
    """The latest events of a session."""
    events = [event for event in env.facts.snapshot.events if event.session_key == session_key]
    return _events(f"Its events: {len(events)}", events, env)


def _lane(target: Target, env: Env) -> list[Fact] | None:
    snapshot = env.facts.snapshot
    lanes = [lane for lane in snapshot.lanes if lane.lane == target.id]
    events = [event for event in snapshot.events if event.lane == target.id]
    if not lanes and not events:
        return None
    facts: list[Fact] = [("", piece(f"lane {safe(target.id)}", Tone.STRONG))]
    if lanes:
        facts.append(("class", piece(CLASSES.get(lanes[0].lane_class, safe(lanes[0].lane_class)))))
    for lane in lanes:
        facts += [*section(f"As reported by {safe(lane.source)}"), *_figures(lane)]
    running = [holder for holder in snapshot.holders if holder.lane == target.id]
    if running:
        facts += section(f"Runs that hold a prompt: {len(running)}")
        facts += [("", piece(f"{safe(h.session_key or h.session_file)}, {shown(h.phase)}")) for h in running[:8]]
    return [*facts, *_events(f"Its events: {len(events)}", events, env)]


def _figures(lane: LaneStats) -> list[Fact]:
    def figure(value: int | None, what: str) -> Line:
        return piece(f"{value} {what}") if value is not None else piece("not reported by this source", Tone.FAINT)

    limit = "no limit known" if lane.limit is None else f"{counted(lane.limit, 'place')}"
    waits = (("half", lane.wait_p50_ms), ("95 of 100", lane.wait_p95_ms), ("longest", lane.wait_max_ms))
    told = [f"{name} {span(ms)}" for name, ms in waits if ms is not None]
    return known(
        (
            ("runs", figure(lane.active, f"at once, {limit}")),
            ("queued", figure(lane.queued, "waiting")),
            ("waits", piece(", ".join(told)) if told else piece("none recorded", Tone.FAINT)),
            ("collisions", piece(str(lane.collisions)) if lane.collisions is not None else EMPTY),
            ("takeovers", piece(str(lane.takeovers)) if lane.takeovers is not None else EMPTY),
        )
    )


_EVENT_FIELDS: tuple[tuple[str, Callable[[Event], object]], ...] = (
    ("reason", lambda e: e.reason),
    ("profile", lambda e: e.profile),
    ("model", lambda e: f"{e.provider}/{e.model}" if e.provider and e.model else e.provider or e.model),
    ("session", lambda e: e.session_key),
    ("lane", lambda e: e.lane),
    ("run", lambda e: e.run_id),
    ("agent", lambda e: e.agent),
    ("process", lambda e: e.pid),
    ("took", lambda e: span(e.duration_ms) if e.duration_ms is not None else None),
)


def _event(target: Target, env: Env) -> list[Fact] | None:
    event = event_of(env.facts.snapshot, target.id)
    if event is None:
        return None
    facts: list[Fact] = [
        ("", piece(shown(event.text), Tone.STRONG)),
        ("kind", piece(str(event.kind))),
        ("at", time_line(event.at, env)),
        ("known from", piece(safe(event.source))),
    ]
    facts += [(label, piece(shown(value))) for label, find in _EVENT_FIELDS if (value := find(event)) is not None]
    if event.data:
        facts += section("Facts")
        facts += [
            ("", ((f"{safe(key, 30)} ", Tone.DIM), (shown(value, 400), Tone.PLAIN)))
            for key, value in event.data.items()
        ]
    if event.session_file:
        facts += [*section("Transcript"), ("", piece(safe(event.session_file), Tone.DIM))]
    same = [e for e in env.facts.snapshot.events if event.run_id and e.run_id == event.run_id and e is not event]
    return [*facts, *_events(f"The same run: {len(same)} more", same, env)]


INCIDENT_MAKERS: Mapping[TargetKind, Callable[[Target, Env], list[Fact] | None]] = {
    TargetKind.RUN: _run,
    TargetKind.LANE: _lane,
    TargetKind.EVENT: _event,
}
