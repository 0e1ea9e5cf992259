"""Columns that stay where they are while what they show comes and goes."""

from __future__ import annotations

from collections.abc import Mapping

KEPT_MS = 60_000
"""A width that a row needed is kept for this long after, and for at most twice as long."""


class SteadyNeeds:
    """What the rows of a table have lately needed, so that no column moves whenever a run starts or ends.

    A column may grow at once, since a cell would be cut otherwise; it shrinks a while after the last row that needed
    its width, so that one long name does not narrow a screen that nobody touches for days.
    """

    def __init__(self) -> None:
        self._held: Mapping[str, int] | None = None
        self._lately: Mapping[str, int] | None = None
        self._since = 0

    def forget(self) -> None:
        """Start anew: the operator changed what is shown."""
        self._held = self._lately = None

    def of(self, needs: Mapping[str, int], now: int) -> Mapping[str, int]:
        """Column id -> cells, as `placed` takes them, for rows that need `needs` at `now` (ms since epoch)."""
        if not needs:
            return self._held or needs  # no row is shown, which says nothing about any column
        if self._held is None or not 0 <= now - self._since < KEPT_MS:
            self._held, self._lately, self._since = _widest(self._lately, needs), needs, now
        else:
            self._held, self._lately = _widest(self._held, needs), _widest(self._lately, needs)
        return self._held


def _widest(before: Mapping[str, int] | None, needs: Mapping[str, int]) -> Mapping[str, int]:
    """The wider of both for each column. A column that either leaves out has a width of its own and shows something."""
    if before is None:
        return needs
    return {column: max(width, before[column]) for column, width in needs.items() if column in before}
