"""The line of `clawtop status --check` hides no cause."""

from __future__ import annotations

from dataclasses import replace

from clawtop.core.health.judgement import judge
from clawtop.view.check import MOST_TOLD, check_line
from tests.support.worlds import INCIDENT, NOW


def test_every_cause_is_told_or_named() -> None:
    health = judge(INCIDENT, NOW)
    assert len(health.causes) > 1
    many = replace(health, causes=health.causes * (MOST_TOLD + 1))
    line = check_line(many)
    assert all(cause.text in line for cause in many.causes[:MOST_TOLD])
    assert all(cause.code in line for cause in many.causes[MOST_TOLD:])
    few = replace(health, causes=health.causes[:2])
    assert check_line(few).endswith("; ".join(cause.text for cause in few.causes))
