"""What a metric is, independent of Prometheus' format."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from clawtop.values import dataclass

PREFIX = "clawtop_"


class MetricType(StrEnum):
    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric that clawtop exports; its place in `METRICS` is its documentation.

    Attributes:
        name: by Prometheus' conventions: base units, `_total` for counters, without the prefix.
        labels: names of its labels; values are bounded by the configuration, never by traffic.
    """

    name: str
    type: MetricType
    help: str
    labels: tuple[str, ...] = ()

    @property
    def full_name(self) -> str:
        return PREFIX + self.name


@dataclass(frozen=True, slots=True)
class Sample:
    """A value of a metric, with one value for each of its labels."""

    metric: Metric
    labels: tuple[str, ...]
    value: float


@dataclass(frozen=True, slots=True)
class Distribution:
    """What a histogram has counted: the number of values up to each bound (cumulative), and their sum."""

    metric: Metric
    labels: tuple[str, ...]
    buckets: Mapping[float, int]
    count: int
    total: float
