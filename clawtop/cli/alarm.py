"""Notices where there is no dashboard: the operator's `on_notice` command, run by verbs that keep looking."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clawtop.core.incident.notices import NoticeState
    from clawtop.core.model import Snapshot


class Alarm:
    """Gives notices without a dashboard; keeps the state that it saw last."""

    def __init__(self, tell: Callable[[str], None], blocked_minutes: float) -> None:
        self._tell = tell
        self._blocked_ms = round(blocked_minutes * 60_000)
        self._before: NoticeState | None = None

    def look(self, snapshot: Snapshot, now: int) -> None:
        """Compare with the last look; `now` in ms since the epoch."""
        from clawtop.core.health.judgement import judge
        from clawtop.core.incident.notices import notice_state, notices

        after = notice_state(snapshot, now, judge(snapshot, now))
        told = notices(self._before, after, self._blocked_ms)
        self._before = after
        if told:
            self._tell(" · ".join(told))


def alarm_of(args: argparse.Namespace) -> Alarm | None:
    """What runs `on_notice`; None without one. Raises UsageError."""
    from clawtop.cli.common import notice_hook

    tell = notice_hook(args)
    return None if tell is None else Alarm(tell, args.settings["limits.blocked_minutes"])
