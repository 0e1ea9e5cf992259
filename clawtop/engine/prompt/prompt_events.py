"""Events about who prompts a session."""

from __future__ import annotations

from typing import Protocol

from clawtop.core.model import ENGINE, Event, EventKind
from clawtop.text import safe


class Prompting(Protocol):
    """A run that has the prompt or waits for it."""

    @property
    def agent(self) -> str | None: ...
    @property
    def session_key(self) -> str | None: ...
    @property
    def lane(self) -> str: ...
    @property
    def run_id(self) -> str: ...


def prompt_event(
    at: int,
    kind: EventKind,
    text: str,
    who: Prompting,
    session_file: str,
    *,
    reason: str | None = None,
    duration_ms: int | None = None,
    pid: int | None = None,
) -> Event:
    """What happened (`at`: ms since the epoch) around the prompt of `session_file`."""
    return Event(
        at=at,
        kind=kind,
        source=ENGINE,
        text=safe(text),
        agent=who.agent,
        session_key=who.session_key,
        session_file=session_file,
        lane=who.lane,
        run_id=who.run_id,
        reason=reason,
        duration_ms=duration_ms,
        pid=pid,
    )
