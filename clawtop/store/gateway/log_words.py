"""The free-text lines of a gateway's log (2026.3.28 to 2026.9.6): the kind of event of each, in fewer words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import Any

from clawtop.core.model import EventKind
from clawtop.patterns import regex
from clawtop.values import dataclass

LineFacts = Mapping[str, Any]
"""The key=value pairs of a line, as strings."""

_REMOVED_LOCK = regex(r"removed stale session lock: (?P<path>.*?)\s*\((?P<why>[^()]*)\)\s*$")


@dataclass(frozen=True, slots=True)
class LineMeaning:
    """What a line says.

    Attributes:
        kind: of the event.
        words: the line for people, without its duration, which is shown beside it; None: as in the log.
        step: for lines about a lane: enqueue | dequeue | done | error | state; start: of a gateway, with empty lanes;
            ready, stopping: of a gateway; message: one that no run took; config-refused, config-taken: what became of
            a changed openclaw.json.
    """

    kind: EventKind
    words: Callable[[LineFacts, str], str] | None = None
    step: str | None = None


def meaning_of(text: str, facts: LineFacts) -> LineMeaning | None:
    """What a line says, by how it begins; None if it is not about failover, sessions or lanes."""
    for prefix, found in _TOLD:
        if text.startswith(prefix):
            if found.step == "error" and str(facts.get("lane", "")).startswith("session:"):
                return TURN_FAILED
            if found is _MESSAGE_FAILED and facts.get("outcome") != "error":
                return None
            return found
    return None


def _enqueue(facts: LineFacts, _text: str) -> str:
    return f"queued in lane {facts.get('lane')}, {facts.get('queueSize', '?')} waiting"


def _dequeue(facts: LineFacts, _text: str) -> str:
    return f"runs in lane {facts.get('lane')}, {facts.get('queueSize', '?')} waiting"


def _done(facts: LineFacts, _text: str) -> str:
    return f"done in lane {facts.get('lane')}, {facts.get('active', '?')} running, {facts.get('queued', '?')} queued"


def _task_error(facts: LineFacts, text: str) -> str:
    return f"turn failed: {facts.get('error') or text}"


def _message_error(facts: LineFacts, text: str) -> str:
    return f"not accepted: {str(facts.get('error') or text).removeprefix('Error: ')}"


def _waited(facts: LineFacts, _text: str) -> str:
    ahead = f", {facts['queueAhead']} ahead of it" if "queueAhead" in facts else ""
    return f"waited for lane {facts.get('lane')}{ahead}"


def _state(facts: LineFacts, _text: str) -> str:
    why = f" ({facts['reason']})" if facts.get("reason") else ""
    queued = f", {facts['queueDepth']} queued" if facts.get("queueDepth", "0") != "0" else ""
    return f"{facts.get('prev', '?')} → {facts.get('new', '?')}{why}{queued}"


def _asks(facts: LineFacts, _text: str) -> str:
    return f"asks {facts.get('provider', '?')}/{facts.get('model', '?')}"


def _replied(facts: LineFacts, _text: str) -> str:
    return "aborted" if facts.get("aborted") == "true" else "replied"


def _stuck(facts: LineFacts, text: str) -> str:
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


def _active(facts: LineFacts, text: str) -> str:
    return f"{text.partition(':')[0]}, {facts.get('totalActive', '?')} active"


def _removed(_facts: LineFacts, text: str) -> str:
    match = _REMOVED_LOCK.match(text)
    return f"removed stale session lock {PurePath(match['path']).name} ({match['why']})" if match else text


TURN_FAILED = LineMeaning(EventKind.FAILURE, _task_error, "error")
_MESSAGE_FAILED = LineMeaning(EventKind.FAILURE, _message_error, "message")
"""A channel's message that failed before a run could take it: it is in no transcript."""

_CONFIG_REFUSED = LineMeaning(EventKind.GATEWAY, step="config-refused")
_CONFIG_TAKEN = LineMeaning(EventKind.GATEWAY, step="config-taken")
_TOLD: tuple[tuple[str, LineMeaning], ...] = (
    ("lane enqueue:", LineMeaning(EventKind.LANE, _enqueue, "enqueue")),
    ("lane dequeue:", LineMeaning(EventKind.LANE, _dequeue, "dequeue")),
    ("lane task done:", LineMeaning(EventKind.LANE, _done, "done")),
    ("lane task error:", LineMeaning(EventKind.LANE, _task_error, "error")),
    ("message processed:", _MESSAGE_FAILED),
    ("lane wait exceeded:", LineMeaning(EventKind.WAIT, _waited)),
    ("auto-resumed lane", LineMeaning(EventKind.RECOVERY)),
    ("session state:", LineMeaning(EventKind.LANE, _state, "state")),
    ("run registered:", LineMeaning(EventKind.RUN_START, _active)),
    ("run cleared:", LineMeaning(EventKind.RUN_END, _active)),
    ("stuck session recovery", LineMeaning(EventKind.RECOVERY)),
    ("stuck session:", LineMeaning(EventKind.STUCK, _stuck)),
    ("stalled session:", LineMeaning(EventKind.STUCK, _stuck)),
    ("long-running session:", LineMeaning(EventKind.STUCK, _stuck)),
    ("liveness warning:", LineMeaning(EventKind.GATEWAY)),
    ("[agent] run ", LineMeaning(EventKind.LANE, step="ended")),
    ("embedded run start:", LineMeaning(EventKind.ATTEMPT, _asks)),
    ("embedded run done:", LineMeaning(EventKind.REPLY, _replied)),
    ("transient same-model retry", LineMeaning(EventKind.ATTEMPT, step="retry")),
    ("rate-limit same-model retry", LineMeaning(EventKind.ATTEMPT, step="retry")),
    ("rate-limit profile rotation cap reached", LineMeaning(EventKind.FALLBACK)),
    ("⇄ res ✗ agent", LineMeaning(EventKind.FAILURE)),
    ("removed stale session lock:", LineMeaning(EventKind.LOCK, _removed)),
    ("[session-write-lock] releasing lock", LineMeaning(EventKind.LOCK)),
    ("session file repaired:", LineMeaning(EventKind.SESSION)),
    ("gateway ready", LineMeaning(EventKind.GATEWAY, step="ready")),
    ("http server listening", LineMeaning(EventKind.GATEWAY, step="start")),
    ("listening on ws://", LineMeaning(EventKind.GATEWAY, step="start")),
    ("gateway shutting down", LineMeaning(EventKind.GATEWAY)),
    ("received SIG", LineMeaning(EventKind.GATEWAY, step="stopping")),
    ("[reload] config reload skipped (invalid config)", _CONFIG_REFUSED),
    ("config reload skipped (invalid config)", _CONFIG_REFUSED),
    ("[reload] config change detected", _CONFIG_TAKEN),
    ("config change detected", _CONFIG_TAKEN),
    ("[reload] config reload", LineMeaning(EventKind.GATEWAY)),
    ("config reload", LineMeaning(EventKind.GATEWAY)),
)
"""How the text of a line begins -> what it says. The first match wins."""
