"""The lane metrics of a gateway's diagnostics plugin, as Prometheus text (docs of 2026.5.20)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field

from clawtop.core.model import LaneStats
from clawtop.core.session.lanes import classify_lane
from clawtop.patterns import regex
from clawtop.values import dataclass

SOURCE = "gateway-metrics"

_SAMPLE = regex(r"^(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(?P<labels>[^}]*)\})?\s+(?P<value>\S+)")
_LABEL = regex(r'(?<!\w)(?P<key>[a-zA-Z_]\w*)="(?P<value>(?:[^"\\]|\\.)*+)(?:"|\\?\Z)')


@dataclass(frozen=True, slots=True)
class MetricLine:
    """One line of the exposition format."""

    name: str
    labels: Mapping[str, str]
    value: float


def samples(text: str) -> Iterable[MetricLine]:
    """The samples of an exposition; lines that are not samples are left out."""
    for line in text.splitlines():
        match = _SAMPLE.match(line)
        if match is None:
            continue
        try:
            value = float(match["value"])
        except ValueError:
            continue
        labels = {label["key"]: label["value"] for label in _LABEL.finditer(match["labels"] or "")}
        yield MetricLine(match["name"], labels, value)


@dataclass(slots=True)
class _LaneMetrics:
    queued: int | None = None
    buckets: dict[float, float] = field(default_factory=dict)


def lanes_of_metrics(text: str) -> tuple[LaneStats, ...]:
    """Queue size and wait percentiles of each lane. Waits are the upper bounds of the histogram's buckets, in ms."""
    found: dict[str, _LaneMetrics] = {}
    for sample in samples(text):
        name = sample.labels.get("lane")
        if name is None:
            continue
        if sample.name == "openclaw_queue_lane_size" and 0 <= sample.value < float("inf"):
            found.setdefault(name, _LaneMetrics()).queued = int(sample.value)
        elif sample.name == "openclaw_queue_lane_wait_seconds_bucket":
            try:
                bound = float(sample.labels.get("le", ""))
            except ValueError:
                continue
            found.setdefault(name, _LaneMetrics()).buckets[bound] = sample.value
    return tuple(
        LaneStats(
            lane=name,
            lane_class=classify_lane(name),
            source=SOURCE,
            queued=lane.queued,
            wait_p50_ms=_quantile(lane.buckets, 0.5),
            wait_p95_ms=_quantile(lane.buckets, 0.95),
        )
        for name, lane in sorted(found.items())
    )


def _quantile(buckets: Mapping[float, float], share: float) -> int | None:
    """The upper bound, in ms, of the quantile's bucket; the last finite one for anything above it."""
    finite = [bound for bound in buckets if bound != float("inf")]
    total = max(buckets.values(), default=0.0)
    if not finite or not total > 0:
        return None
    holding = next(bound for bound in sorted(buckets) if buckets[bound] >= share * total)
    return round(min(holding, max(finite)) * 1000)
