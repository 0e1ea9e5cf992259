"""Engines of three hosts on one directory and one etcd: killed, frozen beyond their lease, etcd restarted meanwhile.

A host is a process in UTS and pid namespaces of its own where that is allowed (root), so that no pid means anything to
the others. The checks read only what stands on the disk afterwards.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from dataclasses import asdict
from pathlib import Path

import pytest

from clawtop.engine.etcd.records import LEASE_S
from tests.engine.contention_worker import Job
from tests.engine.test_contention import ROOT, Arena, arena, hash_of, outcomes, roles_of
from tests.etcd.server import ETCD, EtcdServer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(ETCD is None, reason="needs etcd (Debian: etcd-server)"),
]
HOSTS, SESSIONS, TURNS = 3, 20, 2_000
ENDED = {"answered", "SessionContendedError", "SessionTakeoverError", "SessionWriteLockTimeoutError"}


def _own_namespaces() -> list[str]:
    words = ["unshare", "--uts", "--pid", "--fork", "--kill-child"]
    if shutil.which("unshare") and subprocess.run([*words, "true"], capture_output=True, check=False).returncode == 0:
        return words
    return []


def _start(found: Arena, name: str, turns: int, registry: str) -> None:
    job = Job(
        str(found.root), name, hash_of(name), turns, SESSIONS, at_once=8, refusing=0.05, call_s=0.01, registry=registry
    )
    worker = [sys.executable, "-m", "tests.engine.contention_worker", "run", json.dumps(asdict(job))]
    found.running[name] = subprocess.Popen([*_own_namespaces(), *worker], cwd=ROOT)


def _engine_pid(process: subprocess.Popen[bytes]) -> int:
    """The worker itself, below `unshare`."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return int(children[0]) if children else process.pid


def _lines(found: Arena, name: str) -> int:
    path = found.root / f"log-{name}.jsonl"
    return len(path.read_text().splitlines()) if path.exists() else 0


def _wait_for_lines(found: Arena, name: str, more: int) -> None:
    wanted = _lines(found, name) + more
    for _ in range(6_000):
        if _lines(found, name) >= wanted or found.running[name].poll() is not None:
            return
        time.sleep(0.02)
    raise AssertionError(f"{name} stands still")


def test_engines_of_three_hosts_that_are_killed_and_frozen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chance = random.Random(85913)
    server = EtcdServer(tmp_path / "etcd")
    server.start()
    try:
        with arena(tmp_path, sessions=SESSIONS) as found:
            names = [f"h{number}" for number in range(HOSTS)]
            for name in names:
                _start(found, name, TURNS // HOSTS, server.url)
            _wait_for_lines(found, "h0", 60)
            frozen = _engine_pid(found.running["h1"])
            os.kill(frozen, signal.SIGSTOP)
            _wait_for_lines(found, "h0", 60)
            time.sleep(LEASE_S + 2)
            os.kill(frozen, signal.SIGCONT)
            for generation in range(1, 4):
                _wait_for_lines(found, "h2" if generation == 1 else f"h2g{generation - 1}", chance.randrange(20, 60))
                victim = "h2" if generation == 1 else f"h2g{generation - 1}"
                found.kill(victim)
                _start(found, f"h2g{generation}", TURNS // HOSTS // 3, server.url)
            server.stop()
            server.start()
            found.finish()
            _check(found, capsys)
    finally:
        server.stop()


def _check(found: Arena, capsys: pytest.CaptureFixture[str]) -> None:
    became, standing = outcomes(found), roles_of(found)
    counts = Counter(became.values())
    with capsys.disabled():
        print(dict(counts))
    assert set(counts) <= ENDED, counts
    assert counts["answered"] > TURNS // 3
    for turn, outcome in became.items():
        parts = standing.get(turn, [])
        if outcome == "answered":
            assert parts == ["q", "a"], turn
        elif outcome in {"SessionContendedError", "SessionWriteLockTimeoutError"}:
            assert parts == [], turn
    spans = defaultdict[str, dict[str, list[int]]](dict)
    for fact in found.log():
        if "call" in fact and became.get(fact["call"]) == "answered":
            span = spans[fact["session"]].setdefault(fact["call"], [0, 0])
            span[0 if "start" in fact else 1] = fact.get("start") or fact["end"]
    for session, calls in spans.items():
        for before, after in itertools.pairwise(sorted(calls.values())):
            assert 0 < before[0] <= before[1] <= after[0], f"two acknowledged turns overlap on {session}"
    for session, lines in found.transcripts().items():
        ids = [line["id"] for line in lines]
        assert len(set(ids)) == len(ids), session
        for before_line, line in itertools.pairwise(lines):
            turn, _, part = line["id"].rpartition("-")
            if part == "a" and became.get(turn) == "answered":
                assert before_line["id"] == f"{turn}-q", f"{session}: a line came between {turn}'s question and answer"
