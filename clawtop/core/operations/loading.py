"""When a written change takes effect: a gateway works from memory, and what makes it reload differs by version.

From 2026.5.18 on it re-reads the store whenever it writes a mark of its own; 2026.3 works with what it read at its
start; 2026.8 skips cooldowns and orders on a reload, and loads them once a turn was answered.
"""

from __future__ import annotations

from collections.abc import Iterable

from clawtop.core.model import Snapshot, TurnOutcome
from clawtop.core.operations.edit import STATS, FieldChange
from clawtop.core.rules import Remote
from clawtop.core.session.listed import telling

AUDIT = "audit"
"""The source of turns whose end OpenClaw itself recorded (2026.7 on)."""


def loads(changes: Iterable[FieldChange], remote: Remote, *, all_out: bool = False) -> str:
    """What makes a live gateway load these changes, as the end of "it loads this"."""
    touches_stats = any(change.section == STATS for change in changes)
    if remote.keeps_start:
        return "at its next restart: until then it keeps the orders and marks it started with"
    if not remote.reload_takes_marks and touches_stats and all_out:
        return "after a restart: every profile is out, so no turn is answered, and a reload does not load cooldowns"
    if not remote.reload_takes_marks:
        return "at the next turn that is answered, or after a restart; a reload loads neither cooldowns nor orders"
    if touches_stats and all_out and remote.silent_when_out:
        return (
            "after a reload (--reload) or a restart: every profile is out, so it tries none and writes no mark, "
            "and without a mark of its own it never reads the store again"
        )
    return "when it next writes a mark of its own, after a reload (--reload) or a restart"


def reload_loads(remote: Remote) -> bool:
    """Whether `secrets.reload` makes a gateway load a change."""
    return not remote.keeps_start and remote.reload_takes_marks


def answered_since(snapshot: Snapshot, at: int) -> bool:
    """Whether OpenClaw recorded that it answered a turn after `at`: every answer is marked in the store."""
    turns = (turn for session in telling(snapshot.sessions) for turn in session.turns if turn.source == AUDIT)
    return any(turn.outcome is TurnOutcome.ANSWERED and turn.at > at for turn in turns)
