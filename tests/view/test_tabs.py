"""The line of screens: what it claims of failed calls, it knows."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC

import pytest

from clawtop.core.model import Event, EventKind, Profile, Snapshot, UsageStats
from clawtop.view.columns import Env
from clawtop.view.facts import Facts
from clawtop.view.line import text_of
from clawtop.view.tabs import failure_rate
from tests.support.worlds import CALM, MINUTE, NOW


def told(*minutes_ago: int, log: bool = True, source: str = "gateway-log") -> Snapshot:
    """A calm state with routine events so many minutes ago, and a log that is followed or not."""
    events = tuple(Event(NOW - m * MINUTE, EventKind.GATEWAY, source, "all is well") for m in minutes_ago)
    return with_failure(replace(CALM, events=events, log_paths=("/tmp/openclaw/a.log",) if log else ()), None)


def with_failure(snapshot: Snapshot, minutes_ago: int | None) -> Snapshot:
    """The same with this last failure at each profile."""

    def failed(profile: Profile) -> Profile:
        at = None if minutes_ago is None else NOW - minutes_ago * MINUTE
        return replace(profile, stats=replace(profile.stats or UsageStats(), last_failure_at=at))

    return replace(
        snapshot,
        agents=tuple(
            replace(a, store=replace(a.store, profiles=tuple(failed(p) for p in a.store.profiles)))
            if a.store is not None
            else a
            for a in snapshot.agents
        ),
    )


@pytest.mark.parametrize(
    ("snapshot", "said"),
    [
        (told(45, 3), "no failed calls in 20m "),
        (told(20, 3), "no failed calls in 20m "),
        (told(7, 3), "no failed calls since 03:05 "),
        (told(0), "no failed calls since 03:12 "),
        (told(), ""),
        (told(45, 3, log=False), ""),
        (told(45, 3, source="snapshot"), ""),
        (with_failure(told(45, 3), 3), ""),
        (with_failure(told(45, 3), 19), ""),
        (with_failure(told(45, 3), 21), "no failed calls in 20m "),
        (with_failure(told(7), 12), "no failed calls since 03:05 "),
    ],
)
def test_no_failed_call_is_claimed_only_for_as_long_as_it_is_known(snapshot: Snapshot, said: str) -> None:
    assert text_of(failure_rate(Env(Facts(snapshot, NOW), NOW, UTC))) == said
