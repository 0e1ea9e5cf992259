"""Thousands of turns over shared sessions from several processes: nothing overlaps, nothing is lost or doubled.

The checks read only what stands on the disk afterwards: the transcripts, the workers' logs and the state directory.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import random
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.engine.contention_worker import Job

ROOT = Path(__file__).resolve().parents[2]
PROCESSES = 4
LIMIT_S = 240

pytestmark = pytest.mark.long


@dataclass
class Arena:
    """The directory that the processes fight in, and the processes."""

    root: Path
    sessions: int
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    killed_after: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        (self.root / "sessions").mkdir()
        (self.root / "state").mkdir()
        for number in range(self.sessions):
            header = {"type": "session", "version": 3, "id": f"s{number:02d}"}
            (self.root / "sessions" / f"s{number:02d}.jsonl").write_text(json.dumps(header) + "\n")

    def start(self, name: str, turns: int, what: str = "run", **wishes: Any) -> None:
        job = Job(str(self.root), name, seed=hash_of(name), turns=turns, sessions=self.sessions, **wishes)
        command = [sys.executable, "-m", "tests.engine.contention_worker", what, json.dumps(asdict(job))]
        self.running[name] = subprocess.Popen(command, cwd=ROOT)

    def kill(self, name: str) -> None:
        self.killed_after[name] = time.monotonic_ns()
        process = self.running.pop(name)
        process.kill()
        process.wait()

    def finish(self, limit_s: float = LIMIT_S) -> None:
        for name, process in self.running.items():
            assert process.wait(limit_s) == 0, name

    def lines(self, session: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.root / "sessions" / session).read_text().splitlines()]

    def log(self) -> Iterator[dict[str, Any]]:
        for path in sorted(self.root.glob("log-*.jsonl")):
            for line in path.read_text().splitlines():
                yield {**json.loads(line), "by": path.stem.removeprefix("log-")}

    def transcripts(self) -> dict[str, list[dict[str, Any]]]:
        return {path.name: self.lines(path.name) for path in sorted((self.root / "sessions").glob("*.jsonl"))}


def hash_of(name: str) -> int:
    return sum(ord(char) * 31**place for place, char in enumerate(name))


@contextlib.contextmanager
def arena(root: Path, sessions: int) -> Iterator[Arena]:
    found = Arena(root, sessions)
    try:
        yield found
    finally:
        for process in found.running.values():
            if process.poll() is None:
                process.kill()
                process.wait()


def assert_one_chain_without_doubles(found: Arena) -> None:
    for session, lines in found.transcripts().items():
        ids = [line["id"] for line in lines]
        assert len(set(ids)) == len(ids), session
        assert [line["parentId"] for line in lines[1:]] == ids[:-1], session


def assert_calls_of_a_session_never_overlap(found: Arena) -> None:
    """A killed process was still calling when it was killed: its last calls last at least until then."""
    calls = defaultdict[str, dict[str, list[int]]](dict)
    for fact in found.log():
        if "call" in fact:
            span = calls[fact["session"]].setdefault(fact["call"], [0, found.killed_after.get(fact["by"], 0)])
            span[0 if "start" in fact else 1] = fact.get("start") or fact["end"]
    assert calls
    for session, spans in calls.items():
        ordered = sorted(spans.values())
        for before, after in itertools.pairwise(ordered):
            assert 0 < before[0] <= before[1] <= after[0], session


def outcomes(found: Arena) -> dict[str, str]:
    return {fact["turn"]: fact["outcome"] for fact in found.log() if "turn" in fact}


def roles_of(found: Arena) -> dict[str, list[str]]:
    """Turn -> what of it stands in the transcripts: its question "q", its answer "a"."""
    standing = defaultdict[str, list[str]](list)
    for lines in found.transcripts().values():
        for line in lines[1:]:
            turn, _, part = line["id"].rpartition("-")
            if turn != "outside":
                standing[turn].append(part)
    return standing


def assert_answers_follow_their_questions(found: Arena) -> None:
    for session, lines in found.transcripts().items():
        for before, line in itertools.pairwise(lines):
            if line["id"].endswith("-a"):
                assert before["id"] == line["id"][:-1] + "q", session


def assert_nothing_is_left(found: Arena) -> None:
    assert list((found.root / "sessions").glob("*.lock")) == []
    assert list((found.root / "sessions").glob("*.tmp")) == []
    assert list((found.root / "state/clawtop/holders").glob("*.json")) == []


def test_ten_thousand_turns_of_four_processes(tmp_path: Path) -> None:
    turns = 10_000
    with arena(tmp_path, sessions=50) as found:
        for number in range(PROCESSES):
            found.start(f"p{number}", turns // PROCESSES)
        found.finish()
        became = outcomes(found)
        assert len(became) == turns
        assert set(became.values()) <= {"answered", "SessionContendedError"}
        standing = roles_of(found)
        for turn, outcome in became.items():
            assert standing.get(turn, []) == (["q", "a"] if outcome == "answered" else []), turn
        assert Counter(became.values())["answered"] > turns // 2
        assert_one_chain_without_doubles(found)
        assert_answers_follow_their_questions(found)
        assert_calls_of_a_session_never_overlap(found)
        assert_nothing_is_left(found)


def test_processes_that_are_killed_at_random(tmp_path: Path) -> None:
    chance, turns = random.Random(62351), 400
    with arena(tmp_path, sessions=12) as found:
        for number in range(PROCESSES):
            found.start(f"p{number}", turns)
        for generation in range(1, 9):
            victim = chance.choice(sorted(found.running))
            seen = len(roles_of_when_readable(found))
            while len(roles_of_when_readable(found)) < seen + chance.randrange(10, 60):
                time.sleep(0.005)
            found.kill(victim)
            found.start(f"p{victim[1]}g{generation}", turns // 2)
        found.finish()
        became, standing = outcomes(found), roles_of(found)
        assert set(became.values()) <= {"answered", "SessionContendedError"}
        for name in found.running:
            wanted = turns if len(name) == 2 else turns // 2
            assert sum(turn.rpartition("-")[0] == name for turn in became) == wanted
        for turn, outcome in became.items():
            assert standing.get(turn, []) == (["q", "a"] if outcome == "answered" else []), turn
        for turn, parts in standing.items():
            assert parts == ["q", "a"] or turn.rpartition("-")[0] in found.killed_after, turn
        assert_one_chain_without_doubles(found)
        assert_calls_of_a_session_never_overlap(found)


def roles_of_when_readable(found: Arena) -> list[str]:
    return [line for path in found.root.glob("log-*.jsonl") for line in path.read_text().splitlines()]


def test_a_program_outside_the_registry(tmp_path: Path) -> None:
    """It writes under the session lock, as an OpenClaw run would: each write in between is noticed."""
    turns = 300
    with arena(tmp_path, sessions=6) as found:
        for number in range(PROCESSES):
            found.start(f"p{number}", turns, refusing=0.0, call_s=0.01)
        found.start("outside", 600, "meddle", call_s=0.01)
        found.finish()
        became, standing = outcomes(found), roles_of(found)
        assert set(became.values()) == {"answered", "SessionTakeoverError"}
        for turn, outcome in became.items():
            assert standing[turn] == (["q", "a"] if outcome == "answered" else ["q"]), turn
        taken_over = {turn for turn, outcome in became.items() if outcome == "SessionTakeoverError"}
        meddled = set[str]()
        for lines in found.transcripts().values():
            for before, line in itertools.pairwise(lines):
                if line["id"].startswith("outside-") and before["id"].endswith("-q"):
                    meddled.add(before["id"][:-2])
        assert taken_over == meddled, "a takeover for each write in between, and only for those"
        assert len(taken_over) >= 10
        assert_one_chain_without_doubles(found)
        assert_answers_follow_their_questions(found)
        assert_calls_of_a_session_never_overlap(found)
        assert_nothing_is_left(found)


@pytest.fixture(autouse=True)
def _impatience() -> Iterator[None]:
    """No test of this file may take for ever, whatever deadlocks."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began < LIMIT_S
