"""The operator's own command is told of what happens on the hosts of a fleet, whichever screen is open."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

from tests.fleet.far_hosts import container_command
from tests.support.states_made import StateDir
from tests.support.terminals import Terminal, clawtop, open_terminal

COOLING = {"cooldownUntil": 4_000_000_000_000, "cooldownReason": "rate_limit"}


def test_on_notice_runs_with_the_hosts_name_beside_the_fleet_and_beside_an_opened_host(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    state.state(usageStats={})
    transport = container_command(tmp_path, {"reef": state.path})
    told = tmp_path / "told"
    program = f"import sys; open({str(told)!r}, 'a').write(sys.argv[1] + chr(10))"
    hook = {"CLAWTOP_ON_NOTICE": shlex.join([sys.executable, "-c", program])}
    command = clawtop("--host", "reef", "--transport", transport)
    with open_terminal(command, columns=120, lines=30, environment=hook) as near:
        shows(near, r"▌reef +\S+ \w+ +1/1")
        state.state(usageStats={"fakeai:one": COOLING})
        near.wait_for(lambda _now: told.exists() and told.read_text() == "reef: nothing is usable for any agent\n")
        near.send("\r")
        shows(near, "READ-ONLY", "Overview")
        state.state(usageStats={})
        near.wait_for(lambda _now: "reef: no longer silent" in told.read_text())


def shows(terminal: Terminal, *patterns: str) -> None:
    """Wait until all of them are on the screen."""
    terminal.wait_for(lambda now: all(re.search(pattern, now.text) for pattern in patterns))
