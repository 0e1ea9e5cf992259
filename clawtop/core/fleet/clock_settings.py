"""By how much a host's clock was set after its events were dated, so that the timeline can show all by one clock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from clawtop.core.fleet.summary import EventBrief


class ClockSettings:
    """What is known of one host's clock. Events are dated by the clock as it stood when they were first told.

    Mutable state: `_total` is how far the clock has been set forward altogether, `_dated` what that was for each event,
    `_leads` how far those that came since the last agreement lay ahead of the clock as it was known then.
    """

    def __init__(self) -> None:
        self._total = 0
        self._dated: dict[EventBrief, int] = {}
        self._leads: dict[EventBrief, int | None] = {}

    def told(self, events: Iterable[EventBrief], clock: int, *, greeting: bool) -> None:
        """The host's events now, and its clock as far as it is known (ms since the epoch). `greeting`: these are the
        first of a connection, so they may be old.
        """
        before, self._dated = self._dated, {}
        for event in events:
            if event not in before:
                self._leads[event] = None if greeting else event.at - clock
            self._dated[event] = before.get(event, self._total)

    def agreed(self) -> None:
        """The clock was found unchanged."""
        self._leads.clear()

    def was_set(self, by: int) -> None:
        """The clock was set forward by `by` ms (negative: back) since the last agreement. Events told since then count
        as dated by the setting that they fit better, those that came with a greeting by the new one.
        """
        self._total += by
        for event, lead in self._leads.items():
            if event in self._dated and (lead is None or abs(lead - by) < abs(lead)):
                self._dated[event] = self._total
        self._leads.clear()

    def since(self) -> Mapping[EventBrief, int]:
        """For each event dated by an older clock setting, how many ms the clock has been set forward since."""
        return {event: self._total - dated for event, dated in self._dated.items() if dated != self._total}
