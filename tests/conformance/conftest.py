"""Counts replayed rows and prints them per family at the end of the run."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from tests.conformance.harness import Row, Tally, directory, is_external, tallies


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    callspec = getattr(item, "callspec", None)
    row = callspec.params.get("row") if callspec is not None else None
    if isinstance(row, Row) and (report.when == "call" or report.outcome != "passed"):
        tallies.setdefault((row.family, row.version), Tally()).outcomes[report.outcome] += 1
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not tallies:
        return
    source = str(directory()) if is_external() else "bundled vectors"
    terminalreporter.section(f"conformance rows per family ({source})")
    for (family, version), tally in sorted(tallies.items()):
        terminalreporter.write_line(f"{family:<24} {version:<10} {tally.line}")
    replayed = sum(
        count for tally in tallies.values() for outcome, count in tally.outcomes.items() if outcome != "skipped"
    )
    skipped = sum(tally.outcomes["skipped"] for tally in tallies.values())
    terminalreporter.write_line(f"{replayed} rows replayed, {skipped} families or parts absent")
