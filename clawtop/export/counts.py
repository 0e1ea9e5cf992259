"""Counters over events: each event counts once, however often a snapshot shows it again."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from clawtop.core.incident.lane_stats import class_of_event
from clawtop.core.model import Event, EventKind, FailureReason, TurnOutcome
from clawtop.export import metrics
from clawtop.export.families import Distribution, Metric, Sample
from clawtop.nested import among

WAIT_BUCKETS = (0.01, 0.05, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Upper bounds in seconds; OpenClaw warns of waits over 2 s."""

OTHER = "other"
_REASONS = frozenset(map(str, FailureReason))
_HOW: Mapping[str, str] = {how: how for how in ("reply", "failed", "timeout", "cancelled", "coordination")} | {
    TurnOutcome.ANSWERED: "reply",
    TurnOutcome.SILENT: "reply",
    TurnOutcome.TOLD: "reply",
    TurnOutcome.FAILED: "failed",
    TurnOutcome.HUNG: "failed",
    TurnOutcome.TIMED_OUT: "timeout",
    TurnOutcome.STOPPED: "cancelled",
    TurnOutcome.DROPPED: "coordination",
}
"""How a turn of clawtop's engines or OpenClaw ended -> how it is counted."""
_MARK_STATES = frozenset({"landed", "overtaken", "pending"})
_WAITS = frozenset({EventKind.ACQUIRE, EventKind.LANE})
_CONTENDED = frozenset({EventKind.CONTENDED, EventKind.WAIT})


@dataclass(slots=True)
class EventCounts:
    """The counts so far. `take` is called with the events of each snapshot, by one thread at a time.

    Providers that the configuration does not know are counted as "other", so that no label follows traffic.
    """

    _series: Counter[tuple[Metric, tuple[str, ...]]] = field(default_factory=Counter)
    _waits: dict[str, list[int]] = field(default_factory=dict)
    _wait_sums: Counter[str] = field(default_factory=Counter)
    _seen: frozenset[tuple[object, ...]] = frozenset()

    def take(self, events: Iterable[Event], providers: frozenset[str]) -> None:
        """Count the events that are new since the last call."""
        identities = {_identity(event): event for event in events}
        for identity, event in identities.items():
            if identity not in self._seen:
                self._count(event, providers)
        self._seen = frozenset(identities)

    def failed_read(self) -> None:
        """A read of the state failed."""
        self._series[metrics.READ_FAILURES, ()] += 1

    def samples(self) -> tuple[Sample, ...]:
        """Every counter that has counted something; failed reads always."""
        found = {(metrics.READ_FAILURES, ()): 0, **self._series}
        return tuple(Sample(metric, labels, value) for (metric, labels), value in found.items())

    def distributions(self) -> tuple[Distribution, ...]:
        """The waits by lane class."""
        return tuple(
            Distribution(metrics.LANE_WAIT, (lane,), _cumulative(counts), sum(counts), self._wait_sums[lane] / 1000)
            for lane, counts in self._waits.items()
        )

    def _count(self, event: Event, providers: frozenset[str]) -> None:
        provider = event.provider if event.provider in providers else OTHER
        lane = class_of_event(event)
        match event.kind:
            case EventKind.TAKEOVER:
                self._series[metrics.TAKEOVERS, (lane,)] += 1
            case EventKind.ROTATE:
                self._series[metrics.ROTATIONS, (provider,)] += 1
            case EventKind.FALLBACK:
                self._series[metrics.FALLBACKS, (provider,)] += 1
            case EventKind.FAILURE:
                reason = event.reason if event.reason in _REASONS else OTHER
                self._series[metrics.FAILURES, (provider, reason)] += 1
            case EventKind.MARK_LOST:
                self._series[metrics.MARKS, ("lost",)] += 1
            case EventKind.MARK if among(event.data.get("state"), _MARK_STATES):
                self._series[metrics.MARKS, (str(event.data["state"]),)] += 1
            case EventKind.RUN_END if "outcome" in event.data:  # a log line reports an end, but not how
                self._series[metrics.TURNS, (_HOW.get(str(event.data["outcome"]), OTHER),)] += 1
            case _:
                pass
        if event.kind in _CONTENDED:
            self._series[metrics.COLLISIONS, (lane,)] += 1
        if event.kind in _WAITS and event.duration_ms is not None:
            self._wait(lane, event.duration_ms)

    def _wait(self, lane: str, milliseconds: int) -> None:
        counts = self._waits.setdefault(lane, [0] * (len(WAIT_BUCKETS) + 1))
        counts[bisect_left(WAIT_BUCKETS, milliseconds / 1000)] += 1
        self._wait_sums[lane] += milliseconds


def _cumulative(counts: list[int]) -> Mapping[float, int]:
    upto, found = 0, dict[float, int]()
    for bound, count in zip(WAIT_BUCKETS, counts, strict=False):
        upto += count
        found[bound] = upto
    return found


def _identity(event: Event) -> tuple[object, ...]:
    return (event.at, event.kind, event.source, event.text, event.run_id, event.lane)
