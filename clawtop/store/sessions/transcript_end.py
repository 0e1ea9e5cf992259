"""The end of a transcript: its last messages and what followed them. Text leaves it only when asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from clawtop.core.model import Exchange
from clawtop.core.session.exchanges import asked_text, exchanges
from clawtop.store.sessions.tail import entry_of, last_lines

LOOKED_AT_LINES = 8


def transcript_exchanges(path: str) -> tuple[Exchange, ...]:
    """What the last lines of a transcript (64 KB, or up to 1 MB for eight lines) show."""
    return exchanges(_last_entries(path))


def transcript_text(path: str, at: int) -> str | None:
    """The text of the message among them that came at `at` (ms since the epoch)."""
    return asked_text(_last_entries(path), at)


def _last_entries(path: str) -> Iterator[Mapping[str, Any]]:
    entries = (entry_of(line, path) for line in last_lines(path, least=LOOKED_AT_LINES))
    return (entry for entry in entries if entry is not None)
