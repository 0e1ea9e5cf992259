"""Alert rules and dashboard name only what is exported, and fire on the incidents they are for."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path

import pytest

from clawtop.export.dashboard import PANELS, dashboard, query_of
from clawtop.export.families import MetricType
from clawtop.export.metrics import METRICS

RULES = files("clawtop.export").joinpath("rules.yml").read_text(encoding="utf-8")
CASES = Path(__file__).with_name("rules_test.yml")
NAMES = {metric.full_name for metric in METRICS} | {
    f"{metric.full_name}_{part}"
    for metric in METRICS
    if metric.type is MetricType.HISTOGRAM
    for part in ("bucket", "sum", "count")
}


def _named(text: str) -> set[str]:
    return set(re.findall(r"\bclawtop_\w+", text))


def test_every_rule_names_an_exported_metric() -> None:
    expressions = re.findall(r"^\s+expr: (.+)$", RULES, re.MULTILINE)
    assert len(expressions) == RULES.count("- alert:")
    for expression in expressions:
        assert _named(expression)
        assert _named(expression) <= NAMES


def test_every_query_of_the_dashboard_names_an_exported_metric() -> None:
    for panel in PANELS:
        assert _named(query_of(panel)) <= NAMES
        assert 'instance=~"$instance"' in query_of(panel)
    board = dashboard()
    assert json.loads(json.dumps(board)) == board
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in board["panels"]]
    assert len(set(places)) == len(PANELS)


def test_metrics_follow_the_conventions() -> None:
    for metric in METRICS:
        assert metric.full_name.endswith("_total") == (metric.type is MetricType.COUNTER)
        assert not {"session", "run_id", "key"} & set(metric.labels), "ids of traffic are no labels"
        assert metric.help.endswith(".")
    assert len(NAMES) >= len(METRICS)


def test_promtool_accepts_the_rules_and_they_fire(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian: prometheus)")
    (tmp_path / "rules.yml").write_text(RULES)
    shutil.copy(CASES, tmp_path)
    for words in (["check", "rules", "rules.yml"], ["test", "rules", CASES.name]):
        done = subprocess.run([promtool, *words], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_case_that_fires() -> None:
    cases = CASES.read_text()
    for name in re.findall(r"- alert: (\w+)", RULES):
        assert re.search(rf"alertname: {name}\s+exp_alerts:\s+- exp_labels", cases), name
