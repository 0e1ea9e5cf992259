"""Engines of three hosts on one directory and one etcd: killed, frozen beyond their lease, etcd restarted meanwhile.

A host is a process in UTS and pid namespaces of its own where that is allowed (root), so that no pid means anything to
the others. The checks read only what stands on the disk afterwards. A host that died leaves session locks whose owner
nobody else can prove dead: they stay held, and every turn on those sessions ends as a typed refusal.
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

from tests.engine.contention_worker import Job
from tests.engine.test_contention import ROOT, Arena, arena, hash_of, outcomes, roles_of
from tests.etcd.server import ETCD, EtcdServer

pytestmark = [
    pytest.mark.long,
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


def _fight(found: Arena, server: EtcdServer, share: int, generations: int) -> None:
    """Three hosts; one is frozen beyond its lease, one killed again and again, etcd restarts. `share`: of each."""
    chance = random.Random(85913)
    for number in range(HOSTS):
        _start(found, f"h{number}", share, server.url)
    _wait_for_lines(found, "h0", share // 10)
    members = server.members()
    frozen = _engine_pid(found.running["h1"])
    os.kill(frozen, signal.SIGSTOP)
    try:
        _wait_for_lines(found, "h0", share // 10)
        _wait_for_the_lease_to_end(server, members)
    finally:
        os.kill(frozen, signal.SIGCONT)
    victim = "h2"
    for generation in range(1, generations + 1):
        _wait_for_lines(found, victim, chance.randrange(share // 20, share // 5))
        found.kill(victim)
        victim = f"h2g{generation}"
        _start(found, victim, share, server.url)
    server.stop()
    server.start()
    found.finish(700)


def _wait_for_the_lease_to_end(server: EtcdServer, members: set[str]) -> None:
    """Until one of those who lived before is gone: the frozen one."""
    for _ in range(600):
        if members - server.members():
            return
        time.sleep(0.1)
    raise AssertionError("a frozen host keeps its lease")


def test_engines_of_three_hosts_in_short(tmp_path: Path) -> None:
    server = EtcdServer(tmp_path / "etcd")
    server.start()
    try:
        with arena(tmp_path, sessions=SESSIONS) as found:
            _fight(found, server, 50, 1)
            _check(found, 50)
    finally:
        server.stop()


def test_two_thousand_turns_of_three_hosts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    server = EtcdServer(tmp_path / "etcd")
    server.start()
    try:
        with arena(tmp_path, sessions=SESSIONS) as found:
            share = TURNS // HOSTS + 1  # as many hosts as there are in the beginning live on to the end
            _fight(found, server, share, 3)
            counts = _check(found, share)
            with capsys.disabled():
                print(dict(counts))
            assert counts.total() >= TURNS
    finally:
        server.stop()


def _check(found: Arena, share: int) -> Counter[str]:
    became, standing = outcomes(found), roles_of(found)
    counts = Counter(became.values())
    assert set(counts) <= ENDED, counts
    ended = Counter(turn.rpartition("-")[0] for turn in became)
    assert {name: ended[name] for name in found.running} == dict.fromkeys(found.running, share), "a turn has no end"
    for turn, outcome in became.items():
        parts = standing.get(turn, [])
        if outcome == "answered":
            assert parts == ["q", "a"], turn
        elif outcome == "SessionContendedError":
            assert parts == [], turn
        elif outcome == "SessionWriteLockTimeoutError":
            assert parts in ([], ["q"]), turn
    spans = defaultdict[str, dict[str, list[int]]](dict)
    for fact in found.log():
        if "call" in fact and became.get(fact["call"]) == "answered":
            span = spans[fact["session"]].setdefault(fact["call"], [0, 0])
            span[0 if "start" in fact else 1] = fact.get("start") or fact["end"]
    for session, calls in spans.items():
        for before, after in itertools.pairwise(sorted(calls.values())):
            assert 0 < before[0] <= before[1] <= after[0], f"two acknowledged turns overlap on {session}"
    for path in (found.root / "sessions").glob("*.lock"):
        began = [start for start, _ in spans[path.name.removesuffix(".lock")].values()]
        assert all(start <= max(found.killed_after.values()) for start in began), f"{path.name} was broken unproven"
    for session, lines in found.transcripts().items():
        ids = [line["id"] for line in lines]
        assert len(set(ids)) == len(ids), session
        for before_line, line in itertools.pairwise(lines):
            turn, _, part = line["id"].rpartition("-")
            if part == "a" and became.get(turn) == "answered":
                assert before_line["id"] == f"{turn}-q", f"{session}: a line came between {turn}'s question and answer"
    return counts
