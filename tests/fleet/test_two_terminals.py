"""One host in two terminals: opened from the fleet in one, by its own dashboard or its command line in the other."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.fleet.far_hosts import container_command
from tests.support.samples import copy, sample
from tests.support.terminals import OVERVIEW, Terminal, clawtop, open_terminal

COLUMNS, LINES = 120, 36
PROFILE = "fakeai:two"
COOLING, USABLE = r"two\s+◐ cooling", r"two\s+● usable"


class Hosts:
    """Two hosts on which one account cools, as containers."""

    def __init__(self, root: Path) -> None:
        self.states = {name: copy(sample("2026.5.20", "healthy"), root / name).state_dir for name in ("alpha", "beta")}
        for state in self.states.values():
            path = self._auth_state(state)
            document = json.loads(path.read_text())
            entry = {"cooldownUntil": 4_000_000_000_000, "cooldownReason": "rate_limit", "errorCount": 1}
            document.setdefault("usageStats", {})[PROFILE] = entry
            path.write_text(json.dumps(document))
        self.transport = container_command(root, self.states)

    @staticmethod
    def _auth_state(state: Path) -> Path:
        return state / "agents/main/agent/auth-state.json"

    def cools(self, name: str) -> bool:
        document = json.loads(self._auth_state(self.states[name]).read_text())
        return bool(document["usageStats"].get(PROFILE, {}).get("cooldownUntil"))

    def ended(self, name: str) -> list[str]:
        """The outcomes in the host's journal."""
        path = self.states[name] / "clawtop/journal.jsonl"
        lines: list[dict[str, Any]] = [json.loads(line) for line in path.read_text().splitlines()]
        return [line["data"]["outcome"] for line in lines if line["kind"] == "operation"]

    def own(self, name: str) -> list[str]:
        """The command line of the host's own dashboard."""
        return clawtop(*OVERVIEW, "--state-dir", str(self.states[name]))

    def clear(self, name: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*clawtop("clear", PROFILE, "--yes", "--json"), "--state-dir", str(self.states[name])],
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
            env=dict(os.environ),
        )


@pytest.fixture
def hosts(tmp_path: Path) -> Hosts:
    return Hosts(tmp_path)


@pytest.fixture
def terminals() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def shows(terminal: Terminal, *patterns: str) -> None:
    """Wait until all of them are on the screen."""
    terminal.wait_for(lambda now: all(re.search(pattern, now.text) for pattern in patterns))


def open_fleet(terminals: ExitStack, hosts: Hosts) -> Terminal:
    words = [word for name in hosts.states for word in ("--host", name)]
    near = terminals.enter_context(
        open_terminal(clawtop(*words, "--transport", hosts.transport), columns=COLUMNS, lines=LINES)
    )
    shows(near, r"2 hosts: ", r"▌alpha +\S+ \w+ +3/4", r"beta +\S+ \w+ +3/4")
    return near


def open_host(near: Terminal) -> None:
    """Of the row under the cursor, at the account that cools."""
    near.send("\r")
    shows(near, "READ-ONLY")
    near.send("1")
    shows(near, "▸Overview", COOLING)
    near.send("/two\r")
    shows(near, "PROFILES 1 of 4", "▌ +" + r"\d " + COOLING)


def test_a_clear_from_the_fleet_is_seen_by_the_hosts_own_dashboard(hosts: Hosts, terminals: ExitStack) -> None:
    near = open_fleet(terminals, hosts)
    own = terminals.enter_context(open_terminal(hosts.own("alpha"), columns=COLUMNS, lines=LINES))
    shows(own, COOLING, "READ-ONLY")
    open_host(near)
    shows(near, "clawtop  alpha ")
    near.send("a")
    shows(near, "ARMED")
    near.send("c")
    shows(near, "Clear cooldown  preview", "plan id")
    near.send("y")
    shows(near, USABLE)
    shows(own, USABLE, "READ-ONLY")
    assert (hosts.ended("alpha"), hosts.cools("alpha"), hosts.cools("beta")) == (["done"], False, True)
    near.send("q")
    shows(near, r"▌alpha +\S+ \w+ +4/4")
    near.send("j")
    shows(near, "▌beta")
    open_host(near)
    shows(near, "clawtop  beta ")
    near.send("c")
    shows(near, "READ-ONLY: press a to arm", COOLING)
    assert "preview" not in near.text


def test_a_clear_on_the_host_is_seen_by_the_dashboard_from_the_fleet_and_is_the_only_one(
    hosts: Hosts, terminals: ExitStack
) -> None:
    near = open_fleet(terminals, hosts)
    open_host(near)
    near.send("a")
    shows(near, "ARMED")
    near.send("c")
    shows(near, "Clear cooldown  preview", "plan id")
    done = hosts.clear("alpha")
    assert done.returncode == 0, done.stderr
    near.send("y")
    changed = r"[Tt]he state (of alpha )?has changed since this"  # said by this dashboard, or by the host
    shows(near, changed, "nothing was changed", USABLE)
    assert (hosts.ended("alpha"), hosts.cools("alpha")) == (["done"], False)
