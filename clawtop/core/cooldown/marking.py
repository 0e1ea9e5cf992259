"""What runs learned about auth profiles, merged into statistics that may have changed since.

A mark carries the time of the event, not the time at which it is written. So a mark that waited for the store's lock
neither prolongs a cooldown nor undoes what came after it (thread 57281: rotate first, mark later).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from clawtop.core.cooldown.stats import Schedule, on_failure, on_success
from clawtop.core.model import UsageStats
from clawtop.values import dataclass


@dataclass(frozen=True, slots=True)
class Mark:
    """One failure or success of one profile.

    Attributes:
        agent: the agent whose store owns the profile.
        at: when it happened, ms since the epoch.
        reason: why it failed; None for a success.
        model: the model that was asked.
        maybe_landed: it may already be on disk (its process ended during the write, or the disk was read around that
            time): check before counting it again.
    """

    agent: str
    profile: str
    provider: str
    at: int
    reason: str | None
    model: str | None = None
    run_id: str | None = None
    maybe_landed: bool = False

    @property
    def success(self) -> bool:
        return self.reason is None


@dataclass(frozen=True, slots=True)
class Merged:
    """Statistics with marks merged in, and the failures that a later success made irrelevant."""

    stats: UsageStats
    overtaken: tuple[Mark, ...] = ()


def merge(stats: UsageStats, marks: Iterable[Mark], schedule: Schedule) -> Merged:
    """`stats` of one profile after applying `marks`, in the order they happened."""
    ordered = sorted(marks, key=lambda mark: mark.at)
    newest_success = max((mark.at for mark in ordered if mark.success), default=0)
    overtaken: list[Mark] = []
    for mark in ordered:
        if mark.success:
            stats = _succeeded(stats, mark, schedule)
        elif mark.at < max(newest_success, stats.last_used or 0):
            overtaken.append(mark)
        elif not (mark.maybe_landed and stats.last_failure_at == mark.at):
            stats = _failed(stats, mark, mark.reason or "", schedule)
    return Merged(stats, tuple(overtaken))


def _succeeded(stats: UsageStats, mark: Mark, schedule: Schedule) -> UsageStats:
    """A success ends windows of failures before it; a later failure stays."""
    last_used = max(stats.last_used or 0, mark.at)
    if (stats.last_failure_at or 0) > mark.at:
        return replace(stats, last_used=last_used)
    return replace(on_success(stats, mark.at, schedule), last_used=last_used)


def _failed(stats: UsageStats, mark: Mark, reason: str, schedule: Schedule) -> UsageStats:
    after = on_failure(stats, reason, mark.at, schedule, model=mark.model)
    return replace(after, last_failure_at=max(after.last_failure_at or 0, stats.last_failure_at or 0))
