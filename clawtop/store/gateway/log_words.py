"""The free lines of a gateway's log (2026.3.28 to 2026.9.6): what kind of event each is, in fewer words."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from clawtop.core.model import EventKind

Facts = Mapping[str, Any]
"""The key=value pairs of a line, as strings."""

_REMOVED_LOCK = re.compile(r"removed stale session lock: (?P<path>.*?)\s*\((?P<why>[^()]*)\)\s*$")


@dataclass(frozen=True, slots=True)
class Told:
    """What a line tells.

    Attributes:
        kind: of the event.
        words: the line for people, without its duration, which stands beside it; None: as it stands in the log.
        step: for lines about a lane: enqueue | dequeue | done | error | state; start: of a gateway, with empty lanes.
    """

    kind: EventKind
    words: Callable[[Facts, str], str] | None = None
    step: str | None = None


def told(text: str, facts: Facts) -> Told | None:
    """What a line tells, by how it begins; None when that is nothing about failover, sessions or lanes."""
    for prefix, found in _TOLD:
        if text.startswith(prefix):
            if found.step == "error" and str(facts.get("lane", "")).startswith("session:"):
                return TURN_FAILED
            return found
    return None


def rough(ms: int) -> str:
    """A span for people: `685 ms`, `2.9 s`, `30 s`, `5 min`, `5 h`."""
    unit, name = next(((unit, name) for unit, name in _UNITS if ms >= 2 * unit), (1, "ms"))
    amount = f"{ms / unit:.1f}" if ms < 10 * unit else f"{round(ms / unit)}"
    return f"{amount.removesuffix('.0')} {name}"


_UNITS = ((3_600_000, "h"), (60_000, "min"), (1_000, "s"))


def _enqueue(facts: Facts, _text: str) -> str:
    return f"queued in lane {facts.get('lane')}, {facts.get('queueSize', '?')} waiting"


def _dequeue(facts: Facts, _text: str) -> str:
    return f"runs in lane {facts.get('lane')}, {facts.get('queueSize', '?')} waiting"


def _done(facts: Facts, _text: str) -> str:
    return f"done in lane {facts.get('lane')}, {facts.get('active', '?')} run, {facts.get('queued', '?')} wait"


def _task_error(facts: Facts, text: str) -> str:
    return f"turn failed: {facts.get('error') or text}"


def _waited(facts: Facts, _text: str) -> str:
    ahead = f", {facts['queueAhead']} ahead of it" if "queueAhead" in facts else ""
    return f"waited for lane {facts.get('lane')}{ahead}"


def _state(facts: Facts, _text: str) -> str:
    why = f" ({facts['reason']})" if facts.get("reason") else ""
    queued = f", {facts['queueDepth']} queued" if facts.get("queueDepth", "0") != "0" else ""
    return f"{facts.get('prev', '?')} → {facts.get('new', '?')}{why}{queued}"


def _asks(facts: Facts, _text: str) -> str:
    return f"asks {facts.get('provider', '?')}/{facts.get('model', '?')}"


def _replied(facts: Facts, _text: str) -> str:
    return "aborted" if facts.get("aborted") == "true" else "replied"


def _stuck(facts: Facts, text: str) -> str:
    what = text.partition(":")[0]
    parts = [
        f"{words}{facts[name]}"
        for name, words in (
            ("state", ""),
            ("age", "for "),
            ("reason", ""),
            ("queueDepth", "queued "),
            ("recovery", "recovery "),
        )
        if facts.get(name) not in {None, "0", "none"}
    ]
    return f"{what}: {', '.join(parts)}"


def _active(facts: Facts, text: str) -> str:
    return f"{text.partition(':')[0]}, {facts.get('totalActive', '?')} active"


def _removed(_facts: Facts, text: str) -> str:
    match = _REMOVED_LOCK.match(text)
    return f"removed stale session lock {PurePath(match['path']).name} ({match['why']})" if match else text


TURN_FAILED = Told(EventKind.FAILURE, _task_error, "error")
_TOLD: tuple[tuple[str, Told], ...] = (
    ("lane enqueue:", Told(EventKind.LANE, _enqueue, "enqueue")),
    ("lane dequeue:", Told(EventKind.LANE, _dequeue, "dequeue")),
    ("lane task done:", Told(EventKind.LANE, _done, "done")),
    ("lane task error:", Told(EventKind.LANE, _task_error, "error")),
    ("lane wait exceeded:", Told(EventKind.WAIT, _waited)),
    ("auto-resumed lane", Told(EventKind.RECOVERY)),
    ("session state:", Told(EventKind.LANE, _state, "state")),
    ("run registered:", Told(EventKind.RUN_START, _active)),
    ("run cleared:", Told(EventKind.RUN_END, _active)),
    ("stuck session recovery", Told(EventKind.RECOVERY)),
    ("stuck session:", Told(EventKind.STUCK, _stuck)),
    ("stalled session:", Told(EventKind.STUCK, _stuck)),
    ("long-running session:", Told(EventKind.STUCK, _stuck)),
    ("liveness warning:", Told(EventKind.GATEWAY)),
    ("embedded run start:", Told(EventKind.ATTEMPT, _asks)),
    ("embedded run done:", Told(EventKind.REPLY, _replied)),
    ("transient same-model retry", Told(EventKind.ATTEMPT, step="retry")),
    ("rate-limit profile rotation cap reached", Told(EventKind.FALLBACK)),
    ("⇄ res ✗ agent", Told(EventKind.FAILURE)),
    ("removed stale session lock:", Told(EventKind.LOCK, _removed)),
    ("[session-write-lock] releasing lock", Told(EventKind.LOCK)),
    ("session file repaired:", Told(EventKind.SESSION)),
    ("gateway ready", Told(EventKind.GATEWAY)),
    ("http server listening", Told(EventKind.GATEWAY, step="start")),
    ("listening on ws://", Told(EventKind.GATEWAY, step="start")),
    ("gateway shutting down", Told(EventKind.GATEWAY)),
    ("received SIG", Told(EventKind.GATEWAY)),
    ("[reload] config reload", Told(EventKind.GATEWAY)),
    ("config reload", Told(EventKind.GATEWAY)),
)
"""How the text of a line begins -> what it tells. The first that fits wins."""
