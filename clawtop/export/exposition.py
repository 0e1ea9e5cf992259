"""Metrics in Prometheus' text format, as text or over HTTP."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, generate_latest, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from clawtop.clock import Clock
from clawtop.core.model import Snapshot
from clawtop.errors import OperationFailedError
from clawtop.export import families, metrics
from clawtop.export.counts import EventCounts
from clawtop.export.families import Distribution, MetricType, Sample
from clawtop.export.gauges import gauges, providers_of
from clawtop.redaction import masked
from clawtop.text import safe

LABEL_LENGTH = 120
MAX_SHOWN = 10_000
"""Label values that are remembered as they are shown; beyond these all are forgotten."""


class Exporter(Collector):
    """The newest snapshot as a collector: gauges are computed at the scrape, counters as events come.

    `take` and `failed` may be called by another thread than the scrapes; the lock guards all mutable state.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._snapshot: Snapshot | None = None
        self._spooled = 0
        self._read_at: float | None = None
        self._counts = EventCounts()
        self._shown = _ShownLabels()
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def take(self, snapshot: Snapshot, spooled_marks: int = 0) -> None:
        """A new snapshot."""
        with self._lock:
            self._snapshot, self._spooled = snapshot, spooled_marks
            if len(self._shown) > MAX_SHOWN:
                self._shown = _ShownLabels()
            self._read_at = self._clock.monotonic()
            self._counts.take(snapshot.events, providers_of(snapshot))

    def seen(self) -> None:
        """The state was read, and nothing in it had changed."""
        with self._lock:
            self._read_at = self._clock.monotonic()

    def failed(self) -> None:
        """A read failed: the last data is still exported, and its age shows it."""
        with self._lock:
            self._counts.failed_read()

    def text(self) -> bytes:
        """The exposition."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Called by `prometheus-client` at each scrape."""
        with self._lock:
            snapshot, read_at, shown = self._snapshot, self._read_at, self._shown
            found: list[Sample] = list(self._counts.samples())
            waits = self._counts.distributions()
            found.append(Sample(metrics.MARKS_SPOOLED, (), self._spooled))
        if read_at is not None:
            found.append(Sample(metrics.READ_AGE, (), max(0.0, self._clock.monotonic() - read_at)))
        if snapshot is not None:
            now = snapshot.present(self._clock.now_ms())
            found += gauges(snapshot, now)
        by_metric: dict[families.Metric, list[Sample]] = {}
        for sample in found:
            by_metric.setdefault(sample.metric, []).append(sample)
        for metric in metrics.METRICS:
            if metric.type is MetricType.HISTOGRAM:
                yield _histogram(metric, [wait for wait in waits if wait.metric is metric], shown)
            elif metric in by_metric:
                yield _family(metric, by_metric[metric], shown)

    def serve(self, address: str, port: int) -> WSGIServer:
        """Answer scrapes at `http://address:port/metrics` in daemon threads.

        Raises OperationFailedError if the port is not available.
        """
        try:
            server, _thread = start_http_server(port, address, self._registry)
        except (OSError, OverflowError, socket.gaierror) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise OperationFailedError(
                f"cannot listen on {safe(address, 80)}:{port}: {why}",
                hint="name another port with --listen ADDRESS:PORT",
                unchanged="nothing is exported",
            ) from error
        return server


class _ShownLabels(dict[str, str]):
    """Label values as they are shown: an id appears in many series, and in every scrape.

    Ids that are shown alike, since they were cut or masked, get a number: of a series that stands twice, the node
    exporter refuses the whole file.
    """

    def __init__(self) -> None:
        super().__init__()
        self._shown_for: dict[str, str] = {}

    def __missing__(self, value: str) -> str:
        text = shown = safe(masked(value), LABEL_LENGTH)
        number = 1
        while self._shown_for.setdefault(shown, value) != value:
            number += 1
            shown = f"{text}~{number}"
        self[value] = shown
        return shown

    def of(self, values: tuple[str, ...]) -> list[str]:
        return [self[value] for value in values]


def _family(metric: families.Metric, samples: list[Sample], shown: _ShownLabels) -> Metric:
    kind = CounterMetricFamily if metric.type is MetricType.COUNTER else GaugeMetricFamily
    name = metric.full_name.removesuffix("_total") if metric.type is MetricType.COUNTER else metric.full_name
    family = kind(name, metric.help, labels=metric.labels)
    for sample in samples:
        family.add_metric(shown.of(sample.labels), float(sample.value))
    return family


def _histogram(metric: families.Metric, distributions: list[Distribution], shown: _ShownLabels) -> Metric:
    family = HistogramMetricFamily(metric.full_name, metric.help, labels=metric.labels)
    for one in distributions:
        buckets = [(f"{bound:g}", float(count)) for bound, count in one.buckets.items()]
        family.add_metric(shown.of(one.labels), [*buckets, ("+Inf", float(one.count))], one.total)
    return family
