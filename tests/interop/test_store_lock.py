"""OpenClaw's lock and ours exclude each other, both ways, and no update of either side is lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import filelock
import pytest

from clawtop.core.model import Generation
from clawtop.errors import LockNotObtainedError
from clawtop.store.auth.lock import AuthStoreLock, Hold
from clawtop.store.auth.machine import Machine
from tests.interop.openclaw_install import OpenClaw
from tests.interop.talker import ROOT, Talker
from tests.support.stores import auth_state, make_state_dir

pytestmark = pytest.mark.interop


@pytest.fixture
def agent(tmp_path: Path) -> Path:
    return make_state_dir(tmp_path) / "agents/main/agent"


@pytest.fixture
def node(openclaw: OpenClaw, agent: Path) -> Iterator[Talker]:
    talker = Talker(openclaw.script("holder.mjs", str(agent / "auth-profiles.json")))
    try:
        yield talker
    finally:
        talker.stop()


def test_while_openclaw_holds_we_wait_and_name_it(node: Talker, agent: Path) -> None:
    lock = AuthStoreLock(str(agent), Generation.B, Machine())
    assert node.ask("take") == "held"
    with pytest.raises(LockNotObtainedError) as caught:
        lock.run(lambda _: None, wait=1.0)
    assert caught.value.holder.startswith(f"pid {node.process.pid} (")
    assert caught.value.holder.endswith("alive")
    assert node.ask("drop") == "dropped"
    assert lock.run(lambda hold: hold.broke, wait=1.0) is None


def test_while_we_hold_openclaw_waits(node: Talker, agent: Path) -> None:
    lock = AuthStoreLock(str(agent), Generation.B, Machine())

    def work(hold: Hold) -> None:
        assert node.ask("try").startswith("refused")
        hold.check()
        node.say("take")
        time.sleep(0.5)  # longer than its first retry: were it let in, its answer would come before ours
        hold.check()

    lock.run(work, wait=1.0)
    assert node.hear() == "held"
    assert node.ask("drop") == "dropped"


def test_openclaw_breaks_the_lock_of_a_clawtop_that_was_killed(node: Talker, agent: Path) -> None:
    code = (
        "import os, sys; from clawtop.store.locks.openclaw import timestamp;"
        "from tests.support.lock_files import publish;"
        "publish(sys.argv[1], {'pid': os.getpid(), 'createdAt': timestamp(1795214064388)}); os.kill(os.getpid(), 9)"
    )
    lock = agent / "auth-profiles.json.lock"
    killed = subprocess.run([sys.executable, "-c", code, str(lock)], cwd=ROOT, check=False)
    assert killed.returncode == -9
    assert lock.exists()
    assert node.ask("try") == "held"
    assert node.ask("drop") == "dropped"
    assert not lock.exists()


def test_we_break_the_lock_of_an_openclaw_that_was_killed(node: Talker, agent: Path) -> None:
    assert node.ask("take") == "held"
    node.stop()
    broke = AuthStoreLock(str(agent), Generation.B, Machine()).run(lambda hold: hold.broke, wait=5.0)
    assert broke is not None
    assert broke.verdict.reasons == ("dead-pid",)


def test_eight_writers_of_both_kinds_lose_nothing(openclaw: OpenClaw, agent: Path) -> None:
    files = (str(agent / "auth-state.json"), str(agent / "auth-profiles.json"))
    before = (agent / "auth-profiles.json").read_bytes()
    writers = [Talker(openclaw.script("writer.mjs", *files, "fakeai:two", "100", "0", "0")) for _ in range(4)]
    python = [sys.executable, "-m", "tests.interop.python_writer", str(agent), "fakeai:three", "100", "0"]
    writers += [Talker(python) for _ in range(4)]
    for writer in writers:
        writer.say("go")
    results: list[dict[str, Any]] = [json.loads(writer.hear()) for writer in writers]
    for writer in writers:
        writer.stop()
    assert [result["done"] for result in results] == [100] * 8
    stats = auth_state(agent.parents[2])["usageStats"]
    assert stats["fakeai:two"]["errorCount"] == 400
    assert stats["fakeai:three"]["errorCount"] == 400
    assert (agent / "auth-profiles.json").read_bytes() == before
    assert sorted(entry.name for entry in agent.iterdir()) == ["auth-profiles.json", "auth-state.json"]
    assert max(result["longestMs"] for result in results[4:]) < 2_000


def test_a_soft_file_lock_on_that_path_breaks_the_exclusion(node: Talker, agent: Path) -> None:
    """Why clawtop has a lock of its own making: filelock takes OpenClaw's live lock for a malformed one of its own."""
    lock = agent / "auth-profiles.json.lock"
    assert node.ask("take") == "held"
    content = lock.read_bytes()
    naive = filelock.SoftFileLock(lock)
    naive.acquire(timeout=10)
    assert node.process.poll() is None
    assert lock.read_bytes() != content
    naive.release()


def test_a_dead_soft_file_lock_jams_openclaw_for_good(node: Talker, agent: Path) -> None:
    code = "import filelock, os, sys; it = filelock.SoftFileLock(sys.argv[1]); it.acquire(); os.kill(os.getpid(), 9)"
    lock = agent / "auth-profiles.json.lock"
    subprocess.run([sys.executable, "-c", code, str(lock)], check=False)
    assert lock.exists()
    os.utime(lock, (1, 1))
    assert node.ask("try").startswith("refused")
    assert lock.exists()
