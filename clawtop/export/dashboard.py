"""A Grafana dashboard of what is exported, as JSON to import. Every query names a metric of the table."""

from __future__ import annotations

from typing import Any

from clawtop.export import metrics
from clawtop.export.families import Metric
from clawtop.values import dataclass

WIDTH, HEIGHT = 12, 8


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel: a query on a metric, and how its series are called."""

    title: str
    metric: Metric
    query: str = "{name}"
    legend: str = ""
    unit: str = "short"
    kind: str = "timeseries"


PANELS = (
    Panel("Health (2: bots are silent)", metrics.HEALTH, kind="stat"),
    Panel("Causes", metrics.HEALTH_CAUSE, legend="{{cause}}"),
    Panel(
        "Usable auth profiles", metrics.PROVIDER_USABLE, "sum by (agent, provider) ({name})", "{{agent}} {{provider}}"
    ),
    Panel("Seconds until an agent can answer", metrics.AGENT_BACK, legend="{{agent}}", unit="s"),
    Panel("Profile is back in", metrics.PROFILE_BACK, legend="{{profile}}", unit="s"),
    Panel("Blocked sessions", metrics.BLOCKED, legend="{{agent}}"),
    Panel("Longest wait", metrics.BLOCKED_AGE, legend="{{agent}}", unit="s"),
    Panel("Queued turns by lane", metrics.LANE_QUEUED, "sum by (lane) ({name})", "{{lane}}"),
    Panel(
        "Lane wait p95",
        metrics.LANE_WAIT,
        "histogram_quantile(0.95, sum by (le, lane) (rate({name}_bucket[5m])))",
        "{{lane}}",
        "s",
    ),
    Panel("Takeovers per hour", metrics.TAKEOVERS, "sum by (lane) (increase({name}[1h]))", "{{lane}}"),
    Panel("Failures per minute", metrics.FAILURES, "sum by (reason) (rate({name}[5m]) * 60)", "{{reason}}"),
    Panel("Rotations per minute", metrics.ROTATIONS, "sum by (provider) (rate({name}[5m]) * 60)", "{{provider}}"),
    Panel("Locks by verdict", metrics.LOCKS, "sum by (kind, verdict) ({name})", "{{kind}} {{verdict}}"),
    Panel("Marks that wait on disk", metrics.MARKS_SPOOLED),
    Panel("Age of the last good read", metrics.READ_AGE, unit="s"),
)


def dashboard() -> dict[str, Any]:
    """The dashboard as Grafana imports it; the data source is asked for at import."""
    return {
        "__inputs": [{"name": "DS", "label": "Prometheus", "type": "datasource", "pluginId": "prometheus"}],
        "title": "OpenClaw gateways (clawtop)",
        "uid": "clawtop",
        "schemaVersion": 39,
        "refresh": "15s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {
            "list": [
                {
                    "name": "instance",
                    "type": "query",
                    "datasource": {"type": "prometheus", "uid": "${DS}"},
                    "query": f"label_values({metrics.INFO.full_name}, instance)",
                    "includeAll": True,
                    "multi": True,
                }
            ]
        },
        "panels": [_panel(number, panel) for number, panel in enumerate(PANELS)],
    }


def query_of(panel: Panel) -> str:
    """The panel's PromQL, for the chosen instances."""
    name = panel.metric.full_name
    bucket = f"{name}_bucket"
    chosen = '{instance=~"$instance"}'
    query = panel.query.replace("{name}", name)
    return query.replace(bucket, bucket + chosen) if bucket in query else query.replace(name, name + chosen)


def _panel(number: int, panel: Panel) -> dict[str, Any]:
    column, row = number % 2, number // 2
    return {
        "id": number + 1,
        "title": panel.title,
        "description": panel.metric.help,
        "type": panel.kind,
        "datasource": {"type": "prometheus", "uid": "${DS}"},
        "gridPos": {"x": column * WIDTH, "y": row * HEIGHT, "w": WIDTH, "h": HEIGHT},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": [{"refId": "A", "expr": query_of(panel), "legendFormat": panel.legend or "__auto"}],
    }
