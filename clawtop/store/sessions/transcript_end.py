"""The end of a transcript: its last messages and what followed them. No text of theirs leaves this module."""

from __future__ import annotations

from clawtop.core.model import Exchange
from clawtop.core.session.exchanges import exchanges
from clawtop.store.sessions.tail import entry_of, last_lines

LOOKED_AT_LINES = 8


def transcript_exchanges(path: str) -> tuple[Exchange, ...]:
    """What the last lines of a transcript (64 KB, or up to 1 MB for eight lines) tell."""
    entries = (entry_of(line, path) for line in last_lines(path, least=LOOKED_AT_LINES))
    return exchanges(entry for entry in entries if entry is not None)
