"""Transcripts that were written just now and that no entry of sessions.json names: 2026.3.28's `agent --session-id`."""

from __future__ import annotations

import os
from collections.abc import Container

from clawtop.patterns import regex
from clawtop.store.json_text import Stamp, stamp_of
from clawtop.store.ways import check_way

FRESH_MS = 10 * 60_000
"""An unlisted transcript is reported for this long after it was written: older ones are leftovers of resets."""

BY_TURNS = 200
"""How many of the other files one look examines: there may be thousands."""

_TRANSCRIPT = regex(r"[^.]+\.jsonl")


class UnlistedTranscripts:
    """Examines one sessions directory. A new file is examined once, a fresh one each time."""

    def __init__(self) -> None:
        self._stamp: Stamp | None = None
        self._names: tuple[str, ...] = ()
        self._seen: set[str] = set()
        self._fresh: set[str] = set()
        self._next = 0

    def fresh(self, directory: str, named: Container[str], now: int) -> dict[str, int]:
        """The paths of those written within `FRESH_MS` before `now`, and when (ms since the epoch).

        Args:
            named: the names of files that entries name.
        """
        stamp = stamp_of(directory)
        if stamp is None:
            return {}
        if stamp != self._stamp:
            try:
                check_way(f"{directory}/x")
                names = os.listdir(directory)  # noqa: PTH208 - names only
            except OSError:
                return {}
            self._stamp, self._names = stamp, tuple(name for name in names if _TRANSCRIPT.fullmatch(name))
            self._seen.intersection_update(self._names)
        others = [name for name in self._names if name not in named]
        start = self._next % len(others) if others else 0
        self._next = start + BY_TURNS
        asked = {name for name in others if name not in self._seen} | self._fresh.intersection(others)
        asked.update(others[start : start + BY_TURNS])
        self._seen.update(asked)
        found = {name: at for name in asked if (at := _written_at(f"{directory}/{name}")) is not None}
        self._fresh = {name for name, at in found.items() if 0 <= now - at <= FRESH_MS}
        return {f"{directory}/{name}": found[name] for name in sorted(self._fresh)}


def _written_at(path: str) -> int | None:
    try:
        return os.stat(path, follow_symlinks=False).st_mtime_ns // 1_000_000  # noqa: PTH116 - many
    except OSError:
        return None
