"""Counts replayed rows, and prints them per family at the end of a run, also of one in several processes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from typing import Any

import pytest

from tests.conformance.harness import Row, Rows, directory, is_external

KEY = "conformance rows"
"""The property of a report that carries [family, version, {outcome: rows}] from the process that ran the test."""

_tallies: dict[tuple[str, str], Counter[str]] = {}
"""(family, version) -> rows per outcome, of this run."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    given = getattr(item, "callspec", None)
    if given is not None and (report.when == "call" or report.outcome != "passed"):
        for replayed in given.params.values():
            if isinstance(replayed, Row | Rows):
                report.user_properties.append((KEY, [replayed.family, replayed.version, _outcomes(replayed, report)]))
    return report


def _outcomes(replayed: Row | Rows, report: pytest.TestReport) -> dict[str, int]:
    if isinstance(replayed, Row) or not replayed.rows:
        return {report.outcome: 1}
    if report.when != "call":
        return {report.outcome: len(replayed.rows)}
    return {"passed": len(replayed.rows) - replayed.wrong, "failed": replayed.wrong}


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    for name, value in report.user_properties:
        if name == KEY:
            told: Any = value
            family, version, outcomes = told
            _tallies.setdefault((family, version), Counter()).update(outcomes)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not _tallies:
        return
    source = str(directory()) if is_external() else "bundled vectors"
    terminalreporter.section(f"conformance rows per family ({source})")
    for (family, version), tally in sorted(_tallies.items()):
        told = ", ".join(f"{count} {outcome}" for outcome, count in sorted(tally.items()) if count)
        terminalreporter.write_line(f"{family:<24} {version:<10} {told}")
    replayed = sum(tally["passed"] + tally["failed"] for tally in _tallies.values())
    skipped = sum(tally["skipped"] for tally in _tallies.values())
    terminalreporter.write_line(f"{replayed} rows replayed, {skipped} families or parts absent")
