"""A clawtop killed at any instant: the store parses, nothing of it is lost, and OpenClaw gets its lock again."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.interop.openclaw_install import OpenClaw
from tests.interop.talker import Talker
from tests.support.stores import make_state_dir

pytestmark = pytest.mark.interop

KILLS = {"A": 100, "B": 300}
SEED = 57_281
LONGEST_LIFE_S = 0.06


@pytest.fixture(params=["A", "B"])
def generation(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def agent(tmp_path: Path, generation: str) -> Path:
    """A store with things in it that clawtop does not know."""
    place = make_state_dir(tmp_path, generation) / "agents/main/agent"
    for path in place.glob("auth-*.json"):
        content = json.loads(path.read_text())
        content["later"] = {"unknown": ["\ud800", 1.5, None]}
        if "usageStats" in content:
            content["usageStats"]["fakeai:one"]["novel"] = "kept"
        path.write_text(json.dumps(content))
    return place


@pytest.fixture
def forker(agent: Path, generation: str) -> Iterator[Talker]:
    talker = Talker([sys.executable, "-m", "tests.interop.crash_writer", str(agent), generation])
    try:
        yield talker
    finally:
        talker.stop()


@pytest.fixture
def node(openclaw: OpenClaw, agent: Path) -> Iterator[Talker]:
    talker = Talker(openclaw.script("holder.mjs", str(agent / "auth-profiles.json")))
    try:
        yield talker
    finally:
        talker.stop()


def test_killed_at_random_points(forker: Talker, node: Talker, agent: Path, generation: str) -> None:
    lives = random.Random(SEED)
    state = agent / {"A": "auth-profiles.json", "B": "auth-state.json"}[generation]
    constant = _without_count(json.loads(state.read_text()))
    credentials = json.loads((agent / "auth-profiles.json").read_text())["profiles"]
    counted, locked = 0, 0
    for _ in range(KILLS[generation]):
        pid = int(forker.ask("go"))
        time.sleep(lives.uniform(0, LONGEST_LIFE_S))
        os.kill(pid, signal.SIGKILL)
        assert forker.ask("reap") == "reaped"
        locked += (agent / "auth-profiles.json.lock").exists()

        document = json.loads(state.read_text())
        count = document["usageStats"]["fakeai:one"]["errorCount"]
        assert count >= counted
        counted = count
        assert _without_count(document) == constant
        assert json.loads((agent / "auth-profiles.json").read_text())["profiles"] == credentials
        assert node.ask("try") == "held"
        assert node.ask("drop") == "dropped"
    assert counted > KILLS[generation] // 2
    assert locked > KILLS[generation] // 20


def _without_count(document: dict[str, Any]) -> dict[str, Any]:
    document["usageStats"]["fakeai:one"]["errorCount"] = None
    return document
