"""A part of the dashboard that breaks takes nothing else with it, and what broke is said."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from clawtop.clock import SystemClock
from tests.support.samples import copy, sample
from tests.support.terminals import LEAVE_ALTERNATE, OVERVIEW, open_terminal

FIRST = "fakeai:one"
SECRET = "planted-credential-112233"

PRELUDE = f"""
import sys, os
from pathlib import Path
from clawtop.redaction import remember_secrets
SECRET = {SECRET!r}
remember_secrets([SECRET])
flag = Path(os.environ["FLAG"])
def broken():
    local = SECRET
    if flag.exists():
        raise RuntimeError("it broke: " + local)
"""
BREAKS = {
    "a view's refresh": """
from clawtop.ui.screens.tables import TablesScreen as C
was = C.refresh_time
def refresh_time(self):
    broken()
    was(self)
C.refresh_time = refresh_time
""",
    "the app's tick": """
from clawtop.ui.app import ClawtopApp as C
was = C._tick
def tick(self):
    broken()
    was(self)
C._tick = tick
""",
    "a table's drawing": """
from clawtop.ui.widgets.live_table import LiveTable as C
was = C.render_line
def render_line(self, y):
    broken()
    return was(self, y)
C.render_line = render_line
""",
    "the source": """
from clawtop.engine.live.hub import Hub as C
was = C._annotated
def annotated(self, snapshot):
    broken()
    return was(self, snapshot)
C._annotated = annotated
""",
    "a reader": """
from clawtop.store.snapshot import SnapshotReader as C
was = C._located
def located(self):
    broken()
    return was(self)
C._located = located
""",
}


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    return copy(sample("2026.5.20", "rate-limited"), tmp_path).state_dir


def cool_down(state_dir: Path) -> None:
    """A change that the screen has to show."""
    until = SystemClock().now_ms() + 3_600_000
    stats = {"cooldownUntil": until, "cooldownReason": "rate_limit", "errorCount": 1}
    path = state_dir / "agents" / "main" / "agent" / "auth-state.json"
    path.write_text(json.dumps({"version": 1, "usageStats": {"fakeai:two": stats}}))


@pytest.mark.parametrize("name", BREAKS)
def test_the_dashboard_outlives_what_breaks_in_it(name: str, state_dir: Path, tmp_path: Path) -> None:
    code = PRELUDE + BREAKS[name] + "from clawtop.__main__ import main\nmain()\n"
    flag = tmp_path / "flag"
    reports = tmp_path / "reports"
    reports.mkdir()
    environment = {"FLAG": str(flag), "TMPDIR": str(reports)}
    argv = [sys.executable, "-c", code, *OVERVIEW, "--state-dir", str(state_dir)]
    with open_terminal(argv, environment=environment) as terminal:
        terminal.wait_for(FIRST)
        flag.touch()
        os.utime(state_dir / "agents" / "main" / "agent" / "auth-state.json")
        terminal.send("j")  # something must be drawn
        terminal.wait_for(lambda _: bool(list(reports.iterdir())))
        flag.unlink()
        cool_down(state_dir)
        terminal.wait_for("cooling")
        terminal.send("q")
        assert terminal.exit_code() == 0
        assert LEAVE_ALTERNATE in terminal.raw
        assert b"Traceback" not in terminal.raw
        assert SECRET.encode() not in terminal.raw
    for report in reports.iterdir():
        assert SECRET not in report.read_text()
        assert "RuntimeError" in report.read_text()


def test_a_read_that_never_returns_keeps_nobody(state_dir: Path, tmp_path: Path) -> None:
    """What is shown is said to be old, and why; q gives the terminal back at once."""
    code = (
        PRELUDE
        + """
import threading
from clawtop.engine.live import hub
hub.READ_DEADLINE = 0.5
from clawtop.store.snapshot import SnapshotReader as C
was = C._wanted_agents
def wanted(self, layout):
    if flag.exists():
        threading.Event().wait()
    return was(self, layout)
C._wanted_agents = wanted
from clawtop.__main__ import main
main()
"""
    )
    flag = tmp_path / "flag"
    argv = [sys.executable, "-c", code, *OVERVIEW, "--state-dir", str(state_dir)]
    with open_terminal(argv, environment={"FLAG": str(flag)}) as terminal:
        terminal.wait_for(FIRST)
        flag.touch()
        os.utime(state_dir / "agents" / "main" / "agent" / "auth-state.json")
        terminal.wait_for("no answer for")
        terminal.wait_for(lambda t: "s ago" in t.text and FIRST in t.text)
        terminal.send("q")
        assert terminal.exit_code(2) == 0
        assert LEAVE_ALTERNATE in terminal.raw
