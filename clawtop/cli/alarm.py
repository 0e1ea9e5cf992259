"""Notices without a dashboard: the operator's `on_notice` command, run by verbs that keep watching."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clawtop.core.incident.notices import NoticeState
    from clawtop.core.model import Snapshot


LOOK_AGAIN_MS = 60_000
"""An unchanged state is judged again after this long at the latest, or when its judgement is expected to change."""


class Alarm:
    """Gives notices without a dashboard; keeps the state that it saw last.

    Judging a large state takes a tenth of a second: it is done for a new snapshot, and when time alone may change the
    judgement.
    """

    def __init__(self, tell: Callable[[str], None], blocked_minutes: float) -> None:
        self._tell = tell
        self._blocked_ms = round(blocked_minutes * 60_000)
        self._before: NoticeState | None = None
        self._seen: Snapshot | None = None
        self._due = 0

    def is_due(self, snapshot: Snapshot, now: int) -> bool:
        """Whether another look may find a difference; `now` in ms since the epoch."""
        at = self._before.at if self._before is not None else now
        return snapshot is not self._seen or now >= self._due or not at <= now < at + LOOK_AGAIN_MS

    def look(self, snapshot: Snapshot, now: int) -> None:
        """Compare with the last look, if it is due; `now` in ms since the epoch."""
        from clawtop.core.health.judgement import judge
        from clawtop.core.incident.notices import next_due, notice_state, notices

        if not self.is_due(snapshot, now):
            return
        health = judge(snapshot, now)
        after = notice_state(snapshot, now, health)
        told = notices(self._before, after, self._blocked_ms)
        ends = (health.changes_at, next_due(after, self._blocked_ms))
        self._before, self._seen = after, snapshot
        self._due = min((at for at in ends if at is not None), default=now + LOOK_AGAIN_MS)
        if told:
            self._tell(" · ".join(told))


def alarm_of(args: argparse.Namespace) -> Alarm | None:
    """The alarm that runs `on_notice`; None without one. Raises UsageError."""
    from clawtop.cli.common import notice_hook

    tell = notice_hook(args)
    return None if tell is None else Alarm(tell, args.settings["limits.blocked_minutes"])
