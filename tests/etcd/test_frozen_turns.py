"""Real turns on a real etcd, frozen around the writing of their answer until their lease has ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from clawtop.demo.provider import Respond
from clawtop.demo.threads import LIGHTHOUSE
from tests.etcd.server import ETCD, EtcdServer
from tests.support.served_world import ROOT, served_world

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(ETCD is None, reason="needs etcd (Debian: etcd-server)"),
    pytest.mark.skipif(sys.platform != "linux", reason="waits for another process to be stopped"),
]


@pytest.mark.parametrize("place", ["before", "at", "after"])
def test_an_answer_whose_holder_was_frozen_beyond_its_lease_is_never_acknowledged(tmp_path: Path, place: str) -> None:
    server = EtcdServer(tmp_path / "etcd")
    server.start()
    try:
        with served_world(tmp_path) as served:
            served.provider.default = Respond("the tide is out")
            state = served.world.state_dir
            words = ["drive", "--state-dir", str(state), "--session", LIGHTHOUSE.key, "--message", "hi", "--json"]
            run = subprocess.Popen(
                [sys.executable, "-m", "tests.etcd.frozen_turn", place, *words],
                cwd=ROOT,
                env={**os.environ, "HOME": str(state.parent), "CLAWTOP_REGISTRY": server.url},
                stdout=subprocess.PIPE,
                text=True,
            )
            try:
                os.waitid(os.P_PID, run.pid, os.WSTOPPED | os.WNOWAIT)
                members = server.members()
                assert members, "a turn without a lease"
                _wait_for_the_end_of(members, server)
                run.send_signal(signal.SIGCONT)
                out, _ = run.communicate(timeout=90)
            finally:
                run.kill()
            lines = [json.loads(line) for line in out.splitlines()]
            transcript = served.world.transcript(LIGHTHOUSE).read_text()
    finally:
        server.stop()
    assert run.returncode not in {0, None}
    assert not [line for line in lines if line["type"] == "answer"]
    error = next(line for line in lines if line["type"] == "error")
    assert error["error"] == "SessionTakeoverError"
    written = [json.loads(line) for line in transcript.splitlines() if "the tide is out" in line]
    assert len(written) == (0 if place == "before" else 1)
    if written:
        assert f"line {written[0]['id']} of " in error["title"]
    else:
        assert error["unchanged"] == "none of the reply was written"


def _wait_for_the_end_of(members: set[str], server: EtcdServer) -> None:
    for _ in range(600):
        if not members & server.members():
            return
        time.sleep(0.1)
    raise AssertionError("a frozen process keeps its lease")
