"""What the first line says of findings that have no cause of their own: their number, and the first one whole."""

from __future__ import annotations

from dataclasses import replace

import pytest

from clawtop.core.health.judgement import judge
from clawtop.core.model import Problem
from tests.support.worlds import CALM, NOW

SILENT = "has not answered since 10:00:00: a disk or a mount that hangs; nothing is known about it"
QUIET = replace(CALM, warnings=(), sessions=())


@pytest.mark.parametrize(
    ("where", "start"),
    [
        (f"{QUIET.state_dir}/agents/main/sessions", f"agents/main/sessions: {SILENT}"),
        ("/somewhere/else/openclaw.json", f"/somewhere/else/openclaw.json: {SILENT}"),
        ("agent:work:telegram:direct:7", f"telegram:direct:7: {SILENT}"),
        ("", SILENT),
        ("/long/" * 40 + "openclaw.json", "/long/"),
        ("\x1b[2Jx", "\\x1b[2Jx: has"),
    ],
)
def test_a_finding_is_told_with_what_it_is_about(where: str, start: str) -> None:
    world = replace(QUIET, warnings=(Problem("no-answer", where, SILENT),))
    (cause,) = (found for found in judge(world, NOW).causes if found.code == "problems")
    assert cause.text.startswith(f"1 finding: {start}")
    assert "has not answered since" in cause.text
    assert len(cause.text) <= 200
